# SPDX-License-Identifier: MIT
"""The spool in memory: the plainest thing that keeps the port's promises, for tests of apps and of nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from awala.base.errors import StorageFullError
from awala.spool.changes import Changes
from awala.spool.model import Arrival, Carrier, Debt, Hop, Identity, Item, Outcome, Totals, Usage
from awala.spool.room import DEBT_COST, RECORD_COST, SEEN_COST, Limits, rank, used_room
from awala.spool.timekeeping import ClockState, Monotonic, Timekeeper


@dataclass(slots=True)
class _Stored:
    """An item, its body, and what was done with it."""

    item: Item
    body: bytes
    due: datetime
    offered: int | None = None
    leased_until: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self.due <= now < self.item.expiry

    def is_leased(self, now: datetime) -> bool:
        return self.leased_until is not None and now < self.leased_until


@dataclass(frozen=True, slots=True)
class _Seen:
    body: bytes
    created: datetime
    expiry: datetime
    key: int
    hop: Hop


def _order(item: Item) -> tuple[int, datetime, int]:
    return rank(item.priority, item.size), item.created, item.key


class MemorySpool:
    """A `Spool` that lasts as long as the object. It takes the same settings as `SqliteSpool.open`.

    Every operation looks at every item: it is meant for thousands of them.
    """

    def __init__(
        self,
        *,
        quota: int | None = None,
        mailbox_quota: int | None = None,
        pair_quota: int | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._limits = Limits(quota, mailbox_quota, pair_quota)
        self._timekeeper = Timekeeper(monotonic=monotonic)
        self._items: dict[int, _Stored] = {}
        self._seen: dict[Identity, _Seen] = {}
        self._debts: dict[Debt, datetime] = {}  # by the debt without its expiry, in the order of owing
        self._last_key = 0
        self._changes = Changes()

    async def accept(
        self, batch: Sequence[Arrival], *, now: datetime, debts: Sequence[Debt] = ()
    ) -> list[Outcome]:
        """Take over a batch, with its seen rows and debts (rules §4)."""
        before = dict(self._items), dict(self._seen), dict(self._debts), self._last_key
        outcomes: list[Outcome] = []
        try:
            for arrival in batch:
                outcomes.append(self._take(arrival, now))  # noqa: PERF401 - undone together
            self._owe(debts)
        except StorageFullError:
            self._items, self._seen, self._debts, self._last_key = before
            raise
        self._changes.note(
            arrival.hop
            for arrival, outcome in zip(batch, outcomes, strict=True)
            if outcome in {Outcome.STORED, Outcome.REPLACED}
        )
        return outcomes

    def _take(self, arrival: Arrival, now: datetime) -> Outcome:
        seen = self._seen.get(arrival.identity)
        if seen is not None and seen.expiry <= now:
            seen = None
        queued = None if seen is None else self._items.get(seen.key)
        outcome = Outcome.STORED
        if seen is not None:
            is_newer = queued is not None and seen.created < arrival.created and seen.body != arrival.body
            outcome = Outcome.REPLACED if is_newer else Outcome.DUPLICATE
        debt = _debt_of(arrival)
        if not self._has_room(arrival, outcome, queued, debt):
            return Outcome.FULL
        if outcome is not Outcome.DUPLICATE:
            self._put(arrival, queued)
        if debt is not None:
            self._renew(debt)
        return outcome

    def _has_room(
        self, arrival: Arrival, outcome: Outcome, queued: _Stored | None, debt: Debt | None
    ) -> bool:
        size = len(arrival.body)
        need = at_hop = size + RECORD_COST + SEEN_COST
        if outcome is Outcome.DUPLICATE:
            need = at_hop = 0
        elif queued is not None:
            need = size - queued.item.size
            at_hop = need if queued.item.hop == arrival.hop else at_hop
        owed = DEBT_COST if debt is not None and _plain(debt) not in self._debts else 0
        limits, priority = self._limits, arrival.priority
        return (
            limits.admit_item(need, priority, used=used_room(self._usage()), owed=owed)
            and limits.admit_at_hop(at_hop, priority, used=self._used_at_hop(arrival.hop))
            and limits.admit_of_pair(need, priority, used=self._used_by_pair(arrival.identity))
        )

    def _used_at_hop(self, hop: Hop) -> int:
        resting = self._totals().get(hop, Totals())
        seen = sum(seen.hop == hop for seen in self._seen.values())
        return used_room(Usage(resting.items, resting.octets, seen))

    def _used_by_pair(self, identity: Identity) -> int:
        pair = identity.sender, identity.recipient
        sizes = [
            stored.item.size
            for stored in self._items.values()
            if (stored.item.identity.sender, stored.item.identity.recipient) == pair
        ]
        seen = sum((identity.sender, identity.recipient) == pair for identity in self._seen)
        return used_room(Usage(len(sizes), sum(sizes), seen))

    def _put(self, arrival: Arrival, queued: _Stored | None) -> None:
        """Store an arrival as a new item, or as the next version of ``queued``."""
        if queued is None:
            outdated = self._seen.get(arrival.identity)
            if outdated is not None:
                self._items.pop(outdated.key, None)
            self._last_key += 1
        item = Item(
            key=self._last_key if queued is None else queued.item.key,
            version=1 if queued is None else queued.item.version + 1,
            identity=arrival.identity,
            hop=arrival.hop,
            carriers=arrival.carriers,
            priority=arrival.priority,
            created=arrival.created,
            expiry=arrival.expiry,
            size=len(arrival.body),
            attempts=0,
        )
        offered = None if queued is None else queued.offered
        self._items[item.key] = _Stored(item, arrival.body, arrival.created, offered)
        self._seen[arrival.identity] = _Seen(
            arrival.body, arrival.created, arrival.expiry, item.key, arrival.hop
        )

    async def seen(self, identity: Identity, *, now: datetime) -> bool:
        """Say whether this message was ever accepted and has not yet expired."""
        seen = self._seen.get(identity)
        return seen is not None and now < seen.expiry

    async def lease(
        self,
        hop: Hop,
        *,
        now: datetime,
        duration: timedelta,
        limit: int = 1,
        carrier: Carrier = Carrier.ONLINE,
    ) -> list[Item]:
        """Reserve the next due items of a hop, in order, for hand-over by ``carrier``."""
        found = [
            stored
            for stored in self._items.values()
            if stored.item.hop == hop
            and stored.item.carriers & carrier
            and stored.is_due(now)
            and not stored.is_leased(now)
        ]
        found = sorted(found, key=lambda stored: _order(stored.item))[: max(0, limit)]
        for stored in found:
            stored.leased_until = now + duration
        return [stored.item for stored in found]

    async def body(self, item: Item) -> bytes | None:
        """Return the octets of exactly this version, or None if it is gone or replaced."""
        stored = self._exactly(item)
        return None if stored is None else stored.body

    async def release(self, items: Sequence[Item], *, now: datetime) -> None:
        """Let go of exactly these versions: the next hop has them."""
        for item in items:
            await self.refuse(item, now=now)

    async def refuse(self, item: Item, *, now: datetime) -> None:
        """Drop exactly this version: it was refused for good."""
        del now
        if self._exactly(item) is not None:
            del self._items[item.key]

    async def retry_at(self, item: Item, when: datetime) -> None:
        """End the lease, count the attempt, and make the item due again at ``when``."""
        stored = self._exactly(item)
        if stored is not None:
            stored.item = replace(stored.item, attempts=stored.item.attempts + 1)
            stored.due = max(stored.item.created, when)
            stored.leased_until = None
        self._changes.note([item.hop])

    async def return_lease(self, items: Sequence[Item]) -> None:
        """End the lease as if it had never been taken: nothing was attempted."""
        for item in items:
            stored = self._exactly(item)
            if stored is not None and stored.leased_until is not None:
                stored.leased_until = None
                self._changes.note([item.hop])

    async def snapshot(
        self, hop: Hop, *, now: datetime, budget: int, after: Item | None = None
    ) -> list[Item]:
        """List items that may leave by cargo, in order, up to ``budget`` octets (at least one)."""
        candidates = sorted(
            (
                stored.item
                for stored in self._items.values()
                if stored.item.hop == hop
                and stored.item.carriers & Carrier.CARGO
                and stored.item.created <= now < stored.item.expiry
                and (after is None or _order(stored.item) > _order(after))
            ),
            key=_order,
        )
        chosen: list[Item] = []
        for item in candidates:
            if chosen and sum(each.size for each in chosen) + item.size > budget:
                break
            chosen.append(item)
        return chosen

    async def offered(self, items: Sequence[Item]) -> None:
        """Mark exactly these versions as having left in a cargo."""
        for item in items:
            stored = self._items.get(item.key)
            if stored is not None:
                stored.offered = max(stored.offered or 0, item.version)

    async def acknowledge(self, identity: Identity, *, hop: Hop, now: datetime) -> bool:
        """Release what a collection acknowledgement from ``hop`` names; say if it did (rules §4)."""
        seen = self._seen.get(identity)
        stored = None if seen is None else self._items.get(seen.key)
        if stored is None or stored.item.hop != hop or stored.item.expiry <= now:
            return False
        if stored.offered != stored.item.version:
            stored.offered = None
            return False
        del self._items[stored.item.key]
        return True

    async def owe(self, debts: Sequence[Debt]) -> None:
        """Record acknowledgements owed; an equal one that was paid is owed anew."""
        before = dict(self._debts)
        try:
            self._owe(debts)
        except StorageFullError:
            self._debts = before
            raise

    def _owe(self, debts: Sequence[Debt]) -> None:
        for debt in debts:
            if _plain(debt) not in self._debts and not self._limits.admit_debt(
                DEBT_COST, used=used_room(self._usage())
            ):
                raise StorageFullError("the quota leaves no room for acknowledgements that are owed")
            self._renew(debt)

    def _renew(self, debt: Debt) -> None:
        plain = _plain(debt)
        self._debts[plain] = max(debt.expiry, self._debts.get(plain, debt.expiry))

    async def debts(self, peer: str, *, now: datetime, limit: int) -> list[Debt]:
        """List the acknowledgements that are owed to ``peer``, oldest first."""
        owed = [
            replace(debt, expiry=expiry)
            for debt, expiry in self._debts.items()
            if debt.peer == peer and now < expiry
        ]
        return owed[: max(0, limit)]

    async def pay(self, debts: Sequence[Debt]) -> None:
        """Forget debts; one that was renewed meanwhile, with a later expiry, stays owed."""
        for debt in debts:
            plain = _plain(debt)
            if plain in self._debts and self._debts[plain] <= debt.expiry:
                del self._debts[plain]

    async def hops(self, lane: str, *, now: datetime) -> list[Hop]:
        """List the hops of a lane that have an item due on-line, not leased, by name."""
        return sorted(
            {
                stored.item.hop
                for stored in self._online(lane)
                if stored.is_due(now) and not stored.is_leased(now)
            }
        )

    async def next_due(self, lane: str, *, now: datetime) -> datetime | None:
        """Return when the next item of a lane is due on-line, ``now`` if one is, None if none ever does."""
        times = []
        for stored in self._online(lane):
            time = max(now, stored.due, stored.leased_until or now)
            if time < stored.item.expiry:
                times.append(time)
        return min(times, default=None)

    async def oldest(self, lane: str) -> datetime | None:
        """Return the earliest date of creation among all items of a lane; None if there is none."""
        items = (stored.item for stored in self._items.values())
        return min((item.created for item in items if item.hop.lane == lane), default=None)

    def _online(self, lane: str) -> list[_Stored]:
        return [
            stored
            for stored in self._items.values()
            if stored.item.hop.lane == lane and stored.item.carriers & Carrier.ONLINE
        ]

    def cursor(self, scope: Hop | str) -> int:
        """Return the present position of a hop, or of a whole lane given by its name."""
        del scope
        return self._changes.position

    async def changed(self, scope: Hop | str, cursor: int) -> int:
        """Wait until something was committed for ``scope`` after ``cursor``; return the new position."""
        return await self._changes.wait(scope, cursor)

    async def totals(self) -> Mapping[Hop, Totals]:
        """Return what rests at each hop, expired or not: what has not been erased."""
        return self._totals()

    def _totals(self) -> dict[Hop, Totals]:
        totals: dict[Hop, Totals] = {}
        for stored in self._items.values():
            so_far = totals.get(stored.item.hop, Totals())
            totals[stored.item.hop] = Totals(so_far.items + 1, so_far.octets + stored.item.size)
        return totals

    async def usage(self) -> Usage:
        """Return what the whole spool holds."""
        return self._usage()

    def _usage(self) -> Usage:
        octets = sum(stored.item.size for stored in self._items.values())
        return Usage(len(self._items), octets, len(self._seen), len(self._debts))

    async def sweep(self, *, now: datetime) -> int:
        """Erase what expired so long ago that it may be erased; return how many items went (rules §2)."""
        before = self._timekeeper.look(now).erase_before
        if before is None:
            return 0
        expired = [key for key, stored in self._items.items() if stored.item.expiry <= before]
        for key in expired:
            del self._items[key]
        self._seen = {identity: seen for identity, seen in self._seen.items() if before < seen.expiry}
        self._debts = {debt: expiry for debt, expiry in self._debts.items() if before < expiry}
        return len(expired)

    def clock_state(self, now: datetime) -> ClockState:
        """Say what the spool makes of the clock, which shows ``now`` (rules §2)."""
        return self._timekeeper.look(now)

    def may_erase(self, now: datetime) -> bool:
        """Say whether anything may be erased for its age, in other stores too (rules §2)."""
        return self._timekeeper.look(now).erase_before is not None

    async def confirm_time(self, now: datetime) -> None:
        """Trust the clock, which shows ``now``: an exchange with a peer has confirmed it (rules §2)."""
        self._timekeeper.confirm(now)

    def restart(self) -> None:
        """Do what the end of a process and another one do to a spool that outlives them: leases end."""
        for stored in self._items.values():
            stored.leased_until = None
        self._timekeeper = self._timekeeper.restarted()

    async def close(self) -> None:
        """End every wait with an error."""
        self._changes.close()

    def _exactly(self, item: Item) -> _Stored | None:
        stored = self._items.get(item.key)
        return stored if stored is not None and stored.item.version == item.version else None


_NO_EXPIRY = datetime.max.replace(tzinfo=UTC)


def _plain(debt: Debt) -> Debt:
    """Return what makes two debts equal: all but the expiry."""
    return replace(debt, expiry=_NO_EXPIRY)


def _debt_of(arrival: Arrival) -> Debt | None:
    if arrival.owed_to is None:
        return None
    identity = arrival.identity
    return Debt(arrival.owed_to, identity.sender, identity.recipient, identity.message_id, arrival.expiry)
