# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys

import pytest

from awala.base.files import private_directory, write_private
from awala.base.sqlite import Database
from awala.testing.crashes import Crash, CrashPoints

CHILD = """
import sys
from pathlib import Path
from awala.base.files import write_private
from awala.testing.crashes import Crash, CrashPoints
CrashPoints(Crash.parse(sys.argv[1])).install()
for number in range(3):
    write_private(Path(sys.argv[2], f"file-{number}"), b"whole")
"""


@pytest.fixture
def points(tmp_path):
    del tmp_path  # made before anything is counted
    points = CrashPoints(kill=lambda: pytest.fail("nothing was to be killed"))
    points.install()
    yield points
    points.remove()


def test_each_operation_on_a_file_is_a_point(points, tmp_path):
    write_private(tmp_path / "file", b"octets")
    assert points.passages == {"create": 1, "fsync": 2, "replace": 1}
    (tmp_path / "file").unlink()
    private_directory(tmp_path / "a" / "b")
    assert points.passages == {"create": 1, "fsync": 4, "replace": 1, "unlink": 1, "mkdir": 2}


async def test_each_commit_is_a_point_of_its_database_and_reading_is_none(points, tmp_path):
    database = await Database.open(tmp_path / "notes.sqlite", ["CREATE TABLE note (text)"])
    assert points.passages["commit notes.sqlite"] == 1
    for number in (2, 3):
        await database.write(lambda connection: connection.execute("INSERT INTO note VALUES (1)").rowcount)
        assert points.passages["commit notes.sqlite"] == number
    with pytest.raises(ZeroDivisionError):
        await database.write(lambda _: 1 / 0)
    await database.read(lambda connection: connection.execute("SELECT * FROM note").fetchall())
    await database.close()
    assert points.passages["commit notes.sqlite"] == 3


async def test_what_is_sent_to_another_process_is_a_point_and_what_an_event_loop_tells_itself_is_none(points):
    async def answer(reader, writer):
        await reader.read(5)
        writer.write(b"world")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello")
        assert await reader.read() == b"world"
        await asyncio.to_thread(lambda: None)
        writer.close()
    assert points.passages["send"] == 2


async def test_removed_everything_is_as_before(tmp_path):
    before = (os.fsync, os.open, os.replace, socket.socket.send, sqlite3.connect)
    points = CrashPoints()
    points.install()
    assert (os.fsync, os.open, os.replace, socket.socket.send, sqlite3.connect) != before
    points.remove()
    assert (os.fsync, os.open, os.replace, socket.socket.send, sqlite3.connect) == before
    write_private(tmp_path / "file", b"octets")
    assert not points.passages


@pytest.mark.parametrize(
    ("crash", "left"),
    [
        ("create:1", 0),
        ("fsync:1", 0),
        ("replace:1", 1),
        ("fsync:2", 1),
        ("create:3", 2),
        ("replace:3", 3),
    ],
)
def test_the_process_is_killed_right_after_the_operation(tmp_path, crash, left):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run([sys.executable, "-c", CHILD, crash, tmp_path], env=environment, check=False)
    assert child.returncode == -signal.SIGKILL
    whole = [file for file in tmp_path.iterdir() if not file.name.startswith(".")]
    assert [file.read_bytes() for file in whole] == [b"whole"] * left


def test_a_crash_is_written_and_read():
    crash = Crash("commit spool.sqlite", 12)
    assert str(crash) == "commit spool.sqlite:12"
    assert Crash.parse(str(crash)) == crash
    with pytest.raises(ValueError, match="invalid literal"):
        Crash.parse("send:often")
