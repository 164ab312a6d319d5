# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from awala.spool import SqliteSpool
from helpers.spool_items import HOP, LARGE, NOW, identity

ROUNDS = 4
ACKNOWLEDGED_PER_ROUND = 150

CHILD = """
import asyncio, sys
from pathlib import Path
from helpers.spool_items import LARGE, NOW, arrival
from awala.spool import Outcome, SqliteSpool

async def caller(spool, start):
    for number in range(start, 1_000_000, 16):
        message_id = f"{sys.argv[2]}-{number}"
        body = message_id.encode() + bytes(LARGE if number % 10 == 0 else 500)
        assert await spool.accept([arrival(message_id, body)], now=NOW) == [Outcome.STORED]
        sys.stdout.write(message_id + "\\n")
        sys.stdout.flush()

async def main():
    spool = await SqliteSpool.open(Path(sys.argv[1]))
    await asyncio.gather(*(caller(spool, start) for start in range(16)))

asyncio.run(main())
"""


def killed_child(directory, number):
    """Let a child accept messages, kill it in the middle, and return what it had acknowledged."""
    command = [sys.executable, "-c", CHILD, str(directory), str(number)]
    acknowledged = []
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        for line in child.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) == ACKNOWLEDGED_PER_ROUND:
                child.kill()
                break
        acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    return acknowledged


@pytest.mark.rule("4.1", "4.11")
async def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(tmp_path):
    acknowledged = []

    for number in range(ROUNDS):
        acknowledged += killed_child(tmp_path / "spool", number)

    assert len(acknowledged) >= ROUNDS * ACKNOWLEDGED_PER_ROUND
    spool = await SqliteSpool.open(tmp_path / "spool")
    items = await spool.lease(HOP, now=NOW, duration=timedelta(hours=1), limit=1_000_000)
    bodies = {item.identity: await spool.body(item) for item in items}
    usage = await spool.usage()
    await spool.close()
    for message_id in acknowledged:
        body = bodies[identity(message_id)]
        assert body.startswith(message_id.encode())
        assert len(body) - len(message_id) in {LARGE, 500}
    assert usage.items == usage.seen == len(items)
    assert usage.octets == sum(item.size for item in items)
    files = [path for path in (tmp_path / "spool" / "bodies").rglob("*") if path.is_file()]
    assert len(files) == sum(item.size > LARGE for item in items)
