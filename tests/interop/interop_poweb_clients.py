# SPDX-License-Identifier: MIT
"""The PoWeb clients of the reference libraries, and nodes of the peers that they register at a door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

from interop_poweb import HOST, GatewayAtADoor, Recipients

from awala.crypto import IdentityPrivateKey
from awala.testing import Authority, TcpProxy
from helpers.kotlin_peer import KotlinPeer, world
from helpers.node_peer import NodePeer

PATIENCE = 60.0
"""Seconds until what was sent has come to a collection."""

Found: TypeAlias = dict[str, Any]
"""What came to a collection: ``parcels``, ``connections`` and, if it goes on, ``errors``."""

Way: TypeAlias = tuple[dict[str, Any], Callable[[], Found]]
"""A door, or a link to one, and what adds to what came there that the peer does not tell."""


class JsClient(NodePeer):
    """The client from npm, as deployed; it trusts servers whose certificates are of the authority.

    Its clock is ``ahead`` of ours.
    """

    COLLECTION_ERROR = "ServerError"
    """What a collection ends with that the server breaks off."""

    def __init__(self, directory: Path, authority: Authority, *, ahead: timedelta = timedelta(0)) -> None:
        trusted = authority.write_ca(directory / "ca.pem")
        super().__init__(ahead=ahead, environment={"NODE_EXTRA_CA_CERTS": str(trusted)})

    def delivery_error(self, status: int) -> tuple[str, str]:
        """Return the class and the words of the error that a refusal of a parcel is."""
        if status == 422:
            return "RefusedParcelError", "rejected"
        return "ParcelDeliveryError", f"HTTP {status}"

    @asynccontextmanager
    async def way(self, door: dict[str, Any]) -> AsyncIterator[Way]:
        """Give the door, and nothing to add: the driver counts its connections."""
        yield door, dict


class KotlinClient(KotlinPeer):
    """The Kotlin client; it trusts servers whose certificates are of the authority.

    Its clock is ``ahead`` of ours.
    """

    COLLECTION_ERROR = "ServerConnectionException"
    """What a collection ends with that the server breaks off."""

    def __init__(self, directory: Path, authority: Authority, *, ahead: timedelta = timedelta(0)) -> None:
        super().__init__(options=world(directory, authority), ahead=ahead)
        self._links = AsyncExitStack()

    async def __aexit__(self, *details: object) -> None:
        await super().__aexit__(*details)
        await self._links.aclose()

    def delivery_error(self, status: int) -> tuple[str, str]:
        """Return the class and the words of the error that a refusal of a parcel is."""
        if status == 422:
            return "RejectedParcelException", "rejected"
        return "ClientBindingException", f"returned a {status} "

    @asynccontextmanager
    async def way(self, door: dict[str, Any]) -> AsyncIterator[Way]:
        """Give a link to the door, and the connections that got through: the library does not count them.

        Once cut, the link keeps its port for as long as the process runs: the driver never stops a
        collection, and that must not come to a later link.
        """
        link = await self._links.enter_async_context(TcpProxy(HOST, door["port"]))
        try:
            yield door | {"port": link.port}, lambda: {"connections": link.passed_on}
        finally:
            await link.cut()


Client: TypeAlias = JsClient | KotlinClient


@dataclass(frozen=True)
class Node:
    """A node of the peer that has registered at a door, with a ``key`` as the peer made it."""

    peer: Client
    door: dict[str, Any]
    key: dict[str, Any]
    registration: dict[str, Any]

    @property
    def private_key(self) -> IdentityPrivateKey:
        return IdentityPrivateKey.load(self.key["privateKey"])

    @property
    def certificate(self) -> bytes:
        return self.registration["nodeCertificate"]

    @property
    def signer(self) -> dict[str, bytes]:
        return {"privateKey": self.key["privateKey"], "certificate": self.certificate}

    async def deliver(self, parcel: bytes, **signer: bytes) -> None:
        """Deliver a parcel that this node countersigns, but for what ``signer`` has."""
        await self.peer.ask("deliverParcel", door=self.door, parcel=parcel, **(self.signer | signer))

    async def collect(self, **signer: bytes) -> Found:
        """Take what waits for this node until there is no more; it signs, but for what ``signer`` has."""
        async with self.peer.way(self.door) as (door, counted):
            found = await self.peer.ask("collectParcels", door=door, signers=[self.signer | signer])
            return _sorted(found | counted())

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[Callable[..., Awaitable[Found]]]:
        """Collect for good once connected; give what tells what has come, once it is so much.

        Kotlin's driver does not wait for ``connections``.
        """
        async with self.peer.way(self.door) as (door, counted):
            number = await self.peer.ask("openCollection", door=door, signers=[self.signer])

            async def collected(count: int = 0, connections: int = 1) -> Found:
                question = self.peer.ask("collected", collection=number, count=count, connections=connections)
                return _sorted(await asyncio.wait_for(question, PATIENCE) | counted())

            await collected()
            yield collected


def _sorted(found: Found) -> Found:
    return found | {"parcels": sorted(found["parcels"], key=itemgetter("parcel"))}


def once(parcels: list[bytes], **others: Any) -> Found:
    """Return what is found if each parcel came once and was good, whatever the order, on one connection."""
    taken = [{"parcel": parcel, "refusal": None} for parcel in sorted(parcels)]
    return {"parcels": taken, "connections": 1} | others


async def register(peer: Client, gateway: GatewayAtADoor, key: dict[str, Any] | None = None) -> Node:
    """Register a node, with a new key unless there is one."""
    key = key or await peer.ask("makeIdentityKey")
    registration = await peer.ask("register", door=gateway.door, privateKey=key["privateKey"])
    return Node(peer, gateway.door, key, registration)


def recipients_of(gateway: GatewayAtADoor, node: Node) -> Recipients:
    """Return a node at our private gateway, or an endpoint behind one that is at our Internet gateway."""
    return Recipients.of(
        gateway, node.key["privateKey"], node.certificate, node.registration["gatewayCertificate"]
    )
