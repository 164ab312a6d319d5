# SPDX-License-Identifier: MIT
"""PoWeb doors of our gateways, nodes of the peer behind them, and somebody who sends parcels to those."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from awala.base.clock import SystemClock
from awala.bindings.poweb import PoWebClient, poweb_app, serve_poweb
from awala.crypto import IdentityPrivateKey, IdentityPublicKey
from awala.messages import (
    DetachedSignatureType,
    Parcel,
    Recipient,
    Registration,
    RegistrationRequest,
    sign_detached,
)
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.private_gateway.node import open_private_gateway
from awala.nodes.private_gateway.root import create_private_gateway
from awala.pki import BACKDATING, Certificate, Role, issue_now
from awala.testing import Authority
from helpers.cast import identity_key

ADDRESS = "gateway.example.com"
HOST = "127.0.0.1"
ANY_PORT = f"{HOST}:0"
SENDERS = 8
"""Parcels that are delivered at a time."""


class GatewayAtADoor:
    """One of our gateways behind its PoWeb server, which keeps its port when it is stopped and started.

    ``start`` runs it at an address and gives where it listens; ``authority`` is whose TLS it speaks, if any.
    ``serves_endpoints`` tells a private gateway from an Internet gateway.
    """

    def __init__(
        self,
        start: Callable[[str], AbstractAsyncContextManager[str]],
        *,
        authority: Authority | None = None,
    ) -> None:
        self._start = start
        self._authority = authority
        self._address = ANY_PORT
        self._running: AsyncExitStack | None = None

    @property
    def serves_endpoints(self) -> bool:
        return self._authority is None

    @property
    def port(self) -> int:
        return int(self._address.rpartition(":")[2])

    @property
    def door(self) -> dict[str, Any]:
        """Where it is, as drivers of peers are told."""
        return {"port": self.port} if self._authority is None else {"host": HOST, "port": self.port}

    def client(self) -> PoWebClient:
        if self._authority is None:
            return PoWebClient.local(f"http://{self._address}")
        return PoWebClient.remote(HOST, self.port, self._authority.client_context())

    async def start(self) -> None:
        running = AsyncExitStack()
        self._address = await running.enter_async_context(self._start(self._address))
        self._running = running

    async def stop(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            await running.aclose()


@asynccontextmanager
async def internet_gateway(directory: Path, authority: Authority) -> AsyncIterator[GatewayAtADoor]:
    """Run an Internet gateway that speaks TLS with a certificate of the authority."""
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, ADDRESS)
    certificate, key = authority.issue(HOST).write(directory)

    @asynccontextmanager
    async def start(address: str) -> AsyncIterator[str]:
        door = DoorConfig(listen=address, tls_cert=certificate, tls_key=key)
        async with run_plainly(storage, door) as addresses:
            yield addresses["poweb"]

    async with _at_a_door(start, authority) as gateway:
        yield gateway


@asynccontextmanager
async def run_plainly(storage: StorageConfig, poweb: DoorConfig) -> AsyncIterator[dict[str, str]]:
    """Run an Internet gateway whose other doors are plain; give its addresses."""
    plain = DoorConfig(listen=ANY_PORT)
    config = InternetGatewayConfig(storage=storage, poweb=poweb, pohttp=plain, cogrpc=plain)
    async with run_internet_gateway(config) as running:
        yield dict(running.addresses)


@asynccontextmanager
async def uplink(directory: Path) -> AsyncIterator[str]:
    """Run an Internet gateway whose doors are plain, and give the address of its PoWeb server."""
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, ADDRESS)
    async with run_plainly(storage, DoorConfig(listen=ANY_PORT)) as addresses:
        yield addresses["poweb"]


@asynccontextmanager
async def private_gateway(directory: Path, uplink: str) -> AsyncIterator[GatewayAtADoor]:
    """Run a private gateway that is paired with the Internet gateway at ``uplink``."""

    async def connect(_address: str) -> PoWebClient:
        return PoWebClient.local(f"http://{uplink}")

    async def no_courier(_host: str, _port: int) -> Any:
        raise AssertionError("no courier is asked for")

    storage = StorageConfig(directory=directory)
    await create_private_gateway(storage)

    @asynccontextmanager
    async def start(address: str) -> AsyncIterator[str]:
        async with (
            open_private_gateway(
                storage, clock=SystemClock(), connect=connect, connect_courier=no_courier
            ) as node,
            in_background(node.run()),
            serve_poweb(poweb_app(node.local), address) as server,
        ):
            if address == ANY_PORT:
                await node.pairing.pair(ADDRESS)
            yield server.address

    async with _at_a_door(start) as gateway:
        yield gateway


@asynccontextmanager
async def _at_a_door(
    start: Callable[[str], AbstractAsyncContextManager[str]], authority: Authority | None = None
) -> AsyncIterator[GatewayAtADoor]:
    gateway = GatewayAtADoor(start, authority=authority)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


# ---- parcels -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipients:
    """Whom parcels are for, and who may authorise a sender: a node of the peer, or an endpoint behind it."""

    key: IdentityPrivateKey
    chain: tuple[Certificate, Certificate]

    @classmethod
    def of(cls, gateway: GatewayAtADoor, private_key: bytes, certificate: bytes, issuer: bytes) -> Recipients:
        """Take a node by its key, its certificate and its gateway's; behind a gateway we make an endpoint."""
        key = IdentityPrivateKey.load(private_key)
        node, above = Certificate.parse(certificate), Certificate.parse(issuer)
        return cls(key, (node, above)) if gateway.serves_endpoints else cls.behind(key, node)

    @classmethod
    def behind(cls, key: IdentityPrivateKey, node: Certificate) -> Recipients:
        """Make an endpoint behind a private gateway with this key and certificate."""
        endpoint_key = identity_key("js", "ep")
        endpoint = issue_now(
            subject_key=endpoint_key.public_key,
            issuer_key=key,
            issuer=node,
            role=Role.ENDPOINT,
            now=datetime.now(UTC),
        )
        return cls(endpoint_key, (endpoint, node))

    def authorise(self, sender: IdentityPublicKey) -> Certificate:
        """Return a PDA for the sender."""
        return issue_now(
            subject_key=sender,
            issuer_key=self.key,
            issuer=self.chain[0],
            role=Role.DELIVERY_AUTHORIZATION,
            now=datetime.now(UTC),
        )

    def parcel(self, sender: IdentityPrivateKey, *, recipient: str | None = None, size: int = 100) -> bytes:
        """Make a parcel by a sender whom this one authorises, for this one or for ``recipient``."""
        parcel = Parcel(
            recipient=Recipient(recipient or self.key.node_id, ADDRESS),
            message_id=str(uuid.uuid4()),
            creation_date=(datetime.now(UTC) - BACKDATING).replace(microsecond=0),
            ttl=86_400,
            payload=bytes(size),
            sender_certificate=self.authorise(sender.public_key),
            sender_chain=self.chain,
        )
        return parcel.serialize(sender)


