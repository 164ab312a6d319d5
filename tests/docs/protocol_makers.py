# SPDX-License-Identifier: MIT
"""Makes each artefact of the protocol's examples from the cast and from the artefacts before it."""

from __future__ import annotations

from collections.abc import Callable

import protocol_cast as cast

from awala.asn1 import der
from awala.cms import EnvelopedData, encrypt
from awala.cms.encrypting import shared_info, wrap_algorithm
from awala.crypto import KeyWrap
from awala.messages import (
    DetachedSignatureType,
    GatewayCertificateRevocation,
    NodeConnectionParams,
    ParcelCollectionAck,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    RamfMessage,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    sign_detached,
)
from awala.pki import Certificate, CertificationPath, Role, issue


class Shelf:
    """The artefacts made so far."""

    def __init__(self) -> None:
        self.octets: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        return self.octets[name]

    def certificate(self, name: str) -> Certificate:
        return Certificate.parse(self.octets[f"{name}.cert.der"])

    def path(self) -> CertificationPath:
        """Return what authorises B to write to A."""
        names = ("pda", "endpoint-a", "private-gateway")
        leaf, *authorities = [self.certificate(name) for name in names]
        return CertificationPath(leaf, tuple(authorities))

    def rotated(self) -> CertificationPath:
        """Return the private gateway's certificate, as a rotation brings it."""
        return CertificationPath(self.certificate("private-gateway"), (self.certificate("internet-gateway"),))


def certificate(
    subject: str, by: str, issuer: str | None, role: Role, serial: int
) -> Callable[[Shelf], bytes]:
    return lambda shelf: (
        issue(
            subject_key=cast.identity(subject).public_key,
            issuer_key=cast.identity(by),
            issuer=None if issuer is None else shelf.certificate(issuer),
            role=role,
            not_before=cast.CREATED,
            not_after=cast.END,
            serial=serial,
        ).encoding
    )


def enveloped(plaintext: str, sender: str, recipient: str) -> Callable[[Shelf], bytes]:
    return lambda shelf: encrypt(
        shelf[plaintext], recipient=cast.session(recipient).session_key, originator=cast.session(sender)
    )


def ramf(
    kind: type[RamfMessage],
    sender: str,
    recipient: str,
    payload: str,
    message_id: str,
    ttl: int,
    path: Callable[[Shelf], CertificationPath],
) -> Callable[[Shelf], bytes]:
    def make(shelf: Shelf) -> bytes:
        message = kind(
            recipient=Recipient(cast.identity(recipient).node_id, cast.ADDRESS),
            message_id=message_id,
            creation_date=cast.CREATED,
            ttl=ttl,
            payload=shelf[payload],
            sender_certificate=path(shelf).leaf,
            sender_chain=path(shelf).authorities,
        )
        return message.serialize(cast.identity(sender))

    return make


def uplink(shelf: Shelf) -> CertificationPath:
    return CertificationPath(shelf.certificate("private-gateway"))


def detached(kind: DetachedSignatureType, what: Callable[[Shelf], bytes]) -> Callable[[Shelf], bytes]:
    return lambda shelf: sign_detached(
        kind, what(shelf), cast.identity("private-gateway"), shelf.certificate("private-gateway")
    )


def gateway_data() -> bytes:
    return cast.NONCE + cast.identity("private-gateway").public_key.digest


def authorization_text(_shelf: Shelf) -> bytes:
    return der.sequence(
        der.implicit(0, der.oid_content("1.3.6.1.4.1.58708.0.2.0")),
        der.implicit(1, b"20300102030415"),
        der.implicit(2, gateway_data()),
    )


def request_text(shelf: Shelf) -> bytes:
    return der.sequence(
        der.implicit(0, der.oid_content("1.3.6.1.4.1.58708.0.2.1")),
        der.implicit(1, shelf["registration-authorization.der"]),
    )


def authorization(_shelf: Shelf) -> bytes:
    expiry = cast.AT.replace(second=15)
    return RegistrationAuthorization(expiry, gateway_data()).serialize(cast.identity("internet-gateway"))


def request(shelf: Shelf) -> bytes:
    key = cast.identity("private-gateway")
    return RegistrationRequest(key.public_key, shelf["registration-authorization.der"]).serialize(key)


def registration(shelf: Shelf) -> bytes:
    return Registration(
        shelf.certificate("private-gateway"),
        shelf.certificate("internet-gateway"),
        cast.ADDRESS,
        cast.session("internet-gateway").session_key,
    ).serialize()


def private_params(shelf: Shelf) -> bytes:
    return PrivateEndpointConnectionParams(
        cast.identity("endpoint-a").public_key,
        cast.ADDRESS,
        shelf.path(),
        cast.session("endpoint-a").session_key,
    ).serialize()


def node_params(_shelf: Shelf) -> bytes:
    return NodeConnectionParams(
        cast.ADDRESS,
        cast.identity("internet-gateway").public_key,
        cast.session("internet-gateway").session_key,
    ).serialize()


def acknowledgement(_shelf: Shelf) -> bytes:
    ids = (cast.identity("endpoint-b").node_id, cast.identity("endpoint-a").node_id)
    return ParcelCollectionAck(*ids, cast.MESSAGE_ID).serialize()


def withdrawal(shelf: Shelf) -> bytes:
    return ParcelDeliveryDeauthorization(
        cast.identity("endpoint-a").node_id, frozenset({shelf.certificate("pda").serial}), cast.END
    ).serialize()


def revocation(shelf: Shelf) -> bytes:
    message = GatewayCertificateRevocation(
        recipient=Recipient(cast.identity("internet-gateway").node_id, cast.ADDRESS),
        message_id=cast.REVOCATION_ID,
        creation_date=cast.CREATED,
        ttl=97_200,
        payload=b"",
        sender_certificate=shelf.certificate("private-gateway"),
    )
    return message.serialize(cast.identity("private-gateway"))


def derivation_info(shelf: Shelf) -> bytes:
    ukm = EnvelopedData.parse(shelf["service-message.enveloped.der"])._agreement.ukm
    return shared_info(wrap_algorithm(KeyWrap.AES_128), ukm, KeyWrap.AES_128)
