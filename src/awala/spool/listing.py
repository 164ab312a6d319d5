# SPDX-License-Identifier: MIT
"""The SQLite spool's look-ups: functions of a connection, one transaction each."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from awala.spool import statements as sql
from awala.spool.codec import MICROSECOND, Row, from_micros, to_item, to_micros
from awala.spool.intake import find
from awala.spool.model import Carrier, Hop, Item
from awala.spool.room import RANKS, rank
from awala.spool.schema import BY_CARGO, READY, WAITING
from awala.spool.timekeeping import ClockRecord, Note

__all__ = [
    "acknowledge",
    "body",
    "dropped_files",
    "due",
    "end_waiting",
    "erase_expired",
    "forget_files",
    "hops",
    "next_due",
    "oldest",
    "save_clock",
    "snapshot",
    "start",
    "to_item",
    "without_row",
]

_QUEUES = (READY, WAITING, BY_CARGO)
_BEFORE_ALL = {"rank": -1, "created": 0, "key": 0}

Leased = set[tuple[int, int]]
"""Keys and versions that are reserved."""


def _place(row: Row) -> tuple[int, int, int]:
    return row[7], row[8], row[0]


def due(
    connection: sqlite3.Connection, *, hop: Hop, now: int, carrier: Carrier, limit: int
) -> list[Row] | None:
    """List the due items of a hop in order, or return None if `end_waiting` must be called first."""
    values = {"lane": hop.lane, "name": hop.name, "now": now, "limit": limit, "carriers": carrier.value}
    if carrier is Carrier.ONLINE:
        if connection.execute(sql.HAS_WAITING, values).fetchone() is not None:
            return None
        return connection.execute(sql.DUE, values | {"queue": READY}).fetchall()
    lists = (connection.execute(sql.DUE, values | {"queue": queue}) for queue in _QUEUES)
    return list(itertools.islice(heapq.merge(*lists, key=_place), limit))


def end_waiting(connection: sqlite3.Connection, *, hop: Hop, now: int, limit: int) -> int:
    """Move items whose time has come into the order of hand-over; return how many."""
    values = {"lane": hop.lane, "name": hop.name, "now": now, "limit": limit}
    return connection.execute(sql.END_WAITING, values).rowcount


def snapshot(
    connection: sqlite3.Connection, *, hop: Hop, now: int, budget: int, after: Item | None
) -> list[Row]:
    """List items for a cargo, in order, behind ``after``, up to ``budget`` octets but at least one."""
    behind = (
        _BEFORE_ALL
        if after is None
        else {"rank": rank(after.priority, after.size), "created": to_micros(after.created), "key": after.key}
    )
    rows: list[Row] = []
    octets = 0
    values = {"lane": hop.lane, "name": hop.name, "now": now, "carriers": Carrier.CARGO.value, **behind}
    lists = (connection.execute(sql.BEHIND, values | {"queue": queue}) for queue in _QUEUES)
    for row in heapq.merge(*lists, key=_place):
        octets += row[10]
        if rows and octets > budget:
            break
        rows.append(row)
    return rows


def body(connection: sqlite3.Connection, *, item: Item) -> tuple[str | None, int, bytes | None] | None:
    """Return file, size and octets of a version (one of file and octets is None), or None if it is gone."""
    row: tuple[str | None, int, bytes | None] | None = connection.execute(
        sql.BODY, (item.key, item.version)
    ).fetchone()
    return row


def acknowledge(
    connection: sqlite3.Connection, *, identity: bytes, hop: Hop, now: int
) -> tuple[int, str | None] | None:
    """Release what an acknowledgement names; return its key and file, or None if it released nothing."""
    found = find(connection, identity)
    if (
        found is None
        or found.key is None
        or found.expiry <= now
        or found.offered is None
        or connection.execute(sql.IS_HOP, (found.hop, hop.lane, hop.name)).fetchone() is None
    ):
        return None
    if found.offered != found.version:  # only a replaced version had left
        connection.execute(sql.FORGET_OFFER, (found.key,))
        return None
    connection.execute(sql.REMOVE, (found.key, found.version)).fetchall()
    return found.key, found.file


def hops(connection: sqlite3.Connection, *, lane: str, now: int, held: Mapping[str, Leased]) -> list[str]:
    """List the names of a lane's hops that have an item due on-line which is not in ``held``."""
    names: list[str] = [name for (name,) in connection.execute(sql.HOPS, {"lane": lane, "now": now})]
    return [
        name
        for name in names
        if name not in held or _has_other(connection, Hop(lane, name), now=now, held=held[name])
    ]


