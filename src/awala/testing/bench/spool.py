# SPDX-License-Identifier: MIT
"""The SQLite spool's operations, beside bare SQLite and bare files, with few messages in it and with many."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from awala.testing.bench.figures import Figure, Plan, Report, peak_memory
from awala.testing.bench.stored import HANDED_OVER, STEP, Stored, Timed

SUMMARY: Final = "what the SQLite spool does per second, beside bare SQLite and bare files"
CALLERS: Final = (1, 8, 64)
SMALL: Final = 6_000
LARGE: Final = 8 * 1024 * 1024
FEW: Final = 1_000
"""How many messages are stored while the spool is measured, if nothing else is asked for."""

ROUNDS: Final = 3
MAX_PER_TURN: Final = 20_000
"""Small messages that a turn stores at most: it bounds what is written to the disk."""

LARGE_PER_TURN: Final = 8

_MILLISECONDS: Final = 1e3
_MEBI: Final = 1024 * 1024
_INSERT, _WRITE, _ACCEPT = "insert and commit", "write and sync", "accept"

_NOTES: Final = (
    "Accept: one message per call, durable when it returns; so many callers do so at the same time.",
    "The log of the spool has its full length by then, as in a node that has run for a while.",
    "Insert and commit: the same octets in a table without indexes, a commit each, synchronous=FULL.",
    "Write and sync: a new file with the same octets, and fsync.",
    "The floor of small messages is insert and commit, that of large ones write and sync; one caller each.",
    "Callers that wait together share a commit, so many of them come out above the floor.",
    f"Lease and release, snapshot: {HANDED_OVER} messages each. Sweep: {STEP}. Open: close and open again.",
    "Cost: what a call takes with so many messages stored, against the fewest; 1 is the same.",
    "All take turns. Figures are medians over turns, ratios over pairs of turns.",
)


@dataclass(slots=True)
class _Turns:
    """What the turns of one contestant came to."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    """Seconds of each call."""


_Row = tuple[str, int, int, int]
"""Operation, octets of a message or 0, callers, messages stored."""
_Rows = dict[_Row, _Turns]


def measure(
    plan: Plan,
    *,
    callers: Sequence[int] = CALLERS,
    small: int = SMALL,
    large: int = LARGE,
    few: int = FEW,
) -> Report:
    """Measure each operation with few messages stored, and with as many as ``plan`` says besides."""
    with tempfile.TemporaryDirectory(dir=plan.directory, prefix="awala-bench-") as directory:
        counts = [few] if plan.items is None else sorted({few, plan.items})
        bench = _Bench(Path(directory), plan, callers, small, large)
        rows = asyncio.run(bench.run(counts))
    conditions: dict[str, str | int | float] = {
        "sqlite": sqlite3.sqlite_version,
        "directory": str(plan.directory or tempfile.gettempdir()),
        "rounds": ROUNDS,
        "seconds_per_measurement": plan.seconds,
        "peak_memory_mib": round(peak_memory() / _MEBI),
    }
    shown = ("p50_ms", "p99_ms") if len(counts) == 1 else ("p50_ms", "cost")
    return Report("spool", SUMMARY, _NOTES, conditions, tuple(_figures(rows, small)), shown)


class _Bench:
    """Lets all contestants take their turns, round by round."""

    def __init__(self, directory: Path, plan: Plan, callers: Sequence[int], small: int, large: int) -> None:
        self._directory = directory
        self._plan = plan
        self._callers = callers
        self._small, self._large = small, large
        self._seconds = plan.seconds / ROUNDS
        self._rows: _Rows = {}

    async def run(self, counts: Sequence[int]) -> _Rows:
        """Measure with so many messages stored, each in a spool of its own."""
        stores = [Stored(self._directory / f"spool{count}", count) for count in counts]
        for store in stores:
            await store.open()
        try:
            for store in stores:
                await store.fill(self._plan.say)
            with _insert_and_commit(self._directory, self._small) as insert:
                for number in range(ROUNDS):
                    self._plan.say(f"spool: round {number + 1} of {ROUNDS}")
                    await self._round(insert, stores)
        finally:
            for store in stores:
                await store.spool.close()
        return self._rows

    async def _round(self, insert: Callable[[], object], stores: Sequence[Stored]) -> None:
        self._bare((_INSERT, self._small, 1, 0), insert, MAX_PER_TURN)
        with _write_and_sync(self._directory, self._small) as write:
            self._bare((_WRITE, self._small, 1, 0), write, MAX_PER_TURN)
        for store in stores:
            await store.fill_log()
        for count in self._callers:
            for store in stores:
                await self._accept(store, count, self._small, MAX_PER_TURN)
        with _write_and_sync(self._directory, self._large) as write:
            self._bare((_WRITE, self._large, 1, 0), write, LARGE_PER_TURN)
        for store in stores:
            await self._accept(store, 1, self._large, LARGE_PER_TURN)
        for store in stores:
            for operation, call in {
                "lease and release": store.lease_and_release,
                "snapshot": store.snapshot,
                "offer and acknowledge": store.offer_and_acknowledge,
                "next due": store.next_due,
                "sweep": store.sweep,
                "open": store.reopen,
            }.items():
                await self._call((operation, 0, 1, store.items), call)

    def _turns(self, row: _Row) -> _Turns:
        return self._rows.setdefault(row, _Turns())

    def _bare(self, row: _Row, work: Callable[[], object], most: int) -> None:
        """Repeat bare work for a turn, so often at most."""
        turns = self._turns(row)
        took: list[float] = []
        start = time.perf_counter()
        while not took or (time.perf_counter() - start < self._seconds and len(took) < most):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        turns.rates.append(len(took) / sum(took))
        turns.took += took

    async def _call(self, row: _Row, call: Timed) -> None:
        """Repeat a call for a turn."""
        turns = self._turns(row)
        took: list[float] = []
        start = time.perf_counter()
        while not took or time.perf_counter() - start < self._seconds:
            took.append(await call())
        turns.rates.append(len(took) / sum(took))
        turns.took += took

    async def _accept(self, store: Stored, callers: int, octets: int, most: int) -> None:
        """Let so many callers hand over message after message for a turn."""
        turns = self._turns((_ACCEPT, octets, callers, store.items))
        took: list[float] = []
        start = time.perf_counter()

        async def caller() -> None:
            while True:
                took.append(await store.accept(octets))
                if time.perf_counter() - start >= self._seconds or len(took) >= most:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())
        # One caller alone waits for nobody, so what was made between its calls does not count.
        turns.rates.append(len(took) / (sum(took) if callers == 1 else time.perf_counter() - start))
        turns.took += took


@contextmanager
def _insert_and_commit(directory: Path, octets: int) -> Iterator[Callable[[], object]]:
    connection = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)")
    body = bytes(octets)

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO item (body) VALUES (?)", (body,))
        connection.execute("COMMIT")

    try:
        yield insert
    finally:
        connection.close()


@contextmanager
def _write_and_sync(directory: Path, octets: int) -> Iterator[Callable[[], object]]:
    body = bytes(octets)
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        paths = (os.path.join(folder, str(number)) for number in itertools.count())  # noqa: PTH118 - bare

        def write() -> None:
            descriptor = os.open(next(paths), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, body)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

        yield write


def _figures(rows: _Rows, small: int) -> Iterator[Figure]:
    counts = {items for *_, items in rows if items}
    fewest = min(counts)
    for (operation, octets, callers, items), turns in rows.items():
        floor = (
            rows.get((_INSERT if octets == small else _WRITE, octets, 1, 0)) if operation == _ACCEPT else None
        )
        times = sorted(turns.took)
        details = {
            "p50_ms": _MILLISECONDS * times[len(times) // 2],
            "p99_ms": _MILLISECONDS * times[len(times) * 99 // 100],
            "times": len(times),
        }
        if items > fewest:
            details["cost"] = _ratio(rows[operation, octets, callers, fewest], turns)
        labels: dict[str, str | int] = {"operation": operation, "octets": octets, "callers": callers}
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
