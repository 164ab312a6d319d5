# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from awala.testing.forks import ForkServerError, fork_server

HERE = __name__


def tell():
    sys.stdout.write(f"{sys.argv[1:]}\n{Path.cwd()}\n{dict(os.environ)}\n")
    sys.stderr.write("complaint\n")
    sys.exit(3)


def echo():
    for line in sys.stdin:
        sys.stdout.write(f"{line.strip()[::-1]}\n")
        sys.stdout.flush()


def fail():
    raise ValueError("by intention")


def wait():
    sys.stdout.write("here\n")
    sys.stdout.flush()
    signal.pause()


@pytest.fixture
async def server(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    async with fork_server("awala.base.files", HERE) as server, asyncio.timeout(20):
        yield server


async def test_a_process_has_its_own_arguments_directory_and_environment(server, tmp_path):
    process = await server.spawn(
        f"{HERE}:tell", ["a", "b c"], directory=tmp_path, environment={"ONLY": "this"}
    )
    output, errors = await process.communicate()
    assert output.decode().splitlines() == ["['a', 'b c']", str(tmp_path), "{'ONLY': 'this'}"]
    assert errors == b"complaint\n"
    assert process.returncode == 3


async def test_it_can_be_written_to(server, tmp_path):
    process = await server.spawn(f"{HERE}:echo", directory=tmp_path, stdin=PIPE)
    for word in ("one", "two"):
        process.stdin.write(f"{word}\n".encode())
        assert await process.stdout.readline() == f"{word[::-1]}\n".encode()
    process.stdin.close()
    assert await process.wait() == 0


async def test_what_it_raises_is_told_and_ends_it(server, tmp_path):
    process = await server.spawn(f"{HERE}:fail", directory=tmp_path)
    _, errors = await process.communicate()
    assert b"ValueError: by intention" in errors
    assert process.returncode == 1


async def test_it_is_a_real_process_that_a_signal_kills(server, tmp_path):
    processes = [await server.spawn(f"{HERE}:wait", directory=tmp_path) for _ in range(5)]
    for process in processes:
        assert await process.stdout.readline() == b"here\n"
    assert len({process.pid for process in processes} | {os.getpid()}) == 6
    assert os.getsid(processes[0].pid) == processes[0].pid
    processes[0].kill()
    assert await processes[0].wait() == -signal.SIGKILL
    assert [process.returncode for process in processes[1:]] == [None] * 4


async def test_who_gives_up_waiting_for_a_process_leaves_none_behind_and_confuses_nobody(server, tmp_path):
    for turns in range(6):
        task = asyncio.create_task(server.spawn(f"{HERE}:wait", directory=tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        process = await server.spawn(f"{HERE}:wait", directory=tmp_path)
        assert await process.stdout.readline() == b"here\n"
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    assert not server._running


async def test_processes_end_with_their_server(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    async with asyncio.timeout(20):
        async with fork_server(HERE) as server:
            process = await server.spawn(f"{HERE}:wait", directory=tmp_path)
            await process.stdout.readline()
        assert await process.stdout.read() == b""
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_a_server_that_has_ended_forks_no_more(server, tmp_path):
    server._socket.shutdown(2)
    with pytest.raises(ForkServerError):
        await server.spawn(f"{HERE}:echo", directory=tmp_path)
