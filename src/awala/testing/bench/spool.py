# SPDX-License-Identifier: MIT
"""Durable accepts of the SQLite spool, beside bare SQLite and bare files on the same disk."""

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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from awala.spool import Arrival, Hop, Identity, Kind, SqliteSpool
from awala.testing.bench.figures import Figure, Plan, Report

SUMMARY: Final = "messages durably accepted per second by the SQLite spool, beside bare SQLite and bare files"
CALLERS: Final = (1, 8, 64)
SMALL: Final = 6_000
LARGE: Final = 8 * 1024 * 1024
ROUNDS: Final = 3
MAX_PER_TURN: Final = 20_000
"""Small messages that a turn stores at most: it bounds what is written to the disk."""

LARGE_PER_TURN: Final = 8

_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SENDER: Final = "0" + "a" * 64
_HOPS: Final = tuple(Hop("endpoint", f"0{number:064x}") for number in range(50))
_MILLISECONDS: Final = 1e3
_INSERT, _WRITE, _ACCEPT = "insert and commit", "write and sync", "accept"

_NOTES: Final = (
    "Accept: one message per call, durable when it returns; so many callers do so at the same time.",
    "Insert and commit: the same octets in a table without indexes, a commit each, synchronous=FULL.",
    "Write and sync: a new file with the same octets, and fsync.",
    "The floor of small messages is insert and commit, that of large ones write and sync; one caller each.",
    "Callers that wait together share a commit, so many of them come out above the floor.",
    "All take turns. Figures are medians over turns, ratios over pairs of turns.",
)


@dataclass(slots=True)
class _Turns:
    """What the turns of one contestant came to."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    """Seconds of each call."""


_Rows = dict[tuple[str, int, int], _Turns]


def measure(
    plan: Plan, *, callers: Sequence[int] = CALLERS, small: int = SMALL, large: int = LARGE
) -> Report:
    """Measure accepts of small messages by so many callers each, and of large ones by one."""
    with tempfile.TemporaryDirectory(dir=plan.directory, prefix="awala-bench-") as directory:
        rows = asyncio.run(_measure(Path(directory), plan, callers, small, large))
    conditions: dict[str, str | int | float] = {
        "sqlite": sqlite3.sqlite_version,
        "directory": str(plan.directory or tempfile.gettempdir()),
        "rounds": ROUNDS,
        "seconds_per_measurement": plan.seconds,
    }
    return Report("spool", SUMMARY, _NOTES, conditions, tuple(_figures(rows, small)), ("p50_ms", "p99_ms"))


async def _measure(directory: Path, plan: Plan, callers: Sequence[int], small: int, large: int) -> _Rows:
    rows: _Rows = {}
    seconds = plan.seconds / ROUNDS
    store = await SqliteSpool.open(directory / "spool")
    try:
        with _insert_and_commit(directory, small) as insert:
            for number in range(ROUNDS):
                plan.say(f"spool: round {number + 1} of {ROUNDS}")
                _turn(rows, (_INSERT, 1, small), insert, seconds, MAX_PER_TURN)
                _turn(rows, (_WRITE, 1, small), _write_and_sync(directory, small), seconds, MAX_PER_TURN)
                for count in callers:
                    row = rows.setdefault((_ACCEPT, count, small), _Turns())
                    await _accept(row, store, count, small, seconds=seconds, most=MAX_PER_TURN)
                _turn(rows, (_WRITE, 1, large), _write_and_sync(directory, large), seconds, LARGE_PER_TURN)
                row = rows.setdefault((_ACCEPT, 1, large), _Turns())
                await _accept(row, store, 1, large, seconds=seconds, most=LARGE_PER_TURN)
    finally:
        await store.close()
    return rows


def _turn(
    rows: _Rows, row: tuple[str, int, int], work: Callable[[], object], seconds: float, most: int
) -> None:
    """Repeat bare work for so long, and so often at most."""
    turns = rows.setdefault(row, _Turns())
    took: list[float] = []
    start = time.perf_counter()
    while not took or (time.perf_counter() - start < seconds and len(took) < most):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    turns.rates.append(len(took) / (time.perf_counter() - start))
    turns.took += took


async def _accept(
    turns: _Turns, store: SqliteSpool, callers: int, octets: int, *, seconds: float, most: int
) -> None:
    """Let so many callers hand over message after message."""
    took: list[float] = []
    start = time.perf_counter()

    async def caller() -> None:
        while True:
            arrival = _arrival(octets)
            began = time.perf_counter()
            await store.accept([arrival], now=_NOW)
            took.append(time.perf_counter() - began)
            if time.perf_counter() - start >= seconds or len(took) >= most:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    turns.rates.append(len(took) / (time.perf_counter() - start))
    turns.took += took


_numbers = itertools.count()


def _arrival(octets: int) -> Arrival:
    """Return a message like no other: each has an id, a moment and a first few octets of its own."""
    number = next(_numbers)
    hop = _HOPS[number % len(_HOPS)]
    created = _NOW - timedelta(hours=3) + timedelta(milliseconds=number)
    return Arrival(
        identity=Identity(Kind.PARCEL, _SENDER, hop.name, f"{number:032x}"),
        hop=hop,
        created=created,
        expiry=created + timedelta(days=30),
        body=number.to_bytes(8) + bytes(octets - 8),
    )


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


def _write_and_sync(directory: Path, octets: int) -> Callable[[], object]:
    path, body = directory / "bare", bytes(octets)

    def write() -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, body)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    return write


def _figures(rows: _Rows, small: int) -> Iterator[Figure]:
    for (operation, callers, octets), turns in rows.items():
        floor = rows[(_INSERT if octets == small else _WRITE), 1, octets]
        is_floor = operation != _ACCEPT
        times = sorted(turns.took)
        yield Figure(
            labels={"operation": operation, "octets": octets, "callers": callers},
            per_second=statistics.median(turns.rates),
            floor_per_second=None if is_floor else statistics.median(floor.rates),
            ratio=None
            if is_floor
            else statistics.median(own / bare for own, bare in zip(turns.rates, floor.rates, strict=True)),
            details={
                "p50_ms": _MILLISECONDS * times[len(times) // 2],
                "p99_ms": _MILLISECONDS * times[len(times) * 99 // 100],
                "times": len(times),
            },
        )
