# SPDX-License-Identifier: MIT

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from awala.cms import EnvelopedData, encrypt
from awala.crypto import ContentCipher, IdentityPrivateKey, SessionKeyPair
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    Parcel,
    ParcelCollectionAck,
    Recipient,
    ServiceMessage,
)
from awala.pki import Certificate, Role, issue
from helpers.node_peer import NodePeer, PeerError

pytestmark = pytest.mark.requires("node")

INTERNET_ADDRESS = "gateway.example.com"
CONTENT = b"good morning \x00\xff"
ACK = ParcelCollectionAck("0a", "0b", "the-parcel")
CLASSES = {"parcel": Parcel, "cargo": Cargo, "cca": CargoCollectionAuthorization}
KINDS = list(CLASSES)
TTL = 3600


@dataclass(frozen=True)
class Cast:
    """A recipient, who certified it, and a sender whom it has authorised."""

    now: datetime
    anchor: Certificate
    recipient_key: IdentityPrivateKey
    recipient_certificate: Certificate
    sender_key: IdentityPrivateKey
    sender_certificate: Certificate
    session: SessionKeyPair

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.recipient_key.node_id, INTERNET_ADDRESS)

    @property
    def creation_date(self) -> datetime:
        return (self.now - timedelta(minutes=5)).replace(microsecond=0)


@pytest.fixture(scope="module")
def cast() -> Cast:
    now = datetime.now(UTC)
    dates = {"not_before": now - timedelta(hours=3), "not_after": now + timedelta(days=30)}
    anchor_key, recipient_key, sender_key = (IdentityPrivateKey.generate() for _ in range(3))
    anchor = issue(
        subject_key=anchor_key.public_key, issuer_key=anchor_key, issuer=None, role=Role.GATEWAY, **dates
    )
    recipient = issue(
        subject_key=recipient_key.public_key,
        issuer_key=anchor_key,
        issuer=anchor,
        role=Role.ENDPOINT,
        **dates,
    )
    sender = issue(
        subject_key=sender_key.public_key,
        issuer_key=recipient_key,
        issuer=recipient,
        role=Role.DELIVERY_AUTHORIZATION,
        **dates,
    )
    return Cast(now, anchor, recipient_key, recipient, sender_key, sender, SessionKeyPair.generate())


@pytest.fixture
async def peer():
    async with NodePeer() as node_peer:
        yield node_peer


def payload_of(kind: str, cast: Cast) -> tuple[object, dict[str, object]]:
    """Return a plaintext of this kind, as ours and as the peer describes it."""
    if kind == "parcel":
        return ServiceMessage("text/plain", CONTENT), {"type": "text/plain", "content": CONTENT}
    if kind == "cargo":
        return CargoMessageSet((ACK.serialize(),)), {"items": [ACK.serialize()]}
    certificate = cast.sender_certificate
    return CargoCollectionRequest(certificate), {"cargoDeliveryAuthorization": certificate.encoding}


def make(kind: str, cast: Cast, *, cipher: ContentCipher = ContentCipher.AES_128_CBC) -> bytes:
    plaintext, _ = payload_of(kind, cast)
    message = CLASSES[kind](
        recipient=cast.recipient,
        message_id="the-message",
        creation_date=cast.creation_date,
        ttl=TTL,
        payload=encrypt(
            plaintext.serialize(),
            recipient=cast.session.session_key,
            originator=SessionKeyPair.generate(),
            content_cipher=cipher,
        ),
        sender_certificate=cast.sender_certificate,
        sender_chain=() if kind == "cca" else (cast.recipient_certificate,),
    )
    return message.serialize(cast.sender_key)


async def made_by_peer(peer: NodePeer, kind: str, cast: Cast) -> dict[str, object]:
    _, payload = payload_of(kind, cast)
    session_key = cast.session.session_key
    return await peer.ask(
        "make",
        kind=kind,
        privateKey=cast.sender_key.serialize(),
        certificate=cast.sender_certificate.encoding,
        chain=[] if kind == "cca" else [cast.recipient_certificate.encoding],
        recipient={"id": cast.recipient.id, "internetAddress": INTERNET_ADDRESS},
        sessionKey={"keyId": session_key.key_id, "publicKey": session_key.public_key.spki},
        payload=payload,
        creationDate=cast.creation_date.isoformat(),
        ttl=TTL,
    )


