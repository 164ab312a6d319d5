# SPDX-License-Identifier: MIT
"""What meets over CogRPC: servers of the peer, ways to ours, and our client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Sized
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from interop_gateways import PeerGateway, PeerInternetGateway

from awala.bindings.cogrpc import CogRpcClient, OutgoingCargo
from awala.testing import Authority, TcpProxy
from helpers.node_peer import NodePeer

HOST = "localhost"
"""The name that certificates of Internet gateways are for."""

COUNTS = (0, 1, 30)
"""Cargoes in a delivery or collection."""

PARCEL = 100_000
"""Octets of a parcel, or of what takes its place: with 30 of them a delivery can be cut in the middle."""

LOADS = (
    (0, 100),
    pytest.param(1, 100, marks=pytest.mark.thorough),
    (1, PARCEL),
    (30, 100),
    (30, PARCEL),
)
"""How many cargoes, and octets of the one item in each."""

LARGE_PARCEL = 1_000_000
"""Octets of a parcel of which four are put into one cargo for a private gateway."""

SOME = 5
"""Cargoes that get through before a link is cut."""

A_MOMENT = 0.005
"""Seconds between two looks at what has come."""


async def cut_when(link: TcpProxy, arrived: Callable[[], Awaitable[Sized]], count: int = SOME) -> None:
    """Break the connections over a link once, as soon as so much has arrived."""
    while len(await arrived()) < count:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(A_MOMENT)
    await link.drop_connections()


# ---- servers of the peer ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PeerServer:
    """A CogRPC server of the peer, at ``port``."""

    peer: NodePeer
    handle: int
    port: int

    async def report(self) -> dict[str, Any]:
        """Return the calls that it saw, the cargo that it took, how many it ignored, and acknowledgements."""
        record: dict[str, Any] = await self.peer.ask("report", server=self.handle)
        return record


@asynccontextmanager
async def peer_server(peer: NodePeer, operation: str, **arguments: Any) -> AsyncIterator[PeerServer]:
    served = await peer.ask(operation, **arguments)
    try:
        yield PeerServer(peer, served["server"], served["port"])
    finally:
        await peer.ask("stopServing", server=served["server"])


def serving_internet_gateway(
    gateway: PeerInternetGateway, authority: Authority, **plan: int
) -> AbstractAsyncContextManager[PeerServer]:
    """Let the peer serve its Internet gateway; with ``cutAfter`` it cuts everything at that message."""
    issued = authority.issue(HOST)
    tls = {"certificate": issued.certificate_pem, "key": issued.key_pem}
    return peer_server(gateway.peer, "serveInternetGateway", gateway=gateway.handle, tls=tls, plan=plan)


@dataclass(frozen=True)
class PeerCourier:
    """What a courier of the peer carries; it can be served again and again."""

    peer: NodePeer
    store: int

    async def board(self, gateway: PeerGateway | str, cargoes: Sequence[bytes]) -> None:
        """Have cargo on board for a private gateway, or for the node of this id."""
        recipient = gateway if isinstance(gateway, str) else gateway.id
        await self.peer.ask("board", store=self.store, cargoes=cargoes, recipient=recipient)

    async def cargoes(self) -> list[bytes]:
        """Return what is on board for private gateways."""
        return sorted((await self.peer.ask("aboard", store=self.store))["cargoes"])

    async def authorizations(self) -> list[bytes]:
        """Return the CCAs on board."""
        aboard = await self.peer.ask("aboard", store=self.store)
        return [authorization["octets"] for authorization in aboard["authorizations"]]

    def serving(self, **plan: int) -> AbstractAsyncContextManager[PeerServer]:
        """Let the peer serve, with a certificate as the Android courier makes it."""
        tls = android_certificate("127.0.0.1")
        return peer_server(self.peer, "serveCourier", store=self.store, tls=tls, plan=plan)


async def open_peer_courier(peer: NodePeer, room: int | None = None) -> PeerCourier:
    """Open a courier of the peer that has room for so many octets of cargo from private gateways."""
    return PeerCourier(peer, (await peer.ask("openCourier", room=room))["store"])


def android_certificate(address: str) -> dict[str, bytes]:
    """Make a certificate as the Android courier does (wire.md 7.4)."""
    now = datetime.now(UTC)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=2))
        .not_valid_after(now + timedelta(hours=24))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    return {
        "certificate": certificate.public_bytes(Encoding.PEM),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }


# ---- ways and calls --------------------------------------------------------------------------------------


def port_in(address: str) -> int:
    return int(address.rpartition(":")[2])


def way_to_courier(port: int, host: str = "127.0.0.1") -> dict[str, str]:
    """Return how a client of a peer is told to go to a courier."""
    return {"way": "courier", "address": f"{host}:{port}"}


def way_to_internet_gateway(port: int) -> dict[str, str]:
    """Return how it is told to go to an Internet gateway."""
    return {"way": "internetGateway", "address": f"{HOST}:{port}"}


def client_of_internet_gateway(port: int, authority: Authority, **options: Any) -> CogRpcClient:
    """Return our client for an Internet gateway that shows a certificate for `HOST`."""
    return CogRpcClient.for_internet_gateway(
        HOST, port, root_certificates=authority.ca_pem, addresses=["127.0.0.1"], **options
    )


async def client_of_courier(port: int) -> CogRpcClient:
    """Return our client for a courier on this machine."""
    return await CogRpcClient.for_courier("127.0.0.1", port)


async def deliver_ours(
    client: CogRpcClient, cargoes: Sequence[bytes], safe: list[bytes] | None = None
) -> list[bytes]:
    """Deliver with our client; return what was acknowledged, which goes to ``safe`` as it comes."""
    safe = [] if safe is None else safe

    async def outgoing() -> AsyncIterator[OutgoingCargo]:
        for number, cargo in enumerate(cargoes):
            yield OutgoingCargo(str(number), cargo)

    async with client, aclosing(client.deliver(outgoing())) as acknowledged:
        async for number in acknowledged:
            safe.append(cargoes[int(number)])
    return safe


async def collect_ours(
    client: CogRpcClient, authorization: bytes, got: list[bytes] | None = None
) -> list[bytes]:
    """Collect with our client, and acknowledge; return the cargo, which goes to ``got`` as it comes."""
    got = [] if got is None else got
    async with client, aclosing(client.collect(authorization)) as collected:
        async for incoming in collected:
            got.append(incoming.cargo)
            await incoming.acknowledge()
    return got
