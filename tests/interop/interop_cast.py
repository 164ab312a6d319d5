# SPDX-License-Identifier: MIT
"""Who writes to whom: fresh keys and certificates, and an example of each RAMF message between them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from awala.cms import EnvelopedData, encrypt
from awala.crypto import IdentityPrivateKey, SessionKey, SessionKeyPair
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    Parcel,
    ParcelCollectionAck,
    RamfMessage,
    Recipient,
    ServiceMessage,
)
from awala.pki import BACKDATING, Certificate, Role, issue
from helpers.json_peer import JsonPeer

ADDRESS = "gateway.example.com"
TTL = 6 * 3600
MESSAGE_ID = "the-message"
ACK = ParcelCollectionAck("0a", "0b", "the-parcel").serialize()

Plaintext: TypeAlias = ServiceMessage | CargoMessageSet | CargoCollectionRequest


@dataclass(frozen=True)
class Cast:
    """An endpoint behind its gateways, a sender whom it has authorised, and the keys of all."""

    now: datetime
    igw_key: IdentityPrivateKey
    pgw_key: IdentityPrivateKey
    endpoint_key: IdentityPrivateKey
    sender_key: IdentityPrivateKey
    igw: Certificate
    pgw: Certificate
    pgw_self_issued: Certificate
    endpoint: Certificate
    pda: Certificate
    cda: Certificate
    session: SessionKeyPair

    @property
    def creation_date(self) -> datetime:
        """When our messages say that they were made (rules §2)."""
        return (self.now - BACKDATING).replace(microsecond=0)


def make_cast(now: datetime) -> Cast:
    dates = {"not_before": now - BACKDATING, "not_after": now + timedelta(days=30)}
    igw_key, pgw_key, endpoint_key, sender_key = (IdentityPrivateKey.generate() for _ in range(4))

    def certify(subject, issuer_key, issuer, role):
        return issue(subject_key=subject.public_key, issuer_key=issuer_key, issuer=issuer, role=role, **dates)

    igw = certify(igw_key, igw_key, None, Role.SELF_ISSUED_GATEWAY)
    pgw = certify(pgw_key, igw_key, igw, Role.GATEWAY)
    pgw_self_issued = certify(pgw_key, pgw_key, None, Role.SELF_ISSUED_GATEWAY)
    endpoint = certify(endpoint_key, pgw_key, pgw, Role.ENDPOINT)
    return Cast(
        now,
        igw_key,
        pgw_key,
        endpoint_key,
        sender_key,
        igw,
        pgw,
        pgw_self_issued,
        endpoint,
        pda=certify(sender_key, endpoint_key, endpoint, Role.DELIVERY_AUTHORIZATION),
        cda=certify(igw_key, pgw_key, pgw_self_issued, Role.DELIVERY_AUTHORIZATION),
        session=SessionKeyPair.generate(),
    )


@dataclass(frozen=True)
class Example:
    """A RAMF message as our nodes send it; ``description`` is its plaintext as the peer has it."""

    kind: str
    message_class: type[RamfMessage]
    recipient: Recipient
    key: IdentityPrivateKey
    path: tuple[Certificate, ...]
    chain: tuple[Certificate, ...]
    plaintext: Plaintext
    description: dict[str, Any]

    @property
    def sender(self) -> Certificate:
        return self.path[0]

    @property
    def anchor(self) -> Certificate:
        return self.path[-1]


EXAMPLES = ("parcel", "cargo to an Internet gateway", "cargo to a private gateway", "cca")


def example(name: str, cast: Cast) -> Example:
    to_igw = Recipient(cast.igw_key.node_id, ADDRESS)
    if name == "parcel":
        return Example(
            "parcel",
            Parcel,
            Recipient(cast.endpoint_key.node_id, ADDRESS),
            cast.sender_key,
            (cast.pda, cast.endpoint, cast.pgw, cast.igw),
            (cast.endpoint, cast.pgw),
            ServiceMessage("text/plain", b"good morning \x00\xff"),
            {"type": "text/plain", "content": b"good morning \x00\xff"},
        )
    if name == "cca":
        return Example(
            "cca",
            CargoCollectionAuthorization,
            to_igw,
            cast.pgw_key,
            (cast.pgw, cast.igw),
            (),
            CargoCollectionRequest(cast.cda),
            {"cargoDeliveryAuthorization": cast.cda.encoding},
        )
    items = (ACK, b"AwalaP\x00 and so on", b"")
    plaintext, description = CargoMessageSet(items), {"items": list(items)}
    if name == "cargo to an Internet gateway":
        path = (cast.pgw, cast.igw)
        return Example("cargo", Cargo, to_igw, cast.pgw_key, path, (), plaintext, description)
    path = (cast.cda, cast.pgw_self_issued)
    recipient = Recipient(cast.pgw_key.node_id)
    return Example("cargo", Cargo, recipient, cast.igw_key, path, path[1:], plaintext, description)


def a_message(given: Example, cast: Cast, **changes: Any) -> RamfMessage:
    """Return the example with an empty payload and with ``changes``."""
    values: dict[str, Any] = {
        "recipient": given.recipient,
        "message_id": MESSAGE_ID,
        "creation_date": cast.creation_date,
        "ttl": TTL,
        "payload": b"",
        "sender_certificate": given.sender,
        "sender_chain": given.chain,
    }
    return given.message_class(**(values | changes))


def seal(plaintext: bytes, recipient: SessionKey, **options: Any) -> tuple[bytes, dict[str, bytes]]:
    """Return what is enveloped for the recipient, and our session key as the peer describes it."""
    originator = SessionKeyPair.generate()
    payload = encrypt(plaintext, recipient=recipient, originator=originator, **options)
    return payload, described_key(originator.session_key)


def described_key(key: SessionKey) -> dict[str, bytes]:
    """Return a session key as the peer describes it."""
    return {"keyId": key.key_id, "publicKey": key.public_key.spki}


async def read_by_peer(peer: JsonPeer, given: Example, octets: bytes, cast: Cast) -> dict[str, Any]:
    """Let the peer read, validate and decrypt a message of the example's kind."""
    return await peer.ask(
        "read",
        kind=given.kind,
        octets=octets,
        trusted=[given.anchor.encoding],
        sessionPrivateKey=cast.session.private_key.serialize(),
    )


async def made_by_peer(peer: JsonPeer, given: Example, cast: Cast, **changes: Any) -> dict[str, Any]:
    """Let the peer make the example, with ``changes`` as it names them."""
    values: dict[str, Any] = {
        "kind": given.kind,
        "privateKey": given.key.serialize(),
        "certificate": given.sender.encoding,
        "chain": [certificate.encoding for certificate in given.chain],
        "recipient": {"id": given.recipient.id, "internetAddress": given.recipient.internet_address},
        "sessionKey": described_key(cast.session.session_key),
        "payload": given.description,
        "messageId": MESSAGE_ID,
        "creationDate": cast.creation_date.isoformat(),
        "ttl": TTL,
    }
    return await peer.ask("make", **(values | changes))


def opened(message: RamfMessage, cast: Cast) -> bytes:
    """Return the plaintext of a message to the cast's session key."""
    return EnvelopedData.parse(message.payload).decrypt(cast.session.private_key)
