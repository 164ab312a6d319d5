# SPDX-License-Identifier: MIT
"""A sample of ``./scripts/soak chaos``: every fault of a link at every door, then everything arrives once."""

from __future__ import annotations

import asyncio

import pytest

from awala.testing.forks import fork_server
from awala.testing.networks import open_network
from awala.testing.storms import STORMS, StormTest

SECONDS = 6
HASTE = 10.0


@pytest.mark.rule("5.1", "9.5")
async def test_everything_arrives_once_after_any_fault_and_no_door_is_hammered_meanwhile(tmp_path):
    async def blow(server, name):
        (tmp_path / name).mkdir()
        async with open_network(tmp_path / name, server) as network:
            test = StormTest(network, STORMS[name], haste=HASTE, gust=1.5)
            toll = await test.run(SECONDS, recovery_seconds=60)
        assert toll.problems == (), name
        assert toll.messages > 1, name
        assert toll.connections <= HASTE, name  # the shortest back-off is a second
        return toll

    async with fork_server("awala.testing.programs") as server, asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(blow(server, name)) for name in STORMS}
    assert max(task.result().connections for task in tasks.values()) > 0
    assert set(tasks) == {"latency", "narrow", "cut", "half-open", "reset", "stall", "flipped"}
