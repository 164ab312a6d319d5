# SPDX-License-Identifier: MIT
"""The courier's trip to the Internet: deliver cargo, pause, collect for who asked (rules §6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.cogrpc import CogRpcClient, Fulfilled, OutgoingCargo
from awala.messages import MessageError
from awala.nodes.courier.cargo import LISTING_BUDGET, CargoHold
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.intake import drop
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY
from awala.spool.model import Hop, Item, Kind
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Between delivering and collecting, so that services can answer what came (RS-000, rules §6)."""

Connect = Callable[[str], Awaitable[CogRpcClient]]
"""Finds the Internet gateway of an address and returns a client for it."""


class Stage(Enum):
    """Where a trip stands."""

    DELIVERING = "delivering"
    WAITING = "waiting"
    COLLECTING = "collecting"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trip has come; ``failures`` says in a line each what did not work."""

    stage: Stage
    delivered: int = 0
    collected: int = 0
    failures: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tally:
    delivered: int = 0
    collected: int = 0
    failures: list[str] = field(default_factory=list)

    def at(self, stage: Stage) -> Progress:
        return Progress(stage, self.delivered, self.collected, tuple(self.failures))


class Trip:
    """Visits every Internet gateway that the courier has cargo for, or was asked to collect from."""

    def __init__(
        self, *, hold: CargoHold, spool: Spool, clock: Clock, events: EventHub, connect: Connect
    ) -> None:
        self._hold = hold
        self._spool = spool
        self._clock = clock
        self._events = events
        self._connect = connect
        self._busy = asyncio.Lock()

    async def run(self) -> AsyncIterator[Progress]:
        """Make one trip; one gateway that fails does not keep the others waiting."""
        async with self._busy:
            tally = _Tally()
            yield tally.at(Stage.DELIVERING)
            for hop in await self._hops(TO_INTERNET_GATEWAY):
                async for _ in self._attempt(hop.name, self._deliver(hop), tally):
                    tally.delivered += 1
                    yield tally.at(Stage.DELIVERING)
            requests = await self._hops(REQUESTS)
            if tally.delivered and requests:
                yield tally.at(Stage.WAITING)
                await self._clock.sleep(PAUSE_SECONDS)
            yield tally.at(Stage.COLLECTING)
            for hop in requests:
                async for _ in self._attempt(_address(hop), self._collect(hop), tally):
                    tally.collected += 1
                    yield tally.at(Stage.COLLECTING)
            yield tally.at(Stage.DONE)

    async def _hops(self, lane: str) -> list[Hop]:
        return sorted(hop for hop in await self._spool.totals() if hop.lane == lane)

    async def _attempt(
        self, address: str, exchange: AsyncIterator[None], tally: _Tally
    ) -> AsyncIterator[None]:
        """Run one gateway's exchange; note a failure and go on with the next gateway."""
        try:
            async for step in exchange:
                yield step
        except AwalaError as error:
            logger.info("the exchange with an Internet gateway failed: %s", error)
            tally.failures.append(f"{address}: {error}")

    async def _deliver(self, hop: Hop) -> AsyncIterator[None]:
        client = await self._connect(hop.name)
        sent: dict[str, Item] = {}
        try:
            async for delivery_id in client.deliver(self._outgoing(hop, sent)):
                item = sent.pop(delivery_id, None)
                if item is not None:
                    await self._let_go(item)
                    yield
        finally:
            await client.close()

    async def _outgoing(self, hop: Hop, sent: dict[str, Item]) -> AsyncIterator[OutgoingCargo]:
        async for item, body in self._hold.rest(hop):
            delivery_id = f"{item.key}.{item.version}"
            sent[delivery_id] = item
            yield OutgoingCargo(delivery_id, body)

    async def _collect(self, hop: Hop) -> AsyncIterator[None]:
        requests = await self._spool.snapshot(hop, now=self._clock.now(), budget=LISTING_BUDGET)
        for request in requests:
            octets = await self._spool.body(request)
            if octets is None:
                continue
            async for step in self._use(request, octets, _address(hop)):
                yield step

    async def _use(self, request: Item, octets: bytes, address: str) -> AsyncIterator[None]:
        """Collect with one authorisation; it goes when it was used up, here or before."""
        client = await self._connect(address)
        try:
            async for incoming in client.collect(octets, relayed=True):
                await self._load(incoming.cargo)
                await incoming.acknowledge()
                yield
        except Fulfilled:
            logger.info("a collection authorisation was used before")
        finally:
            await client.close()
        await self._spool.release([request], now=self._clock.now())

    async def _load(self, octets: bytes) -> None:
        try:
            await self._hold.load(octets, proves_time=True)
        except MessageError as error:
            now = self._clock.now()
            drop(self._events, Kind.CARGO, "", way=Way.COGRPC, now=now, size=len(octets), reason=str(error))

    async def _let_go(self, item: Item) -> None:
        now = self._clock.now()
        await self._spool.release([item], now=now)
        self._events.emit(
            HopEvent(now, Action.HANDED_ON, "cargo", item.identity.message_id, Way.COGRPC, item.size)
        )


def _address(hop: Hop) -> str:
    """Return the Internet address in the name of a mailbox of requests."""
    return hop.name.rpartition("@")[2]