@pytest.mark.parametrize("cipher", [ContentCipher.AES_128_CBC, ContentCipher.AES_256_CBC])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_reference_library_reads_validates_and_decrypts_ours(peer, cast, kind, cipher):
    anchor = cast.recipient_certificate if kind == "cca" else cast.anchor

    answer = await peer.ask(
        "read",
        kind=kind,
        message=make(kind, cast, cipher=cipher),
        trusted=[anchor.encoding],
        sessionPrivateKey=cast.session.private_key.serialize(),
    )

    path = [cast.sender_certificate.node_id, cast.recipient.id, cast.anchor.node_id]
    assert answer["payload"] == payload_of(kind, cast)[1]
    assert answer["path"] == path[: 2 if kind == "cca" else 3]
    assert answer["senderId"] == cast.sender_certificate.node_id
    assert answer["recipient"] == {"id": cast.recipient.id, "internetAddress": INTERNET_ADDRESS}
    assert (answer["messageId"], answer["ttl"]) == ("the-message", TTL)
    assert datetime.fromisoformat(answer["creationDate"]) == cast.creation_date


@pytest.mark.parametrize("kind", KINDS)
async def test_we_read_authorise_and_decrypt_those_of_the_reference_library(peer, cast, kind):
    made = await made_by_peer(peer, kind, cast)

    message = CLASSES[kind].parse(made["message"])
    envelope = EnvelopedData.parse(message.payload)
    plaintext = envelope.decrypt(cast.session.private_key)

    anchor = cast.recipient_certificate if kind == "cca" else cast.anchor
    path = message.authorise([anchor], cast.now)
    assert type(payload_of(kind, cast)[0]).parse(plaintext) == payload_of(kind, cast)[0]
    assert [certificate.node_id for certificate in path[:2]] == [
        cast.sender_certificate.node_id,
        cast.recipient.id,
    ]
    assert path[-1] == anchor
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key.key_id == made["originatorKeyId"]
    assert message.recipient == cast.recipient
    assert message.message_id == made["messageId"]
    assert (message.creation_date, message.ttl) == (cast.creation_date, TTL)


async def test_each_side_answers_with_the_session_key_that_came_with_a_message(peer, cast):
    made = await made_by_peer(peer, "parcel", cast)
    originator = EnvelopedData.parse(Parcel.parse(made["message"]).payload).originator_key
    answer = Parcel(
        recipient=cast.recipient,
        message_id="the-answer",
        creation_date=cast.creation_date,
        ttl=TTL,
        payload=encrypt(
            ServiceMessage("text/plain", b"thanks").serialize(),
            recipient=originator,
            originator=SessionKeyPair.generate(),
        ),
        sender_certificate=cast.sender_certificate,
    ).serialize(cast.sender_key)

    read = await peer.ask(
        "read",
        kind="parcel",
        message=answer,
        trusted=[cast.recipient_certificate.encoding],
        sessionPrivateKey=made["originatorPrivateKey"],
    )

    assert read["payload"] == {"type": "text/plain", "content": b"thanks"}


async def test_the_reference_library_refuses_ours_with_an_octet_changed(peer, cast):
    message = bytearray(make("parcel", cast))
    message[-1] ^= 1

    with pytest.raises(PeerError, match="Invalid signature"):
        await peer.ask(
            "read",
            kind="parcel",
            message=bytes(message),
            trusted=[cast.anchor.encoding],
            sessionPrivateKey=cast.session.private_key.serialize(),
        )


async def test_both_sides_issue_certificates_that_the_other_follows(peer, cast):
    key = await peer.ask("makeIdentityKey")
    theirs = IdentityPrivateKey.load(key["privateKey"])
    endpoint = issue(
        subject_key=theirs.public_key,
        issuer_key=theirs,
        issuer=None,
        role=Role.ENDPOINT,
        not_before=cast.now - timedelta(hours=3),
        not_after=cast.now + timedelta(days=30),
    )
    encoding = await peer.ask(
        "issue",
        role="deliveryAuthorization",
        subjectPublicKey=cast.sender_key.public_key.spki,
        issuerPrivateKey=key["privateKey"],
        issuerCertificate=endpoint.encoding,
        notBefore=(cast.now - timedelta(hours=1)).isoformat(),
        notAfter=(cast.now + timedelta(days=1)).isoformat(),
    )
    certificate = Certificate.parse(encoding)

    certificate.verify_issued_by(endpoint)

    assert key["id"] == theirs.node_id
    assert certificate.node_id == cast.sender_key.node_id
    assert Role.DELIVERY_AUTHORIZATION.matches(certificate)
