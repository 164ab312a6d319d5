# SPDX-License-Identifier: MIT
"""A network in bad weather: every door behind a link with one fault, then it must recover by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from awala.testing.chaos import ChaosProxy, Weather
from awala.testing.networks import Network, NodeDiedError, NodeFailedError
from awala.testing.programs import LOOPBACK

ASK_SECONDS: Final = 3.0
"""Between two questions."""

ERRAND_SECONDS: Final = 3.0
"""Between two errands of the courier; the person who sends it has patience."""

GUSTS: Final = 15.0
"""Seconds for which a fault that comes and goes stays, and stays away, unless told otherwise."""

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Storm:
    """A fault: the weather at every door, or a link that is cut, for good or in gusts."""

    weather: Weather | None
    in_gusts: bool = False
    spares: tuple[str, ...] = ()
    """Links that have fine weather."""


STORMS: Final[Mapping[str, Storm]] = MappingProxyType(
    {
        "latency": Storm(Weather(latency=0.4)),
        "narrow": Storm(Weather(rate=16_000)),
        "cut": Storm(None, in_gusts=True),
        "half-open": Storm(Weather(swallows=True), in_gusts=True),
        "reset": Storm(Weather(resets_after=20_000)),
        "stall": Storm(Weather(stalled=True), in_gusts=True),
        # Apps speak with their gateway in clear, on one machine: a changed parcel is a forged one there.
        "flipped": Storm(Weather(flips_every=20_000), spares=("gateway poweb",)),
    }
)
"""Each fault that a link may have."""


@dataclass(frozen=True, slots=True)
class Toll:
    """What a storm came to.

    Attributes:
        messages: questions that were asked in it.
        connections: the most that one door had in a second, on average.
        busy: the most processor time that one node took in a second, on average, in seconds.
        growth: the most memory that one node took more than before, in octets.
        recovery: seconds from the end of the storm until all was answered.
        problems: what was lost, came twice, or ended.

    """

    messages: int
    connections: float
    busy: float
    growth: int
    recovery: float
    problems: tuple[str, ...]


class StormTest:
    """One network in one storm."""

    def __init__(self, network: Network, storm: Storm, *, haste: float, gust: float = GUSTS) -> None:
        self._network = network
        self._storm = storm
        self._haste = haste
        self._gust = gust
        self._asked = 0

    async def run(self, seconds: float, *, recovery_seconds: float) -> Toll:
        """Let the storm blow for so long while messages are sent; then wait until all is answered."""
        network = self._network
        problems: list[str] = []
        connections, busy, growth, recovery = 0.0, 0.0, 0, 0.0
        loop = asyncio.get_running_loop()
        try:
            async with network.running(haste=self._haste):
                await network.meet()
                await network.ask("calm")
                await network.wait_for("calm")
                before = {name: _footprint(node.pid) for name, node in network.nodes.items()}
                counts = {name: link.connections for name, link in network.links.items()}
                async with self._traffic(), self._weather():
                    await asyncio.sleep(seconds)
                connections = max(link.connections - counts[name] for name, link in network.links.items())
                began = loop.time()
                async with asyncio.timeout(recovery_seconds):
                    await network.wait_for(*(name for _, name in network.sent))
                    await network.settle()
                recovery = loop.time() - began
                after = {name: _footprint(node.pid) for name, node in network.nodes.items()}
                busy = max(after[name][0] - before[name][0] for name in after) / (seconds + recovery)
                growth = max(after[name][1] - before[name][1] for name in after)
        except* TimeoutError:
            missing = {name for _, name in network.sent} - network.heard
            problems.append(f"{len(missing)} of {len(network.sent)} unanswered: {sorted(missing)[:5]}")
        except* Exception as errors:  # noqa: BLE001 - whatever it is, it is what came of it
            problems += [f"{type(error).__name__}: {error}" for error in errors.exceptions]
        problems = problems or network.problems()
        return Toll(len(network.sent), connections / seconds, busy, growth, recovery, tuple(problems))

    @asynccontextmanager
    async def _weather(self) -> AsyncIterator[None]:
        blowing = asyncio.create_task(self._blow())
        try:
            yield
        finally:
            blowing.cancel()
            await asyncio.gather(blowing, return_exceptions=True)
            await self._calm()

    async def _blow(self) -> None:
        while True:
            for link in self._links():
                if self._storm.weather is None:
                    await link.cut()
                else:
                    link.set_weather(self._storm.weather)
            await asyncio.sleep(self._gust if self._storm.in_gusts else float("inf"))
            await self._calm()
            await asyncio.sleep(self._gust)

    async def _calm(self) -> None:
        for link in self._links():
            link.clear()
            await link.mend()

    def _links(self) -> list[ChaosProxy]:
        return [link for name, link in self._network.links.items() if name not in self._storm.spares]

    @asynccontextmanager
    async def _traffic(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each) for each in (self._ask(), self._carry())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self) -> None:
        while True:
            self._asked += 1
            await self._network.ask(f"question-{self._asked}", 30_000 if self._asked % 4 == 0 else 200)
            await asyncio.sleep(ASK_SECONDS)

    async def _carry(self) -> None:
        nodes, port = self._network.nodes, self._network.links["courier cogrpc"].port
        while True:
            with suppress(NodeDiedError, NodeFailedError):
                await nodes["gateway"].ask("visit", host=LOOPBACK, port=port)
            with suppress(NodeDiedError, NodeFailedError):
                await nodes["courier"].ask("trip")
            await asyncio.sleep(ERRAND_SECONDS)


def _footprint(pid: int | None) -> tuple[float, int]:
    """Return the processor time of a process in seconds, and its memory in octets."""
    place = Path("/proc") / str(pid)
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int((place / "statm").read_text().split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