def _has_other(connection: sqlite3.Connection, hop: Hop, *, now: int, held: Leased) -> bool:
    values = {"lane": hop.lane, "name": hop.name, "now": now, "limit": len(held) + 1}
    return any(row not in held for row in connection.execute(sql.DUE_AT_HOP, values))


def next_due(
    connection: sqlite3.Connection, *, lane: str, now: int, held: Mapping[str, Leased]
) -> int | None:
    """Return ``now`` if an item of the lane is due that is not in ``held``, else when one will be."""
    if hops(connection, lane=lane, now=now, held=held):
        return now
    values = {
        "lane": lane,
        "now": now,
        "held": json.dumps([key for at_hop in held.values() for key, _ in at_hop]),
    }
    times = (connection.execute(statement, values).fetchone()[0] for statement in sql.NEXT_DUE)
    return min((time for time in times if time is not None), default=None)


def oldest(connection: sqlite3.Connection, *, lane: str) -> int | None:
    """Return the earliest date of creation in a lane: one look-up per hop, queue and rank."""
    dates = [
        date
        for queue, place in itertools.product(_QUEUES, RANKS)
        for (date,) in connection.execute(sql.OLDEST, {"lane": lane, "queue": queue, "rank": place})
        if date is not None
    ]
    return min(dates, default=None)


def erase_expired(
    connection: sqlite3.Connection, *, now: int, limit: int
) -> tuple[int, list[tuple[int, str | None]]]:
    """Erase up to ``limit`` expired seen rows and their items; return how many, and which items."""
    expired = connection.execute(sql.EXPIRED, (now, limit)).fetchall()
    erased: list[tuple[int, str | None]] = []
    for _, key in expired:
        erased += connection.execute(sql.ERASE_ITEM, (key,)).fetchall()
    connection.executemany(sql.ERASE_SEEN, [(identity,) for identity, _ in expired])
    return len(expired), erased


def without_row(connection: sqlite3.Connection, *, names: Sequence[str]) -> list[str]:
    """Return those names of files that no item has."""
    return [name for name in names if connection.execute(sql.HAS_FILE, (name,)).fetchone() is None]


def dropped_files(connection: sqlite3.Connection) -> list[str]:
    """Return the files whose rows are gone, and which were not found to be gone themselves."""
    return [name for (name,) in connection.execute(sql.DROPPED)]


def forget_files(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Note that files are gone, as their rows are."""
    if names:
        connection.executemany(sql.FORGET_FILE, [(name,) for name in names])


class Start(NamedTuple):
    """What a spool begins with: the first folder of bodies that may have orphans, and the clock."""

    folder: int
    clock: ClockRecord


def start(connection: sqlite3.Connection) -> Start:
    """Return what a spool must know before it is used."""
    (folder,) = connection.execute(sql.FOLDER).fetchone()
    high_water, running = connection.execute(sql.CLOCK).fetchone()
    notes = tuple(
        Note(timedelta(microseconds=running), from_micros(shown))
        for running, shown in connection.execute(sql.CLOCK_NOTES)
    )
    trusted = None if high_water is None else from_micros(high_water)
    return Start(folder, ClockRecord(trusted, timedelta(microseconds=running), notes))


def save_clock(connection: sqlite3.Connection, *, record: ClockRecord) -> None:
    """Remember the clock."""
    high_water = None if record.high_water is None else to_micros(record.high_water)
    connection.execute(sql.SET_CLOCK, (high_water, record.running // MICROSECOND))
    connection.execute(sql.DROP_CLOCK_NOTES)
    notes = [(note.running // MICROSECOND, to_micros(note.shown)) for note in record.notes]
    connection.executemany(sql.ADD_CLOCK_NOTE, notes)
