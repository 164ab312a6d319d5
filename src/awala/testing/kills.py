# SPDX-License-Identifier: MIT
"""Nodes of a network are killed at random while messages are in flight, on-line and by courier."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from awala.testing.networks import NAMES, Network

MAX_IN_FLIGHT: Final = 40
"""Questions without an answer beyond which no more are asked."""

LARGE: Final = 70_000
"""Octets of every tenth message: its body is a file at every node."""

ASK_SECONDS: Final = 0.3
"""Mean time between two questions."""

LINK_SECONDS: Final = 4.0
"""Mean time after which the Internet comes or goes; a courier goes back and forth all the time."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What so many kills came to."""

    kills: int
    messages: int
    seconds: float
    problems: tuple[str, ...]


class Killer:
    """Kills nodes of one network, chosen by a seed."""

    def __init__(self, network: Network, *, seed: int, haste: float, kills_per_second: float) -> None:
        self._network = network
        self._random = Random(seed)  # noqa: S311 - it must be repeatable, and nothing else
        self._seed = seed
        self._haste = haste
        self._rate = kills_per_second
        self._asked = 0

    async def run(self, kills: int, *, drain_seconds: float) -> Damage:
        """Start the network, kill so many times, wait until all is answered, and look at the effects."""
        network = self._network
        began = time.monotonic()
        problems: list[str] = []
        try:
            async with network.running(haste=self._haste):
                await network.meet()
                async with self._traffic():
                    await self._kill(kills)
                async with asyncio.timeout(drain_seconds):
                    await network.mend()
                    await network.wait_for(*(name for _, name in network.sent))
                    await network.settle()
        except* TimeoutError:
            missing = {name for _, name in network.sent} - network.heard
            problems.append(f"{len(missing)} unanswered after {drain_seconds:.0f} s: {sorted(missing)[:5]}")
        except* Exception as errors:  # noqa: BLE001 - whatever it is, it is what came of it
            problems += [f"{type(error).__name__}: {error}" for error in errors.exceptions]
        problems = problems or network.problems()
        deaths = sum(node.deaths for node in network.nodes.values())
        return Damage(deaths, len(network.sent), time.monotonic() - began, tuple(problems))

    async def _kill(self, kills: int) -> None:
        while sum(node.deaths for node in self._network.nodes.values()) < kills:
            await asyncio.sleep(self._random.expovariate(self._rate))
            self._network.nodes[self._random.choice(NAMES)].kill()

    @asynccontextmanager
    async def _traffic(self) -> AsyncIterator[None]:
        """Keep messages in flight for the block."""
        tasks = [asyncio.create_task(each) for each in (self._ask(), self._carry(), self._come_and_go())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._network.links["internet poweb"].mend()

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / ASK_SECONDS))
            if len({name for _, name in self._network.sent} - self._network.heard) < MAX_IN_FLIGHT:
                self._asked += 1
                size = LARGE if self._asked % 10 == 0 else self._random.randrange(1000)
                await self._network.ask(f"{self._seed}-{self._asked}", size)

    async def _carry(self) -> None:
        while True:
            await self._network.visit()
            await self._network.trip()

    async def _come_and_go(self) -> None:
        link = self._network.links["internet poweb"]
        while True:
            await asyncio.sleep(self._random.expovariate(1 / LINK_SECONDS))
            await (link.mend() if link.is_cut else link.cut())
