# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from awala.base.errors import AwalaError
from awala.cli.running import DataDirectoryInUseError, Running, owned_directory, run_node

NODE = """
import asyncio, sys
from pathlib import Path
from awala.cli.running import run_node

async def body(running):
    running.ready({"poweb": "127.0.0.1:1"})
    await running.until_stopped()
    print("stopping", flush=True)
    if sys.argv[2] == "slow":
        await asyncio.sleep(3600)
    print("stopped", flush=True)

run_node(body, data_dir=Path(sys.argv[1]), drain=float(sys.argv[3]))
"""


def start(directory, manner="quick", drain=60):
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, str(directory), manner, str(drain)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return node, node.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_node_cleanly(tmp_path, number):
    node, ready = start(tmp_path)

    node.send_signal(number)
    out, err = node.communicate(timeout=20)

    assert json.loads(ready) == {"ready": {"poweb": "127.0.0.1:1"}}
    assert (out, err, node.returncode) == ("stopping\nstopped\n", "", 0)


def test_a_second_signal_does_not_wait(tmp_path):
    node, _ = start(tmp_path, "slow")

    node.send_signal(signal.SIGTERM)
    assert node.stdout.readline() == "stopping\n"
    node.send_signal(signal.SIGTERM)
    out, _ = node.communicate(timeout=20)

    assert (out, node.returncode) == ("", 0)


def test_a_node_that_does_not_stop_is_cancelled(tmp_path):
    node, _ = start(tmp_path, "slow", drain=0.1)

    node.send_signal(signal.SIGTERM)
    out, err = node.communicate(timeout=20)

    assert (out, node.returncode) == ("stopping\n", 0)
    assert "stopped before everything was handed over" in err


def test_a_second_process_cannot_own_the_directory(tmp_path):
    node, _ = start(tmp_path)
    try:
        with (
            pytest.raises(DataDirectoryInUseError, match=f"in use by process {node.pid}"),
            owned_directory(tmp_path),
        ):
            pass
    finally:
        node.kill()
        node.communicate(timeout=20)

    with owned_directory(tmp_path) as directory:
        assert directory == tmp_path


def test_an_owned_directory_is_private(tmp_path):
    with owned_directory(tmp_path / "a" / "b") as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_node_ends_when_its_body_returns(capsys):
    async def body(running):
        running.ready({"a": "b"})

    run_node(body, data_dir=None)

    assert capsys.readouterr().out == '{"ready": {"a": "b"}}\n'


def test_errors_of_the_body_come_through(tmp_path):
    async def body(_running):
        raise AwalaError("no port")

    with pytest.raises(AwalaError, match="no port"):
        run_node(body, data_dir=tmp_path)


def test_a_cancellation_from_inside_is_not_taken_for_a_stop():
    async def body(_running):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_node(body, data_dir=None)


def test_nobody_needs_to_read_the_ready_line(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=False) as closed:
        monkeypatch.setattr("sys.stdout", closed)
        Running().ready({})
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
