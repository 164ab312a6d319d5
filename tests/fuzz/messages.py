# SPDX-License-Identifier: MIT
"""Targets for messages and structures, and for what explains them."""

from __future__ import annotations

import json
import zlib
from base64 import encodebytes
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

from awala.cms import SignedData, sign
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    HandshakeResponse,
    InvalidMessageError,
    MalformedMessageError,
    MessageError,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    RamfMessage,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    recognise,
)
from awala.messages.errors import reading as wrapping
from awala.messages.inspection import Kind, inspect
from fuzz.core import CERTIFICATES, public_keys
from fuzz.target import Target, reading
from helpers.artefacts import ANCHORS, artefacts, judge
from helpers.cast import certificate, chain, identity_key
from helpers.vectors import AT, DIRECTORY, STACKS, vector

PGW_CERTS = tuple(certificate(stack, "pgwCert") for stack in STACKS)
SIGNED_BY_PGW = {
    DetachedSignatureType.NONCE: b"0123456789abcdef",
    DetachedSignatureType.PARCEL_DELIVERY: vector("js", "parcel"),
}

# RAMF messages


class Judged:
    """A message is refused, not authorised, or one of those that were ``made``, in every value.

    Those that another process made, whose signatures differ, are made known by `learn`.
    """

    def __init__(
        self, message_class: type[RamfMessage], made: Callable[[], Iterator[bytes]] | None = None
    ) -> None:
        self.message_class = message_class
        self.made = made or of_class(message_class)
        self.authorised: set[tuple[object, ...] | None] = set()
        self.complete = False

    def learn(self, seeds: Iterable[bytes]) -> None:
        self.authorised |= {judge(self.message_class, octets) for octets in seeds}

    def run(self, data: bytes) -> None:
        values = judge(self.message_class, data)
        if values is None:
            return
        if not self.complete:
            self.learn(self.made())
            self.complete = True
        assert values in self.authorised, "an authorised message has other values than any made"


def judging(
    name: str,
    message_class: type[RamfMessage],
    max_len: int,
    made: Callable[[], Iterator[bytes]] | None = None,
) -> Target:
    judged = Judged(message_class, made)
    return Target(name, judged.run, made=judged.made, learn=judged.learn, max_len=max_len)


def of_class(message_class: type[RamfMessage]) -> Callable[[], Iterator[bytes]]:
    return lambda: (each.octets for each in artefacts() if each.message_class is message_class)


def revocations() -> Iterator[bytes]:
    for stack in STACKS:
        sender = certificate(stack, "pgwCert")
        recipient = Recipient(certificate(stack, "igwCert").node_id, "gateway.example.com")
        revocation = GatewayCertificateRevocation(recipient, "id", AT, 300, b"", sender)
        yield revocation.serialize(identity_key(stack, "pgw"))


SENDER, *SENDER_CHAIN = chain("js")
SENDER_KEY = identity_key("js", "peer")


SIGNED_IN_FULL = 1024
"""One input in so many is signed, which takes half a millisecond; the others meet one that was checked."""


def signed_parcel(fields: bytes) -> bytes:
    return sign(
        fields, key=SENDER_KEY, signer=SENDER, certificates=SENDER_CHAIN[:2], prefix=Parcel.TYPE.prefix
    )


READY = SignedData.parse(signed_parcel(b"")[len(Parcel.TYPE.prefix) :])


def parcel_of(fields: bytes) -> Parcel:
    with wrapping(Parcel.NAME):
        return Parcel._of_signed(fields, READY, fields)


def ramf_fields(data: bytes) -> None:
    """What somebody signed whom we know, whatever it is: it is refused, or can be written and read again."""
    try:
        parcel = parcel_of(data)
    except MalformedMessageError:
        parcel = None
    if zlib.crc32(data) % SIGNED_IN_FULL == 0:
        signed_fields(data, parcel)
    if parcel is None:
        return
    for question in (
        lambda: parcel.authorise_at_internet_gateway(ANCHORS, AT),
        parcel.check_chain,
        lambda: again(parcel),
    ):
        try:
            question()
        except InvalidMessageError:
            continue
    assert parcel.expiry_date >= parcel.creation_date


def signed_fields(data: bytes, parcel: Parcel | None) -> None:
    """Signing the octets, and a parcel that was read from them, tells the same as the fields alone."""
    try:
        whole = Parcel.parse(signed_parcel(data))
    except MalformedMessageError:
        whole = None
    assert whole == parcel
    if parcel is not None and not refused(lambda: parcel.serialize(SENDER_KEY)):
        assert Parcel.parse(parcel.serialize(SENDER_KEY)) == parcel


def again(parcel: Parcel) -> None:
    assert parcel_of(b"".join(parcel._encode_fields())) == parcel


def fields_of_parcels() -> Iterator[bytes]:
    for octets in of_class(Parcel)():
        if len(octets) < 8192:
            yield b"".join(Parcel.parse(octets)._encode_fields())


# Structures


def collection_request(data: bytes) -> None:
    request = reading(CargoCollectionRequest.parse, CargoCollectionRequest.serialize)(data)
    if request is not None:
        refused(lambda: request.check(sender=PGW_CERTS[0], own_id=ANCHORS[0].node_id, now=AT))


def refused(question: Callable[[], object]) -> bool:
    """Ask what may be answered with a `MessageError`; return whether it was."""
    try:
        question()
    except MessageError:
        return True
    return False


def registration_authorization(data: bytes) -> None:
    try:
        authorization = RegistrationAuthorization.parse(data)
    except MalformedMessageError:
        return
    if not refused(lambda: authorization.verify(identity_key("js", "igw").public_key, AT)):
        assert authorization.gateway_data == b"gwdata"


