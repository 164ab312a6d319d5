# SPDX-License-Identifier: MIT
"""A private gateway's whole path over PoWeb, with few messages stored and with many, beside bare work."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from awala.bindings.poweb import PoWebClient
from awala.testing.bench.app_parcels import Apps, Endpoint
from awala.testing.bench.figures import Figure, Plan, Report
from awala.testing.bench.floor import VerifyMaterial, bare_verify, verify_material
from awala.testing.bench.gateway_process import GatewayProcess, prepare
from awala.testing.bench.poweb_load import collect, deliver, request
from awala.testing.bench.stored import Stored

SUMMARY: Final = "parcels that a private gateway takes over and hands out per second, beside the bare work"
CONNECTIONS: Final = (1, 8, 64)
WINDOWS: Final = (1, 5)
OCTETS: Final = 6_000
FEW: Final = 1_000
"""How many messages rest in the gateway while it is measured, if nothing else is asked for."""

ROUNDS: Final = 3
PARCELS_PER_SECOND: Final = 1_200
"""How many parcels a turn has for each second that it is meant to take."""

WARM_UP: Final = 20
"""Parcels that a gateway is given before its first turn."""

_MILLISECONDS: Final = 1e3
_MICROSECONDS: Final = 1e6
_MEBI: Final = 1024 * 1024
_START, _ACCEPT, _COLLECT, _BARE = "start", "accept", "collect", "bare work"

_NOTES: Final = (
    "The gateway is the public command in a process of its own, on the same machine as the apps.",
    "It is paired, and its Internet gateway cannot be reached, so that what it takes over rests.",
    "Accept: a parcel made beforehand, countersigned, over so many connections, until 202: it is durable.",
    "Collect: what rests for an endpoint, handed out and acknowledged, so many at once (the window).",
    "Bare work: for each parcel two SHA-256, two RSA-2048-PSS verifications with keys that are loaded,",
    "and the spool's accept alone, by as many callers as there are connections: the floor of accept.",
    "Microseconds are those of the gateway's processor time for each parcel, of all its threads.",
    "Start: from the command until it accepts a connection.",
    "Cost: what a parcel takes with so many messages stored, against the fewest; 1 is the same.",
    "All take turns. Figures are medians over turns, ratios over pairs of turns.",
)


@dataclass(slots=True)
class _Turns:
    """What the turns of one contestant came to."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    """Seconds of each parcel."""
    processor: list[float] = field(default_factory=list)
    """Seconds of processor time for each parcel, turn by turn."""


_Row = tuple[str, int, int]
"""Operation; connections, callers or window; messages stored."""
_Rows = dict[_Row, _Turns]


def measure(
    plan: Plan,
    *,
    connections: Sequence[int] = CONNECTIONS,
    windows: Sequence[int] = WINDOWS,
    octets: int = OCTETS,
    few: int = FEW,
    rounds: int = ROUNDS,
) -> Report:
    """Measure a gateway with few messages stored, and one with as many as ``plan`` says besides."""
    counts = [few] if plan.items is None else sorted({few, plan.items})
    with tempfile.TemporaryDirectory(dir=plan.directory, prefix="awala-bench-") as directory:
        extent = _Extent(connections, windows, octets, rounds)
        bench = _Bench(Path(directory), plan, extent)
        rows = asyncio.run(bench.run(counts))
    conditions: dict[str, str | int | float] = {
        "octets_of_a_parcel": octets,
        "directory": str(plan.directory or tempfile.gettempdir()),
        "rounds": rounds,
        "parcels_per_turn": bench.parcels,
        **{f"peak_memory_mib_with_{items}": round(peak / _MEBI) for items, peak in bench.peaks.items()},
    }
    shown = ("microseconds", "p50_ms", "p99_ms" if len(counts) == 1 else "cost")
    return Report("gateway", SUMMARY, _NOTES, conditions, tuple(_figures(rows)), shown)


@dataclass(frozen=True, slots=True)
class _Extent:
    """What is measured, and how often."""

    connections: Sequence[int]
    windows: Sequence[int]
    octets: int
    rounds: int


class _Bench:
    """Lets all contestants take their turns, round by round."""

    def __init__(self, directory: Path, plan: Plan, extent: _Extent) -> None:
        self._directory = directory
        self._plan = plan
        self._extent = extent
        self._rows: _Rows = {}
        self.parcels = max(1, round(PARCELS_PER_SECOND * plan.seconds / extent.rounds))
        self.peaks: dict[int, int] = {}
        """The most memory of each gateway, by what rests in it."""

    async def run(self, counts: Sequence[int]) -> _Rows:
        """Measure with so many messages stored, each in a gateway of its own."""
        self._plan.say("gateway: making a gateway, its apps and their parcels")
        apps = await self._apps()
        far = self._requests(
            apps, self._extent.rounds * (WARM_UP + len(self._extent.connections) * self.parcels), near=False
        )
        near = self._requests(apps, self._extent.rounds * len(self._extent.windows) * self.parcels, near=True)
        gateways = [await self._gateway(items) for items in counts]
        floor = Stored(self._directory / "floor", min(counts))
        await floor.open()
        try:
            await floor.fill(self._plan.say)
            for number in range(self._extent.rounds):
                self._plan.say(f"gateway: round {number + 1} of {self._extent.rounds}")
                await self._round(gateways, floor, apps, far, near)
        finally:
            await floor.spool.close()
        self.peaks = {gateway.items: gateway.peak_octets for gateway in gateways}
        return self._rows

    async def _apps(self) -> Apps:
        """Make the gateway that all others are copies of, and register its apps."""
        gateway = GatewayProcess(self._directory / "gateway", 0)
        await prepare(gateway.directory)
        await gateway.start()
        try:
            async with PoWebClient.local(f"http://127.0.0.1:{gateway.port}") as client:
                sender, collector = await Endpoint.register(client), await Endpoint.register(client)
        finally:
            await gateway.stop()
        return Apps(sender, collector, self._extent.octets)

    def _requests(self, apps: Apps, count: int, *, near: bool) -> Iterator[bytes]:
        return iter([request(given) for given in apps.make(count, near=near)])

    async def _gateway(self, items: int) -> GatewayProcess:
        """Return a copy of the gateway with so many messages in it."""
        directory = self._directory / f"gateway{items}"
        shutil.copytree(self._directory / "gateway", directory)
        store = Stored(directory / "spool", items, now=datetime.now(UTC))
        await store.open()
        try:
            await store.fill(self._plan.say)
        finally:
            await store.spool.close()
        return GatewayProcess(directory, items)

    async def _round(
        self,
        gateways: Sequence[GatewayProcess],
        floor: Stored,
        apps: Apps,
        far: Iterator[bytes],
        near: Iterator[bytes],
    ) -> None:
        try:
            for gateway in gateways:
                took = await gateway.start()
                self._add((_START, 0, gateway.items), [took], took, await gateway.processor_seconds())
            requests = list(itertools.islice(far, WARM_UP))
            for gateway in gateways:
                await deliver(gateway.port, requests, 1)
            material = verify_material(apps.sender.key)
            for count in self._extent.connections:
                requests = list(itertools.islice(far, self.parcels))
                await self._bare(floor, count, material)
                for gateway in gateways:
                    await self._accept(gateway, requests, count)
            for window in self._extent.windows:
                requests = list(itertools.islice(near, self.parcels))
                for gateway in gateways:
                    await self._collect(gateway, requests, window, apps.collector)
        finally:
            for gateway in gateways:
                await gateway.stop()

    async def _accept(self, gateway: GatewayProcess, requests: Sequence[bytes], connections: int) -> None:
        used, began = await gateway.processor_seconds(), time.perf_counter()
        took = await deliver(gateway.port, requests, connections)
        elapsed = time.perf_counter() - began
        used = await gateway.processor_seconds() - used
        self._add((_ACCEPT, connections, gateway.items), took, elapsed, used)

    async def _collect(
        self, gateway: GatewayProcess, requests: Sequence[bytes], window: int, collector: Endpoint
    ) -> None:
        await deliver(gateway.port, requests, max(self._extent.connections))
        used, began = await gateway.processor_seconds(), time.perf_counter()
        took = await collect(gateway.port, collector, window)
        elapsed = time.perf_counter() - began
        used = await gateway.processor_seconds() - used
        if len(took) != len(requests):
            raise AssertionError("what was delivered must be collected")
        self._add((_COLLECT, window, gateway.items), took, elapsed, used)

    async def _bare(self, floor: Stored, callers: int, material: VerifyMaterial) -> None:
        content = bytes(self._extent.octets)
        took: list[float] = []
        waiting = iter(range(self.parcels))

        async def caller() -> None:
            for _ in waiting:
                began = time.perf_counter()
                bare_verify(material, content)
                bare_verify(material, content)
                await floor.accept(self._extent.octets)
                took.append(time.perf_counter() - began)

        used, began = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())
        self._add(
            (_BARE, callers, floor.items), took, time.perf_counter() - began, time.process_time() - used
        )

    def _add(self, row: _Row, took: list[float], elapsed: float, processor: float) -> None:
        turns = self._rows.setdefault(row, _Turns())
        turns.rates.append(len(took) / elapsed)
        turns.took += took
        turns.processor.append(processor / len(took))


def _figures(rows: _Rows) -> Iterator[Figure]:
    counts = {items for *_, items in rows}
    fewest = min(counts)
    for (operation, at_once, items), turns in rows.items():
        floor = rows[_BARE, at_once, fewest] if operation == _ACCEPT else None
        times = sorted(turns.took)
        details = {
            "microseconds": _MICROSECONDS * statistics.median(turns.processor),
            "p50_ms": _MILLISECONDS * times[len(times) // 2],
            "p99_ms": _MILLISECONDS * times[len(times) * 99 // 100],
            "times": len(times),
        }
        if items > fewest:
            details["cost"] = _ratio(rows[operation, at_once, fewest], turns)
        labels: dict[str, str | int] = {"operation": operation, "at once": at_once}
        yield Figure(
            labels=labels if len(counts) == 1 else labels | {"stored": items},
            per_second=statistics.median(turns.rates),
            floor_per_second=None if floor is None else statistics.median(floor.rates),
            ratio=None if floor is None else _ratio(turns, floor),
            details=details,
        )


def _ratio(own: _Turns, other: _Turns) -> float:
    """Return how much faster one is than the other: the median over pairs of turns."""
    return statistics.median(ours / theirs for ours, theirs in zip(own.rates, other.rates, strict=True))
