# SPDX-License-Identifier: MIT
"""Whatever values a structure is given, it is read as it was written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_cast import (
    EP,
    EP_CERT,
    IGW,
    IGW_CERT,
    NOW,
    PDA,
    PEER,
    PEER_SELF,
    PGW,
    PGW_CERT,
    PGW_SELF,
    STRANGER,
)

from awala.crypto import Curve, SessionKey, SessionPrivateKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    HandshakeChallenge,
    HandshakeResponse,
    MalformedMessageError,
    NodeConnectionParams,
    PrivateEndpointConnectionParams,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    limits,
    sign_detached,
)
from awala.pki import CertificationPath, PathForm

PUBLIC_KEYS = [SessionPrivateKey.generate(curve).public_key for curve in Curve]
certificates = st.sampled_from([IGW_CERT, PGW_CERT, PGW_SELF, EP_CERT, PDA, PEER_SELF])
identity_keys = st.sampled_from([IGW, PGW, EP, PEER, STRANGER])
public_identity_keys = identity_keys.map(lambda key: key.public_key)
session_keys = st.builds(SessionKey, st.binary(max_size=300), st.sampled_from(PUBLIC_KEYS))
paths = st.builds(CertificationPath, certificates, st.lists(certificates, max_size=16).map(tuple))
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
addresses = st.builds(
    lambda parts, last: ".".join([*parts, last]),
    st.lists(labels, min_size=1, max_size=5),
    st.sampled_from(["com", "cloud", "xn--p1ai"]),
)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64)
dates = st.datetimes(timezones=st.just(NOW.tzinfo)).map(lambda date: date.replace(microsecond=0))

STRUCTURES = {
    "node connection params": st.builds(NodeConnectionParams, addresses, public_identity_keys, session_keys),
    "private endpoint connection params": st.builds(
        PrivateEndpointConnectionParams, public_identity_keys, addresses, paths, session_keys
    ),
    "registration": st.builds(Registration, certificates, certificates, addresses, st.none() | session_keys),
    "certificate rotation": st.builds(CertificateRotation, paths, st.sampled_from(PathForm)),
    "cargo collection request": st.builds(CargoCollectionRequest, certificates),
    "handshake challenge": st.builds(HandshakeChallenge, st.binary(max_size=400)),
    "handshake response": st.builds(
        HandshakeResponse, st.lists(st.binary(max_size=300), min_size=1, max_size=10).map(tuple)
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
@settings(max_examples=60)
@given(data=st.data())
def test_structures_are_read_as_written(name, data):
    value = data.draw(STRUCTURES[name])

    assert type(value).parse(value.serialize()) == value


@pytest.mark.parametrize("form", PathForm)
@settings(max_examples=60)
@given(path=paths)
def test_certification_paths_are_read_as_written(form, path):
    assert CertificationPath.parse(path.serialize(form)) == path


@settings(max_examples=40)
@given(identity_keys, dates, st.binary(max_size=300))
def test_registration_requests_and_authorizations_are_read_as_written(key, expiry, gateway_data):
    authorization = RegistrationAuthorization(expiry, gateway_data)
    octets = authorization.serialize(IGW)
    request = RegistrationRequest.parse(RegistrationRequest(key.public_key, octets).serialize(key))

    assert request == RegistrationRequest(key.public_key, octets)
    assert RegistrationAuthorization.parse(request.authorization) == authorization
    RegistrationAuthorization.parse(request.authorization).verify(IGW.public_key, expiry - timedelta(days=1))


@pytest.mark.parametrize("message_class", [Cargo, CargoCollectionAuthorization])
@settings(max_examples=40)
@given(
    recipient=st.builds(Recipient, st.from_regex(r"0[0-9a-f]{1,80}", fullmatch=True), st.none() | addresses),
    message_id=ASCII,
    created=dates,
    ttl=st.integers(0, limits.MAX_TTL),
    payload=st.binary(max_size=2000),
    chain=st.lists(certificates, max_size=4, unique=True).map(tuple),
)
def test_messages_between_gateways_are_read_as_written(
    message_class, recipient, message_id, created, ttl, payload, chain
):
    others = tuple(each for each in chain if each != PGW_CERT)
    message = message_class(recipient, message_id, created, ttl, payload, PGW_CERT, others)

    assert message_class.parse(message.serialize(PGW)) == message


@settings(max_examples=40)
@given(st.sampled_from(DetachedSignatureType), st.binary(max_size=300))
def test_detached_signatures_hold_for_what_was_signed_and_nothing_else(signature_type, plaintext):
    signature = DetachedSignature.parse(sign_detached(signature_type, plaintext, PGW, PGW_CERT))

    assert signature.authenticate(signature_type, plaintext, [IGW_CERT], NOW) == PGW_CERT
    for other_type in DetachedSignatureType:
        for other in {plaintext, plaintext + b"\0"}:
            if (other_type, other) != (signature_type, plaintext):
                with pytest.raises(MalformedMessageError):
                    signature.verify(other_type, other)
