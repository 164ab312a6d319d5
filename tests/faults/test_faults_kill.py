# SPDX-License-Identifier: MIT
"""A sample of ``./scripts/soak kill``: nodes are killed at random; each message takes effect exactly once."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from awala.testing.commands import COMMANDS, MODULES, CommandNode
from awala.testing.forks import fork_server
from awala.testing.kills import Killer
from awala.testing.networks import Node, NodeFailedError, open_network


@pytest.fixture
async def server():
    async with fork_server("awala.testing.programs", *MODULES) as server:
        yield server


def by_command(name, plan, server):
    return (CommandNode if plan.kind in COMMANDS else Node)(name, plan, server)


@pytest.mark.rule("5.1", "5.3")
async def test_nothing_is_lost_and_nothing_comes_twice_when_nodes_are_killed(server, tmp_path):
    async def kill(name, kills, per_second, haste, make_node):
        seed = secrets.randbits(32)
        (tmp_path / name).mkdir()
        async with open_network(tmp_path / name, server, make_node=make_node) as network:
            killer = Killer(network, seed=seed, haste=haste, kills_per_second=per_second)
            damage = await killer.run(kills, drain_seconds=60)
        assert damage.problems == (), f"seed {seed}"
        assert damage.kills >= kills
        assert damage.messages > 0

    async with asyncio.TaskGroup() as group:
        group.create_task(kill("quick", 16, 2.0, 20, Node))
        group.create_task(kill("commands", 4, 0.5, 1, by_command))


async def test_a_node_that_ends_in_any_other_way_is_told_with_its_log(server, tmp_path):
    async with open_network(tmp_path, server) as network:
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "vault").write_text("in the way")
        with pytest.raises(ExceptionGroup) as failed:
            async with network.running():
                pass
    [error] = failed.value.exceptions
    assert isinstance(error, NodeFailedError)
    assert "app ended with 1" in str(error)
    assert "is not a directory" in str(error)


async def test_a_node_that_is_stopped_while_it_is_started_again_ends(server, tmp_path):
    async with open_network(tmp_path, server) as network, asyncio.timeout(60), network.running():
        courier = network.nodes["courier"]
        spawned, spawn = asyncio.Event(), courier._spawn

        async def spawn_late():
            spawned.set()
            await asyncio.sleep(0.5)  # in which all are told to stop
            return await spawn()

        courier._spawn = spawn_late
        courier.kill()
        await spawned.wait()
    assert courier.deaths == 1
