# SPDX-License-Identifier: MIT
"""A courier's visit: collect what it brought, pause, hand over what is to leave (RS-000, rules §6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from awala.base.clock import Clock
from awala.base.errors import StorageFullError
from awala.bindings.cogrpc import Fulfilled, OutgoingCargo
from awala.messages import MessageError
from awala.nodes.channel import PreparedCargo, Unpacker
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import drop
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.freight import Freight
from awala.spool.model import Kind
from awala.spool.port import Spool

if TYPE_CHECKING:
    from awala.bindings.cogrpc import CogRpcClient

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Between the two halves of a visit, so that apps can answer what came (RS-000, rules §6)."""


ConnectCourier: TypeAlias = Callable[[str, int], Awaitable["CogRpcClient"]]
"""Returns a client for the courier at a host and port of the local network."""


class Stage(Enum):
    """Where a visit stands."""

    COLLECTING = "collecting"
    WAITING = "waiting"
    DELIVERING = "delivering"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a visit has come: cargoes taken in and given so far."""

    stage: Stage
    collected: int = 0
    delivered: int = 0


class CourierVisit:
    """One exchange with one courier at a time."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        freight: Freight,
        unpacker: Unpacker,
        clock: Clock,
        events: EventHub,
        connect: ConnectCourier,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._freight = freight
        self._unpacker = unpacker
        self._clock = clock
        self._events = events
        self._connect = connect
        self._busy = asyncio.Lock()

    async def run(self, host: str, port: int) -> AsyncIterator[Progress]:
        """Exchange cargo with the courier at ``host``; yields how far it has come.

        A former Internet gateway takes part as long as its certificate for us lives (decision 46).
        Raises NotPairedError, CertificateExpiredError, BindingError; what was acknowledged before stays
        exchanged.
        """
        async with self._busy:
            self._credentials.uplink_path(self._clock.now())
            client = await self._connect(host, port)
            try:
                collected = 0
                yield Progress(Stage.COLLECTING)
                for peer in self._freight.gateways():
                    async for _ in self._collect(client, peer):
                        collected += 1
                        yield Progress(Stage.COLLECTING, collected)
                if collected:
                    await self._unpacker.settle()
                    yield Progress(Stage.WAITING, collected)
                    await self._clock.sleep(PAUSE_SECONDS)
                delivered = 0
                yield Progress(Stage.DELIVERING, collected)
                async for _ in self._deliver(client):
                    delivered += 1
                    yield Progress(Stage.DELIVERING, collected, delivered)
                yield Progress(Stage.DONE, collected, delivered)
            finally:
                await client.close()

    async def _collect(self, client: CogRpcClient, peer: InternetGatewayPeer) -> AsyncIterator[None]:
        authorization = await self._freight.authorization(peer)
        try:
            async for incoming in client.collect(authorization):
                await self._take(incoming.cargo)
                await incoming.acknowledge()
                yield
        except Fulfilled:
            return
        except StorageFullError as error:
            # A full node can still drain: what it holds for the courier makes room (rules §4).
            logger.warning("the rest of the cargo stays with the courier: %s", error)

    async def _take(self, octets: bytes) -> None:
        """Take cargo; what is not for us is dropped, and may be acknowledged."""
        try:
            await self._freight.take(octets, Way.COGRPC)
        except MessageError as error:
            now = self._clock.now()
            drop(self._events, Kind.CARGO, "", way=Way.COGRPC, now=now, size=len(octets), reason=str(error))

    async def _deliver(self, client: CogRpcClient) -> AsyncIterator[None]:
        unacknowledged: dict[str, PreparedCargo] = {}
        async for delivery_id in client.deliver(self._prepare(unacknowledged)):
            prepared = unacknowledged.pop(delivery_id, None)
            if prepared is not None:
                await self._spool.pay(prepared.debts)
                yield

    async def _prepare(self, unacknowledged: dict[str, PreparedCargo]) -> AsyncIterator[OutgoingCargo]:
        async for prepared in self._freight.cargoes():
            unacknowledged[prepared.delivery_id] = prepared
            yield OutgoingCargo(prepared.delivery_id, prepared.octets)
