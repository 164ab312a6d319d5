# SPDX-License-Identifier: MIT
"""A spool on a file system that is really full: a small one of its own, in a name space of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

CHILD = """
import asyncio, contextlib, os, sys
from pathlib import Path
from awala.base.errors import StorageFullError
from awala.spool import Outcome, Priority, SqliteSpool
from helpers.spool_items import HOP, HOUR, LARGE, NOW, arrival

disk = Path(sys.argv[1])
acknowledged = {}

async def take(spool, prefix, size, priority, most):
    # Store messages until the spool refuses one or fails; return what it said.
    for number in range(most):
        given = arrival(f"{prefix}-{number}", f"{prefix}-{number}".encode().ljust(size), priority=priority)
        try:
            (outcome,) = await spool.accept([given], now=NOW)
        except StorageFullError as error:
            return error
        if outcome is not Outcome.STORED:
            return outcome
        acknowledged[given.identity] = given.body
    return None

async def check(spool):
    items = await spool.lease(HOP, now=NOW, duration=HOUR, limit=1_000_000)
    await spool.return_lease(items)
    bodies = {item.identity: await spool.body(item) for item in items}
    assert bodies == acknowledged, (len(bodies), len(acknowledged))
    assert (await spool.usage()).items == len(items)
    return items

async def main():
    spool = await SqliteSpool.open(disk / "spool")
    assert await take(spool, "bulk", 60_000, Priority.BULK, 5_000) is Outcome.FULL
    assert os.statvfs(disk).f_bavail > 0, "full was not said before the disk was"

    ballast = disk / "ballast"  # another program takes the rest
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert await take(spool, "more", 60_000, Priority.BULK, 1) is Outcome.FULL
    assert isinstance(await take(spool, "large", LARGE, Priority.CONTROL, 1), StorageFullError)
    failed = await take(spool, "control", 60_000, Priority.CONTROL, 5_000)
    assert isinstance(failed, StorageFullError), failed
    assert failed.retryable
    await check(spool)

    ballast.unlink()
    assert await take(spool, "again", 60_000, Priority.CONTROL, 3) is None
    assert await take(spool, "file", LARGE, Priority.CONTROL, 3) is None
    items = await check(spool)
    await spool.release(items[:100], now=NOW)
    for item in items[:100]:
        del acknowledged[item.identity]
    assert await take(spool, "drained", 60_000, Priority.BULK, 3) is None
    await spool.close()

    spool = await SqliteSpool.open(disk / "spool")
    await check(spool)
    files = [path for path in (disk / "spool" / "bodies").rglob("*") if path.is_file()]
    assert len(files) == sum(len(body) >= LARGE for body in acknowledged.values())
    await spool.close()

asyncio.run(main())
"""

MOUNT = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"'


def on_a_small_disk(directory, *command):
    """Run a command that sees a file system of 64 MiB at ``directory``, which nobody else sees."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [
            shutil.which("unshare") or "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            MOUNT,
            str(directory),
            *command,
        ],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.rule("4.10")
@pytest.mark.requires("unshare", "mount")
def test_a_full_disk_loses_nothing_that_was_acknowledged_and_is_got_over(tmp_path):
    if on_a_small_disk(tmp_path, "true").returncode != 0:
        pytest.skip("this system lets nobody mount a file system of his own")

    ended = on_a_small_disk(tmp_path, sys.executable, "-c", CHILD, str(tmp_path))

    assert ended.returncode == 0, ended.stderr
