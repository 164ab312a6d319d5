# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta

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
    SESSION,
    a_parcel,
    certificate,
    envelope,
    sealed,
)

from awala.asn1 import der
from awala.cms import sign
from awala.messages import (
    AmbiguousKindError,
    CargoMessageSet,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    InvalidMessageError,
    MalformedMessageError,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    Recipient,
    RegistrationRequest,
    WrongKeyError,
)
from awala.messages.inspection import Kind, inspect
from awala.pki import Certificate, CertificationPath, PathForm, RateLimit, Role
from helpers.vectors import AT, STACKS, vector

SESSION_KEY = SESSION.private_key.serialize()


def explained(data, **options):
    report = inspect(data, **({"at": AT} | options))
    assert json.loads(json.dumps(report)) == report
    return report


def pem(label: str, octets: bytes) -> bytes:
    body = b64encode(octets).decode()
    lines = "\n".join(body[start : start + 64] for start in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def certificate_members(certificate: Certificate) -> dict[str, object]:
    return {
        "subject_id": certificate.subject_id,
        "issuer_id": certificate.issuer_id,
        "serial": certificate.serial.hex(),
        "not_before": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "is_ca": certificate.is_ca,
        "path_length": certificate.path_length,
    }


KINDS = {
    "parcel": "parcel",
    "parcelNoAddr": "parcel",
    "pca": "pca",
    "rotation": "certificate-rotation",
    "session.env.der": "enveloped-data",
    "sessionless.env.der": "enveloped-data",
    "big.env.der": "enveloped-data",
    "countersig.der": "signed-data",
    "nonceSig.der": "signed-data",
    "igwCert.der": "certificate",
    "pgwCert.der": "certificate",
    "epCert.der": "certificate",
    "pda.der": "certificate",
    "ncp.der": "node-connection-params",
    "pecp.der": "private-endpoint-connection-params",
    "pnra.der": "registration-authorization",
    "pnrr.der": "registration-request",
    "pnr.der": "registration",
    "pnrNoSession.der": "registration",
    "cms.der": "cargo-message-set",
    "ccr.der": "cargo-collection-request",
    "challenge.der": "handshake-challenge",
    "response.der": "handshake-response",
    "igw.spki.der": "public-key",
    "sk.spki.der": "public-key",
    "sk.pkcs8.der": "private-key",
    "pgw.pkcs8.der": "private-key",
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", KINDS)
def test_recognises_the_artefacts_of_both_stacks(stack, name):
    assert explained(vector(stack, name))["kind"] == KINDS[name]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("cargo", "cargo"), ("cca", "cca"), ("cda.der", "certificate"), ("nonminimal.der", "certificate")],
)
def test_recognises_what_only_one_stack_made(name, kind):
    assert explained(vector("js", name))["kind"] == kind


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", ["serviceMessage.der", "parcelDelivery.der"])
def test_says_which_kinds_fit_when_several_do(stack, name):
    with pytest.raises(AmbiguousKindError, match="service-message, parcel-delivery") as caught:
        inspect(vector(stack, name), at=AT)
    assert caught.value.candidates == ("service-message", "parcel-delivery")


@pytest.mark.parametrize("stack", STACKS)
def test_reads_an_artefact_as_the_kind_that_is_asked_for(stack):
    assert explained(vector(stack, "serviceMessage.der"), kind="service-message") == {
        "kind": "service-message",
        "type": "application/vnd.example",
        "content_base64": b64encode(b"hello world").decode(),
    }
    assert explained(vector(stack, "parcelDelivery.der"), kind=Kind.PARCEL_DELIVERY) == {
        "kind": "parcel-delivery",
        "delivery_id": "the-delivery-id",
        "size": 6,
    }


def test_refuses_a_kind_that_does_not_exist():
    with pytest.raises(InvalidMessageError, match="handshake-challenge"):
        inspect(b"", kind="letter", at=AT)


def test_refuses_an_artefact_of_another_kind_than_asked_for():
    with pytest.raises(MalformedMessageError):
        inspect(vector("js", "pca"), kind="parcel", at=AT)


