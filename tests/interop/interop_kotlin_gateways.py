# SPDX-License-Identifier: MIT
"""Gateways whose messages the Kotlin library makes and reads, and an Internet gateway of ours for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interop_cast import described_key

from awala.cms import EnvelopedData
from awala.crypto import IdentityPrivateKey, SessionKeyPair
from awala.messages import (
    Cargo,
    Parcel,
    ParcelCollectionAck,
    Recipient,
    Registration,
)
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.lanes import GATEWAY, UNPACK_HOP
from awala.pki import Certificate, Role, issue_now
from awala.spool.model import Hop
from awala.spool.port import Spool
from awala.testing import Authority
from helpers.cast import identity_key
from helpers.kotlin_peer import KotlinPeer

ADDRESS = "gateway.example.com"
HOST = "cogrpc.gateway.example.com"
"""The name that the certificate of our Internet gateway is for."""

ANY_PORT = DoorConfig(listen="127.0.0.1:0")
BACKDATING = timedelta(minutes=90)
"""How far Android gateways date cargo and CCAs back."""

DISTANT_BACKDATING = timedelta(hours=3)
"""How far Internet gateways date cargo back."""

TTL = 14 * 24 * 3600
ALL = 1 << 30


@dataclass
class KotlinGateway:
    """A private gateway behind an Internet gateway, with messages as Android gateways make them."""

    peer: KotlinPeer
    key: IdentityPrivateKey
    registration: Registration
    self_issued: Certificate
    _session_keys: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.key.node_id

    @property
    def certificate(self) -> Certificate:
        return self.registration.node_certificate

    async def _make(self, kind: str, payload: dict[str, Any]) -> bytes:
        session_key = self.registration.session_key
        assert session_key is not None
        made = await self.peer.ask(
            "make",
            kind=kind,
            privateKey=self.key.serialize(),
            certificate=self.certificate.encoding,
            recipient={
                "id": self.registration.gateway_certificate.node_id,
                "internetAddress": self.registration.internet_address,
            },
            sessionKey=described_key(session_key),
            payload=payload,
            creationDate=(self.peer.now() - BACKDATING).replace(microsecond=0).isoformat(),
            ttl=TTL,
        )
        self._session_keys[made["originatorKeyId"]] = made["originatorPrivateKey"]
        octets: bytes = made["octets"]
        return octets

    async def authorize(self) -> bytes:
        """Return a new CCA, whose CDA is issued under the certificate from the Internet gateway."""
        now = self.peer.now()
        made = await self.peer.ask(
            "make",
            kind="certificate",
            role="deliveryAuthorization",
            subjectPublicKey=self.registration.gateway_certificate.public_key.spki,
            issuerPrivateKey=self.key.serialize(),
            issuerCertificate=self.certificate.encoding,
            notBefore=now.isoformat(),
            notAfter=(now + timedelta(days=14)).isoformat(),
        )
        return await self._make("cca", {"cargoDeliveryAuthorization": made["octets"]})

    async def fill(self, *loads: Sequence[bytes]) -> list[bytes]:
        """Return a cargo for each load."""
        return [await self._make("cargo", {"items": list(load)}) for load in loads]

    async def unpack(self, cargoes: Sequence[bytes]) -> list[bytes]:
        """Return all that is in these cargoes, each of which must be for this gateway and authorised."""
        items: list[bytes] = []
        for cargo in cargoes:
            envelope = EnvelopedData.parse(Cargo.parse(cargo).payload)
            read = await self.peer.ask(
                "read",
                kind="cargo",
                octets=cargo,
                trusted=[self.self_issued.encoding],
                sessionPrivateKey=self._session_keys[envelope.recipient_key_id],
            )
            items += read["payload"]["items"]
        return items


async def open_gateway(peer: KotlinPeer, door: Any) -> KotlinGateway:
    """Register a new private gateway at the ``door`` for private gateways."""
    key = IdentityPrivateKey.generate()
    authorization = await door.preregister(key.public_key.digest)
    request = await peer.ask(
        "make", kind="registrationRequest", authorization=authorization, privateKey=key.serialize()
    )
    return _gateway(peer, key, Registration.parse(await door.register(request["octets"])))


def _gateway(peer: KotlinPeer, key: IdentityPrivateKey, registration: Registration) -> KotlinGateway:
    return KotlinGateway(peer, key, registration, _issue(key, key, None, Role.SELF_ISSUED_GATEWAY))


def _issue(
    subject: IdentityPrivateKey, issuer_key: IdentityPrivateKey, issuer: Certificate | None, role: Role
) -> Certificate:
    return issue_now(
        subject_key=subject.public_key,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        now=datetime.now(UTC),
    )


@dataclass(frozen=True)
class DistantGateway:
    """An Internet gateway that nobody sees, with a private gateway for which couriers carry."""

    peer: KotlinPeer
    key: IdentityPrivateKey
    session: SessionKeyPair
    gateway: KotlinGateway

    async def cargoes(self, *loads: Sequence[bytes]) -> list[bytes]:
        """Return cargo for the private gateway with these loads."""
        authorization = await self.gateway.authorize()
        read = await self.peer.ask(
            "read",
            kind="cca",
            octets=authorization,
            sessionPrivateKey=self.session.private_key.serialize(),
        )
        cargoes = []
        for load in loads:
            made = await self.peer.ask(
                "make",
                kind="cargo",
                privateKey=self.key.serialize(),
                certificate=read["payload"]["cargoDeliveryAuthorization"],
                chain=[self.gateway.certificate.encoding],
                recipient={"id": self.gateway.id},
                sessionKey=read["senderSessionKey"],
                payload={"items": list(load)},
                creationDate=(datetime.now(UTC) - DISTANT_BACKDATING).replace(microsecond=0).isoformat(),
                ttl=TTL,
            )
            cargoes.append(made["octets"])
        return cargoes

    def of_somebody_else(self) -> KotlinGateway:
        """Return another private gateway."""
        return _behind(self.peer, self.key, identity_key("js", "pgw"), self.session)


def open_distant_gateway(peer: KotlinPeer) -> DistantGateway:
    key, session = identity_key("jvm", "igw"), SessionKeyPair.generate()
    return DistantGateway(peer, key, session, _behind(peer, key, identity_key("jvm", "pgw"), session))


def _behind(
    peer: KotlinPeer, key: IdentityPrivateKey, gateway_key: IdentityPrivateKey, session: SessionKeyPair
) -> KotlinGateway:
    """Return a private gateway that an Internet gateway with this key has registered."""
    own = _issue(key, key, None, Role.SELF_ISSUED_GATEWAY)
    certificate = _issue(gateway_key, key, own, Role.GATEWAY)
    return _gateway(peer, gateway_key, Registration(certificate, own, ADDRESS, session.session_key))


# ---- parcels for an endpoint behind a gateway ----------------------------------------------------------


def parcels_for(gateway: KotlinGateway, count: int, size: int = 100) -> list[bytes]:
    """Make parcels for an endpoint behind a gateway, with ``size`` octets of payload."""
    endpoint_key, sender = identity_key("js", "ep"), identity_key("js", "peer")
    endpoint = _issue(endpoint_key, gateway.key, gateway.certificate, Role.ENDPOINT)
    authorization = _issue(sender, endpoint_key, endpoint, Role.DELIVERY_AUTHORIZATION)
    return [
        Parcel(
            recipient=Recipient(endpoint_key.node_id, ADDRESS),
            message_id=f"parcel-{number}",
            creation_date=(datetime.now(UTC) - BACKDATING).replace(microsecond=0),
            ttl=TTL,
            payload=number.to_bytes(4) + bytes(size - 4),
            sender_certificate=authorization,
            sender_chain=(endpoint, gateway.certificate),
        ).serialize(sender)
        for number in range(count)
    ]


def acknowledgements(parcels: Sequence[bytes]) -> list[bytes]:
    read = map(Parcel.parse, parcels)
    return [ParcelCollectionAck(p.sender_id, p.recipient.id, p.message_id).serialize() for p in read]


# ---- our Internet gateway --------------------------------------------------------------------------------


@dataclass(frozen=True)
class OurInternetGateway:
    """An Internet gateway of ours, with its door for couriers over TLS at ``port``."""

    node: Any
    port: int

    @property
    def address(self) -> str:
        return address_at(self.port)

    async def arrived(self, gateway: KotlinGateway) -> list[bytes]:
        """Return the parcels that wait for a private gateway by now."""
        return await resting(self.node._spool, Hop(GATEWAY, gateway.id))

    async def mailbox(self, gateway: KotlinGateway) -> list[bytes]:
        """Return the parcels that wait for a private gateway, once all cargo is unpacked."""
        async with asyncio.timeout(30):
            while UNPACK_HOP in await self.node._spool.totals():  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
        return await self.arrived(gateway)

    async def put(self, gateway: KotlinGateway, parcels: Sequence[bytes]) -> None:
        """Have parcels wait for a private gateway, as if its Internet side had brought them."""
        for parcel in parcels:
            await self.node.internet_door.deliver(parcel)
        assert await self.mailbox(gateway) == sorted(parcels)


def address_at(port: int) -> str:
    return f"https://{HOST}:{port}"


@asynccontextmanager
async def our_internet_gateway(directory: Path, authority: Authority) -> AsyncIterator[OurInternetGateway]:
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, ADDRESS)
    certificate, key = authority.issue(HOST).write(directory)
    door = DoorConfig(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)
    config = InternetGatewayConfig(storage=storage, poweb=ANY_PORT, pohttp=ANY_PORT, cogrpc=door)
    async with run_internet_gateway(config) as running:
        yield OurInternetGateway(running.node, int(running.addresses["cogrpc"].rpartition(":")[2]))


async def resting(spool: Spool, hop: Hop) -> list[bytes]:
    """Return what rests at a hop, sorted."""
    items = await spool.snapshot(hop, now=datetime.now(UTC), budget=ALL)
    bodies = [await spool.body(item) for item in items]
    return sorted(body for body in bodies if body is not None)
