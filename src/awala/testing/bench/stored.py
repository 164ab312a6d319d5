# SPDX-License-Identifier: MIT
"""What a spool does with so many messages in it, operation by operation."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from awala.spool import Arrival, Hop, Identity, Kind, SqliteSpool
from awala.testing.bench.figures import Say

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
RESTING: Final = 100
"""Octets of each message that is only there."""

BATCH: Final = 1_000
"""How many messages are stored at once when a spool is filled."""

STEP: Final = 500
"""How many messages a sweep erases while it is timed."""

BURST: Final = 100
BURST_OCTETS: Final = 6_000
"""How many messages are stored between two looks at the log, and their octets."""

HANDED_OVER: Final = 10
"""How many messages are leased, listed, released or acknowledged at once."""

_SENDER: Final = "0" + "a" * 64
_HOPS: Final = tuple(Hop("endpoint", f"0{number:064x}") for number in range(50))
_LIFE: Final = timedelta(days=170)
_RUN: Final = timedelta(hours=49)
_TOLD: Final = 100_000
_numbers = itertools.count()

Timed: TypeAlias = Callable[[], Awaitable[float]]
"""Does something once and returns the seconds that it took, without what was needed before and after."""


def arrival(octets: int, *, now: datetime, life: timedelta = _LIFE, hop: Hop | None = None) -> Arrival:
    """Return a message like no other: each has an id, a moment and a first few octets of its own."""
    number = next(_numbers)
    hop = hop or _HOPS[number % len(_HOPS)]
    created = now - timedelta(hours=3) + timedelta(microseconds=number)
    return Arrival(
        identity=Identity(Kind.PARCEL, _SENDER, hop.name, f"{number:032x}"),
        hop=hop,
        created=created,
        expiry=created + life,
        body=number.to_bytes(8) + bytes(octets - 8),
    )


@dataclass(slots=True)
class Stored:
    """A spool with so many messages in it, give or take those that are being measured."""

    directory: Path
    items: int
    now: datetime = START
    spool: SqliteSpool = field(init=False)
    _ran: float = 0.0

    async def open(self) -> float:
        """Open the spool; return the seconds that it took."""
        began = time.perf_counter()
        self.spool = await SqliteSpool.open(self.directory, monotonic=lambda: self._ran)
        return time.perf_counter() - began

    async def fill(self, say: Say) -> None:
        """Put the messages in."""
        for start in range(0, self.items, BATCH):
            if start and start % _TOLD == 0:
                say(f"spool: {start:,} of {self.items:,} messages stored")
            await self._put(min(BATCH, self.items - start))

    async def _put(self, count: int, *, life: timedelta = _LIFE, hop: Hop | None = None) -> None:
        batch = [arrival(RESTING, now=self.now, life=life, hop=hop) for _ in range(count)]
        await self.spool.accept(batch, now=self.now)

    async def fill_log(self) -> None:
        """Take messages over until the log is as long as in a node that has run for a while.

        As long as it grows, each commit waits for the file system to extend a file.
        """
        log, before = self.directory / "spool.sqlite-wal", -1
        while (size := log.stat().st_size) > before:
            before = size
            for _ in range(BURST):
                await self.accept(BURST_OCTETS)

    async def accept(self, octets: int) -> float:
        """Take over one message."""
        given = arrival(octets, now=self.now)
        began = time.perf_counter()
        await self.spool.accept([given], now=self.now)
        return time.perf_counter() - began

    async def lease_and_release(self) -> float:
        """Lease a few messages, and release them."""
        hop, minute = self._hop(), timedelta(minutes=1)
        began = time.perf_counter()
        items = await self.spool.lease(hop, now=self.now, duration=minute, limit=HANDED_OVER)
        await self.spool.release(items, now=self.now)
        took = time.perf_counter() - began
        await self._put(len(items), hop=hop)
        return took

    async def snapshot(self) -> float:
        """List what would go into a small cargo."""
        began = time.perf_counter()
        await self.spool.snapshot(self._hop(), now=self.now, budget=HANDED_OVER * RESTING)
        return time.perf_counter() - began

    async def offer_and_acknowledge(self) -> float:
        """Mark a message as having left in a cargo, and release it by its acknowledgement."""
        hop = self._hop()
        (item,) = await self.spool.snapshot(hop, now=self.now, budget=0)
        began = time.perf_counter()
        await self.spool.offered([item])
        await self.spool.acknowledge(item.identity, hop=hop, now=self.now)
        took = time.perf_counter() - began
        await self._put(1, hop=hop)
        return took

    async def next_due(self) -> float:
        """Ask where something is due, and when something will be."""
        began = time.perf_counter()
        await self.spool.hops("endpoint", now=self.now)
        await self.spool.next_due("endpoint", now=self.now)
        return time.perf_counter() - began

    async def sweep(self) -> float:
        """Erase messages that expired two days of running ago."""
        await self._put(STEP, life=timedelta())
        await self.spool.sweep(now=self.now)
        self.now += _RUN
        self._ran += _RUN.total_seconds()
        await self.spool.confirm_time(self.now)
        began = time.perf_counter()
        erased = await self.spool.sweep(now=self.now)
        took = time.perf_counter() - began
        if erased != STEP:
            raise AssertionError("a sweep that is timed must erase what was put there for it")
        return took

    async def reopen(self) -> float:
        """Close the spool and open it again."""
        await self.spool.close()
        return await self.open()

    def _hop(self) -> Hop:
        return _HOPS[next(_numbers) % len(_HOPS)]
