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
TOLD_PER_ROUND = 150

CHILD = """
import asyncio, sys
from pathlib import Path
from helpers.spool_items import HOP, HOUR, LARGE, NOW, arrival
from awala.spool import Outcome, SqliteSpool

LETS_GO = "-"

def tell(line):
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

async def caller(spool, start):
    for number in range(start, 1_000_000, 16):
        message_id = f"{sys.argv[2]}-{number}"
        body = message_id.encode() + bytes(LARGE if number % 10 == 0 else 500)
        assert await spool.accept([arrival(message_id, body)], now=NOW) == [Outcome.STORED]
        tell(message_id)
        if number % 20 == 0:
            items = await spool.lease(HOP, now=NOW, duration=HOUR, limit=10_000)
            await spool.return_lease(items[:-1])
            for item in items[-1:]:  # a large one if there is any
                tell(LETS_GO + item.identity.message_id)
                await spool.release([item], now=NOW)

async def main():
    spool = await SqliteSpool.open(Path(sys.argv[1]))
    await asyncio.gather(*(caller(spool, start) for start in range(16)))

asyncio.run(main())
"""


def killed_child(directory, number):
    """Let a child accept messages and let go of some, kill it in the middle, and return what it told."""
    command = [sys.executable, "-c", CHILD, str(directory), str(number)]
    told = []
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        for line in child.stdout:
            told.append(line.strip())
            if len(told) == TOLD_PER_ROUND:
                child.kill()
                break
        told += [line.strip() for line in child.stdout if line.endswith("\n")]
    return told


@pytest.mark.rule("4.1", "4.11")
async def test_nothing_that_was_acknowledged_is_lost_when_the_process_is_killed(tmp_path):
    told = []

    for number in range(ROUNDS):
        told += killed_child(tmp_path / "spool", number)

    acknowledged = [line for line in told if not line.startswith("-")]
    assert len(told) >= ROUNDS * TOLD_PER_ROUND
    spool = await SqliteSpool.open(tmp_path / "spool")
    items = await spool.lease(HOP, now=NOW, duration=timedelta(hours=1), limit=1_000_000)
    bodies = {item.identity: await spool.body(item) for item in items}
    usage = await spool.usage()
    await spool.close()
    let_go = {line[1:] for line in told if line.startswith("-")}
    assert let_go
    for message_id in acknowledged:
        if message_id in let_go and identity(message_id) not in bodies:
            continue
        body = bodies[identity(message_id)]
        assert body.startswith(message_id.encode())
        assert len(body) - len(message_id) in {LARGE, 500}
    assert usage.items == len(items)
    assert usage.seen >= len(acknowledged)
    assert usage.octets == sum(item.size for item in items)
    files = [path for path in (tmp_path / "spool" / "bodies").rglob("*") if path.is_file()]
    assert len(files) == sum(item.size > LARGE for item in items)
