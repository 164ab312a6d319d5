# SPDX-License-Identifier: MIT
"""Durable accepts per second of the SQLite spool, beside bare inserts with a commit each.

python benchmarks/bench_spool.py [--directory D] [--seconds S] [--json]

Each figure is the median of several rounds; bare and spool take turns, so that
both meet the same disk. The bare loop inserts the same octets into a table
without indexes, without order, identity, counters or duplicates, first with a
commit for each, then for as many as the most callers together.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from awala.spool import Arrival, Hop, Identity, Kind, Outcome, SqliteSpool

BODY_SIZE = 6_000
CALLERS = (1, 8, 64)
ROUNDS = 3

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENDER = "0" + "a" * 64
HOPS = [Hop("endpoint", "0" + f"{number:064x}") for number in range(50)]
_numbers = itertools.count()


def arrival() -> Arrival:
    number = next(_numbers)
    hop = HOPS[number % len(HOPS)]
    created = NOW - timedelta(hours=3) + timedelta(milliseconds=number)
    return Arrival(
        identity=Identity(Kind.PARCEL, SENDER, hop.name, f"{number:032x}"),
        hop=hop,
        created=created,
        expiry=created + timedelta(days=30),
        body=number.to_bytes(8) + bytes(BODY_SIZE - 8),
    )


def bare(directory: Path, seconds: float, group: int = 1) -> float:
    connection = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, body BLOB)")
    body, done, start = bytes(BODY_SIZE), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(group):
            connection.execute("INSERT INTO item (body) VALUES (?)", (body,))
        connection.execute("COMMIT")
        done += group
    rate = done / (time.perf_counter() - start)
    connection.close()
    return rate


async def spool(store: SqliteSpool, callers: int, seconds: float) -> tuple[float, float]:
    """Return accepts per second and the 99th percentile of an accept, in milliseconds."""
    start = time.perf_counter()
    took: list[float] = []

    async def caller() -> None:
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            assert await store.accept([arrival()], now=NOW) == [Outcome.STORED]  # noqa: S101 - a benchmark
            took.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    rate = len(took) / (time.perf_counter() - start)
    return rate, statistics.quantiles(took, n=100)[98] * 1000


async def measure(directory: Path, seconds: float) -> dict[str, float]:
    store = await SqliteSpool.open(directory / "spool")
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for group in (1, max(CALLERS)):
            rate = bare(directory, seconds, group)
            figures.setdefault(f"bare inserts/s, {group} in a commit", []).append(rate)
        for callers in CALLERS:
            rate, slow = await spool(store, callers, seconds)
            figures.setdefault(f"accepts/s, {callers} callers", []).append(rate)
            figures.setdefault(f"p99 ms, {callers} callers", []).append(slow)
    stored = (await store.usage()).items
    await store.close()
    began = time.perf_counter()
    await (await SqliteSpool.open(directory / "spool")).close()
    figures[f"open and close with {stored} items, s"] = [time.perf_counter() - began]
    return {name: statistics.median(values) for name, values in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--directory", type=Path, help="where to measure; the disk matters")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        figures = asyncio.run(measure(Path(directory), options.seconds))
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{value:12.1f}  {name}")


if __name__ == "__main__":
    main()
