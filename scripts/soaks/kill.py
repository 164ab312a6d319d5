# SPDX-License-Identifier: MIT
"""Kills of all kinds of nodes at random, messages in flight: none is lost, and each takes effect once."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from awala.base.files import private_directory
from awala.testing.commands import COMMANDS, MODULES, CommandNode
from awala.testing.forks import ForkServer, fork_server
from awala.testing.kills import Damage, Killer
from awala.testing.networks import Node, open_network
from awala.testing.programs import Plan

SIZE = 2000
"""Kills that acceptance asks for."""

ROUND = 25
"""Kills in one network before every message must have come to its end."""

QUICK_NETWORKS = 3
"""Networks whose clocks run fast, beside one that is run by the public commands."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one network goes: its clock, its kills, and the time that it has to drain."""

    haste: float
    kills_per_second: float
    drain_seconds: float


QUICK = Pace(haste=10, kills_per_second=0.6, drain_seconds=120)
BY_COMMANDS = Pace(haste=1, kills_per_second=0.15, drain_seconds=600)


def run(size: int, root: Path) -> bool:
    """Kill ``size`` times; print what each round came to, with the seed of its network."""
    del root
    return asyncio.run(Soak(size).run())


class Soak:
    """Several networks that share the kills."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._kills = self._messages = 0
        self._failed = False

    async def run(self) -> bool:
        """Kill until all is done; return whether nothing was lost or came twice."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="awala-kill-") as directory:
            async with (
                fork_server("awala.testing.programs", *MODULES) as server,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(self._keep_killing(Path(directory) / "commands", server, BY_COMMANDS))
                for number in range(QUICK_NETWORKS):
                    group.create_task(self._keep_killing(Path(directory) / f"quick-{number}", server, QUICK))
        seconds = time.monotonic() - began
        print(f"{self._kills} kills, {self._messages} messages, {self._kills / seconds:.2f} kills/s")
        return not self._failed

    async def _keep_killing(self, directory: Path, server: ForkServer, pace: Pace) -> None:
        """Kill in one network after the other, each a new one, until nothing is left to do."""
        number = 0
        while self._left > 0 and not self._failed:
            number += 1
            kills = min(ROUND, self._left)
            self._left -= kills
            seed = secrets.randbits(32)
            damage = await _kill(directory / str(number), server, pace, seed, kills)
            self._kills += damage.kills
            self._messages += damage.messages
            self._failed |= bool(damage.problems)
            print(
                f"{directory.name} {number} seed {seed}: {damage.kills} kills, {damage.messages} messages, "
                f"{damage.seconds:.0f} s {'FAILED' if damage.problems else 'ok'}",
                *damage.problems,
                sep="\n  ",
                flush=True,
            )


async def _kill(directory: Path, server: ForkServer, pace: Pace, seed: int, kills: int) -> Damage:
    await asyncio.to_thread(private_directory, directory)
    make_node = _by_command if pace is BY_COMMANDS else Node
    async with open_network(directory, server, make_node=make_node) as network:
        killer = Killer(network, seed=seed, haste=pace.haste, kills_per_second=pace.kills_per_second)
        return await killer.run(kills, drain_seconds=pace.drain_seconds)


def _by_command(name: str, plan: Plan, server: ForkServer) -> Node:
    return (CommandNode if plan.kind in COMMANDS else Node)(name, plan, server)
