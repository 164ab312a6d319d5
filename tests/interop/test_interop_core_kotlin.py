# SPDX-License-Identifier: MIT
"""What the Kotlin core library makes is read by us, and what we make is read by it."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from interop_cast import (
    EXAMPLES,
    MESSAGE_ID,
    TTL,
    a_message,
    described_key,
    example,
    made_by_peer,
    opened,
    read_by_peer,
    seal,
)
from interop_structures import NAMES, NONCE, structures

from awala.cms import EnvelopedData, SignedData
from awala.crypto import (
    ContentCipher,
    Curve,
    HashAlgorithm,
    IdentityPrivateKey,
    KeyWrap,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
)
from awala.messages import (
    Cargo,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    MalformedMessageError,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    Recipient,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    limits,
    sign_detached,
)
from awala.pki import Certificate, CertificationPath, PathForm, Role, build_path, issue
from helpers.json_peer import PeerError

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-awala"),
]

DAY = timedelta(days=1)
TTLS = (0, 127, 128, 255, 256, limits.MAX_TTL)
SIZES = (0, 1, 1_000, 1_001, 65_536, 65_537, 2**20)
"""Octets: around the segments that the library cuts contents into, and those of the other library."""


def octets_of(size):
    return random.Random(size).randbytes(size)


def encodings(certificates):
    return [certificate.encoding for certificate in certificates]


# ---- messages ----------------------------------------------------------------------------------------


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_kotlin_library_reads_validates_and_decrypts_ours(kotlin, cast, name):
    given = example(name, cast)
    payload, originator = seal(given.plaintext.serialize(), cast.session.session_key)
    octets = a_message(given, cast, payload=payload).serialize(given.key)

    read = await read_by_peer(kotlin, given, octets, cast)

    assert datetime.fromisoformat(read.pop("creationDate")) == cast.creation_date
    read.pop("recipientCertificate")
    assert read == {
        "chain": encodings(given.chain),
        "messageId": MESSAGE_ID,
        "path": encodings(given.path),
        "payload": given.description,
        "payloadOctets": None,
        "recipient": {"id": given.recipient.id, "internetAddress": given.recipient.internet_address},
        "sender": given.sender.encoding,
        "senderSessionKey": originator,
        "ttl": TTL,
    }


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("name", EXAMPLES)
async def test_we_read_authorise_and_decrypt_those_of_the_kotlin_library(kotlin, cast, name):
    given = example(name, cast)

    made = await made_by_peer(kotlin, given, cast)

    message = given.message_class.parse(made["octets"])
    envelope = EnvelopedData.parse(message.payload)
    assert message == a_message(given, cast, payload=message.payload)
    assert message.authorise([given.anchor], cast.now) == given.path
    assert type(given.plaintext).parse(opened(message, cast)) == given.plaintext
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key.key_id == made["originatorKeyId"]


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_kotlin_library_signs_the_same_octets_as_we(kotlin, cast, name):
    given = example(name, cast)
    theirs = (await made_by_peer(kotlin, given, cast))["octets"]

    ours = replace(given.message_class.parse(theirs)).serialize(given.key)

    prefix = len(given.message_class.TYPE.prefix)
    assert ours[:prefix] == theirs[:prefix]
    assert SignedData.parse(ours[prefix:]).content_view == SignedData.parse(theirs[prefix:]).content_view


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("ttl", TTLS)
async def test_the_kotlin_library_and_we_read_each_others_ttl(kotlin, cast, ttl):
    given = example("parcel", cast)
    ours = a_message(given, cast, ttl=ttl).serialize(given.key)

    read = await kotlin.ask("read", kind="parcel", octets=ours)
    theirs = Parcel.parse((await made_by_peer(kotlin, given, cast, ttl=ttl))["octets"])

    assert read["ttl"] == theirs.ttl == ttl
    assert theirs.expiry_date == cast.creation_date + timedelta(seconds=ttl)


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("message_id", ["1", "0123456789abcdef" * 4])
async def test_the_kotlin_library_and_we_read_each_others_message_ids(kotlin, cast, message_id):
    given = example("parcel", cast)
    ours = a_message(given, cast, message_id=message_id).serialize(given.key)

    read = await kotlin.ask("read", kind="parcel", octets=ours)
    made = await made_by_peer(kotlin, given, cast, messageId=message_id)

    assert read["messageId"] == Parcel.parse(made["octets"]).message_id == message_id


@pytest.mark.cell("core-messages")
async def test_the_kotlin_library_and_we_take_parcels_of_anybody_to_an_internet_endpoint(kotlin, cast):
    sender = issue(
        subject_key=cast.sender_key.public_key,
        issuer_key=cast.sender_key,
        issuer=None,
        role=Role.ENDPOINT,
        not_before=cast.creation_date,
        not_after=cast.now + DAY,
    )
    given = replace(
        example("parcel", cast),
        recipient=Recipient(cast.endpoint_key.node_id, "ping.example.com"),
        path=(sender,),
        chain=(),
    )
    ours = a_message(given, cast).serialize(given.key)

    read = await kotlin.ask("read", kind="parcel", octets=ours, trusted=None)
    theirs = Parcel.parse((await made_by_peer(kotlin, given, cast))["octets"])

    assert read["sender"] == sender.encoding
    theirs.validate(cast.now)
    assert (theirs.recipient, theirs.sender_certificate) == (given.recipient, sender)


@pytest.mark.cell("core-messages")
async def test_neither_the_kotlin_library_nor_we_take_a_message_with_an_octet_changed(kotlin, cast):
    given = example("parcel", cast)
    ours = bytearray(a_message(given, cast).serialize(given.key))
    theirs = bytearray((await made_by_peer(kotlin, given, cast))["octets"])
    ours[-1] ^= 1
    theirs[-1] ^= 1

    with pytest.raises(PeerError, match="RAMFException"):
        await kotlin.ask("read", kind="parcel", octets=bytes(ours))
    with pytest.raises(MalformedMessageError):
        Parcel.parse(bytes(theirs))


# ---- sizes -------------------------------------------------------------------------------------------


def same(one: object, other: object) -> bool:
    """Compare apart from `assert`, which would take minutes to explain how megabytes differ."""
    return one == other


@pytest.mark.cell("core-sizes")
@pytest.mark.parametrize("size", SIZES)
async def test_contents_of_each_size_go_to_the_kotlin_library_and_come_from_it(kotlin, cast, size):
    given, content = example("parcel", cast), octets_of(size)
    payload, _ = seal(ServiceMessage("text/plain", content).serialize(), cast.session.session_key)
    ours = a_message(given, cast, payload=payload).serialize(given.key)

    read = await read_by_peer(kotlin, given, ours, cast)
    made = await made_by_peer(kotlin, given, cast, payload={"type": "text/plain", "content": content})

    theirs = Parcel.parse(made["octets"])
    assert same(read["payload"], {"type": "text/plain", "content": content})
    assert same(ServiceMessage.parse(opened(theirs, cast)), ServiceMessage("text/plain", content))


@pytest.mark.cell("core-sizes")
@pytest.mark.parametrize("sizes", [(limits.MAX_CARGO_ITEM_SIZE,), (65_536,) * 63])
async def test_full_cargo_goes_to_the_kotlin_library_and_comes_from_it(kotlin, cast, sizes):
    given = example("cargo to a private gateway", cast)
    items = tuple(octets_of(size) for size in sizes)
    payload, _ = seal(CargoMessageSet(items).serialize(), cast.session.session_key)
    ours = a_message(given, cast, payload=payload).serialize(given.key)

    read = await read_by_peer(kotlin, given, ours, cast)
    made = await made_by_peer(kotlin, given, cast, payload={"items": list(items)})

    theirs = Cargo.parse(made["octets"])
    assert same(read["payload"], {"items": list(items)})
    assert same(CargoMessageSet.parse(opened(theirs, cast)).items, items)


@pytest.mark.cell("core-sizes")
async def test_the_largest_parcel_and_its_delivery_go_to_the_kotlin_library(kotlin, cast):
    given = example("parcel", cast)

    def parcel_around(size):
        return a_message(given, cast, payload=octets_of(size)).serialize(given.key)

    size = limits.EMITTED_PARCEL_MAX - 10_000
    parcel = parcel_around(size + limits.EMITTED_PARCEL_MAX - len(parcel_around(size)))
    delivery = ParcelDelivery("the-delivery", parcel).serialize()
    read = await kotlin.ask("read", kind="parcel", octets=parcel, trusted=[cast.igw.encoding])

    assert len(parcel) == limits.EMITTED_PARCEL_MAX
    assert same(read["payloadOctets"], Parcel.parse(parcel).payload)
    assert same(
        await kotlin.ask("read", kind="parcelDelivery", octets=delivery),
        {"deliveryId": "the-delivery", "parcel": parcel},
    )


# ---- structures --------------------------------------------------------------------------------------


@pytest.mark.cell("core-structures")
@pytest.mark.parametrize("name", NAMES)
async def test_the_kotlin_library_and_we_make_and_read_the_same_octets(kotlin, cast, name):
    given = structures(cast, PathForm.KOTLIN)[name]

    read = await kotlin.ask("read", kind=given.kind, octets=given.octets)
    made = await kotlin.ask("make", kind=given.kind, **given.description)

    assert read == given.description
    assert made["octets"] == given.octets
    assert given.parse(made["octets"]) == given.value


@pytest.mark.cell("core-structures")
async def test_the_kotlin_library_recognises_what_we_put_in_cargo_and_skips_what_it_does_not_know(
    kotlin, cast
):
    given = example("parcel", cast)
    path = CertificationPath(cast.pgw, (cast.igw,))
    items = {
        "PARCEL": a_message(given, cast).serialize(given.key),
        "PCA": ParcelCollectionAck("0a", "0b", "x").serialize(),
        "CERTIFICATE_ROTATION": CertificateRotation(path, PathForm.KOTLIN).serialize(),
        None: ParcelDeliveryDeauthorization(cast.endpoint_key.node_id, frozenset(), cast.now).serialize(),
    }

    for name, item in items.items():
        assert (await kotlin.ask("read", kind="cargoItem", octets=item))["name"] == name


@pytest.mark.cell("core-structures")
async def test_the_kotlin_library_and_we_verify_each_others_registration_authorization(kotlin, cast):
    expiry = (datetime.now(UTC) + timedelta(minutes=1)).replace(microsecond=0)
    given = RegistrationAuthorization(expiry, cast.pgw_key.public_key.digest)
    key = cast.igw_key

    read = await kotlin.ask(
        "read",
        kind="registrationAuthorization",
        octets=given.serialize(key),
        publicKey=key.public_key.spki,
    )
    made = await kotlin.ask(
        "make",
        kind="registrationAuthorization",
        expiry=expiry.isoformat(),
        gatewayData=given.gateway_data,
        privateKey=key.serialize(),
    )

    theirs = RegistrationAuthorization.parse(made["octets"])
    theirs.verify(key.public_key, datetime.now(UTC))
    assert theirs == given
    assert datetime.fromisoformat(read["expiry"]) == expiry
    assert read["gatewayData"] == given.gateway_data


@pytest.mark.cell("core-structures")
async def test_the_kotlin_library_and_we_verify_each_others_registration_request(kotlin, cast):
    key = cast.pgw_key
    authorization = RegistrationAuthorization(cast.now, b"data").serialize(cast.igw_key)
    given = RegistrationRequest(key.public_key, authorization)

    read = await kotlin.ask("read", kind="registrationRequest", octets=given.serialize(key))
    made = await kotlin.ask(
        "make", kind="registrationRequest", authorization=authorization, privateKey=key.serialize()
    )

    assert read == {"authorization": authorization, "nodeKey": key.public_key.spki}
    assert RegistrationRequest.parse(made["octets"]) == given


SIGNATURE_KINDS = {
    "nonceSignature": DetachedSignatureType.NONCE,
    "deliverySignature": DetachedSignatureType.PARCEL_DELIVERY,
}


@pytest.mark.cell("core-structures")
@pytest.mark.parametrize("kind", SIGNATURE_KINDS)
async def test_the_kotlin_library_and_we_verify_each_others_detached_signatures(kotlin, cast, kind):
    ours = sign_detached(SIGNATURE_KINDS[kind], NONCE, cast.pgw_key, cast.pgw)

    read = await kotlin.ask("read", kind=kind, octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    made = await kotlin.ask(
        "make",
        kind=kind,
        signed=NONCE,
        privateKey=cast.pgw_key.serialize(),
        certificate=cast.pgw.encoding,
    )

    theirs = DetachedSignature.parse(made["octets"])
    assert theirs.authenticate(SIGNATURE_KINDS[kind], NONCE, [cast.igw], cast.now) == cast.pgw
    assert read["signer"] == cast.pgw.encoding
    (other,) = SIGNATURE_KINDS.keys() - {kind}
    with pytest.raises(PeerError, match="InvalidSignatureException"):
        await kotlin.ask("read", kind=other, octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    with pytest.raises(MalformedMessageError):
        theirs.verify(SIGNATURE_KINDS[other], NONCE)


# ---- certificates ------------------------------------------------------------------------------------


def issued(cast, name):
    """Return our role, the library's name for it, the subject, the issuer's key and certificate."""
    return {
        "self-issued gateway": (Role.SELF_ISSUED_GATEWAY, "gateway", cast.igw_key, cast.igw_key, None),
        "gateway": (Role.GATEWAY, "gateway", cast.pgw_key, cast.igw_key, cast.igw),
        "endpoint": (Role.ENDPOINT, "endpoint", cast.endpoint_key, cast.pgw_key, cast.pgw),
        "PDA": (
            Role.DELIVERY_AUTHORIZATION,
            "deliveryAuthorization",
            cast.sender_key,
            cast.endpoint_key,
            cast.endpoint,
        ),
    }[name]


async def issued_by_kotlin(kotlin, role, subject, issuer_key, issuer, not_before, not_after):
    made = await kotlin.ask(
        "make",
        kind="certificate",
        role=role,
        subjectPublicKey=subject.public_key.spki,
        issuerPrivateKey=issuer_key.serialize(),
        issuerCertificate=issuer.encoding if issuer else None,
        notBefore=not_before.isoformat(),
        notAfter=not_after.isoformat(),
    )
    return Certificate.parse(made["octets"])


@pytest.mark.cell("core-certificates")
@pytest.mark.parametrize("name", ["self-issued gateway", "gateway", "endpoint", "PDA"])
async def test_the_kotlin_library_and_we_read_each_others_certificates(kotlin, cast, name):
    role, their_role, subject, issuer_key, issuer = issued(cast, name)
    dates = {"not_before": cast.creation_date, "not_after": (cast.now + DAY).replace(microsecond=0)}
    ours = issue(subject_key=subject.public_key, issuer_key=issuer_key, issuer=issuer, role=role, **dates)

    theirs = await issued_by_kotlin(kotlin, their_role, subject, issuer_key, issuer, **dates)
    read = await kotlin.ask("read", kind="certificate", octets=ours.encoding)

    theirs.verify_issued_by(issuer or theirs)
    assert role.matches(theirs)
    assert (theirs.subject_id, theirs.not_before, theirs.not_after) == (
        subject.node_id,
        ours.not_before,
        ours.not_after,
    )
    assert datetime.fromisoformat(read.pop("notBefore")) == ours.not_before
    assert datetime.fromisoformat(read.pop("notAfter")) == ours.not_after
    assert read == {
        "issuerName": issuer_key.node_id,
        "name": subject.node_id,
        "publicKey": subject.public_key.spki,
        "subjectId": subject.node_id,
    }


@pytest.mark.cell("core-certificates")
async def test_we_follow_a_path_that_the_kotlin_library_issued_down_to_the_sender(kotlin, cast):
    dates = (cast.creation_date, cast.now + DAY)
    path, issuer = [], None
    for name in ("self-issued gateway", "gateway", "endpoint", "PDA"):
        _, their_role, subject, issuer_key, _ = issued(cast, name)
        issuer = await issued_by_kotlin(kotlin, their_role, subject, issuer_key, issuer, *dates)
        path.insert(0, issuer)
    given = replace(example("parcel", cast), path=tuple(path), chain=tuple(path[1:3]))

    parcel = Parcel.parse((await made_by_peer(kotlin, given, cast))["octets"])

    assert parcel.authorise([path[3]], cast.now) == tuple(path)


@pytest.mark.cell("core-certificates")
@pytest.mark.parametrize("anchor", [1, 2, 3])
@pytest.mark.parametrize("order", [1, -1])
async def test_the_kotlin_library_and_we_find_the_path_to_each_authority(kotlin, cast, anchor, order):
    path = (cast.pda, cast.endpoint, cast.pgw, cast.igw)
    chain, trusted = path[1:3][::order], [path[anchor]]

    found = await kotlin.ask(
        "findPath",
        certificate=cast.pda.encoding,
        chain=encodings(chain),
        trusted=encodings(trusted),
    )

    assert found == encodings(path[: anchor + 1])
    assert build_path(cast.pda, chain, trusted, at=cast.now) == path[: anchor + 1]


@pytest.mark.cell("core-certificates")
@pytest.mark.parametrize(
    "bits", [2048, *(pytest.param(bits, marks=pytest.mark.thorough) for bits in (3072, 4096))]
)
async def test_we_use_identity_keys_of_each_length_from_the_kotlin_library(kotlin, bits):
    made = await kotlin.ask("makeIdentityKey", modulus=bits)

    key = IdentityPrivateKey.load(made["privateKey"])

    assert (key.public_key.bits, key.public_key.spki, key.node_id) == (bits, made["publicKey"], made["id"])


# ---- sessions ----------------------------------------------------------------------------------------

PLAINTEXT = ServiceMessage("text/plain", bytes(range(256)) * 5)
CIPHERS = {128: "AES_128", 192: "AES_192", 256: "AES_256"}
HASHES = ("SHA256", "SHA384", "SHA512")


async def opened_by_kotlin(kotlin, cast, octets, private_key):
    return await kotlin.ask(
        "read",
        kind="envelope",
        octets=octets,
        certificate=cast.endpoint.encoding,
        sessionPrivateKey=private_key,
    )


@pytest.mark.cell("core-sessions")
async def test_we_use_session_keys_that_the_kotlin_library_made(kotlin, cast):
    made = await kotlin.ask("makeSessionKey")
    key = SessionKey(made["keyId"], SessionPublicKey.load(made["publicKey"]))
    octets, our_key = seal(PLAINTEXT.serialize(), key)

    read = await opened_by_kotlin(kotlin, cast, octets, made["privateKey"])

    assert read["payload"]["content"] == PLAINTEXT.content
    assert read["originatorKey"] == our_key
    assert SessionPrivateKey.load(made["privateKey"]).public_key == key.public_key


@pytest.mark.cell("core-sessions")
@pytest.mark.parametrize(
    ("cipher", "key_wrap", "kdf_hash"), list(itertools.product(ContentCipher, KeyWrap, HashAlgorithm))
)
async def test_the_kotlin_library_decrypts_ours(kotlin, cast, cipher, key_wrap, kdf_hash):
    octets, our_key = seal(
        PLAINTEXT.serialize(),
        cast.session.session_key,
        content_cipher=cipher,
        key_wrap=key_wrap,
        kdf_hash=kdf_hash,
    )

    read = await opened_by_kotlin(kotlin, cast, octets, cast.session.private_key.serialize())

    assert read["payload"]["content"] == PLAINTEXT.content
    assert read["originatorKey"] == our_key


@pytest.mark.cell("core-sessions")
@pytest.mark.parametrize(("bits", "kdf_hash"), list(itertools.product(CIPHERS, HASHES)))
async def test_we_decrypt_those_of_the_kotlin_library(kotlin, cast, bits, kdf_hash):
    made = await kotlin.ask(
        "make",
        kind="envelope",
        plaintext=PLAINTEXT.content,
        sessionKey=described_key(cast.session.session_key),
        cipher=CIPHERS[bits],
        hash=kdf_hash,
    )

    envelope = EnvelopedData.parse(made["octets"])

    originator = SessionPrivateKey.load(made["originatorPrivateKey"])
    assert envelope.decrypt(cast.session.private_key) == PLAINTEXT.content
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key == SessionKey(made["originatorKeyId"], originator.public_key)
    assert envelope.content_cipher is ContentCipher(f"AES-{bits}-CBC")


@pytest.mark.cell("core-sessions")
@pytest.mark.parametrize("key_id", [b"\x00", b"\xff" * 8, bytes(40)])
async def test_key_ids_of_any_length_come_from_the_kotlin_library(kotlin, key_id):
    pair = SessionKeyPair(key_id, SessionPrivateKey.generate())

    made = await kotlin.ask(
        "make", kind="envelope", plaintext=b"", sessionKey=described_key(pair.session_key)
    )

    assert EnvelopedData.parse(made["octets"]).recipient_key_id == key_id


@pytest.mark.cell("core-sessions")
async def test_each_side_answers_with_the_session_key_that_came_with_a_message(kotlin, cast):
    given = example("parcel", cast)
    made = await made_by_peer(kotlin, given, cast)
    their_key = EnvelopedData.parse(Parcel.parse(made["octets"]).payload).originator_key
    payload, our_key = seal(ServiceMessage("text/plain", b"thanks").serialize(), their_key)

    read = await kotlin.ask(
        "read",
        kind="parcel",
        octets=a_message(given, cast, payload=payload).serialize(given.key),
        sessionPrivateKey=made["originatorPrivateKey"],
    )

    assert read["payload"] == {"type": "text/plain", "content": b"thanks"}
    assert read["senderSessionKey"] == our_key


@pytest.mark.cell("core-sessions")
@pytest.mark.parametrize("curve", [Curve.P384, Curve.P521])
async def test_the_kotlin_library_cannot_encrypt_to_a_key_on_another_curve_than_its_own(kotlin, curve):
    pair = SessionKeyPair.generate(curve)

    with pytest.raises(PeerError, match="parameters"):
        await kotlin.ask("make", kind="envelope", plaintext=b"x", sessionKey=described_key(pair.session_key))
