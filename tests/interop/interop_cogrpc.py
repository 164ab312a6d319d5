# SPDX-License-Identifier: MIT
"""What meets over CogRPC: clients and servers of the peer, ways to ours, and our client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from interop_gateways import PeerGateway, PeerInternetGateway

from awala.bindings.cogrpc import CogRpcClient, OutgoingCargo
from awala.testing import Authority
from helpers.node_peer import COGRPC_DRIVER, NodePeer

HOST = "localhost"
"""The name that certificates of Internet gateways are for."""


def cogrpc_peer(directory: Path, authority: Authority, **options: Any) -> NodePeer:
    """Return a peer that speaks CogRPC and trusts the authority."""
    trusted = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.write_ca(directory / "ca.pem"))}
    return NodePeer(driver=COGRPC_DRIVER, environment=trusted, **options)


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


async def deliver_ours(client: CogRpcClient, cargoes: Sequence[bytes], safe: list[bytes]) -> None:
    """Deliver with our client; what was acknowledged goes to ``safe`` as it comes."""

    async def outgoing() -> AsyncIterator[OutgoingCargo]:
        for number, cargo in enumerate(cargoes):
            yield OutgoingCargo(str(number), cargo)

    async with client, aclosing(client.deliver(outgoing())) as acknowledged:
        async for number in acknowledged:
            safe.append(cargoes[int(number)])  # noqa: PERF401 - what came before a cut counts


async def collect_ours(client: CogRpcClient, authorization: bytes, got: list[bytes]) -> None:
    """Collect with our client, and acknowledge; the cargo goes to ``got`` as it comes."""
    async with client, aclosing(client.collect(authorization)) as collected:
        async for incoming in collected:
            got.append(incoming.cargo)
            await incoming.acknowledge()