@pytest.mark.parametrize("stack", STACKS)
def test_explains_a_parcel(stack):
    octets = vector(stack, "parcel")
    pda, endpoint, gateway = (
        Certificate.parse(vector(stack, f"{name}.der")) for name in ("pda", "epCert", "pgwCert")
    )
    report = explained(octets)
    payload = report.pop("payload")
    identifier = report.pop("id")
    created = {"js": "2026-11-21T00:49:24Z", "jvm": "2026-11-21T00:49:35Z"}[stack]
    assert len(identifier) == 36
    assert report == {
        "kind": "parcel",
        "created_at": created,
        "expires_at": created.replace("T00", "T01"),
        "ttl": 3600,
        "size": len(octets),
        "recipient": {"id": endpoint.node_id, "internet_address": "frankfurt.relaycorp.cloud"},
        "sender": {"id": pda.node_id, "certificate": certificate_members(pda)},
        "chain": [endpoint.node_id, gateway.node_id],
    }
    envelope_octets = vector(stack, "session.env.der")
    assert payload.pop("originator_key_id") != vector(stack, "sk.id").hex()
    assert payload == {
        "encryption": "session",
        "content_cipher": "aes-128-cbc",
        "key_wrap": {"js": "aes-256-wrap", "jvm": "aes-128-wrap"}[stack],
        "kdf_hash": {"js": "sha512", "jvm": "sha256"}[stack],
        "recipient_key_id": vector(stack, "sk.id").hex(),
        "size": len(envelope_octets),
    }


def test_names_the_originators_key():
    report = explained(vector("js", "session.env.der"))
    assert report["originator_key_id"] == vector("js", "session.dhKeyId").hex()


def test_a_recipient_without_address_has_none():
    assert explained(vector("js", "parcelNoAddr"))["recipient"]["internet_address"] is None


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("armour", [lambda key: key, lambda key: pem("PRIVATE KEY", key)], ids=["der", "pem"])
def test_opens_a_parcel_with_the_key_that_fits(stack, armour):
    keys = [vector(stack, "pgw.pkcs8.der"), SESSION_KEY, armour(vector(stack, "sk.pkcs8.der"))]
    report = explained(vector(stack, "parcel"), keys=keys)
    assert report["plaintext"] == {
        "type": "application/vnd.example",
        "content_base64": b64encode(b"hello world").decode(),
    }


def test_opens_cargo_and_cca():
    key = vector("js", "sk.pkcs8.der")
    cargo = explained(vector("js", "cargo"), keys=[key])
    assert cargo["plaintext"] == {"items": [{"kind": "parcel", "size": 4670}, {"kind": "pca", "size": 38}]}
    cca = explained(vector("js", "cca"), keys=[key])
    cda = Certificate.parse(vector("js", "cda.der"))
    assert cca["plaintext"] == {"cargo_delivery_authorization": certificate_members(cda)}


@pytest.mark.parametrize(
    "key", [vector("jvm", "sk.pkcs8.der"), vector("jvm", "sk384.pkcs8.der"), vector("js", "ep.pkcs8.der")]
)
def test_a_key_that_does_not_fit_is_an_error(key):
    with pytest.raises(WrongKeyError):
        inspect(vector("js", "parcel"), keys=[key], at=AT)


@pytest.mark.parametrize("key", [b"", b"junk", vector("js", "sk.spki.der")])
def test_a_key_that_is_none_is_an_error(key):
    with pytest.raises(WrongKeyError, match=r"PKCS#8"):
        inspect(vector("js", "parcel"), keys=[key], at=AT)


@pytest.mark.parametrize("stack", STACKS)
def test_opens_a_sessionless_envelope_with_an_identity_key(stack):
    report = explained(vector(stack, "sessionless.env.der"), keys=[vector(stack, "igw.pkcs8.der")])
    assert report["encryption"] == "sessionless"
    assert report["key_wrap"] is report["kdf_hash"] is report["recipient_key_id"] is None
    assert report["plaintext"]["content_base64"]


def test_enveloped_data_has_its_members_under_payload_too():
    report = explained(vector("jvm", "session.256.512.env.der"), keys=[vector("jvm", "sk.pkcs8.der")])
    assert report["content_cipher"] == report["payload"]["content_cipher"] == "aes-256-cbc"
    assert report["kdf_hash"] == "sha512"
    assert report["payload"] == {name: report[name] for name in report["payload"]}
    assert report["plaintext"] == {"content_base64": b64encode(vector("jvm", "serviceMessage.der")).decode()}


def test_opens_an_envelope_on_another_curve():
    report = explained(vector("jvm", "session.p384.env.der"), keys=[vector("jvm", "sk384.pkcs8.der")])
    assert report["plaintext"]["content_base64"]


@pytest.mark.parametrize("stack", STACKS)
def test_says_whether_the_sender_is_authorised(stack):
    anchor = Certificate.parse(vector(stack, "igwCert.der"))
    report = explained(vector(stack, "parcel"), anchors=[anchor])
    assert report["authorised"] is True
    assert report["reason"] is None
    assert [report["path"][0], report["path"][-1]] == [report["sender"]["id"], anchor.node_id]
    assert report["path"][1:3] == report["chain"]


