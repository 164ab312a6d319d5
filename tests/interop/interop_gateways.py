# SPDX-License-Identifier: MIT
"""Gateways that the npm packages made, endpoints behind private gateways, and parcels for and by these."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from awala.crypto import IdentityPrivateKey
from awala.messages import (
    Parcel,
    ParcelCollectionAck,
    Recipient,
    Registration,
)
from awala.messages.limits import EMITTED_PARCEL_MAX
from awala.pki import Certificate, Role, issue_now
from helpers.cast import identity_key
from helpers.node_peer import NodePeer

ADDRESS = "gateway.example.com"

A_FEW = 8
"""Octets by which lengths in DER, and integers drawn at random, may vary."""

BACKDATING = timedelta(hours=3)
TTL = 24 * 3600


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

    async def household(self) -> Household:
        """Return an endpoint behind this gateway."""
        key = identity_key("js", "ep")
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

    def parcels(self, count: int, size: int = 100, sender: IdentityPrivateKey | None = None) -> list[bytes]:
        """Make parcels with ``size`` octets for payload, ready to leave."""
        sender, now = sender or identity_key("js", "peer"), datetime.now(UTC)
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
                payload=payload,
                sender_certificate=authorization,
                sender_chain=(self.certificate, self.gateway),
            ).serialize(sender)
            for payload in items(count, size)
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

    async def cargoes_of(self, authorization: bytes) -> list[bytes]:
        """Return the cargo that a CCA gives access to."""
        cargoes: list[bytes] = await self._ask("cargoesFor", authorization=authorization)
        return cargoes

    async def cargoes_for(self, gateway: PeerGateway, *loads: Sequence[bytes]) -> list[bytes]:
        """Return cargo for a private gateway of the peer with these loads."""
        await self.keep(gateway.id, *loads)
        return await self.cargoes_of(await gateway.authorize())

    async def unpack(self, cargoes: Sequence[bytes]) -> list[bytes]:
        """Return all that is in these cargoes from its private gateways."""
        return [item for cargo in cargoes for item in await self._ask("unpack", cargo=cargo)]


async def open_peer_internet_gateway(peer: NodePeer, address: str = ADDRESS) -> PeerInternetGateway:
    opened = await peer.ask("openInternetGateway", address=address)
    return PeerInternetGateway(peer, opened["gateway"], opened["id"])


# ---- parcels and other items -----------------------------------------------------------------------------


def items(count: int, size: int = 100) -> list[bytes]:
    """Return different items of ``size`` octets, in their order."""
    return [number.to_bytes(4) + bytes(size - 4) for number in range(count)]


def to_the_internet(endpoint: IdentityPrivateKey, count: int, size: int = 100) -> list[bytes]:
    """Make parcels by an endpoint for somebody at an Internet endpoint."""
    now = datetime.now(UTC)
    certificate = issue_now(
        subject_key=endpoint.public_key, issuer_key=endpoint, issuer=None, role=Role.ENDPOINT, now=now
    )
    return [
        Parcel(
            recipient=Recipient(identity_key("js", "peer").node_id, "pong.example.com"),
            message_id=str(uuid.uuid4()),
            creation_date=(now - BACKDATING).replace(microsecond=0),
            ttl=TTL,
            payload=payload,
            sender_certificate=certificate,
        ).serialize(endpoint)
        for payload in items(count, size)
    ]


def acknowledgements(parcels: Sequence[bytes]) -> list[bytes]:
    """Return the PCAs for these parcels."""
    read = map(Parcel.parse, parcels)
    return [ParcelCollectionAck(p.sender_id, p.recipient.id, p.message_id).serialize() for p in read]


def one_each(contents: Sequence[bytes]) -> list[list[bytes]]:
    """Return loads of one item."""
    return [[item] for item in contents]
