# SPDX-License-Identifier: MIT
"""Taking messages over: what the writer thread does within one transaction (rules §4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from awala.base.errors import StorageFullError
from awala.spool import statements as sql
from awala.spool.codec import debt_digest, to_micros
from awala.spool.model import Arrival, Carrier, Debt, Hop, Outcome, Priority, Usage
from awala.spool.room import DEBT_COST, RECORD_COST, SEEN_COST, Limits, rank, used_room
from awala.spool.schema import BY_CARGO, READY, WAITING


@dataclass(frozen=True, slots=True)
class Prepared:
    """An arrival with what was worked out before the transaction."""

    arrival: Arrival
    identity: bytes
    digest: bytes
    file: str | None = None

    @property
    def debt(self) -> Debt | None:
        """The acknowledgement that is owed for it."""
        arrival = self.arrival
        if arrival.owed_to is None:
            return None
        identity = arrival.identity
        return Debt(arrival.owed_to, identity.sender, identity.recipient, identity.message_id, arrival.expiry)


@dataclass(slots=True)
class Taken:
    """What became of a batch."""

    outcomes: list[Outcome] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    kept_files: list[str] = field(default_factory=list)
    dropped_files: list[str] = field(default_factory=list)
    dropped_keys: list[int] = field(default_factory=list)


class Found(NamedTuple):
    """What is known of an identity: its seen row, and its item if that is still queued."""

    digest: bytes
    created: int
    expiry: int
    key: int | None
    version: int | None
    size: int | None
    file: str | None
    offered: int | None
    lane: str | None
    name: str | None


def find(connection: sqlite3.Connection, identity: bytes) -> Found | None:
    """Return what is known of an identity."""
    row = connection.execute(sql.FIND, (identity,)).fetchone()
    return None if row is None else Found._make(row)


def owe(connection: sqlite3.Connection, debt: Debt) -> None:
    """Record a debt, or renew it."""
    connection.execute(
        sql.OWE,
        (debt_digest(debt), debt.peer, debt.sender, debt.recipient, debt.message_id, to_micros(debt.expiry)),
    )


def owe_within(connection: sqlite3.Connection, debts: Sequence[Debt], limits: Limits) -> None:
    """Record debts if there is room for all of them.

    Raises:
        StorageFullError: there is none; the transaction must be undone.

    """
    for debt in debts:
        if limits.quota is not None and not _is_owed(connection, debt):
            used = used_room(usage(connection))
            if not limits.admit_debt(DEBT_COST, used=used):
                raise StorageFullError("the quota leaves no room for acknowledgements that are owed")
        owe(connection, debt)


def usage(connection: sqlite3.Connection) -> Usage:
    """Return the spool's counters."""
    return Usage(*connection.execute(sql.USAGE).fetchone())


def _is_owed(connection: sqlite3.Connection, debt: Debt) -> bool:
    return connection.execute(sql.IS_OWED, (debt_digest(debt),)).fetchone() is not None


