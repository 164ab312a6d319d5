# SPDX-License-Identifier: MIT
"""The courier: its parts put together over a spool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from awala.base.clock import Clock
from awala.nodes.config import StorageConfig
from awala.nodes.courier.cargo import CargoHold
from awala.nodes.courier.door import PrivateGatewayDoor
from awala.nodes.courier.removable import CourierMedia
from awala.nodes.courier.trip import Connect, Trip
from awala.nodes.events import EventHub
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY, lane_totals
from awala.nodes.stores import open_spool
from awala.nodes.trusted_time import ClockStatus, clock_status
from awala.nodes.upkeep import keep_up
from awala.spool.model import Totals
from awala.spool.port import Spool

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept."""


@dataclass(frozen=True, slots=True)
class CourierStatus:
    """What the person who carries wants to know."""

    to_internet_gateways: Totals
    to_private_gateways: Totals
    requests: Totals
    clock: ClockStatus


class Courier:
    """A courier with everything but its server."""

    def __init__(self, *, spool: Spool, clock: Clock, connect: Connect) -> None:
        self.events = EventHub()
        self._spool = spool
        self._clock = clock
        hold = CargoHold(spool=spool, clock=clock, events=self.events)
        self.door = PrivateGatewayDoor(hold=hold, spool=spool, clock=clock, events=self.events)
        self.media = CourierMedia(hold=hold, spool=spool, clock=clock, events=self.events)
        self.trip = Trip(hold=hold, spool=spool, clock=clock, events=self.events, connect=connect)

    async def run(self) -> None:
        """Clean up until cancelled."""
        await keep_up(self._spool, self._clock, UPKEEP_INTERVAL)

    async def status(self) -> CourierStatus:
        """Describe what is on board."""
        totals = await self._spool.totals()
        return CourierStatus(
            to_internet_gateways=lane_totals(totals, TO_INTERNET_GATEWAY),
            to_private_gateways=lane_totals(totals, TO_PRIVATE_GATEWAY),
            requests=lane_totals(totals, REQUESTS),
            clock=clock_status(self._spool, self._clock.now()),
        )


@asynccontextmanager
async def open_courier(storage: StorageConfig, *, clock: Clock, connect: Connect) -> AsyncIterator[Courier]:
    """Open the store of a courier and put it together."""
    spool = await open_spool(storage)
    try:
        yield Courier(spool=spool, clock=clock, connect=connect)
    finally:
        await spool.close()