@pytest.mark.parametrize(
    ("anchor", "at", "reason"),
    [("pda", AT, "no issuer"), ("igwCert", AT + timedelta(days=1), "expired")],
)
def test_says_why_a_sender_is_not_authorised(anchor, at, reason):
    report = explained(
        vector("js", "parcel"), anchors=[Certificate.parse(vector("js", f"{anchor}.der"))], at=at
    )
    assert report["authorised"] is False
    assert report["path"] == []
    assert reason in report["reason"]


def test_expiry_alone_is_no_error():
    assert "authorised" not in explained(vector("js", "parcel"), at=AT + timedelta(days=3650))


@pytest.mark.parametrize("stack", STACKS)
def test_explains_structures(stack):
    identity = {
        name: Certificate.parse(vector(stack, f"{name}.der"))
        for name in ("igwCert", "pgwCert", "epCert", "pda")
    }
    members = {name: certificate_members(certificate) for name, certificate in identity.items()}
    gateway, private = identity["igwCert"].node_id, identity["pgwCert"].node_id
    session = {"session_key_id": vector(stack, "sk.id").hex(), "session_key_curve": "P-256"}
    expected = {
        "pca": {"sender_id": "0sender", "recipient_id": "0recipient", "parcel_id": "the-id"},
        "rotation": {"leaf": members["pgwCert"], "authorities": [members["igwCert"]]},
        "igwCert.der": members["igwCert"],
        "ncp.der": {"internet_address": "example.com", "identity_id": gateway} | session,
        "pecp.der": {
            "internet_address": "frankfurt.relaycorp.cloud",
            "identity_id": identity["epCert"].node_id,
            "leaf": members["pda"],
            "authorities": [members["epCert"], members["pgwCert"]],
        }
        | session,
        "ccr.der": {"cargo_delivery_authorization": members["pda"]},
        "challenge.der": {"nonce": b"0123456789abcdef".hex()},
        "response.der": {"signatures": [private]},
        "countersig.der": {"detached": True, "signer_id": private, "certificates": [members["pgwCert"]]},
        "igw.spki.der": {"algorithm": "rsa", "bits": 2048, "node_id": gateway},
        "igw.pkcs8.der": {"algorithm": "rsa", "bits": 2048, "node_id": gateway},
        "sk.spki.der": {"algorithm": "ec", "curve": "P-256"},
        "sk.pkcs8.der": {"algorithm": "ec", "curve": "P-256"},
    }
    for name, report in expected.items():
        actual = explained(vector(stack, name))
        del actual["kind"]
        assert actual == report, name


@pytest.mark.parametrize("stack", STACKS)
def test_explains_registration(stack):
    expires = {"js": "2026-11-21T01:49:24Z", "jvm": "2026-11-21T01:49:35Z"}[stack]
    authorization = {"expires_at": expires, "gateway_data": b"gwdata".hex()}
    assert explained(vector(stack, "pnra.der")) == {"kind": "registration-authorization"} | authorization
    request = explained(vector(stack, "pnrr.der"))
    assert request["authorization"] == authorization
    registration = explained(vector(stack, "pnr.der"))
    assert registration["node_certificate"]["subject_id"] == request["node_id"]
    assert registration["gateway_certificate"]["is_ca"] is True
    assert registration["session_key_id"] == vector(stack, "sk.id").hex()
    assert explained(vector(stack, "pnrNoSession.der"))["session_key_id"] is None


def test_explains_a_withdrawal():
    withdrawal = ParcelDeliveryDeauthorization(EP.node_id, frozenset({b"\x02", b"\x01\x00"}), NOW)
    assert explained(withdrawal.serialize()) == {
        "kind": "pdd",
        "endpoint_id": EP.node_id,
        "serials": ["0100", "02"],
        "expires_at": "2026-11-21T00:55:00Z",
    }


def test_explains_a_revocation_of_a_gateways_certificate():
    octets = GatewayCertificateRevocation(
        Recipient(IGW.node_id, "example.com"), "id", NOW, 60, b"", PGW_CERT
    ).serialize(PGW)
    report = {
        "kind": "gateway-certificate-revocation",
        "id": "id",
        "created_at": "2026-11-21T00:55:00Z",
        "expires_at": "2026-11-21T00:56:00Z",
        "ttl": 60,
        "size": len(octets),
        "recipient": {"id": IGW.node_id, "internet_address": "example.com"},
        "sender": {"id": PGW.node_id, "certificate": certificate_members(PGW_CERT)},
        "chain": [],
    }
    assert explained(octets) == report
    judged = {"authorised": True, "path": [PGW.node_id, IGW.node_id], "reason": None}
    assert explained(octets, anchors=[IGW_CERT]) == report | judged


