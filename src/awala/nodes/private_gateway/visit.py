# SPDX-License-Identifier: MIT
"""A courier's visit: collect what it brought, pause, hand over what is to leave (RS-000, rules §6)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from awala.base.clock import Clock
from awala.base.errors import StorageFullError
from awala.bindings.cogrpc import CogRpcClient, Fulfilled, OutgoingCargo
from awala.crypto import IdentityPublicKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    MessageError,
)
from awala.messages.limits import CARGO_TARGET_INTERNET, MAX_TTL
from awala.nodes.channel import (
    CargoMaker,
    CargoRoute,
    PreparedCargo,
    Unpacker,
)
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import drop, take_over
from awala.nodes.lanes import UNPACK_HOP, UPLINK
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.pki import Certificate, Role, issue_now
from awala.pki.lifetimes import BACKDATING, CARGO_DELIVERY_AUTHORIZATION_LIFE
from awala.sessions import Sessions
from awala.spool.model import Hop, Kind
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Between the two halves of a visit, so that apps can answer what came (RS-000, rules §6)."""


ConnectCourier = Callable[[str, int], Awaitable[CogRpcClient]]
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
        sessions: Sessions,
        maker: CargoMaker,
        unpacker: Unpacker,
        clock: Clock,
        events: EventHub,
        connect: ConnectCourier,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._sessions = sessions
        self._maker = maker
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
                for peer in self._gateways():
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

    def _gateways(self) -> list[InternetGatewayPeer]:
        return self._credentials.gateways(self._clock.now())

    async def _collect(self, client: CogRpcClient, peer: InternetGatewayPeer) -> AsyncIterator[None]:
        authorization = await self._make_authorization(peer)
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
        """Store cargo whole; cargo that is not for us is dropped, and may be acknowledged."""
        now = self._clock.now()
        try:
            cargo = Cargo.parse(octets)
            cargo.authorise(self._credentials.cda_issuers(now), now)
        except MessageError as error:
            drop(self._events, Kind.CARGO, "", way=Way.COGRPC, now=now, size=len(octets), reason=str(error))
            return
        await take_over(
            self._spool,
            self._events,
            cargo,
            octets,
            kind=Kind.CARGO,
            hop=UNPACK_HOP,
            way=Way.COGRPC,
            now=now,
            proves_time=True,
        )

    async def _make_authorization(self, peer: InternetGatewayPeer | None = None) -> bytes:
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

    async def _deliver(self, client: CogRpcClient) -> AsyncIterator[None]:
        unacknowledged: dict[str, PreparedCargo] = {}
        async for delivery_id in client.deliver(self._prepare(unacknowledged)):
            prepared = unacknowledged.pop(delivery_id, None)
            if prepared is not None:
                await self._spool.pay(prepared.debts)
                yield

    async def _prepare(self, unacknowledged: dict[str, PreparedCargo]) -> AsyncIterator[OutgoingCargo]:
        for route in self._routes():
            async for prepared in self._maker.cargoes(route):
                unacknowledged[prepared.delivery_id] = prepared
                yield OutgoingCargo(prepared.delivery_id, prepared.octets)

    def _routes(self) -> list[CargoRoute]:
        """Return the way to each Internet gateway; by the paired one goes what any of them was to get."""
        paired, *former = self._gateways()
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