def registration_request(data: bytes) -> None:
    try:
        request = RegistrationRequest.parse(data)
    except MalformedMessageError:
        return
    assert request in authentic_requests(), "a countersignature holds that nobody made"


@cache
def authentic_requests() -> tuple[RegistrationRequest, ...]:
    return tuple(RegistrationRequest.parse(vector(stack, "pnrr.der")) for stack in STACKS)


def detached_signature(data: bytes) -> None:
    try:
        signature = DetachedSignature.parse(data)
    except MalformedMessageError:
        return
    refused(lambda: signature.check_signer(ANCHORS, AT))
    for signature_type, plaintext in SIGNED_BY_PGW.items():
        if not refused(partial(signature.authenticate, signature_type, plaintext, ANCHORS, AT)):
            assert signature.signer in PGW_CERTS


def withdrawals() -> Iterator[bytes]:
    for serials in ((), (b"\1",), (b"\1" * 20, b"\xff", b"\0\2")):
        yield ParcelDeliveryDeauthorization("0" + "5a" * 32, frozenset(serials), AT).serialize()


def cargo_message_set(data: bytes) -> None:
    message_set = reading(CargoMessageSet.parse, CargoMessageSet.serialize)(data)
    if message_set is not None:
        for item in message_set.items:
            recognise(item)


def small_sets() -> Iterator[bytes]:
    yield CargoMessageSet((vector("js", "pca"), b"", b"x" * 200)).serialize()


# Explanations

KINDS = tuple(Kind)
LARGEST = 5000
SESSION_KEY = vector("js", "sk.pkcs8.der")


def explain(data: bytes, kind: Kind | None = None) -> None:
    try:
        report = inspect(data, kind=kind, keys=[SESSION_KEY], anchors=ANCHORS, at=AT)
    except MessageError:
        return
    json.dumps(report)


def explain_as(data: bytes) -> None:
    """The first octet chooses the kind."""
    if data:
        explain(data[1:], KINDS[data[0] % len(KINDS)])


def of_every_kind() -> Iterator[bytes]:
    for file in sorted(DIRECTORY.glob("js/*")):
        octets = file.read_bytes()
        if len(octets) > LARGEST or (file.match("*.pkcs8.der") and file.name != "sk.pkcs8.der"):
            continue  # checking the numbers of an identity key takes 40 ms
        for number, kind in enumerate(KINDS):
            if not refused(partial(inspect, octets, kind=kind, at=AT)):
                yield bytes((number,)) + octets


def armoured() -> Iterator[bytes]:
    for label, name in (("CERTIFICATE", "epCert.der"), ("PRIVATE KEY", "sk.pkcs8.der")):
        text = encodebytes(vector("js", name))
        yield b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), text, label.encode())


TARGETS = (
    judging("parcel", Parcel, 6144),
    judging("cargo", Cargo, 8192),
    judging("cca", CargoCollectionAuthorization, 5120),
    judging("gateway-certificate-revocation", GatewayCertificateRevocation, 4096, revocations),
    Target("ramf-fields", ramf_fields, made=fields_of_parcels, max_len=1024),
    Target(
        "service-message",
        reading(ServiceMessage.parse, ServiceMessage.serialize),
        ("*/serviceMessage.der",),
        max_len=512,
    ),
    Target("cargo-message-set", cargo_message_set, ("*/cms.der",), small_sets, max_len=8192),
    Target("cargo-collection-request", collection_request, ("*/ccr.der",)),
    Target(
        "parcel-collection-ack",
        reading(ParcelCollectionAck.parse, ParcelCollectionAck.serialize),
        ("*/pca",),
        max_len=512,
    ),
    Target(
        "parcel-delivery-deauthorization",
        reading(ParcelDeliveryDeauthorization.parse, ParcelDeliveryDeauthorization.serialize),
        made=withdrawals,
        max_len=1024,
    ),
    Target(
        "certificate-rotation",
        reading(CertificateRotation.parse, CertificateRotation.serialize),
        ("*/rotation",),
    ),
    Target(
        "node-connection-params",
        reading(NodeConnectionParams.parse, NodeConnectionParams.serialize),
        ("*/ncp.der",),
        max_len=1024,
    ),
    Target(
        "private-endpoint-connection-params",
        reading(PrivateEndpointConnectionParams.parse, PrivateEndpointConnectionParams.serialize),
        ("*/pecp.der",),
        max_len=5120,
    ),
    Target("registration-authorization", registration_authorization, ("*/pnra.der",), max_len=1024),
    Target("registration-request", registration_request, ("*/pnrr.der",), max_len=1536),
    Target("registration", reading(Registration.parse, Registration.serialize), ("*/pnr*.der",)),
    Target(
        "handshake-challenge",
        reading(HandshakeChallenge.parse, HandshakeChallenge.serialize),
        ("*/challenge.der",),
        max_len=256,
    ),
    Target(
        "handshake-response",
        reading(HandshakeResponse.parse, HandshakeResponse.serialize),
        ("*/response.der",),
    ),
    Target(
        "parcel-delivery",
        reading(ParcelDelivery.parse, ParcelDelivery.serialize),
        ("*/parcelDelivery.der",),
        max_len=512,
    ),
    Target("detached-signature", detached_signature, ("*/nonceSig.der", "*/countersig.der")),
    Target(
        "inspect",
        explain,
        ("*/p[adn]*", "*/pecp.der", "*/c*", "*/n*", "*/r*", "*/s*", "*/e*.spki.der", *CERTIFICATES),
        lambda: (*armoured(), *public_keys()),
        max_len=6144,
    ),
    Target("inspect-as-kind", explain_as, made=of_every_kind, max_len=5120),
)