def test_explains_how_many_parcels_an_authorisation_lets_through():
    limit = RateLimit(10, timedelta(minutes=1))
    limited = certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION, rate_limit=limit)
    expected = certificate_members(limited) | {"rate_limit": {"limit": 10, "period": 60}}
    assert explained(limited.encoding) == {"kind": "certificate"} | expected


@pytest.mark.parametrize("form", PathForm)
def test_explains_certification_paths_of_both_forms(form):
    path = CertificationPath(PDA, (EP_CERT, PGW_CERT))
    report = explained(path.serialize(form))
    assert report["kind"] == "certification-path"
    assert report["leaf"] == certificate_members(PDA)
    assert report["authorities"] == [certificate_members(EP_CERT), certificate_members(PGW_CERT)]


def test_explains_signed_data_with_its_content():
    report = explained(sign(b"content", key=PGW, signer=PGW_CERT, certificates=[IGW_CERT]))
    assert report["detached"] is False
    assert report["certificates"] == [certificate_members(PGW_CERT), certificate_members(IGW_CERT)]


def test_items_that_are_not_known_are_named_so():
    items = CargoMessageSet((b"Awala\x11\x00", b"junk", b"Awala\x12\x00", b""))
    assert [item["kind"] for item in explained(items.serialize())["items"]] == [
        "gateway-certificate-revocation",
        "unknown",
        "pdd",
        "unknown",
    ]


def test_a_delivery_with_a_parcel_inside_is_recognised():
    delivery = ParcelDelivery("id", vector("js", "parcel"))
    assert explained(delivery.serialize())["kind"] == "parcel-delivery"


def test_a_challenge_may_hold_anything_but_a_certificate():
    assert explained(HandshakeChallenge(b"").serialize())["kind"] == "handshake-challenge"
    assert explained(HandshakeChallenge(PDA.encoding).serialize())["kind"] == "cargo-collection-request"


def test_takes_off_pem_armour():
    assert explained(pem("CERTIFICATE", PDA.encoding)) == explained(PDA.encoding)
    assert explained(b"\n" + pem("PUBLIC KEY", EP.public_key.spki))["node_id"] == EP.node_id


@pytest.mark.parametrize(
    "data",
    [
        pem("CERTIFICATE", PDA.encoding) * 2,
        pem("CERTIFICATE", PDA.encoding)[:-10],
        b"-----BEGIN X-----\n!!!!\n-----END X-----",
        b"-----BEGIN X-----\nabc\n-----END X-----",
    ],
)
def test_refuses_damaged_armour(data):
    with pytest.raises(MalformedMessageError, match="PEM"):
        inspect(data, at=AT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"Awala\x11\x00",
        b"Awala\x77\x00",
        b"Relaynet\x50\x00",
        der.set_of(der.octet_string(b"x")),
        der.integer(1),
        der.sequence(der.boolean(value=True)),
        der.sequence(der.oid("1.2.3")),
        der.sequence(der.implicit(0, b"a"), der.implicit(3, b"b")),
        der.sequence(der.explicit(0, der.integer(1))),
        der.sequence(der.implicit(1, b"a")),
        der.sequence(der.integer(1), der.integer(2)),
    ],
)
def test_refuses_what_has_the_shape_of_no_artefact(data):
    with pytest.raises(MalformedMessageError):
        inspect(data, at=AT)


def test_a_signature_that_does_not_hold_is_an_error():
    request = bytearray(RegistrationRequest(EP.public_key, b"x").serialize(EP))
    request[-1] ^= 1
    own = bytearray(IGW_CERT.encoding)
    own[-1] ^= 1
    signed = bytearray(sign(b"content", key=PGW, signer=PGW_CERT))
    signed[-1] ^= 1
    parcel = bytearray(a_parcel(payload=sealed(b"x")).serialize(PEER))
    parcel[-1] ^= 1
    for data in (request, own, signed, parcel):
        with pytest.raises(MalformedMessageError):
            inspect(data, at=AT)


def test_a_payload_that_is_not_enveloped_is_an_error():
    with pytest.raises(MalformedMessageError, match="payload"):
        inspect(envelope(), at=AT)


def test_a_plaintext_that_is_no_service_message_is_an_error():
    octets = a_parcel(payload=sealed(b"junk")).serialize(PEER)
    with pytest.raises(MalformedMessageError, match="service message"):
        inspect(octets, keys=[SESSION_KEY], at=AT)
