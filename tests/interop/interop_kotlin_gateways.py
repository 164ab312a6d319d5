# SPDX-License-Identifier: MIT
"""Gateways whose messages the Kotlin library makes and reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from interop_cast import described_key
from interop_gateways import ADDRESS, Household

from awala.cms import EnvelopedData
from awala.crypto import IdentityPrivateKey, IdentityPublicKey, SessionKeyPair
from awala.messages import Cargo, Registration, RegistrationRequest
from awala.pki import Certificate, Role, issue_now
from helpers.cast import identity_key
from helpers.kotlin_peer import KotlinPeer

BACKDATING = timedelta(minutes=90)
"""How far Android gateways date cargo and CCAs back."""

DISTANT_BACKDATING = timedelta(hours=3)
"""How far Internet gateways date cargo back."""

TTL = 14 * 24 * 3600


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

    async def household(self) -> Household:
        """Return an endpoint behind this gateway."""
        key = identity_key("js", "ep")
        endpoint = _issue(key.public_key, self.key, self.certificate, Role.ENDPOINT)
        return Household(key, endpoint, self.certificate)


async def open_kotlin_gateway(peer: KotlinPeer, door: Any) -> KotlinGateway:
    """Register a new private gateway at the ``door`` for private gateways."""
    key = IdentityPrivateKey.generate()
    authorization = await door.preregister(key.public_key.digest)
    request = await peer.ask(
        "make", kind="registrationRequest", authorization=authorization, privateKey=key.serialize()
    )
    registration = Registration.parse(await door.register(request["octets"]))
    return KotlinGateway(peer, key, registration, _issue(key.public_key, key, None, Role.SELF_ISSUED_GATEWAY))


def _issue(
    subject: IdentityPublicKey, issuer_key: IdentityPrivateKey, issuer: Certificate | None, role: Role
) -> Certificate:
    return issue_now(
        subject_key=subject, issuer_key=issuer_key, issuer=issuer, role=role, now=datetime.now(UTC)
    )


@dataclass(frozen=True)
class KotlinInternetGateway:
    """An Internet gateway that nobody sees, for which couriers carry cargo made by the library.

    It has what a door for private gateways has.
    """

    peer: KotlinPeer
    key: IdentityPrivateKey = field(default_factory=partial(identity_key, "jvm", "igw"))
    session: SessionKeyPair = field(default_factory=SessionKeyPair.generate)

    async def preregister(self, digest: bytes) -> bytes:
        """Authorise whoever asks."""
        return digest

    async def register(self, request: bytes) -> bytes:
        own = _issue(self.key.public_key, self.key, None, Role.SELF_ISSUED_GATEWAY)
        certificate = _issue(RegistrationRequest.parse(request).node_key, self.key, own, Role.GATEWAY)
        return Registration(certificate, own, ADDRESS, self.session.session_key).serialize()

    async def cargoes_for(self, gateway: KotlinGateway, *loads: Sequence[bytes]) -> list[bytes]:
        """Return cargo for one of its private gateways with these loads."""
        read = await self.peer.ask(
            "read",
            kind="cca",
            octets=await gateway.authorize(),
            sessionPrivateKey=self.session.private_key.serialize(),
        )
        cargoes = []
        for load in loads:
            made = await self.peer.ask(
                "make",
                kind="cargo",
                privateKey=self.key.serialize(),
                certificate=read["payload"]["cargoDeliveryAuthorization"],
                chain=[gateway.certificate.encoding],
                recipient={"id": gateway.id},
                sessionKey=read["senderSessionKey"],
                payload={"items": list(load)},
                creationDate=(datetime.now(UTC) - DISTANT_BACKDATING).replace(microsecond=0).isoformat(),
                ttl=TTL,
            )
            cargoes.append(made["octets"])
        return cargoes
