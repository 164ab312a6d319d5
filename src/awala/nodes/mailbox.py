# SPDX-License-Identifier: MIT
"""Hands the items that rest at some hops to the peer that collects them (PoWeb collection)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from awala.base.clock import Clock
from awala.base.files import StorageError
from awala.bindings.poweb import CollectedParcel, StreamingMode
from awala.nodes.background import first_of
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.stored import give_back
from awala.spool.model import Hop, Item
from awala.spool.port import Spool

LEASE = timedelta(hours=24)
"""Items stay with a connection while it lives; it gives back at its end what was not acknowledged."""

UNREADABLE_WAIT = timedelta(minutes=5)
"""Wait before an item whose octets could not be read is tried again."""

RECHECK_SECONDS = 30.0
"""A waiting mailbox looks again this often: an item dated ahead may have become due."""


class Mailbox:
    """One peer's open collection: a lane's hops that it may collect from.

    An error of the store ends the collection, and nothing else; the peer comes back.
    """

    def __init__(
        self,
        spool: Spool,
        hops: Sequence[Hop],
        *,
        clock: Clock,
        events: EventHub,
        mode: StreamingMode,
        until: Sequence[asyncio.Event] = (),
    ) -> None:
        self._spool = spool
        self._hops = tuple(hops)
        self._clock = clock
        self._events = events
        self._mode = mode
        self._until = until
        self._leased: dict[tuple[int, int], Item] = {}

    async def next(self) -> CollectedParcel | None:
        """Return the next parcel; None when the peer should come back, or the queue is all it wants."""
        while not any(event.is_set() for event in self._until):
            cursors = [self._spool.cursor(hop) for hop in self._hops]
            found = await self._take()
            if found is not None:
                return found
            if self._mode is StreamingMode.CLOSE_UPON_COMPLETION:
                return None
            await self._wait(cursors)
        return None

    async def acknowledge(self, parcel: CollectedParcel) -> None:
        """Let go of exactly the version that was handed out."""
        item = parcel.token
        if not isinstance(item, Item):  # pragma: no cover - the binding returns what it was given
            return
        await self._spool.release([item], now=self._clock.now())
        self._leased.pop((item.key, item.version), None)
        self._events.emit(
            HopEvent(
                self._clock.now(),
                Action.HANDED_ON,
                item.identity.kind.value,
                item.identity.message_id,
                Way.POWEB,
                item.size,
            )
        )

    async def close(self) -> None:
        """Give back what was handed out and not acknowledged."""
        leased = list(self._leased.values())
        self._leased.clear()
        if leased:
            await give_back(self._spool, leased)

    async def _take(self) -> CollectedParcel | None:
        for hop in self._hops:
            while items := await self._spool.lease(hop, now=self._clock.now(), duration=LEASE):
                [item] = items
                self._leased[item.key, item.version] = item
                try:
                    body = await self._spool.body(item)
                except StorageError as error:
                    await self._postpone(item, error)
                    continue
                if body is not None:
                    return CollectedParcel(token=item, parcel=body)
                # Replaced or released meanwhile; what replaced it is leased next.
                self._leased.pop((item.key, item.version), None)
                await give_back(self._spool, [item])
        return None

    async def _postpone(self, item: Item, error: StorageError) -> None:
        """Let the others pass an item that cannot be read; raises StorageError if nothing can be."""
        now = self._clock.now()
        await self._spool.retry_at(item, now + UNREADABLE_WAIT)
        self._leased.pop((item.key, item.version), None)
        identity = item.identity
        self._events.emit(
            HopEvent(
                now,
                Action.POSTPONED,
                identity.kind.value,
                identity.message_id,
                Way.POWEB,
                item.size,
                str(error),
            )
        )

    async def _wait(self, cursors: Sequence[int]) -> None:
        changes = [self._spool.changed(hop, cursor) for hop, cursor in zip(self._hops, cursors, strict=True)]
        ends = [event.wait() for event in self._until]
        await first_of(self._clock.sleep(RECHECK_SECONDS), *ends, *changes)


@asynccontextmanager
async def open_mailbox(
    spool: Spool,
    hops: Sequence[Hop],
    *,
    clock: Clock,
    events: EventHub,
    mode: StreamingMode,
    until: Sequence[asyncio.Event] = (),
) -> AsyncIterator[Mailbox]:
    """Open a mailbox for as long as a connection lives; one of ``until`` is set when it is to end."""
    mailbox = Mailbox(spool, hops, clock=clock, events=events, mode=mode, until=until)
    try:
        yield mailbox
    finally:
        await asyncio.shield(mailbox.close())
