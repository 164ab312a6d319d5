# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import sys

import pytest

from awala.demo.errors import DemoError
from awala.demo.processes import Processes, environment

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(3600)
"""


def python(directory, code):
    return Processes(directory, program=[sys.executable, "-c", code])


def test_the_settings_of_other_nodes_do_not_reach_the_children():
    given = {
        "PATH": "/bin",
        "AWALA_DATA_DIR": "/x",
        "AWALA_TRACEBACK": "1",
        "HTTPS_PROXY": "http://p",
        "no_proxy": "*",
    }

    assert environment(given) == {"PATH": "/bin", "AWALA_TRACEBACK": "1"}


async def test_runs_a_command_to_its_end(tmp_path):
    processes = python(tmp_path, "import sys; print(sys.argv[1]); print('oh', file=sys.stderr); sys.exit(3)")

    outcome = await processes.run("word")

    assert (outcome.code, outcome.output, outcome.complaint) == (3, "word\n", "oh\n")
    assert not processes._running


async def test_runs_the_program_itself(tmp_path):
    assert (await Processes(tmp_path).run("--version")).output.startswith("awala ")


async def test_ends_a_command_that_takes_too_long(tmp_path):
    processes = python(tmp_path, STUBBORN)

    with pytest.raises(DemoError, match="'awala word' did not end within 0 s"):
        await processes.run("word", seconds=0.2)

    assert not processes._running


async def test_ends_kindly_what_ends_kindly(tmp_path):
    processes = python(
        tmp_path,
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\ntime.sleep(3600)",
    )
    process = await processes.start([])
    await process.stdout.readline()

    await processes.end_all()

    assert process.returncode == 7
    assert not processes._running


async def test_ends_by_force_what_does_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr("awala.demo.processes.GRACE", 0.1)
    processes = python(tmp_path, STUBBORN)
    process = await processes.start([])
    await process.stdout.readline()

    await processes.end_all()

    assert process.returncode == -9


async def test_ends_by_force_when_the_kind_way_is_cancelled(tmp_path):
    processes = python(tmp_path, STUBBORN)
    process = await processes.start([])
    await process.stdout.readline()

    ending = asyncio.create_task(processes.end_all())
    await asyncio.sleep(0.1)
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)

    assert await asyncio.wait_for(process.wait(), 10) == -9


async def test_ends_also_what_a_process_has_started(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(3600)"
    )
    processes = python(tmp_path, code)
    process = await processes.start([])
    grandchild = int(await process.stdout.readline())

    processes.kill(process)
    await process.wait()

    assert await _gone(grandchild)


async def _gone(pid):
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: ASYNC230, PTH123 - a file of the kernel
                if stat.read().split()[2] == "Z":
                    return True
        except FileNotFoundError:
            return True
        await asyncio.sleep(0.02)
    return False
