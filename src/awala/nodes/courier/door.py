# SPDX-License-Identifier: MIT
"""The courier's door for private gateways: they hand over cargo and collect theirs (rules §6)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from awala.base.clock import Clock
from awala.bindings.cogrpc import OutgoingCargo
from awala.bindings.errors import MalformedRequest, Unauthenticated, Unprocessable
from awala.messages import InvalidMessageError, MessageError
from awala.nodes.courier.cargo import CargoHold
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.lanes import TO_PRIVATE_GATEWAY
from awala.spool.model import Hop, Item
from awala.spool.port import Spool

EASY_CARGO = 4 * 1024 * 1024 - 256
"""Octets of a cargo that every collector takes: with its id, some stop at 4 MiB (decision 53)."""


class PrivateGatewayDoor:
    """What a courier offers over CogRPC."""

    def __init__(self, *, hold: CargoHold, spool: Spool, clock: Clock, events: EventHub) -> None:
        self._hold = hold
        self._spool = spool
        self._clock = clock
        self._events = events

    async def deliver(self, cargo: bytes) -> None:
        """Take over a cargo."""
        try:
            await self._hold.load(cargo)
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error

    async def collect(self, cca: bytes | None) -> CargoHandout:
        """Keep the authorisation for the trip, and hand out the cargo for who gave it."""
        if cca is None:
            raise Unauthenticated("a collection needs an authorisation")
        try:
            private_gateway_id = await self._hold.keep_request(cca)
        except MessageError as error:
            raise Unauthenticated(f"the authorisation does not hold: {error}") from error
        hop = Hop(TO_PRIVATE_GATEWAY, private_gateway_id)
        return CargoHandout(hop, hold=self._hold, spool=self._spool, clock=self._clock, events=self._events)


class CargoHandout:
    """One private gateway's collection: a cargo goes when its acknowledgement comes."""

    def __init__(self, hop: Hop, *, hold: CargoHold, spool: Spool, clock: Clock, events: EventHub) -> None:
        self._hop = hop
        self._hold = hold
        self._spool = spool
        self._clock = clock
        self._events = events
        self._sent: dict[str, Item] = {}

    async def cargoes(self) -> AsyncIterator[OutgoingCargo]:
        """Yield the cargoes that wait for this gateway, oldest first, those that some cannot take behind."""
        for wanted in (_is_easy, _is_large):
            async for item, body in self._hold.rest(self._hop, wanted):
                delivery_id = str(uuid.uuid4())
                self._sent[delivery_id] = item
                yield OutgoingCargo(delivery_id, body)

    async def acknowledge(self, delivery_id: str) -> None:
        """Let go of a cargo that the private gateway has safe."""
        item = self._sent.pop(delivery_id, None)
        if item is None:
            return
        now = self._clock.now()
        await self._spool.release([item], now=now)
        self._events.emit(
            HopEvent(now, Action.HANDED_ON, "cargo", item.identity.message_id, Way.COGRPC, item.size)
        )

    async def finish(self, *, complete: bool) -> None:
        """Nothing is held beyond the call: what was not acknowledged simply stays."""


def _is_easy(item: Item) -> bool:
    return item.size <= EASY_CARGO


def _is_large(item: Item) -> bool:
    return not _is_easy(item)
