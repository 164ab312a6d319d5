# SPDX-License-Identifier: MIT
"""The private gateway: its parts put together over a spool and a vault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.crypto import ContentCipher
from awala.messages import MessageType
from awala.nodes.background import supervised
from awala.nodes.channel import CargoMaker, Unpacker
from awala.nodes.config import StorageConfig
from awala.nodes.events import EventHub
from awala.nodes.lanes import ENDPOINT, UNPACK, UPLINK, lane_totals
from awala.nodes.loading import loading
from awala.nodes.members import Members
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.freight import Freight
from awala.nodes.private_gateway.incoming import Incoming
from awala.nodes.private_gateway.local import ENDPOINTS, LocalService
from awala.nodes.private_gateway.pairing import Connect, Pairing
from awala.nodes.private_gateway.removable import PrivateGatewayMedia
from awala.nodes.private_gateway.uplink import Uplink
from awala.nodes.private_gateway.visit import ConnectCourier, CourierVisit
from awala.nodes.quarantine import Quarantine
from awala.nodes.rates import RateLimits
from awala.nodes.stores import open_spool
from awala.nodes.trusted_time import ClockStatus, clock_status
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.nodes.withdrawals import Withdrawals
from awala.sessions import Sessions
from awala.spool.model import Hop, Totals
from awala.spool.port import Spool
from awala.vault import SqliteVault, Vault

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept and keys are pruned."""


@dataclass(frozen=True, slots=True)
class PrivateGatewayStatus:
    """What a person or a script wants to know about a private gateway."""

    node_id: str
    internet_gateway: InternetGatewayPeer | None
    former_internet_gateways: int
    online: bool
    last_error: str
    certificate_until: datetime | None
    endpoints: int
    outgoing: Totals
    incoming: Totals
    clock: ClockStatus


class PrivateGateway:
    """A private gateway with everything but its servers."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        connect: Connect,
        connect_courier: ConnectCourier,
        members: Members,
        session_key_retention: timedelta | None = None,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> None:
        self.events = EventHub()
        self.credentials = credentials
        self.members = members
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._sessions = Sessions(
            vault.session_keys, content_cipher=content_cipher, retention=session_key_retention
        )
        self._keys = KeyUpkeep(self._sessions, spool, unread=UNPACK)
        withdrawals = Withdrawals(vault=vault, spool=spool, clock=clock, events=self.events)
        rates = RateLimits(spool)
        incoming = Incoming(
            credentials=credentials,
            spool=spool,
            withdrawals=withdrawals,
            rates=rates,
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
            peer_hops=self._hops_of,
            on_parcel=incoming.from_cargo,
            on_control={MessageType.CERTIFICATE_ROTATION: incoming.rotation},
        )
        self.pairing = Pairing(
            credentials=credentials, sessions=self._sessions, spool=spool, clock=clock, connect=connect
        )
        self.local = LocalService(
            credentials=credentials,
            spool=spool,
            withdrawals=withdrawals,
            rates=rates,
            members=members,
            clock=clock,
            events=self.events,
        )
        self.uplink = Uplink(
            credentials=credentials,
            pairing=self.pairing,
            connect=connect,
            spool=spool,
            incoming=incoming,
            quarantine=Quarantine(vault, clock),
            clock=clock,
            events=self.events,
        )
        self.freight = Freight(
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
            clock=clock,
            events=self.events,
        )
        self.visit = CourierVisit(
            credentials=credentials,
            spool=spool,
            freight=self.freight,
            unpacker=self._unpacker,
            clock=clock,
            events=self.events,
            connect=connect_courier,
        )
        self.media = PrivateGatewayMedia(
            credentials=credentials, freight=self.freight, unpacker=self._unpacker, clock=clock
        )

    def _hops_of(self, peer_id: str) -> list[Hop]:
        """Return what a peer may acknowledge: what is for any Internet gateway of ours (decision 46)."""
        known = [peer.node_id for peer in self.credentials.known_gateways()]
        return [Hop(UPLINK, gateway_id) for gateway_id in known] if peer_id in known else []

    async def run(self) -> None:
        """Exchange, unpack and clean up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised(self.uplink.run, self._clock))
            group.create_task(supervised(self._unpacker.run, self._clock))
            upkeep = keep_up(self._spool, self._clock, UPKEEP_INTERVAL, keys=self._keys, vault=self._vault)
            group.create_task(upkeep)

    async def status(self) -> PrivateGatewayStatus:
        """Describe the present state."""
        now = self._clock.now()
        life_left = self.credentials.life_left(now)
        totals = await self._spool.totals()
        return PrivateGatewayStatus(
            node_id=self.credentials.node_id,
            internet_gateway=self.credentials.known_peer,
            former_internet_gateways=max(len(self.credentials.gateways(now)) - 1, 0),
            online=self.uplink.online,
            last_error=self.uplink.last_error,
            certificate_until=now + life_left if life_left else None,
            endpoints=len(await self._vault.records(ENDPOINTS)),
            outgoing=lane_totals(totals, UPLINK),
            incoming=lane_totals(totals, ENDPOINT),
            clock=clock_status(self._spool, now),
        )


@asynccontextmanager
async def open_private_gateway(
    storage: StorageConfig,
    *,
    clock: Clock,
    connect: Connect,
    connect_courier: ConnectCourier,
    content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
) -> AsyncIterator[PrivateGateway]:
    """Open the stores of a private gateway and put it together; raises NotInitialisedError."""
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            credentials = await Credentials.load(vault, clock)
            members = await Members.load(vault, ENDPOINTS)
        spool = await open_spool(storage)
        try:
            yield PrivateGateway(
                credentials=credentials,
                vault=vault,
                spool=spool,
                clock=clock,
                connect=connect,
                connect_courier=connect_courier,
                members=members,
                session_key_retention=storage.session_key_retention,
                content_cipher=content_cipher,
            )
        finally:
            await spool.close()
    finally:
        await vault.close()