@dataclass(frozen=True)
class Sender:
    """A node of ours at a door, which delivers parcels there."""

    client: PoWebClient
    key: IdentityPrivateKey
    certificate: Certificate
    gateway_certificate: Certificate

    def sign(self, nonce: bytes) -> list[bytes]:
        """Prove to be this node, for a collection."""
        return [sign_detached(DetachedSignatureType.NONCE, nonce, self.key, self.certificate)]

    async def deliver(self, parcel: bytes) -> None:
        """Deliver a parcel that this node countersigns."""
        signature = sign_detached(DetachedSignatureType.PARCEL_DELIVERY, parcel, self.key, self.certificate)
        await self.client.deliver(parcel, signature)

    async def send(self, recipients: Recipients, count: int = 1) -> list[bytes]:
        """Deliver so many new parcels; return them."""
        parcels = [recipients.parcel(self.key) for _ in range(count)]
        turns = asyncio.Semaphore(SENDERS)

        async def deliver(parcel: bytes) -> None:
            async with turns:
                await self.deliver(parcel)

        await asyncio.gather(*map(deliver, parcels))
        return parcels


@asynccontextmanager
async def sender_at(client: PoWebClient, key: IdentityPrivateKey | None = None) -> AsyncIterator[Sender]:
    """Register a node of ours at the gateway that a client speaks with, and close the client."""
    key = key or identity_key("js", "peer")
    async with client:
        authorization = await client.preregister(key.public_key.digest)
        request = RegistrationRequest(key.public_key, authorization).serialize(key)
        registration = Registration.parse(await client.register(request))
        yield Sender(client, key, registration.node_certificate, registration.gateway_certificate)
