# SPDX-License-Identifier: MIT
"""Parcels, cargo and CCAs that are authorised, of both deployed stacks and of our own, in all algorithms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from awala.cms import EnvelopedData, encrypt, sign
from awala.crypto import ContentCipher, Curve, HashAlgorithm, SessionKeyPair, SessionPrivateKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    InvalidMessageError,
    MalformedMessageError,
    Parcel,
    RamfMessage,
    Recipient,
    ServiceMessage,
)
from awala.pki import Certificate
from helpers.cast import certificate, chain, identity_key, session_key_pair
from helpers.vectors import AT, STACKS, vector

ANCHORS = tuple(certificate(stack, "igwCert") for stack in STACKS)
"""The Internet gateways of both casts: what all these messages are judged with, as of `AT`."""

_OF_STACKS = (
    (Parcel, "js", "parcel"),
    (Parcel, "js", "parcelNoAddr"),
    (Cargo, "js", "cargo"),
    (CargoCollectionAuthorization, "js", "cca"),
    (Parcel, "jvm", "parcel"),
    (Parcel, "jvm", "parcelNoAddr"),
    (Parcel, "jvm", "bigparcel"),
)
_OWN = (
    ("der", ContentCipher.AES_128_CBC, Curve.P256, HashAlgorithm.SHA256),
    ("gcm", ContentCipher.AES_128_GCM, Curve.P256, HashAlgorithm.SHA256),
    ("p384", ContentCipher.AES_256_CBC, Curve.P384, HashAlgorithm.SHA384),
    ("sha512", ContentCipher.AES_256_GCM, Curve.P256, HashAlgorithm.SHA512),
)


@dataclass(frozen=True)
class Artefact:
    """A message that is authorised under `ANCHORS`, and the key that opens it."""

    name: str
    message_class: type[RamfMessage]
    octets: bytes
    key: SessionPrivateKey


def judge(message_class: type[RamfMessage], octets: bytes) -> tuple[object, ...] | None:
    """Return all values of a message that is authorised, None if it is refused or not authorised.

    The values are all that the sender signed, its certificate, and the path that authorises it, each
    certificate by what its issuer signed: the headers around that may take any form of BER. What else
    is embedded is neither signed nor used, so anybody may add it or leave it out.
    """
    try:
        message = message_class.parse(octets)
    except MalformedMessageError:
        return None
    try:
        path = message.authorise(ANCHORS, AT)
    except InvalidMessageError:
        return None
    return (
        message.recipient,
        message.message_id,
        message.creation_date,
        message.ttl,
        message.payload,
        message.sender_certificate,
        message.signed_attribute_types,
        tuple(path),
    )


def judge_opened(artefact: Artefact, octets: bytes) -> tuple[object, ...] | None:
    """Do what `judge` does, and add what the recipient of ``artefact`` makes of the payload."""
    values = judge(artefact.message_class, octets)
    if values is None:
        return None
    payload = next(value for value in values if isinstance(value, bytes))
    return (*values, EnvelopedData.parse(payload).decrypt(artefact.key))


@cache
def artefacts() -> tuple[Artefact, ...]:
    """Return them all; those of our own are made once per process."""
    return (*_of_stacks(), *_own())


def _of_stacks() -> Iterator[Artefact]:
    for message_class, stack, name in _OF_STACKS:
        key = session_key_pair(stack).private_key
        yield Artefact(f"{stack}-{name}", message_class, vector(stack, name), key)


def _own() -> Iterator[Artefact]:
    for name, cipher, curve, hash_algorithm in _OWN:
        recipient = session_key_pair("jvm", "sk" if curve is Curve.P256 else "sk384")
        for message_class, sender, certificates, plaintext in _cast():
            payload = encrypt(
                plaintext,
                recipient=recipient.session_key,
                originator=SessionKeyPair.generate(curve),
                content_cipher=cipher,
                kdf_hash=hash_algorithm,
            )
            message = message_class(
                recipient=Recipient(certificates[1].node_id, "gateway.example.com"),
                message_id=f"id-{name}",
                creation_date=AT,
                ttl=300,
                payload=payload,
                sender_certificate=certificates[0],
                sender_chain=certificates[1:-1],
            )
            octets = sign(
                *message._encode_fields(),
                key=identity_key("jvm", sender),
                signer=message.sender_certificate,
                certificates=message.sender_chain,
                hash_algorithm=hash_algorithm,
                prefix=message_class.TYPE.prefix,
            )
            kind = message_class.TYPE.name.lower()
            yield Artefact(f"own-{kind}-{name}", message_class, octets, recipient.private_key)


def _cast() -> tuple[tuple[type[RamfMessage], str, tuple[Certificate, ...], bytes], ...]:
    """Return for each type of message who sends it, with what path, and what is inside."""
    whole = chain("jvm")
    service_message = ServiceMessage("a/b", b"content").serialize()
    return (
        (Parcel, "peer", whole, service_message),
        (Cargo, "pgw", whole[2:], CargoMessageSet((vector("jvm", "pca"),)).serialize()),
        (CargoCollectionAuthorization, "pgw", whole[2:], CargoCollectionRequest(whole[0]).serialize()),
    )
