# SPDX-License-Identifier: MIT
"""Our gateway and courier behind real servers, gateways of the peer, and parcels for who is behind them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from awala.base.clock import Clock, SystemClock
from awala.bindings.cogrpc import CogRpcClient
from awala.crypto import IdentityPrivateKey
from awala.messages import Parcel, Recipient, Registration
from awala.messages.limits import EMITTED_PARCEL_MAX
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.courier.root import CourierConfig, run_courier
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.lanes import GATEWAY, REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY, UNPACK_HOP
from awala.pki import Certificate, Role, issue_now
from awala.spool.model import Hop
from awala.spool.port import Spool
from awala.testing import Authority
from helpers.cast import identity_key
from helpers.node_peer import COGRPC_DRIVER, NodePeer

ADDRESS = "gateway.example.com"
HOST = "localhost"
"""The name that certificates of Internet gateways are for."""

ANY_PORT = DoorConfig(listen="127.0.0.1:0")
ALL = 1 << 30
A_MOMENT = 0.005
A_FEW = 8
"""Octets by which lengths in DER, and integers drawn at random, may vary."""

BACKDATING = timedelta(hours=3)
TTL = 24 * 3600


def cogrpc_peer(directory: Path, authority: Authority, **options: Any) -> NodePeer:
    """Return a peer that speaks CogRPC and trusts the authority."""
    trusted = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.write_ca(directory / "ca.pem"))}
    return NodePeer(driver=COGRPC_DRIVER, environment=trusted, **options)


# ---- private gateways of the peer ------------------------------------------------------------------------


@dataclass(frozen=True)
class PeerGateway:
    """A private gateway that the peer made, registered with an Internet gateway."""

    peer: NodePeer
    handle: int
    id: str
    certificate: Certificate

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        return await self.peer.ask(operation, gateway=self.handle, **arguments)

    async def authorize(self) -> bytes:
        """Return a new CCA."""
        authorization: bytes = await self._ask("authorizeCollection")
        return authorization

    async def fill(self, *loads: Sequence[bytes]) -> list[bytes]:
        """Return a cargo for each load."""
        cargoes: list[bytes] = await self._ask("fill", loads=loads)
        return cargoes

    async def unpack(self, cargoes: Sequence[bytes]) -> list[bytes]:
        """Return all that is in these cargoes, each of which must be for this gateway and authorised."""
        return [item for cargo in cargoes for item in await self._ask("unpack", cargo=cargo)]

    async def household(self, key: IdentityPrivateKey | None = None) -> Household:
        """Return an endpoint behind this gateway."""
        key = key or identity_key("js", "ep")
        octets = await self._ask("registerEndpoint", publicKey=key.public_key.spki)
        registration = Registration.parse(octets)
        return Household(key, registration.node_certificate, registration.gateway_certificate)


async def open_peer_gateway(peer: NodePeer, door: Any) -> PeerGateway:
    """Register a new private gateway of the peer at the ``door`` for private gateways."""
    opened = await peer.ask("openPrivateGateway")
    handle = opened["gateway"]
    authorization = await door.preregister(opened["digest"])
    request = await peer.ask("requestRegistration", gateway=handle, authorization=authorization)
    saved = await peer.ask("saveRegistration", gateway=handle, registration=await door.register(request))
    return PeerGateway(peer, handle, opened["id"], Certificate.parse(saved["certificate"]))


@dataclass(frozen=True)
class Household:
    """An endpoint behind a private gateway, and the parcels for it by somebody whom it authorised."""

    key: IdentityPrivateKey
    certificate: Certificate
    gateway: Certificate

    def largest_parcel(self) -> bytes:
        """Make a parcel as large as one may be that we send."""
        around = len(self.parcels(1, 1_000_000)[0]) - 1_000_000
        (parcel,) = self.parcels(1, EMITTED_PARCEL_MAX - around - A_FEW)
        assert EMITTED_PARCEL_MAX - len(parcel) <= 2 * A_FEW
        return parcel

    def parcels(self, count: int, size: int = 100) -> list[bytes]:
        """Make parcels with ``size`` octets for payload, ready to leave."""
        sender, now = identity_key("js", "peer"), datetime.now(UTC)
        authorization = issue_now(
            subject_key=sender.public_key,
            issuer_key=self.key,
            issuer=self.certificate,
            role=Role.DELIVERY_AUTHORIZATION,
            now=now,
        )
        return [
            Parcel(
                recipient=Recipient(self.key.node_id, ADDRESS),
                message_id=str(uuid.uuid4()),
                creation_date=(now - BACKDATING).replace(microsecond=0),
                ttl=TTL,
                payload=number.to_bytes(4) + bytes(size - 4),
                sender_certificate=authorization,
                sender_chain=(self.certificate, self.gateway),
            ).serialize(sender)
            for number in range(count)
        ]


# ---- Internet gateways of the peer -----------------------------------------------------------------------


@dataclass(frozen=True)
class PeerInternetGateway:
    """An Internet gateway that the peer made.

    It has what a door for private gateways has, and what a client of one has, so that gateways of either
    side register here.
    """

    peer: NodePeer
    handle: int
    id: str

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        return await self.peer.ask(operation, gateway=self.handle, **arguments)

    async def preregister(self, digest: bytes) -> bytes:
        authorization: bytes = await self._ask("authorizeRegistration", data=digest)
        return authorization

    async def register(self, request: bytes) -> bytes:
        registration: bytes = await self._ask("register", request=request)
        return registration

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    async def keep(self, gateway_id: str, *loads: Sequence[bytes]) -> None:
        """Have loads wait for a private gateway; each becomes a cargo."""
        await self._ask("keep", peerId=gateway_id, loads=loads)

    async def cargoes_for(self, gateway: PeerGateway, *loads: Sequence[bytes]) -> list[bytes]:
        """Return cargo for a private gateway with these loads."""
        await self.keep(gateway.id, *loads)
        cargoes: list[bytes] = await self._ask("cargoesFor", authorization=await gateway.authorize())
        return cargoes

    async def unpack(self, cargoes: Sequence[bytes]) -> list[bytes]:
        """Return all that is in these cargoes from its private gateways."""
        return [item for cargo in cargoes for item in await self._ask("unpack", cargo=cargo)]


async def open_peer_internet_gateway(peer: NodePeer, address: str = ADDRESS) -> PeerInternetGateway:
    opened = await peer.ask("openInternetGateway", address=address)
    return PeerInternetGateway(peer, opened["gateway"], opened["id"])


# ---- our nodes -------------------------------------------------------------------------------------------


async def resting(spool: Spool, hop: Hop) -> list[bytes]:
    """Return what rests at a hop, sorted."""
    items = await spool.snapshot(hop, now=datetime.now(UTC), budget=ALL)
    bodies = [await spool.body(item) for item in items]
    return sorted(body for body in bodies if body is not None)


@dataclass(frozen=True)
class OurInternetGateway:
    """An Internet gateway of ours, with its courier door over TLS at ``port``."""

    node: Any
    port: int

    @property
    def way(self) -> dict[str, str]:
        """How the peer reaches it."""
        return way_to_internet_gateway(self.port)

    async def mailbox(self, gateway: PeerGateway) -> list[bytes]:
        """Return the parcels that wait for a private gateway, once all cargo is unpacked."""
        spool = self.node._spool
        while UNPACK_HOP in await spool.totals():  # noqa: ASYNC110 - the spool tells of arrivals only
            await asyncio.sleep(A_MOMENT)
        return await resting(spool, Hop(GATEWAY, gateway.id))

    async def put(self, gateway: PeerGateway, parcels: Sequence[bytes]) -> None:
        """Have parcels wait for a private gateway, as if its Internet side had brought them."""
        for parcel in parcels:
            await self.node.internet_door.deliver(parcel)
        assert await self.mailbox(gateway) == sorted(parcels)


@asynccontextmanager
async def our_internet_gateway(
    directory: Path, authority: Authority, address: str = ADDRESS
) -> AsyncIterator[OurInternetGateway]:
    """Run an Internet gateway of ours."""
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, address)
    certificate, key = authority.issue(HOST).write(directory)
    door = DoorConfig(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)
    config = InternetGatewayConfig(storage=storage, poweb=ANY_PORT, pohttp=ANY_PORT, cogrpc=door)
    async with run_internet_gateway(config) as running:
        yield OurInternetGateway(running.node, port_in(running.addresses["cogrpc"]))


@dataclass(frozen=True)
class OurCourier:
    """A courier of ours, with its door at ``port``."""

    node: Any
    port: int

    @property
    def way(self) -> dict[str, str]:
        """How the peer reaches it."""
        return way_to_courier(self.port)

    async def load(self, cargoes: Sequence[bytes]) -> None:
        """Give it cargo."""
        for cargo in cargoes:
            await self.node.door.deliver(cargo)

    async def outgoing(self, address: str = ADDRESS) -> list[bytes]:
        """Return the cargo on board for an Internet gateway."""
        return await resting(self.node._spool, Hop(TO_INTERNET_GATEWAY, address))

    async def incoming(self, gateway_id: str) -> list[bytes]:
        """Return the cargo on board for a private gateway."""
        return await resting(self.node._spool, Hop(TO_PRIVATE_GATEWAY, gateway_id))

    async def requests(self, gateway_id: str, address: str = ADDRESS) -> list[bytes]:
        """Return the authorisations on board by a private gateway."""
        return await resting(self.node._spool, Hop(REQUESTS, f"{gateway_id}@{address}"))


@asynccontextmanager
async def our_courier(
    directory: Path, *, clock: Clock | None = None, quota: int | None = None
) -> AsyncIterator[OurCourier]:
    """Run a courier of ours, which shows a certificate of its own making."""
    storage = StorageConfig(directory=directory, quota=quota)
    async with run_courier(
        CourierConfig(storage=storage, cogrpc=ANY_PORT), clock or SystemClock()
    ) as running:
        yield OurCourier(running.node, port_in(running.addresses["cogrpc"]))


# ---- ways ------------------------------------------------------------------------------------------------


def port_in(address: str) -> int:
    return int(address.rpartition(":")[2])


def way_to_courier(port: int) -> dict[str, str]:
    return {"way": "courier", "address": f"127.0.0.1:{port}"}


def way_to_internet_gateway(port: int) -> dict[str, str]:
    return {"way": "internetGateway", "address": f"{HOST}:{port}"}


def client_of_internet_gateway(port: int, authority: Authority, **options: Any) -> CogRpcClient:
    """Return our client for an Internet gateway that shows a certificate for `HOST`."""
    return CogRpcClient.for_internet_gateway(
        HOST, port, root_certificates=authority.ca_pem, addresses=["127.0.0.1"], **options
    )


async def deliver(peer: NodePeer, way: dict[str, str], cargoes: Sequence[bytes], **options: Any) -> Any:
    """Let the peer deliver; return the numbers of the cargoes that were acknowledged, and its error."""
    return await peer.ask("deliver", to=way, cargoes=cargoes, **options)


async def collect(peer: NodePeer, way: dict[str, str], authorization: bytes, **options: Any) -> Any:
    """Let the peer collect; return the cargoes that it got, and its error."""
    return await peer.ask("collect", **{"from": way}, authorization=authorization, **options)


def one_each(items: Sequence[bytes]) -> list[list[bytes]]:
    """Return loads of one item."""
    return [[item] for item in items]