class Intake:
    """One batch on its way in. ``free`` is what the disk may still take, or None if unknown."""

    def __init__(self, connection: sqlite3.Connection, *, now: int, limits: Limits, free: int | None) -> None:
        self._connection = connection
        self._now = now
        self._limits = limits
        self._free = free
        self._taken = Taken()

    def run(self, batch: Sequence[Prepared], debts: Sequence[Debt]) -> Taken:
        """Take the whole batch and the debts.

        Raises:
            StorageFullError: no room for ``debts``; the transaction must be undone.

        """
        taken = self._taken
        for prepared in batch:
            outcome = self._take(prepared)
            taken.outcomes.append(outcome)
            stored = outcome in {Outcome.STORED, Outcome.REPLACED}
            if stored:
                taken.hops.append(prepared.arrival.hop)
            if prepared.file is not None:
                (taken.kept_files if stored else taken.dropped_files).append(prepared.file)
            if outcome is not Outcome.FULL and prepared.debt is not None:
                owe(self._connection, prepared.debt)
        owe_within(self._connection, debts, self._limits)
        return taken

    def foresee(self, prepared: Prepared) -> Outcome:
        """Say what would become of an arrival, and write nothing."""
        return self._decide(prepared, self._known(prepared))

    def _known(self, prepared: Prepared) -> Found | None:
        found = find(self._connection, prepared.identity)
        return None if found is None or found.expiry <= self._now else found

    def _decide(self, prepared: Prepared, found: Found | None) -> Outcome:
        arrival = prepared.arrival
        outcome = Outcome.STORED
        need = len(arrival.body) + RECORD_COST + SEEN_COST
        at_hop = len(arrival.body) + RECORD_COST
        if found is not None:
            is_new = found.key is not None and found.created < to_micros(arrival.created)
            outcome = Outcome.REPLACED if is_new and found.digest != prepared.digest else Outcome.DUPLICATE
            need = len(arrival.body) - (found.size or 0) if outcome is Outcome.REPLACED else 0
            if (found.lane, found.name) == (arrival.hop.lane, arrival.hop.name):
                at_hop = need
        if outcome is Outcome.DUPLICATE:
            at_hop = 0
        return outcome if self._has_room(prepared, need, at_hop) else Outcome.FULL

    def _has_room(self, prepared: Prepared, need: int, at_hop: int) -> bool:
        arrival, limits = prepared.arrival, self._limits
        if self._free is not None and need > max(0, self._free) and arrival.priority is not Priority.CONTROL:
            return False
        if limits.quota is not None:
            debt = prepared.debt
            owed = DEBT_COST if debt is not None and not _is_owed(self._connection, debt) else 0
            used = used_room(usage(self._connection))
            if not limits.admit_item(need, arrival.priority, used=used, owed=owed):
                return False
        if limits.mailbox_quota is not None:
            row = self._connection.execute(sql.HOP_USAGE, (arrival.hop.lane, arrival.hop.name)).fetchone()
            items, octets = row or (0, 0)
            return limits.admit_at_hop(at_hop, arrival.priority, used=octets + items * RECORD_COST)
        return True

    def _take(self, prepared: Prepared) -> Outcome:
        known = find(self._connection, prepared.identity)
        found = known if known is not None and known.expiry > self._now else None
        outcome = self._decide(prepared, found)
        if outcome is Outcome.STORED:
            if known is not None and known.key is not None:
                self._drop_expired(known)
            self._store(prepared)
        elif outcome is Outcome.REPLACED and found is not None:
            self._replace(prepared, found)
        if self._free is not None and outcome in {Outcome.STORED, Outcome.REPLACED}:
            self._free -= len(prepared.arrival.body)
        return outcome

    def _drop_expired(self, known: Found) -> None:
        self._connection.execute(sql.REMOVE, (known.key, known.version)).fetchall()
        self._forget(known)

    def _forget(self, known: Found) -> None:
        """Note that what was in memory and on disk for an older version must go after the commit."""
        if known.key is not None:
            self._taken.dropped_keys.append(known.key)
        if known.file is not None:
            self._taken.dropped_files.append(known.file)

    def _columns(self, prepared: Prepared) -> dict[str, object]:
        arrival = prepared.arrival
        created = to_micros(arrival.created)
        return {
            "kind": arrival.identity.kind.value,
            "sender": arrival.identity.sender,
            "recipient": arrival.identity.recipient,
            "message_id": arrival.identity.message_id,
            "lane": arrival.hop.lane,
            "name": arrival.hop.name,
            "carriers": arrival.carriers.value,
            "rank": rank(arrival.priority, len(arrival.body)),
            "created": created,
            "expiry": to_micros(arrival.expiry),
            "queue": self._queue(arrival, created),
            "size": len(arrival.body),
            "file": prepared.file,
        }

    def _queue(self, arrival: Arrival, created: int) -> int:
        if not arrival.carriers & Carrier.ONLINE:
            return BY_CARGO
        return WAITING if created > self._now else READY

    def _store(self, prepared: Prepared) -> None:
        columns = self._columns(prepared)
        inserted = self._connection.execute(sql.ADD_ITEM, columns)
        if inserted.rowcount == 0:  # the first item for this hop
            self._connection.execute(sql.ADD_HOP, (columns["lane"], columns["name"]))
            inserted = self._connection.execute(sql.ADD_ITEM, columns)
        key = inserted.lastrowid  # of the row itself: a trigger's own insertions do not count
        if prepared.file is None:
            self._connection.execute(sql.PUT_BODY, (key, prepared.arrival.body))
        self._remember(prepared, columns, key)

    def _replace(self, prepared: Prepared, found: Found) -> None:
        columns = self._columns(prepared)
        self._connection.execute(sql.ADD_HOP, (columns["lane"], columns["name"]))
        self._connection.execute(sql.REPLACE_ITEM, columns | {"key": found.key})
        if prepared.file is None:
            self._connection.execute(sql.PUT_BODY, (found.key, prepared.arrival.body))
        elif found.file is None:
            self._connection.execute(sql.DROP_BODY, (found.key,))
        self._remember(prepared, columns, found.key)
        self._forget(found)

    def _remember(self, prepared: Prepared, columns: dict[str, object], key: int | None) -> None:
        self._connection.execute(
            sql.REMEMBER, (prepared.identity, prepared.digest, columns["created"], columns["expiry"], key)
        )
