# SPDX-License-Identifier: MIT
"""The spool's port: the operations that every adapter offers alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from awala.spool.model import Arrival, Carrier, Debt, Hop, Identity, Item, Outcome, Totals, Usage
from awala.spool.timekeeping import ClockState


class Spool(Protocol):
    """Keeps messages until the next hop has them, and remembers which it has seen.

    All changes are durable when the call returns. Every method may be called
    from several tasks at once. Expired items are never returned.
    """

    async def accept(
        self, batch: Sequence[Arrival], *, now: datetime, debts: Sequence[Debt] = ()
    ) -> list[Outcome]:
        """Take over a batch in one transaction, with its seen rows and debts.

        A message that is queued with the same body or a later or equal creation date is a
        duplicate; a newer one replaces it and raises the version. A message
        that was seen and is gone is a duplicate. ``debts`` are owed besides
        (for parcels refused for good). An arrival with ``owed_to`` is owed for
        when it is stored, replaced or a duplicate.

        Raises:
            StorageFullError: the disk is full, or no room is left even for ``debts``:
                nothing of the batch was kept, and nothing of it may be acknowledged.

        """
        ...

    async def seen(self, identity: Identity, *, now: datetime) -> bool:
        """Say whether this message was ever accepted and has not yet expired."""
        ...

    async def lease(
        self,
        hop: Hop,
        *,
        now: datetime,
        duration: timedelta,
        limit: int = 1,
        carrier: Carrier = Carrier.ONLINE,
    ) -> list[Item]:
        """Reserve the next due items of a hop, in order, for hand-over by ``carrier``.

        An item whose time of creation is ahead of ``now`` is not due yet. A
        lease ends by release, retry_at, refuse, return_lease, or after ``duration``.
        """
        ...

    async def body(self, item: Item) -> bytes | None:
        """Return the octets of exactly this version, or None if it is gone or replaced."""
        ...

    async def release(self, items: Sequence[Item], *, now: datetime) -> None:
        """Let go of exactly these versions: the next hop has them."""
        ...

    async def retry_at(self, item: Item, when: datetime) -> None:
        """End the lease, count the attempt, and make the item due again at ``when``."""
        ...

    async def return_lease(self, items: Sequence[Item]) -> None:
        """End the lease as if it had never been taken: nothing was attempted."""
        ...

    async def refuse(self, item: Item, *, now: datetime) -> None:
        """Drop exactly this version: it was refused for good."""
        ...

    async def snapshot(
        self, hop: Hop, *, now: datetime, budget: int, after: Item | None = None
    ) -> list[Item]:
        """List items that may leave by cargo, in order, up to ``budget`` octets (at least one).

        ``after`` continues behind the last item of an earlier list. Leases do
        not matter: a parcel is offered on-line and by courier alike.
        """
        ...

    async def offered(self, items: Sequence[Item]) -> None:
        """Mark exactly these versions as having left in a cargo."""
        ...

    async def acknowledge(self, identity: Identity, *, hop: Hop, now: datetime) -> bool:
        """Release what a collection acknowledgement from ``hop`` names; say if it did.

        It releases the item only if its current version has left in a cargo;
        if only a replaced version had left, it consumes that mark.
        """
        ...

    async def owe(self, debts: Sequence[Debt]) -> None:
        """Record acknowledgements owed; an equal one that was paid is owed anew."""
        ...

    async def debts(self, peer: str, *, now: datetime, limit: int) -> list[Debt]:
        """List the acknowledgements that are owed to ``peer``, oldest first."""
        ...

    async def pay(self, debts: Sequence[Debt]) -> None:
        """Forget debts: a courier has taken the cargo in which they left."""
        ...

    async def hops(self, lane: str, *, now: datetime) -> list[Hop]:
        """List the hops of a lane that have an item due on-line, not leased."""
        ...

    async def next_due(self, lane: str, *, now: datetime) -> datetime | None:
        """Return when the next item of a lane becomes due on-line; None if none ever does."""
        ...

    async def oldest(self, lane: str) -> datetime | None:
        """Return the earliest date of creation among all items of a lane; None if there is none."""
        ...

    def cursor(self, scope: Hop | str) -> int:
        """Return the present position of a hop, or of a whole lane given by its name."""
        ...

    async def changed(self, scope: Hop | str, cursor: int) -> int:
        """Wait until something was committed for ``scope`` after ``cursor``; return the new position.

        Commit-ordered: take the cursor, then list, then wait: nothing is missed.
        """
        ...

    async def totals(self) -> Mapping[Hop, Totals]:
        """Return what rests at each hop."""
        ...

    async def usage(self) -> Usage:
        """Return what the whole spool holds."""
        ...

    async def sweep(self, *, now: datetime) -> int:
        """Erase what expired before 48 hours of running; return how many items went (rules §2).

        Nothing is erased while the clock is not trusted. What the clock shows
        and how long the spool has been in use are remembered.
        """
        ...

    def clock_state(self, now: datetime) -> ClockState:
        """Say what the spool makes of the clock, which shows ``now`` (rules §2)."""
        ...

    def may_erase(self, now: datetime) -> bool:
        """Say whether anything may be erased for its age, in other stores too (rules §2)."""
        ...

    async def confirm_time(self, now: datetime) -> None:
        """Trust the clock, which shows ``now``: an exchange with a peer has confirmed it (rules §2).

        To be called whenever a peer told its time and it agrees, give or take
        what is tolerated of messages: a TLS handshake followed by a Date
        header, or a message that was made just now. It costs nothing while
        the clock is trusted.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and close the store."""
        ...
