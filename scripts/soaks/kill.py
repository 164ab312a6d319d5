# SPDX-License-Identifier: MIT
"""Kills of all kinds of nodes at random, messages in flight: none is lost, and each takes effect once."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from awala.base.files import private_directory
from awala.testing.commands import COMMANDS, MODULES, CommandNode
from awala.testing.forks import ForkServer, fork_server
from awala.testing.kills import Killer
from awala.testing.networks import Node, open_network
from awala.testing.programs import Plan

SIZE = 2000
"""Kills that acceptance asks for."""

ROUND = 50
"""Kills between two looks at what every message came to."""

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
                group.create_task(self._one(Path(directory) / "commands", server, BY_COMMANDS))
                for number in range(QUICK_NETWORKS):
                    group.create_task(self._one(Path(directory) / f"quick-{number}", server, QUICK))
        seconds = time.monotonic() - began
        print(f"{self._kills} kills, {self._messages} messages, {self._kills / seconds:.2f} kills/s")
        return not self._failed

    async def _one(self, directory: Path, server: ForkServer, pace: Pace) -> None:
        seed = secrets.randbits(32)
        async with _network(directory, server, pace, seed) as killer:
            while self._left > 0 and not self._failed:
                kills = min(ROUND, self._left)
                self._left -= kills
                damage = await killer.round(kills, drain_seconds=pace.drain_seconds)
                self._kills += damage.kills
                self._messages += damage.messages
                self._failed |= bool(damage.problems)
                print(
                    f"{directory.name} seed {seed}: {damage.kills} kills, {damage.messages} messages, "
                    f"{damage.seconds:.0f} s {'FAILED' if damage.problems else 'ok'}",
                    *damage.problems,
                    sep="\n  ",
                    flush=True,
                )


@asynccontextmanager
async def _network(directory: Path, server: ForkServer, pace: Pace, seed: int) -> AsyncIterator[Killer]:
    await asyncio.to_thread(private_directory, directory)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(
            open_network(
                directory, server, haste=pace.haste, make_node=_by_command if pace is BY_COMMANDS else Node
            )
        )
        yield Killer(network, seed=seed, kills_per_second=pace.kills_per_second)


def _by_command(name: str, plan: Plan, server: ForkServer) -> Node:
    return (CommandNode if plan.kind in COMMANDS else Node)(name, plan, server)
