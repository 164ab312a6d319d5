# SPDX-License-Identifier: MIT
"""Takes what is due in a lane to its next hops, and tries again until it has arrived or expired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.base.files import StorageError
from awala.bindings.errors import MalformedError, RefusedError, ServerError
from awala.nodes.background import first_of, insist
from awala.nodes.backoff import LONGEST_WAIT, Backoff
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.quarantine import Quarantine
from awala.nodes.stored import give_back
from awala.spool.model import Hop, Item
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

LEASE = timedelta(hours=1)
"""Longer than any single exchange with a peer, large parcels over slow links included."""

MAX_HOPS_AT_ONCE = 32
"""Peers that are served at the same time."""

BREATHER = timedelta(milliseconds=50)
"""Between two looks at a lane whose hops all work already, or wait for the end of their back-off."""

IDLE_RECHECK = timedelta(minutes=1)
"""A lane at rest is looked at again this often, whatever the clock did."""

Deliver = Callable[[Item, bytes], Awaitable[None]]
"""Hands one item's octets to its next hop; returns when the next hop has them safe."""


@dataclass(slots=True)
class _Peer:
    failures: int = 0
    not_before: datetime | None = None
    asked_until: datetime | None = None
    """The end of the pause that the peer asked for by Retry-After."""


class Handover:
    """Delivers the due items of a lane, one at a time for each hop, several hops at once.

    A hop that fails is left alone until its back-off has passed, or until `kick`. What a next hop cannot
    read goes into the ``quarantine`` if there is one (rules §9: PoWeb), and is let go of.
    """

    def __init__(
        self,
        spool: Spool,
        lane: str,
        deliver: Deliver,
        *,
        clock: Clock,
        events: EventHub,
        way: Way,
        backoff: Backoff | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._spool = spool
        self._lane = lane
        self._deliver = deliver
        self._clock = clock
        self._events = events
        self._way = way
        self._backoff = backoff or Backoff()
        self._quarantine = quarantine
        self._peers: dict[Hop, _Peer] = {}
        self._busy: set[Hop] = set()
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Forget all back-offs and try at once: something suggests that peers can be reached.

        A pause that a peer asked for is kept all the same (rules §9).
        """
        now = self._clock.now()
        self._peers = {hop: peer for hop, peer in self._peers.items() if _asked_to_wait(peer, now)}
        self._kicked.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        fruitless = 0
        async with asyncio.TaskGroup() as group:
            while True:
                fruitless = 0 if self._kicked.is_set() else fruitless + 1
                self._kicked.clear()
                cursor = self._spool.cursor(self._lane)
                hops = await insist(self._clock, lambda: self._spool.hops(self._lane, now=self._clock.now()))
                now = self._clock.now()
                self._forget_past_failures(now)
                for hop in hops:
                    if self._may_start(hop, now):
                        self._busy.add(hop)
                        group.create_task(self._drain(hop))
                        fruitless = 0
                if hops and fruitless > 1:  # changes come in quick succession, and none leads to anything
                    await first_of(self._clock.sleep(BREATHER.total_seconds()), self._kicked.wait())
                await self._rest(cursor)

    def _forget_past_failures(self, now: datetime) -> None:
        """Keep no note of a peer for which nothing has been tried for long: its items have expired."""
        for hop, peer in list(self._peers.items()):
            if peer.not_before is not None and now - peer.not_before > LONGEST_WAIT:
                del self._peers[hop]

    def _may_start(self, hop: Hop, now: datetime) -> bool:
        if hop in self._busy or len(self._busy) >= MAX_HOPS_AT_ONCE:
            return False
        peer = self._peers.get(hop)
        return peer is None or peer.not_before is None or peer.not_before <= now

    async def _rest(self, cursor: int) -> None:
        """Wait for a change, a kick, the end of a back-off or the next item's time."""
        now = self._clock.now()
        times = [
            peer.not_before for peer in self._peers.values() if peer.not_before and peer.not_before > now
        ]
        due = await insist(self._clock, lambda: self._spool.next_due(self._lane, now=now))
        if due is not None and due > now:
            times.append(due)
        wait = min([moment - now for moment in times] + [IDLE_RECHECK])
        await first_of(
            self._spool.changed(self._lane, cursor),
            self._kicked.wait(),
            self._clock.sleep(max(wait.total_seconds(), 0.01)),
        )

    async def _drain(self, hop: Hop) -> None:
        try:
            while True:
                items = await insist(
                    self._clock, lambda: self._spool.lease(hop, now=self._clock.now(), duration=LEASE)
                )
                if not items or not await self._hand_on(items[0]):
                    return
        finally:
            self._busy.discard(hop)
            self._kicked.set()

    async def _hand_on(self, item: Item) -> bool:
        """Deliver one item; say whether the next one of this hop may follow at once."""
        try:
            body = await self._spool.body(item)
            if body is None:  # replaced or released meanwhile
                await give_back(self._spool, [item])
                return True
            await self._offer(item, body)
        except (RefusedError, MalformedError) as error:
            await insist(self._clock, lambda: self._spool.refuse(item, now=self._clock.now()))
            self._report(item, Action.REFUSED, str(error))
            return True
        except AwalaError as error:
            await self._postpone(item, error)
            return False
        except asyncio.CancelledError:
            await asyncio.shield(give_back(self._spool, [item]))
            raise
        self._peers.pop(item.hop, None)
        await insist(self._clock, lambda: self._spool.release([item], now=self._clock.now()))
        self._report(item, Action.HANDED_ON)
        return True

    async def _offer(self, item: Item, body: bytes) -> None:
        """Deliver one item; keep a copy of what the next hop cannot read where it may not be dropped."""
        try:
            await self._deliver(item, body)
        except MalformedError as error:
            if self._quarantine is not None:
                await self._quarantine.keep(item, body, str(error))
                logger.warning("the next node cannot read a message, which is in quarantine now: %s", error)
            raise

    async def _postpone(self, item: Item, error: AwalaError) -> None:
        now = self._clock.now()
        peer = self._peers.setdefault(item.hop, _Peer())
        peer.failures += 1
        retry_after = error.retry_after if isinstance(error, ServerError) else None
        peer.not_before = now + self._backoff.wait(peer.failures, retry_after)
        peer.asked_until = peer.not_before if retry_after else None
        # A peer that does not answer fails for all alike, and they keep their order.
        # A peer that answers may dislike this very item, and a store may have lost its body: the others of
        # the hop go first next time.
        due = now
        if isinstance(error, ServerError | StorageError):
            alone = now + self._backoff.wait(item.attempts + 1, retry_after)
            due = max(alone, peer.not_before + self._backoff.wait(1))
        await insist(self._clock, lambda: self._spool.retry_at(item, due))
        self._report(item, Action.POSTPONED, str(error))

    def _report(self, item: Item, action: Action, reason: str = "") -> None:
        identity = item.identity
        self._events.emit(
            HopEvent(
                self._clock.now(),
                action,
                identity.kind.value,
                identity.message_id,
                self._way,
                item.size,
                reason,
            )
        )


def _asked_to_wait(peer: _Peer, now: datetime) -> bool:
    return peer.asked_until is not None and peer.asked_until > now
