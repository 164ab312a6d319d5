# SPDX-License-Identifier: MIT
"""The inbox: received parcels wait here until the app's handler has returned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.messages import Parcel
from awala.nodes.background import can_pass, first_of, insist
from awala.nodes.backoff import LOCAL_WAIT, Backoff
from awala.nodes.endpoint.sealing import OpenedMessage
from awala.nodes.errors import NodeError
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.intake import take_over
from awala.nodes.lanes import APP
from awala.nodes.quarantine import Quarantine
from awala.nodes.stored import give_back
from awala.sessions import required_key_id
from awala.spool.model import Carrier, Hop, Item, Kind, Outcome
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 10
"""A handler that fails this often for one message sends it into quarantine."""

HANDLER_LEASE = timedelta(days=1)
"""A handler may take its time; a crash gives the message to the next run."""

RECHECK_SECONDS = 30.0
"""The inbox looks for messages whose time has come this often."""


class UnwantedMessageError(NodeError):
    """A handler raises this for a message that it will never take: it goes into quarantine at once."""

    advice = "Look at the quarantine; give the type a handler, or ignore it."


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message for a handler, and which attempt this is, counted from 1."""

    message: OpenedMessage
    number: int


Handle = Callable[[Attempt], Awaitable[None]]
"""Deals with one message; returning lets go of it, raising tries again later."""

Open = Callable[[Parcel], Awaitable[OpenedMessage]]
"""Decrypts a parcel of the endpoint that it is for."""


class Inbox:
    """Takes parcels over durably and gives them to the app, each until it was dealt with."""

    def __init__(
        self,
        *,
        spool: Spool,
        quarantine: Quarantine,
        clock: Clock,
        events: EventHub,
        backoff: Backoff | None = None,
    ) -> None:
        self._spool = spool
        self._quarantine = quarantine
        self._clock = clock
        self._events = events
        self._backoff = backoff or Backoff(first=LOCAL_WAIT)

    async def accept(self, parcel: Parcel, octets: bytes, way: Way, *, proves_time: bool = False) -> Outcome:
        """Take a parcel over; it may be acknowledged when this returns. Raises StorageFullError."""
        return await take_over(
            self._spool,
            self._events,
            parcel,
            octets,
            kind=Kind.PARCEL,
            hop=Hop(APP, parcel.recipient.id),
            way=way,
            now=self._clock.now(),
            carriers=Carrier.ONLINE,
            proves_time=proves_time,
        )

    async def run(self, open_parcel: Open, handle: Handle) -> None:
        """Give messages to the handler, one after the other, until cancelled."""
        while True:
            cursor = self._spool.cursor(APP)
            found = False
            hops = await insist(self._clock, lambda: self._spool.hops(APP, now=self._clock.now()))
            for hop in hops:
                for item in await self._lease(hop):
                    found = True
                    await self._process(item, open_parcel, handle)
            if not found:
                await self._rest(cursor)

    async def _lease(self, hop: Hop) -> list[Item]:
        return await insist(
            self._clock, lambda: self._spool.lease(hop, now=self._clock.now(), duration=HANDLER_LEASE)
        )

    async def _rest(self, cursor: int) -> None:
        now = self._clock.now()
        due = await insist(self._clock, lambda: self._spool.next_due(APP, now=now))
        seconds = RECHECK_SECONDS if due is None else max((due - now).total_seconds(), 0.01)
        await first_of(self._spool.changed(APP, cursor), self._clock.sleep(min(seconds, RECHECK_SECONDS)))

    async def _process(self, item: Item, open_parcel: Open, handle: Handle) -> None:
        try:
            body = await self._spool.body(item)
        except AwalaError as error:
            await self._try_later(item, str(error))
            return
        if body is None:
            await give_back(self._spool, [item])
            return
        try:
            message = await open_parcel(Parcel.parse(body))
        except AwalaError as error:
            if can_pass(error):
                await self._try_later(item, str(error))
            else:
                await self._put_aside(item, body, str(error))
            return
        except asyncio.CancelledError:
            await asyncio.shield(give_back(self._spool, [item]))
            raise
        await self._hand_over(item, body, Attempt(message, item.attempts + 1), handle)

    async def _hand_over(self, item: Item, body: bytes, attempt: Attempt, handle: Handle) -> None:
        try:
            await handle(attempt)
        except asyncio.CancelledError:
            await asyncio.shield(give_back(self._spool, [item]))
            raise
        except UnwantedMessageError as error:
            await self._put_aside(item, body, str(error))
            return
        except AwalaError as error:
            # Not a fault of the handler: what it needs is not there yet, or no longer.
            await self._try_later(item, str(error))
            return
        except Exception as error:  # an app's handler may raise anything: the message must survive it
            logger.exception("a handler failed; the message is kept")
            if attempt.number >= MAX_ATTEMPTS:
                await self._put_aside(item, body, f"{type(error).__name__}: {error}")
            else:
                await self._try_later(item, type(error).__name__)
            return
        await insist(self._clock, lambda: self._spool.release([item], now=self._clock.now()))
        self._report(item, Action.HANDED_ON)

    async def _try_later(self, item: Item, reason: str) -> None:
        due = self._clock.now() + self._backoff.wait(item.attempts + 1)
        await insist(self._clock, lambda: self._spool.retry_at(item, due))
        self._report(item, Action.POSTPONED, reason)

    async def _put_aside(self, item: Item, body: bytes, reason: str) -> None:
        """Put a message into quarantine, where a person can look at it, and its key stays (rules §7)."""
        try:
            await self._quarantine.keep(item, body, reason, _session_key(body))
        except AwalaError as error:
            await self._try_later(item, str(error))
            return
        await insist(self._clock, lambda: self._spool.refuse(item, now=self._clock.now()))
        self._report(item, Action.DROPPED, reason)

    def _report(self, item: Item, action: Action, reason: str = "") -> None:
        self._events.emit(
            HopEvent(
                self._clock.now(),
                action,
                item.identity.kind.value,
                item.identity.message_id,
                None,
                item.size,
                reason,
            )
        )


def _session_key(parcel: bytes) -> bytes | None:
    """Return the id of the key that it takes to open a parcel; None if it can never be opened."""
    try:
        return required_key_id(Parcel.parse(parcel).payload)
    except AwalaError:
        return None
