# SPDX-License-Identifier: MIT
"""``awala inspect``: each kind of artefact has exactly the members that people and scripts rely on."""

from __future__ import annotations

import pytest
from messages_cast import (
    EP,
    EP_CERT,
    IGW,
    IGW_CERT,
    NOW,
    PDA,
    PEER,
    PGW,
    PGW_CERT,
    PGW_SELF,
    SESSION,
    a_parcel,
    certificate,
    sealed,
)

from awala.cms import sign
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignatureType,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    HandshakeResponse,
    NodeConnectionParams,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    sign_detached,
)
from awala.messages.inspection import Kind, inspect
from awala.pki import CertificationPath, Role
from helpers.vectors import vector

KEY = SESSION.session_key
PATH = CertificationPath(PDA, (EP_CERT, PGW_CERT))
TO_GATEWAY = (Recipient(IGW.node_id, "example.com"), "id", NOW, 60)
CDA = certificate(IGW, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION)
REQUEST = CargoCollectionRequest(CDA).serialize()
ITEMS = CargoMessageSet((b"one",)).serialize()
LETTER = ServiceMessage("a/b", b"content").serialize()
AUTHORIZATION = RegistrationAuthorization(NOW, b"data").serialize(IGW)

ENVELOPE = {"id", "created_at", "expires_at", "ttl", "size", "recipient", "sender", "chain"}
JUDGED = {"authorised", "path", "reason"}
PAYLOAD = {
    "encryption",
    "content_cipher",
    "key_wrap",
    "kdf_hash",
    "recipient_key_id",
    "originator_key_id",
    "size",
}
CERTIFICATE = {"subject_id", "issuer_id", "serial", "not_before", "not_after", "is_ca", "path_length"}
CHAIN = {"leaf", "authorities"}
CONNECTION = {"internet_address", "identity_id", "session_key_id", "session_key_curve"}

TABLE = {
    Kind.PARCEL: (a_parcel(payload=sealed(LETTER)).serialize(PEER), ENVELOPE | {"payload"}),
    Kind.CARGO: (Cargo(*TO_GATEWAY, sealed(ITEMS), PGW_CERT).serialize(PGW), ENVELOPE | {"payload"}),
    Kind.CCA: (
        CargoCollectionAuthorization(*TO_GATEWAY, sealed(REQUEST), PGW_CERT).serialize(PGW),
        ENVELOPE | {"payload"},
    ),
    Kind.GATEWAY_CERTIFICATE_REVOCATION: (
        GatewayCertificateRevocation(*TO_GATEWAY, b"", PGW_CERT).serialize(PGW),
        ENVELOPE,
    ),
    Kind.ENVELOPED_DATA: (sealed(b"x"), PAYLOAD | {"payload"}),
    Kind.SIGNED_DATA: (
        sign(b"x", key=PGW, signer=PGW_CERT),
        {"detached", "signer_id", "certificates"},
    ),
    Kind.CERTIFICATE: (PDA.encoding, CERTIFICATE),
    Kind.PCA: (
        ParcelCollectionAck("0a", "0b", "id").serialize(),
        {"sender_id", "recipient_id", "parcel_id"},
    ),
    Kind.PDD: (
        ParcelDeliveryDeauthorization(EP.node_id, frozenset({b"\x01"}), NOW).serialize(),
        {"endpoint_id", "serials", "expires_at"},
    ),
    Kind.CERTIFICATE_ROTATION: (CertificateRotation(PATH).serialize(), CHAIN),
    Kind.CERTIFICATION_PATH: (PATH.serialize(), CHAIN),
    Kind.NODE_CONNECTION_PARAMS: (
        NodeConnectionParams("example.com", IGW.public_key, KEY).serialize(),
        CONNECTION,
    ),
    Kind.PRIVATE_ENDPOINT_CONNECTION_PARAMS: (
        PrivateEndpointConnectionParams(EP.public_key, "example.com", PATH, KEY).serialize(),
        CONNECTION | CHAIN,
    ),
    Kind.REGISTRATION_AUTHORIZATION: (AUTHORIZATION, {"expires_at", "gateway_data"}),
    Kind.REGISTRATION_REQUEST: (
        RegistrationRequest(PGW.public_key, AUTHORIZATION).serialize(PGW),
        {"node_id", "authorization"},
    ),
    Kind.REGISTRATION: (
        Registration(PGW_CERT, IGW_CERT, "example.com", KEY).serialize(),
        {"node_certificate", "gateway_certificate", "internet_address", "session_key_id"},
    ),
    Kind.SERVICE_MESSAGE: (LETTER, {"type", "content_base64"}),
    Kind.CARGO_MESSAGE_SET: (ITEMS, {"items"}),
    Kind.CARGO_COLLECTION_REQUEST: (REQUEST, {"cargo_delivery_authorization"}),
    Kind.HANDSHAKE_CHALLENGE: (HandshakeChallenge(b"nonce").serialize(), {"nonce"}),
    Kind.HANDSHAKE_RESPONSE: (
        HandshakeResponse((sign_detached(DetachedSignatureType.NONCE, b"nonce", PGW, PGW_CERT),)).serialize(),
        {"signatures"},
    ),
    Kind.PARCEL_DELIVERY: (ParcelDelivery("id", b"parcel").serialize(), {"delivery_id", "size"}),
    Kind.PUBLIC_KEY: (IGW.public_key.spki, {"algorithm", "bits", "node_id"}),
    Kind.PRIVATE_KEY: (vector("js", "sk.pkcs8.der"), {"algorithm", "curve"}),
}


