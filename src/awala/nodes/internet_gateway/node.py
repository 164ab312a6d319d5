# SPDX-License-Identifier: MIT
"""The Internet gateway: its parts put together over a spool and a vault."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.pohttp import PoHttpClient
from awala.crypto import ContentCipher
from awala.messages import MessageType
from awala.nodes.background import supervised
from awala.nodes.channel import CargoMaker, Unpacker
from awala.nodes.config import StorageConfig
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.internet_gateway.courier_door import CourierDoor
from awala.nodes.internet_gateway.credentials import Credentials, PublishedParams
from awala.nodes.internet_gateway.doors import PRIVATE_GATEWAYS, GatewayDoor, InternetDoor
from awala.nodes.internet_gateway.routing import Router
from awala.nodes.lanes import GATEWAY, INTERNET, UNPACK, lane_totals
from awala.nodes.loading import loading
from awala.nodes.members import Members
from awala.nodes.stores import open_spool
from awala.nodes.trusted_time import ClockStatus, clock_status
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.nodes.withdrawals import Withdrawals
from awala.sessions import Sessions
from awala.spool.model import Hop, Item, Totals
from awala.spool.port import Spool
from awala.vault import SqliteVault, Vault

logger = logging.getLogger(__name__)

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept, and own certificates and keys are renewed when due."""


@dataclass(frozen=True, slots=True)
class InternetGatewayStatus:
    """What an operator or a script wants to know about an Internet gateway."""

    node_id: str
    address: str
    certificate_until: datetime
    private_gateways: int
    to_internet: Totals
    to_private_gateways: Totals
    cargo: Totals
    clock: ClockStatus


class InternetGateway:
    """An Internet gateway with everything but its servers."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        pohttp: PoHttpClient,
        params: PublishedParams,
        members: Members,
        session_key_retention: timedelta | None = None,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> None:
        self.events = EventHub()
        self.members = members
        self.credentials = credentials
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._pohttp = pohttp
        self._params = params
        self._sessions = Sessions(
            vault.session_keys, content_cipher=content_cipher, retention=session_key_retention
        )
        self._keys = KeyUpkeep(self._sessions, spool, unread=UNPACK)
        withdrawals = Withdrawals(vault=vault, spool=spool, clock=clock, events=self.events)
        router = Router(
            credentials=credentials,
            spool=spool,
            withdrawals=withdrawals,
            members=members,
            clock=clock,
            events=self.events,
        )
        self.gateway_door = GatewayDoor(
            credentials=credentials,
            spool=spool,
            sessions=self._sessions,
            router=router,
            withdrawals=withdrawals,
            members=members,
            clock=clock,
            events=self.events,
            params=self.connection_params,
        )
        self.internet_door = InternetDoor(router)
        self.courier_door = CourierDoor(
            credentials=credentials,
            spool=spool,
            sessions=self._sessions,
            maker=CargoMaker(
                key=credentials.key,
                spool=spool,
                sessions=self._sessions,
                clock=clock,
                events=self.events,
            ),
            members=members,
            clock=clock,
            events=self.events,
        )
        self._unpacker = Unpacker(
            own_id=credentials.node_id,
            spool=spool,
            sessions=self._sessions,
            clock=clock,
            events=self.events,
            peer_hops=lambda peer_id: (Hop(GATEWAY, peer_id),),
            on_parcel=router.from_cargo,
            on_control={MessageType.PDD: self.gateway_door.withdraw_by_cargo},
        )
        self._handover = Handover(
            spool, INTERNET, self._deliver, clock=clock, events=self.events, way=Way.POHTTP
        )

    def connection_params(self) -> bytes:
        """Return the connection parameters that this gateway publishes."""
        return self._params.octets

    async def run(self) -> None:
        """Deliver, unpack, renew and clean up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised(self._handover.run, self._clock))
            group.create_task(supervised(self._unpacker.run, self._clock))
            upkeep = keep_up(self._spool, self._clock, UPKEEP_INTERVAL, keys=self._keys, vault=self._vault)
            group.create_task(upkeep)
            group.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(UPKEEP_INTERVAL.total_seconds())
            try:
                await self.credentials.renew_if_due()
                self._params = await load_params(self.credentials, self._sessions, self._clock.now())
            except AwalaError as error:
                logger.warning("renewal failed and will be tried again: %s", error)

    async def _deliver(self, item: Item, parcel: bytes) -> None:
        await self._pohttp.deliver(item.hop.name, parcel)

    async def status(self) -> InternetGatewayStatus:
        """Describe the present state."""
        totals = await self._spool.totals()
        return InternetGatewayStatus(
            node_id=self.credentials.node_id,
            address=self.credentials.address,
            certificate_until=(await self.credentials.issuer()).not_after,
            private_gateways=len(await self._vault.records(PRIVATE_GATEWAYS)),
            to_internet=lane_totals(totals, INTERNET),
            to_private_gateways=lane_totals(totals, GATEWAY),
            cargo=lane_totals(totals, UNPACK),
            clock=clock_status(self._spool, self._clock.now()),
        )


async def load_params(credentials: Credentials, sessions: Sessions, now: datetime) -> PublishedParams:
    """Return the connection parameters to publish now."""
    session_key = await sessions.published(own_id=credentials.node_id, now=now)
    return PublishedParams(credentials.address, credentials.key, session_key)


@asynccontextmanager
async def open_internet_gateway(
    storage: StorageConfig,
    *,
    clock: Clock,
    pohttp: PoHttpClient,
    content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
) -> AsyncIterator[InternetGateway]:
    """Open the stores of an Internet gateway and put it together; raises NotInitialisedError."""
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            credentials = await Credentials.load(vault, clock)
            members = await Members.load(vault, PRIVATE_GATEWAYS)
            params = await load_params(credentials, Sessions(vault.session_keys), clock.now())
        spool = await open_spool(storage)
        try:
            yield InternetGateway(
                credentials=credentials,
                vault=vault,
                spool=spool,
                clock=clock,
                pohttp=pohttp,
                params=params,
                members=members,
                session_key_retention=storage.session_key_retention,
                content_cipher=content_cipher,
            )
        finally:
            await spool.close()
    finally:
        await vault.close()
