# SPDX-License-Identifier: MIT
"""What a private gateway and its Internet gateways exchange, whoever carries it: cargo, CCAs (rules §6)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

from awala.base.clock import Clock
from awala.crypto import IdentityPublicKey
from awala.messages import Cargo, CargoCollectionAuthorization, CargoCollectionRequest
from awala.messages.limits import CARGO_TARGET_INTERNET, MAX_TTL
from awala.nodes.channel import CargoMaker, CargoRoute, PreparedCargo
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import take_over
from awala.nodes.lanes import UNPACK_HOP, UPLINK
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.pki import Certificate, Role, issue_now
from awala.pki.lifetimes import BACKDATING, CARGO_DELIVERY_AUTHORIZATION_LIFE
from awala.sessions import Sessions
from awala.spool.model import Hop, Kind
from awala.spool.port import Spool


class Freight:
    """Makes what leaves and takes what comes, whoever carries it."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        sessions: Sessions,
        maker: CargoMaker,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._sessions = sessions
        self._maker = maker
        self._clock = clock
        self._events = events

    def gateways(self) -> list[InternetGatewayPeer]:
        """Return the paired Internet gateway, then the former ones that still take part (decision 46)."""
        return self._credentials.gateways(self._clock.now())

    async def cargoes(self) -> AsyncIterator[PreparedCargo]:
        """Make the cargoes for all of them, each just before it leaves; no debt is paid here."""
        for route in self._routes():
            async for prepared in self._maker.cargoes(route):
                yield prepared

    async def take(self, octets: bytes, way: Way) -> None:
        """Store cargo for this gateway whole, to be unpacked; raises MessageError, StorageFullError."""
        now = self._clock.now()
        cargo = Cargo.parse(octets)
        cargo.authorise(self._credentials.cda_issuers(now), now)
        await take_over(
            self._spool,
            self._events,
            cargo,
            octets,
            kind=Kind.CARGO,
            hop=UNPACK_HOP,
            way=way,
            now=now,
            proves_time=True,
        )

    async def authorization(self, peer: InternetGatewayPeer | None = None) -> bytes:
        """Return a new CCA, for the paired Internet gateway unless told otherwise (RS-000, wire.md 5.4)."""
        now = self._clock.now()
        peer = peer or self._credentials.peer
        path = self._credentials.uplink_path(now, peer.node_id)
        authorization = await self._issue_cda(peer.identity_key)
        payload = await self._sessions.seal(
            CargoCollectionRequest(authorization).serialize(),
            own_id=self._credentials.node_id,
            peer_id=peer.node_id,
            now=now,
        )
        created = (now - BACKDATING).replace(microsecond=0)
        end = min(now + CARGO_DELIVERY_AUTHORIZATION_LIFE, authorization.not_after, path.leaf.not_after)
        cca = CargoCollectionAuthorization(
            recipient=peer.recipient,
            message_id=str(uuid.uuid4()),
            creation_date=created,
            ttl=min(int((end - created).total_seconds()), MAX_TTL),
            payload=payload,
            sender_certificate=path.leaf,
        )
        return await asyncio.to_thread(cca.serialize, self._credentials.key)

    async def _issue_cda(self, internet_gateway: IdentityPublicKey) -> Certificate:
        now = self._clock.now()
        issuer = await self._credentials.cda_issuer()
        return await asyncio.to_thread(
            lambda: issue_now(
                subject_key=internet_gateway,
                issuer_key=self._credentials.key,
                issuer=issuer,
                role=Role.DELIVERY_AUTHORIZATION,
                now=now,
                until=now + CARGO_DELIVERY_AUTHORIZATION_LIFE,
            )
        )

    def _routes(self) -> list[CargoRoute]:
        """Return the way to each Internet gateway; by the paired one goes what any of them was to get."""
        paired, *former = self.gateways()
        hops = {peer: (Hop(UPLINK, peer.node_id),) for peer in former}
        all_hops = tuple(Hop(UPLINK, peer.node_id) for peer in self._credentials.known_gateways())
        return [self._route(peer, hops.get(peer, all_hops)) for peer in (paired, *former)]

    def _route(self, peer: InternetGatewayPeer, hops: tuple[Hop, ...]) -> CargoRoute:
        return CargoRoute(
            recipient=peer.recipient,
            peer_id=peer.node_id,
            hops=hops,
            sender_certificate=self._credentials.uplink_path(self._clock.now(), peer.node_id).leaf,
            sender_chain=(),
            target_size=CARGO_TARGET_INTERNET,
        )