def members(data, **options) -> set[str]:
    return set(inspect(data, at=NOW, **options)) - {"kind"}


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_the_members_of_the_contract(kind):
    data, expected = TABLE[kind]
    assert inspect(data, kind=kind, at=NOW)["kind"] == kind.value
    assert members(data, kind=kind) == expected


@pytest.mark.parametrize("kind", [Kind.PARCEL, Kind.CARGO, Kind.CCA, Kind.ENVELOPED_DATA])
def test_a_key_adds_the_plaintext(kind):
    data, expected = TABLE[kind]
    keys = [SESSION.private_key.serialize()]
    report = inspect(data, keys=keys, kind=kind, at=NOW)
    assert set(report) - {"kind"} == expected | {"plaintext"}
    assert set(report["payload"]) == PAYLOAD
    plaintexts = {
        Kind.PARCEL: {"type", "content_base64"},
        Kind.CARGO: {"items"},
        Kind.CCA: {"cargo_delivery_authorization"},
        Kind.ENVELOPED_DATA: {"content_base64"},
    }
    assert set(report["plaintext"]) == plaintexts[kind]


@pytest.mark.parametrize("kind", [Kind.PARCEL, Kind.CARGO, Kind.CCA, Kind.GATEWAY_CERTIFICATE_REVOCATION])
def test_trust_adds_a_judgement(kind):
    data, expected = TABLE[kind]
    assert members(data, anchors=[IGW_CERT], kind=kind) == expected | JUDGED
    assert members(data, anchors=[PDA], kind=kind) == expected | JUDGED


@pytest.mark.parametrize("kind", [Kind.PARCEL, Kind.GATEWAY_CERTIFICATE_REVOCATION])
def test_recipients_and_senders_have_their_members(kind):
    report = inspect(TABLE[kind][0], at=NOW)
    assert set(report["recipient"]) == {"id", "internet_address"}
    assert set(report["sender"]) == {"id", "certificate"}
    assert set(report["sender"]["certificate"]) == CERTIFICATE


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (SESSION.session_key.public_key.spki, {"algorithm", "curve"}),
        (vector("js", "pgw.pkcs8.der"), {"algorithm", "bits", "node_id"}),
    ],
)
def test_keys_have_a_curve_or_a_length_and_an_id(data, expected):
    assert members(data) == expected
