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
from awala.spool.room import DEBT_COST, RECORD_COST, SEEN_COST, SMALL_ITEM, Limits, rank, used_room
from awala.spool.schema import BY_CARGO, READY, WAITING
from awala.spool.tally import Tally

_ONLINE = Carrier.ONLINE.value


@dataclass(frozen=True, slots=True)
class Prepared:
    """An arrival with what was worked out before the transaction."""

    arrival: Arrival
    identity: bytes
    file: str | None = None
    same_as: str | None = None
    """The file of a stored item that was found to hold the same octets."""

    @property
    def debt(self) -> Debt | None:
        """The acknowledgement that is owed for it."""
        arrival = self.arrival
        if arrival.owed_to is None:
            return None
        identity = arrival.identity
        return Debt(arrival.owed_to, identity.sender, identity.recipient, identity.message_id, arrival.expiry)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``accept``: its batch, its debts, and its time in microseconds."""

    batch: Sequence[Prepared]
    debts: Sequence[Debt]
    now: int


@dataclass(slots=True)
class Taken:
    """What became of a batch."""

    outcomes: list[Outcome] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    kept_files: list[str] = field(default_factory=list)
    dropped_files: list[str] = field(default_factory=list)
    dropped_keys: list[int] = field(default_factory=list)
    folder: int | None = None
    """From which folder on there may be files without a row, if that has moved."""


class Found(NamedTuple):
    """What is known of an identity: its seen row, and its item if that is still queued."""

    expiry: int
    key: int | None
    version: int | None
    created: int | None
    size: int | None
    file: str | None
    offered: int | None
    hop: int | None


def find(connection: sqlite3.Connection, identity: bytes) -> Found | None:
    """Return what is known of an identity."""
    row = connection.execute(sql.FIND, (identity,)).fetchone()
    return None if row is None else Found._make(row)


def owe_within(connection: sqlite3.Connection, debts: Sequence[Debt], limits: Limits) -> None:
    """Record debts if there is room for all of them.

    Raises:
        StorageFullError: there is none; the transaction must be undone.

    """
    Intake(connection, limits=limits, free=None).owe(debts)


def usage(connection: sqlite3.Connection) -> Usage:
    """Return the spool's counters."""
    return Usage(*connection.execute(sql.USAGE).fetchone())


