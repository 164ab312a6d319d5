# SPDX-License-Identifier: MIT
"""New items of one transaction, gathered so that each table and each counter is written once (rules §4)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from awala.spool import statements as sql
from awala.spool.model import Usage

ItemRow = tuple[int, str, int, str, int, int, int, int, int, int, int, int, str | None]
"""An item as `statements.ADD_ITEM` takes it."""

SeenRow = tuple[bytes, int, int, int, int]
"""A seen row as `statements.ADD_SEEN` takes it."""

Names = tuple[str, str]
"""Lane and name of a hop, or the two ends of a pair."""


@dataclass(slots=True)
class Counter:
    """What a hop or a pair holds, and how much of it was gathered."""

    row: int = 0
    """The id of the row, or 0 if there is none yet."""
    items: int = 0
    octets: int = 0
    seen: int = 0
    new_items: int = 0
    new_octets: int = 0
    new_seen: int = 0

    @property
    def usage(self) -> Usage:
        """What it holds, what was gathered included."""
        return Usage(self.items + self.new_items, self.octets + self.new_octets, self.seen + self.new_seen)

    @property
    def news(self) -> tuple[int, int, int]:
        """What was gathered: items, octets, seen rows."""
        return self.new_items, self.new_octets, self.new_seen

    def settle(self) -> None:
        """Note that what was gathered is written."""
        self.items += self.new_items
        self.octets += self.new_octets
        self.seen += self.new_seen
        self.new_items = self.new_octets = self.new_seen = 0

    def add(self, octets: int, seen: int) -> None:
        """Count one item more, and so many seen rows."""
        self.new_items += 1
        self.new_octets += octets
        self.new_seen += seen


class Counters:
    """The counters of one table, hops or pairs, as far as they were asked for."""

    def __init__(self, connection: sqlite3.Connection, find: str, add: str, count: str) -> None:
        self._connection = connection
        self._find, self._add, self._count = find, add, count
        self._known: dict[Names, Counter] = {}

    def of(self, names: Names) -> Counter:
        """Return the counter of one of them."""
        counter = self._known.get(names)
        if counter is None:
            row = self._connection.execute(self._find, names).fetchone()
            counter = self._known[names] = Counter(*row) if row is not None else Counter()
        return counter

    def made(self, names: Names) -> Counter:
        """Return the counter of one of them, whose row is made if need be."""
        counter = self.of(names)
        if counter.row == 0:
            (counter.row,) = self._connection.execute(self._add, names).fetchone()
        return counter

    def write(self) -> None:
        """Write what was gathered, and forget all."""
        news = [(*counter.news, counter.row) for counter in self._known.values() if counter.new_items]
        self._connection.executemany(self._count, news)
        self._known.clear()


class Tally:
    """Gathers new items until `write`; the counters of everybody concerned are right at any moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._items: list[ItemRow] = []
        self._bodies: list[tuple[int, bytes]] = []
        self._seen: dict[bytes, SeenRow] = {}
        self.hops = Counters(connection, sql.HOP, sql.ADD_HOP, sql.COUNT_AT_HOP)
        self.pairs = Counters(connection, sql.PAIR, sql.ADD_PAIR, sql.COUNT_AT_PAIR)
        self._read_meter()

    def _read_meter(self) -> None:
        meter: tuple[int, int, int, int, int] = self._connection.execute(sql.METER).fetchone()
        items, octets, seen, self._debts, self._last_key = meter
        self._whole = Counter(0, items, octets, seen)

    @property
    def whole(self) -> Usage:
        """What the whole spool holds."""
        return replace(self._whole.usage, debts=self._debts)

    def holds(self, identity: bytes) -> bool:
        """Say whether an item of this identity was gathered and is not written yet."""
        return identity in self._seen

    def new_key(self) -> int:
        """Return the key of the next item; none is ever used again."""
        self._last_key += 1
        return self._last_key

    def add(self, item: ItemRow, at_hop: Counter, of_pair: Counter, *, seen: SeenRow | None) -> None:
        """Gather an item, and its seen row unless there is one that was renewed."""
        octets = item[11]
        self._items.append(item)
        if seen is not None:
            self._seen[seen[0]] = seen
        for counter in (self._whole, at_hop, of_pair):
            counter.add(octets, seen is not None)

    def add_body(self, key: int, octets: bytes) -> None:
        """Gather the body of an item."""
        self._bodies.append((key, octets))

    def add_debt(self) -> None:
        """Count a debt, which was written already."""
        self._debts += 1

    def write(self, folder: int | None = None) -> None:
        """Write what was gathered; read counters anew from here on."""
        if self._items:
            self._connection.executemany(sql.ADD_ITEM, self._items)
            self._connection.executemany(sql.ADD_BODY, self._bodies)
            self._connection.executemany(sql.ADD_SEEN, self._seen.values())
            self._connection.execute(sql.COUNT, (*self._whole.news, self._last_key))
            self._whole.settle()
            self._items.clear()
            self._bodies.clear()
            self._seen.clear()
        if folder is not None:
            self._connection.execute(sql.SET_FOLDER, (folder,))
        self.hops.write()
        self.pairs.write()

    def reread(self) -> None:
        """Take note of changes that were made beside: all must have been written."""
        self._read_meter()
