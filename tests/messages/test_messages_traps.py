# SPDX-License-Identifier: MIT
"""The traps that deployed implementations lay for messages, by the number that each has in our records.

There are 35. Here are those of messages; 2 and 8 to 11, which are about payloads, stand in ``tests/cms``;
``pytest -k trap_`` runs them all. The others are not for this layer to fall into: 1, 25 to 29 and 33
(names on the wire, WebSocket, gRPC, DNS) are in ``tests/bindings`` and, on the libraries themselves, in
``tests/interop``; 31 and 34 (how long session keys are kept, and new ones at each registration) in
``tests/sessions`` and ``tests/interop``.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pytest
from messages_cast import (
    DAY,
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
    RAW_FIELDS,
    SESSION,
    a_parcel,
    certificate,
    envelope,
    received,
    sealed,
    with_serial,
)

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.cms import SignedData
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    HandshakeResponse,
    InvalidMessageError,
    MalformedMessageError,
    MessageError,
    MessageType,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    PrivateEndpointConnectionParams,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    limits,
    sign_detached,
)
from awala.pki import Certificate, CertificationPath, PathForm, Role
from helpers.forgery import extension, forge, name
from helpers.vectors import STACKS, vector


@pytest.mark.rule("1.9")
def test_trap_03_service_messages_are_der_and_not_the_binary_layout_of_rs_000():
    assert ServiceMessage("a/b", b"c").serialize().hex() == "3008" + "8003612f62" + "810163"
    with pytest.raises(MalformedMessageError):
        ServiceMessage.parse(b"\x03a/b\x01\x00\x00c")


@pytest.mark.parametrize("stack", STACKS)
def test_trap_04_ber_is_read_and_der_is_written(stack):
    assert Parcel.parse(vector(stack, "parcel")).ttl == 3600
    content_info = parse(a_parcel().serialize(PEER)[7:])
    signed_data = content_info.children()[1].children()[0].children()
    assert signed_data[2].children()[1].children()[0].identifier == der.OCTET_STRING


@pytest.mark.rule("1.7")
@pytest.mark.parametrize("serial", [b"\x00\x32\x81", b"\xff\x01", b"\x00"])
def test_trap_05_serial_numbers_that_are_not_minimal_make_no_difference(serial):
    odd = with_serial(PDA, serial, EP)
    parcel = received(a_parcel(sender_certificate=odd))
    assert parcel.sender_certificate.serial == serial
    assert parcel.authorise([IGW_CERT], NOW)[0] == odd


@pytest.mark.parametrize("flags", ["3003020100", "3006010100020100"])
def test_trap_06_the_constraints_of_authorisations_are_read_in_the_form_of_either_stack(flags):
    extensions = (extension("2.5.29.19", bytes.fromhex(flags), critical=True),)
    forged = forge(key=EP, subject_key=PEER.public_key, issuer=EP_CERT.subject, extensions=extensions)
    parcel = received(a_parcel(sender_certificate=Certificate.parse(forged)))
    assert parcel.authorise_at_internet_gateway([IGW_CERT], NOW).authorization.path_length == 0


def test_trap_07_names_of_65_characters_are_bmp_strings_and_copied_from_the_issuer():
    assert len(PDA.subject_id) == 65
    assert PDA.subject.endswith(b"\x1e\x81\x82" + PEER.node_id.encode("utf-16-be"))
    other = forge(key=EP, subject=name(der.utf8_string(EP.node_id)))
    pda = certificate(PEER, EP, Certificate.parse(other), Role.DELIVERY_AUTHORIZATION)
    assert pda.issuer == name(der.utf8_string(EP.node_id))


def test_trap_12_keys_are_in_octets_or_in_place_depending_on_where_they_are():
    key = SESSION.session_key
    path = CertificationPath(PDA, (EP_CERT, PGW_CERT))
    in_octets = NodeConnectionParams("example.com", EP.public_key, key).serialize()
    in_place = PrivateEndpointConnectionParams(EP.public_key, "example.com", path, key).serialize()
    assert der.implicit(1, EP.public_key.spki) in in_octets
    assert der.implicit(1, key.public_key.spki) in in_octets
    assert der.implicit(1, key.public_key.spki) in Registration(PGW_CERT, IGW_CERT, "a.test", key).serialize()
    assert der.implicit(0, EP.public_key.spki) in RegistrationRequest(EP.public_key, b"").serialize(EP)
    assert b"\xa0" + EP.public_key.spki[1:] in in_place
    assert b"\xa1" + key.public_key.spki[1:] in in_place


def test_trap_13_rotations_have_two_encodings_and_both_are_read():
    path = CertificationPath(PGW_CERT, (IGW_CERT,))
    octets = {form: CertificateRotation(path, form).serialize() for form in PathForm}
    assert len(set(octets.values())) == 2
    for form, encoding in octets.items():
        assert CertificateRotation.parse(encoding) == CertificateRotation(path, form)


def test_trap_14_tags_are_implicit_but_for_two_lists():
    assert CargoMessageSet((b"x",)).serialize().hex() == "3003040178"
    assert HandshakeResponse((b"x",)).serialize().hex() == "3005a003040178"
    assert "800b2b0601040183ca54000301" in DetachedSignatureType.NONCE.signed_text(b"").hex()


def test_trap_15_signed_attributes_are_few_and_sorted():
    signed = SignedData.parse(a_parcel().serialize(PEER)[7:])
    assert signed.attribute_types == {"1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"}


def test_trap_16_detached_signatures_cover_more_than_the_octets_themselves():
    signature = sign_detached(DetachedSignatureType.NONCE, b"nonce", PGW, PGW_CERT)
    with pytest.raises(AwalaError):
        SignedData.parse(signature).verify(b"nonce")
    DetachedSignature.parse(signature).verify(DetachedSignatureType.NONCE, b"nonce")


@pytest.mark.parametrize("stack", STACKS)
def test_trap_17_the_peers_key_is_kept_octet_for_octet(stack):
    params = NodeConnectionParams.parse(vector(stack, "ncp.der"))
    assert params.identity_key.spki == vector(stack, "igw.spki.der")
    assert params.serialize() == vector(stack, "ncp.der")


@pytest.mark.rule("2.1")
def test_trap_18_dates_are_14_digits_in_utc_and_clocks_may_differ_by_two_hours():
    zone = timezone(timedelta(hours=5, minutes=30))
    parcel = a_parcel(creation_date=datetime(2026, 11, 21, 6, 25, 0, 999_999, tzinfo=zone))
    assert b"\x82\x0e20261121005500" in parcel.serialize(PEER)
    parcel = received(parcel)
    parcel.validate(NOW - timedelta(hours=2))
    with pytest.raises(InvalidMessageError):
        parcel.validate(NOW - timedelta(hours=2, seconds=1))


@pytest.mark.parametrize("anchors", [[PEER_SELF], [PEER_SELF, IGW_CERT], []])
def test_trap_19_a_self_issued_sender_is_never_authorised(anchors):
    parcel = a_parcel(
        recipient=Recipient(PEER.node_id), sender_certificate=PEER_SELF, sender_chain=(PEER_SELF,)
    )
    parcel.validate(NOW)
    with pytest.raises(InvalidMessageError, match="self-issued"):
        received(parcel).authorise(anchors, NOW)


def test_trap_20_a_chain_with_the_previous_certificate_still_leads_to_the_renewed_one():
    renewed = certificate(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY, end=NOW + 180 * DAY)
    parcel = a_parcel(sender_chain=(EP_CERT, PGW_CERT, IGW_CERT))
    assert received(parcel).authorise([renewed], NOW)[-1] == renewed
    assert received(parcel).authorise([renewed, IGW_CERT], NOW)[:3] == (PDA, EP_CERT, PGW_CERT)


@pytest.mark.parametrize("role", [Role.DELIVERY_AUTHORIZATION, Role.GATEWAY])
def test_trap_21_cargo_under_a_cda_with_either_flags_is_authorised(role):
    cda = certificate(IGW, PGW, PGW_SELF, role)
    CargoCollectionRequest(cda).check(sender=PGW_CERT, own_id=IGW.node_id, now=NOW)
    cargo = Cargo(Recipient(PGW.node_id), "id", NOW, 60, b"", cda)
    assert Cargo.parse(cargo.serialize(IGW)).authorise([PGW_SELF], NOW) == (cda, PGW_SELF)


def test_trap_22_payloads_and_parcels_stay_below_what_the_strictest_peer_takes():
    assert limits.EMITTED_PAYLOAD_MAX == 8_388_607
    assert limits.EMITTED_PARCEL_MAX <= limits.MAX_PARCEL_SIZE == 8_322_038
    assert limits.EMITTED_RAMF_MAX == 8_396_800
    assert limits.CARGO_TARGET_PRIVATE + 65_536 <= 4 * 1024 * 1024


def test_trap_23_a_cca_fits_the_metadata_of_grpc():
    payload = sealed(CargoCollectionRequest(certificate(IGW, PGW, PGW_SELF, Role.GATEWAY)).serialize())
    cca = CargoCollectionAuthorization(
        Recipient(IGW.node_id, "frankfurt.relaycorp.cloud"), "x" * 36, NOW, 60, payload, PGW_CERT
    )
    assert len("Relaynet-CCA ") + len(base64.b64encode(cca.serialize(PGW))) <= 5400


def test_trap_24_cargo_may_embed_the_certificate_of_its_recipient():
    cda = certificate(IGW, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION)
    cargo = Cargo(Recipient(PGW.node_id), "id", NOW, 60, b"", cda, (PGW_CERT,))
    parsed = Cargo.parse(cargo.serialize(IGW))
    assert parsed.sender_chain == (PGW_CERT,)
    assert parsed.sender_chain[0].subject == parsed.sender_certificate.issuer


@pytest.mark.rule("3.10")
def test_trap_30_an_authorisation_to_register_lives_as_long_as_it_says():
    octets = RegistrationAuthorization(NOW + timedelta(seconds=10), b"data").serialize(IGW)
    authorization = RegistrationAuthorization.parse(octets)
    authorization.verify(IGW.public_key, NOW + timedelta(seconds=10))
    with pytest.raises(InvalidMessageError):
        authorization.verify(IGW.public_key, NOW + timedelta(seconds=11))


@pytest.mark.parametrize("ttl", [128, 200, 255])
def test_trap_32_a_ttl_from_128_to_255_takes_two_octets(ttl):
    octets = a_parcel(ttl=ttl).serialize(PEER)
    assert bytes((0x83, 0x02, 0x00, ttl)) in octets
    assert Parcel.parse(octets).ttl == ttl
    with pytest.raises(MalformedMessageError):
        Parcel.parse(envelope(changes={3: der.implicit(3, bytes((ttl,)))}))


@pytest.mark.rule("1.14")
@pytest.mark.parametrize(
    "octets",
    [
        envelope(changes={3: der.implicit(3, b"")}),
        envelope(*RAW_FIELDS[:4]),
        envelope(changes={0: der.implicit(0, b"", constructed=True)}),
        MessageType.PARCEL.prefix,
        MessageType.PARCEL.prefix + b"\x30\x80" * 200_000,
        MessageType.PARCEL.prefix + b"\x30\x84\xff\xff\xff\xff",
    ],
)
def test_trap_35_odd_input_ends_in_one_clean_error(octets):
    with pytest.raises(MessageError):
        Parcel.parse(octets)
    with pytest.raises(MessageError):
        RegistrationRequest.parse(octets[7:])
    with pytest.raises(MessageError):
        ParcelCollectionAck.parse(octets)