class Intake:
    """Calls on their way in, in one transaction; `finish` writes their new items together.

    ``free`` is how many octets the disk may still take, or None if that is
    unknown; what the database has left over from items that went, small
    bodies may take besides.
    """

    def __init__(self, connection: sqlite3.Connection, *, limits: Limits, free: int | None) -> None:
        self._connection = connection
        self._limits = limits
        self._free = free
        self._spare = 0 if free is None else _spare(connection)
        self._tally = Tally(connection)

    def take(self, call: Call) -> Taken:
        """Take a batch and its debts.

        Raises:
            StorageFullError: no room for the debts; the transaction must be undone.

        """
        taken = Taken()
        for prepared in call.batch:
            outcome = self._take(prepared, call.now, taken)
            taken.outcomes.append(outcome)
            stored = outcome is Outcome.STORED or outcome is Outcome.REPLACED
            if stored:
                taken.hops.append(prepared.arrival.hop)
            if prepared.file is not None:
                (taken.kept_files if stored else taken.dropped_files).append(prepared.file)
            debt = prepared.debt
            if debt is not None and outcome is not Outcome.FULL:
                self._renew(debt)
        self.owe(call.debts)
        return taken

    def finish(self, *, folder: int | None = None) -> None:
        """Write what was gathered, and the first folder that may have files without a row if it moved."""
        self._tally.write(folder)

    def owe(self, debts: Sequence[Debt]) -> None:
        """Record debts.

        Raises:
            StorageFullError: there is no room for them; the transaction must be undone.

        """
        for debt in debts:
            if not self._limits.admit_debt(self._cost(debt), used=used_room(self._tally.whole)):
                raise StorageFullError("the quota leaves no room for acknowledgements that are owed")
            self._renew(debt)

    def foresee(self, prepared: Prepared, now: int) -> tuple[Outcome, Found | None]:
        """Say what would become of an arrival and what it would meet, and write nothing."""
        found = find(self._connection, prepared.identity)
        known = None if found is None or found.expiry <= now else found
        return self._decide(prepared, known), known

    def _renew(self, debt: Debt) -> None:
        if self._cost(debt):
            self._tally.add_debt()
        self._connection.execute(
            sql.OWE,
            (
                debt_digest(debt),
                debt.peer,
                debt.sender,
                debt.recipient,
                debt.message_id,
                to_micros(debt.expiry),
            ),
        )

    def _cost(self, debt: Debt | None) -> int:
        """Return what a debt adds to what counts against the quota, if there is one."""
        if debt is None or self._limits.quota is None:
            return 0
        owed = self._connection.execute(sql.IS_OWED, (debt_digest(debt),)).fetchone() is not None
        return 0 if owed else DEBT_COST

    def _decide(self, prepared: Prepared, found: Found | None) -> Outcome:
        """Say what becomes of an arrival; ``found`` is what has not expired."""
        arrival = prepared.arrival
        size = len(arrival.body)
        outcome = Outcome.STORED
        need = at_hop = size + RECORD_COST + SEEN_COST
        if found is not None:
            outcome = Outcome.DUPLICATE
            need = at_hop = 0
            if self._is_newer(prepared, found):
                outcome = Outcome.REPLACED
                need = size - (found.size or 0)
                stays = found.hop == self._tally.hops.of((arrival.hop.lane, arrival.hop.name)).row
                at_hop = need if stays else size + RECORD_COST + SEEN_COST
        return outcome if self._has_room(prepared, need, at_hop) else Outcome.FULL

    def _is_newer(self, prepared: Prepared, found: Found) -> bool:
        """Say whether an arrival was created after the item that is queued, and has another body."""
        body = prepared.arrival.body
        if found.created is None or found.created >= to_micros(prepared.arrival.created):
            return False
        if found.size != len(body):
            return True
        if found.file is not None:
            return prepared.same_as != found.file
        (stored,) = self._connection.execute(sql.OCTETS, (found.key,)).fetchone()
        return bool(stored != body)

    def _has_room(self, prepared: Prepared, need: int, at_hop: int) -> bool:
        arrival, limits, tally = prepared.arrival, self._limits, self._tally
        if self._free is not None and arrival.priority is not Priority.CONTROL:
            spare = self._spare if len(arrival.body) <= SMALL_ITEM else 0
            if need > max(0, self._free + spare):
                return False
        if limits.quota is not None:
            owed, used = self._cost(prepared.debt), used_room(tally.whole)
            if not limits.admit_item(need, arrival.priority, used=used, owed=owed):
                return False
        if limits.mailbox_quota is not None:
            used = used_room(tally.hops.of((arrival.hop.lane, arrival.hop.name)).usage)
            if not limits.admit_at_hop(at_hop, arrival.priority, used=used):
                return False
        if limits.pair_quota is not None:
            used = used_room(tally.pairs.of(_pair(arrival)).usage)
            return limits.admit_of_pair(need, arrival.priority, used=used)
        return True

    def _take(self, prepared: Prepared, now: int, taken: Taken) -> Outcome:
        if self._tally.holds(prepared.identity):
            self._tally.write()
        found = find(self._connection, prepared.identity)
        outcome = self._decide(prepared, None if found is None or found.expiry <= now else found)
        if outcome is Outcome.STORED:
            if found is not None and found.key is not None:
                self._drop_expired(found, taken)
            self._store(prepared, now, is_known=found is not None)
        elif outcome is Outcome.REPLACED and found is not None:
            self._replace(prepared, found, now, taken)
        else:
            return outcome
        if self._free is not None:
            self._free -= len(prepared.arrival.body)
        return outcome

    def _drop_expired(self, found: Found, taken: Taken) -> None:
        self._tally.write()
        self._connection.execute(sql.REMOVE, (found.key, found.version)).fetchall()
        self._tally.reread()
        _forget(found, taken)

    def _store(self, prepared: Prepared, now: int, *, is_known: bool) -> None:
        arrival, tally = prepared.arrival, self._tally
        identity, body = arrival.identity, arrival.body
        at_hop = tally.hops.made((arrival.hop.lane, arrival.hop.name))
        of_pair = tally.pairs.made((identity.sender, identity.recipient))
        key, created, expiry = tally.new_key(), to_micros(arrival.created), to_micros(arrival.expiry)
        item = (
            key,
            identity.kind.value,
            of_pair.row,
            identity.message_id,
            at_hop.row,
            arrival.carriers.value,
            rank(arrival.priority, len(body)),
            created,
            expiry,
            created,
            _queue(arrival, created, now),
            len(body),
            prepared.file,
        )
        seen = (prepared.identity, expiry, key, at_hop.row, of_pair.row)
        tally.add(item, at_hop, of_pair, seen=None if is_known else seen)
        if prepared.file is None:
            tally.add_body(key, body)
        if is_known:  # and had expired
            tally.write()
            self._connection.execute(sql.RENEW_SEEN, (*seen[1:], prepared.identity))

    def _replace(self, prepared: Prepared, found: Found, now: int, taken: Taken) -> None:
        arrival, tally = prepared.arrival, self._tally
        hop = tally.hops.made((arrival.hop.lane, arrival.hop.name)).row
        pair = tally.pairs.made(_pair(arrival)).row
        tally.write()
        created, expiry, size = to_micros(arrival.created), to_micros(arrival.expiry), len(arrival.body)
        queue = _queue(arrival, created, now)
        place = (hop, arrival.carriers.value, rank(arrival.priority, size), created, expiry, created, queue)
        self._connection.execute(sql.REPLACE_ITEM, (*place, size, prepared.file, found.key))
        if prepared.file is None:
            self._connection.execute(sql.PUT_BODY, (found.key, arrival.body))
        elif found.file is None:
            self._connection.execute(sql.DROP_BODY, (found.key,))
        self._connection.execute(sql.RENEW_SEEN, (expiry, found.key, hop, pair, prepared.identity))
        tally.reread()
        _forget(found, taken)


def _spare(connection: sqlite3.Connection) -> int:
    """Return the octets in pages of the database that nothing uses."""
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    (octets,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * octets)


def _pair(arrival: Arrival) -> tuple[str, str]:
    return arrival.identity.sender, arrival.identity.recipient


def _queue(arrival: Arrival, created: int, now: int) -> int:
    if not arrival.carriers.value & _ONLINE:
        return BY_CARGO
    return WAITING if created > now else READY


def _forget(found: Found, taken: Taken) -> None:
    """Note that what was in memory and on disk for an older version must go after the commit."""
    if found.key is not None:
        taken.dropped_keys.append(found.key)
    if found.file is not None:
        taken.dropped_files.append(found.file)
