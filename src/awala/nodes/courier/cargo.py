# SPDX-License-Identifier: MIT
"""What a courier carries: cargo both ways, and the newest collection authorisation of each gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from awala.base.clock import Clock
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    InvalidMessageError,
    RamfMessage,
    is_routable_id,
    normalise_address,
)
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import take_over
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY
from awala.nodes.stored import readable_body
from awala.spool.model import Carrier, Hop, Item, Kind, Outcome
from awala.spool.port import Spool

LISTING_BUDGET = 16 * 1024 * 1024
"""Octets listed at a time when a mailbox is walked through."""


class CargoHold:
    """Judges and stores what is given to the courier."""

    def __init__(self, *, spool: Spool, clock: Clock, events: EventHub) -> None:
        self._spool = spool
        self._clock = clock
        self._events = events

    async def load(self, octets: bytes, way: Way = Way.COGRPC, *, proves_time: bool = False) -> Outcome:
        """Take a cargo, for an Internet gateway if it has an address, else for a private gateway.

        Only its dates and its signature can be judged here. One from an Internet gateway ``proves_time``,
        since that made it for this very collection. Raises MessageError, StorageFullError.
        """
        now = self._clock.now()
        cargo = Cargo.parse(octets)
        cargo.validate(now)
        return await take_over(
            self._spool,
            self._events,
            cargo,
            octets,
            kind=Kind.CARGO,
            hop=_hop(cargo),
            way=way,
            now=now,
            carriers=Carrier.CARGO,
            proves_time=proves_time,
        )

    async def keep_request(self, octets: bytes, way: Way = Way.COGRPC) -> str:
        """Keep a collection authorisation instead of older ones of that gateway; return who gave it.

        Raises MessageError, StorageFullError.
        """
        now = self._clock.now()
        request = CargoCollectionAuthorization.parse(octets)
        request.validate(now)
        address = _address(request)
        hop = Hop(REQUESTS, f"{request.sender_id}@{address}")
        await take_over(
            self._spool,
            self._events,
            request,
            octets,
            kind=Kind.CCA,
            hop=hop,
            way=way,
            now=now,
            carriers=Carrier.CARGO,
        )
        held = await self._spool.snapshot(hop, now=now, budget=LISTING_BUDGET)
        newest = max(held, key=lambda item: (item.created, item.key), default=None)
        await self._spool.release([item for item in held if item is not newest], now=now)
        return request.sender_id

    async def rest(
        self, hop: Hop, wanted: Callable[[Item], bool] = lambda _: True
    ) -> AsyncIterator[tuple[Item, bytes]]:
        """Yield what rests at a hop and is wanted, oldest first.

        What is gone or cannot be read is passed over.
        """
        last: Item | None = None
        while items := await self._spool.snapshot(
            hop, now=self._clock.now(), budget=LISTING_BUDGET, after=last
        ):
            for item in filter(wanted, items):
                body = await readable_body(self._spool, item)
                if body is not None:
                    yield item, body
            last = items[-1]


def _hop(cargo: Cargo) -> Hop:
    if not is_routable_id(cargo.recipient.id):
        raise InvalidMessageError("the cargo's recipient is not a node id")
    if cargo.recipient.internet_address is None:
        return Hop(TO_PRIVATE_GATEWAY, cargo.recipient.id)
    return Hop(TO_INTERNET_GATEWAY, _address(cargo))


def _address(message: RamfMessage) -> str:
    if message.recipient.internet_address is None:
        raise InvalidMessageError("the message names no Internet gateway's address")
    return normalise_address(message.recipient.internet_address)
