# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
    PGW,
    PGW_CERT,
    SESSION,
    with_serial,
)

from awala.asn1 import der, parse
from awala.messages import (
    CertificateRotation,
    HandshakeChallenge,
    HandshakeResponse,
    InvalidMessageError,
    MalformedMessageError,
    MessageType,
    NodeConnectionParams,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    deauthorization,
    limits,
    recognise,
)
from awala.pki import CertificationPath, PathForm

ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
KEY = SESSION.session_key
PATH = CertificationPath(PDA, (EP_CERT, PGW_CERT))


# Service messages


def test_a_service_message_is_written_as_deployed_stacks_do():
    octets = ServiceMessage("application/vnd.example", b"hello world").serialize()
    assert octets == b"\x30\x26\x80\x17application/vnd.example\x81\x0bhello world"


@settings(max_examples=60, deadline=None)
@given(ASCII, st.binary(max_size=500))
def test_service_messages_are_read_as_written(message_type, content):
    message = ServiceMessage(message_type, content)
    assert ServiceMessage.parse(message.serialize()) == message


def test_a_service_message_may_have_indefinite_length_and_further_fields():
    octets = b"\x30\x80\x80\x03a/b\x81\x01c\x82\x01d\x00\x00more"
    assert ServiceMessage.parse(octets) == ServiceMessage("a/b", b"c")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x30\x00",
        b"\x30\x05\x80\x03a/b",
        b"\x30\x08\x80\x03a/b\xa1\x01c",
        b"\x30\x08\x80\x03a/b\x04\x01c",
        b"\x30\x08\x80\x03\xff/b\x81\x01c",
        b"\x17application/vnd.example\x0b\x00\x00hello world",
    ],
)
def test_refuses_malformed_service_messages(octets):
    with pytest.raises(MalformedMessageError):
        ServiceMessage.parse(octets)


def test_the_largest_service_message_takes_8256501_octets():
    overhead = len(ServiceMessage("a/b", bytes(8_000_000)).serialize()) - 8_000_000
    fitting = ServiceMessage("a/b", bytes(limits.MAX_SERVICE_MESSAGE - overhead))
    assert len(fitting.serialize()) == 8_256_501
    with pytest.raises(InvalidMessageError, match="8256501"):
        ServiceMessage("a/b", fitting.content + b"x").serialize()


@pytest.mark.parametrize("message_type", ["ä/b", "a\nb", "x" * 5000])
def test_refuses_types_that_cannot_be_written(message_type):
    with pytest.raises(InvalidMessageError, match="type"):
        ServiceMessage(message_type, b"").serialize()


# Parcel collection acknowledgements


def test_an_acknowledgement_is_written_as_deployed_stacks_do():
    octets = ParcelCollectionAck("0sender", "0recipient", "the-id").serialize()
    assert octets == b"Awala\x51\x00\x30\x1d\x80\x070sender\x81\x0a0recipient\x82\x06the-id"
    assert recognise(octets) is MessageType.PCA


@settings(max_examples=40, deadline=None)
@given(ASCII, ASCII, ASCII)
def test_acknowledgements_are_read_as_written(sender, recipient, parcel):
    ack = ParcelCollectionAck(sender, recipient, parcel)
    assert ParcelCollectionAck.parse(ack.serialize()) == ack


@pytest.mark.parametrize("fields", [2, 0])
def test_refuses_acknowledgements_with_fields_missing(fields):
    body = der.sequence(*(der.implicit(number, b"0a") for number in range(fields)))
    with pytest.raises(MalformedMessageError):
        ParcelCollectionAck.parse(MessageType.PCA.prefix + body)


def test_refuses_an_acknowledgement_without_its_prefix():
    with pytest.raises(MalformedMessageError):
        ParcelCollectionAck.parse(der.sequence(*(der.implicit(number, b"0a") for number in range(3))))


def test_nothing_but_the_known_prefixes_is_recognised():
    assert recognise(b"") is None
    assert recognise(b"Awala\x11\x00") is MessageType.GATEWAY_REVOCATION
    assert recognise(memoryview(b"Awala\x12\x00...")) is MessageType.PDD
    assert recognise(b"Awala\x50\x01") is None
    assert recognise(b"Relaynet\x50\x00") is None


# Certificate rotation


@pytest.mark.parametrize("form", PathForm)
def test_rotations_are_read_as_written_in_both_forms(form):
    rotation = CertificateRotation(CertificationPath(PGW_CERT, (IGW_CERT,)), form)
    octets = rotation.serialize()
    assert octets.startswith(b"Awala\x10\x00\x30")
    assert CertificateRotation.parse(octets) == rotation


@pytest.mark.parametrize(
    "body",
    [
        b"",
        der.sequence(),
        der.sequence(der.implicit(0, b"junk"), der.explicit(1)),
        der.sequence(der.implicit(0, PGW_CERT.encoding)),
        der.sequence(der.octet_string(PGW_CERT.encoding), der.explicit(1)),
    ],
)
def test_refuses_malformed_rotations(body):
    with pytest.raises(MalformedMessageError):
        CertificateRotation.parse(MessageType.CERTIFICATE_ROTATION.prefix + body)


# Connection parameters


def test_node_connection_params_are_written_as_deployed_stacks_do():
    params = NodeConnectionParams("example.com", IGW.public_key, KEY)
    session = der.explicit(2, der.implicit(0, KEY.key_id), der.implicit(1, KEY.public_key.spki))
    expected = der.sequence(der.implicit(0, b"example.com"), der.implicit(1, IGW.public_key.spki), session)
    assert params.serialize() == expected
    assert NodeConnectionParams.parse(expected + b"trailing") == params


def test_private_endpoint_connection_params_hold_keys_and_certificates_in_place():
    params = PrivateEndpointConnectionParams(EP.public_key, "example.com", PATH, KEY)
    fields = parse(params.serialize()).children()
    assert [field.identifier for field in fields] == [0xA0, 0x81, 0xA2, 0xA3]
    assert fields[0].content == parse(EP.public_key.spki).content
    leaf, authorities = fields[2].children()
    assert leaf.identifier == 0xA0
    assert leaf.content == parse(PDA.encoding).content
    assert authorities.content == EP_CERT.encoding + PGW_CERT.encoding
    assert [field.identifier for field in fields[3].children()] == [0x80, 0xA1]
    assert PrivateEndpointConnectionParams.parse(params.serialize()) == params


@pytest.mark.parametrize("address", ["", "Example.com", "localhost", "127.0.0.1"])
def test_refuses_to_write_connection_params_without_a_plain_domain_name(address):
    with pytest.raises(InvalidMessageError, match="address"):
        NodeConnectionParams(address, IGW.public_key, KEY).serialize()
    with pytest.raises(InvalidMessageError, match="address"):
        PrivateEndpointConnectionParams(EP.public_key, address, PATH, KEY).serialize()


def ncp(changes):
    fields = [
        der.implicit(0, b"example.com"),
        der.implicit(1, IGW.public_key.spki),
        der.explicit(2, der.implicit(0, b"id"), der.implicit(1, KEY.public_key.spki)),
    ]
    for number, field in changes.items():
        fields[number] = field
    return der.sequence(*fields)


@pytest.mark.parametrize(
    "changes",
    [
        {0: der.implicit(0, b"localhost")},
        {1: der.implicit(1, b"junk")},
        {1: der.implicit(1, KEY.public_key.spki)},
        {1: der.implicit(1, parse(IGW.public_key.spki).content, constructed=True)},
        {2: der.explicit(2, der.implicit(0, b"id"))},
        {2: der.explicit(2, der.implicit(0, b"id"), der.implicit(1, IGW.public_key.spki))},
        {
            2: der.explicit(
                2,
                der.implicit(0, b"id"),
                der.implicit(1, parse(KEY.public_key.spki).content, constructed=True),
            )
        },
        {2: der.implicit(2, b"")},
    ],
)
def test_refuses_malformed_node_connection_params(changes):
    assert NodeConnectionParams.parse(ncp({})).internet_address == "example.com"
    with pytest.raises(MalformedMessageError):
        NodeConnectionParams.parse(ncp(changes))


def test_refuses_private_endpoint_connection_params_with_parts_in_octets():
    octets = PrivateEndpointConnectionParams(EP.public_key, "example.com", PATH, KEY).serialize()
    fields = [bytes(field.encoding) for field in parse(octets).children()]
    wrong = {
        0: der.implicit(0, EP.public_key.spki),
        1: der.implicit(1, b"not a domain"),
        2: der.implicit(2, b""),
        3: der.explicit(3, der.implicit(0, b"id"), der.implicit(1, KEY.public_key.spki)),
    }
    for number, field in wrong.items():
        with pytest.raises(MalformedMessageError):
            PrivateEndpointConnectionParams.parse(
                der.sequence(*fields[:number], field, *fields[number + 1 :])
            )
    with pytest.raises(MalformedMessageError):
        PrivateEndpointConnectionParams.parse(der.sequence(*fields[:3]))


# Registration


def test_the_signed_text_of_an_authorisation_is_that_of_deployed_gateways():
    authorization = RegistrationAuthorization(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b"gw")
    expiry, data, signature = parse(authorization.serialize(IGW)).children()
    text = bytes.fromhex("3021800b2b0601040183ca54000200810e") + b"20260102030405" + bytes.fromhex("82026777")
    IGW.public_key.verify(signature.content, text)
    assert expiry.encoding == b"\x80\x0e20260102030405"
    assert data.encoding == b"\x81\x02gw"
    assert signature.identifier == 0x82
    assert len(signature.content) == 256


@settings(max_examples=30, deadline=None)
@given(st.datetimes(timezones=st.just(UTC)), st.binary(max_size=100))
def test_authorisations_are_read_as_written(expiry, data):
    authorization = RegistrationAuthorization(expiry.replace(microsecond=0), data)
    again = RegistrationAuthorization.parse(authorization.serialize(IGW))
    assert again == authorization
    again.verify(IGW.public_key, authorization.expiry)


def test_an_authorisation_expires():
    authorization = RegistrationAuthorization.parse(RegistrationAuthorization(NOW, b"x").serialize(IGW))
    with pytest.raises(InvalidMessageError, match="expired"):
        authorization.verify(IGW.public_key, NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    "forged",
    [
        RegistrationAuthorization(NOW, b"x"),
        RegistrationAuthorization(
            NOW,
            b"y",
            RegistrationAuthorization.parse(RegistrationAuthorization(NOW, b"x").serialize(IGW)).signature,
        ),
        RegistrationAuthorization.parse(RegistrationAuthorization(NOW, b"x").serialize(PGW)),
    ],
    ids=["unsigned", "other data", "other key"],
)
def test_refuses_an_authorisation_that_the_gateway_did_not_sign(forged):
    with pytest.raises(MalformedMessageError):
        forged.verify(IGW.public_key, NOW)


@pytest.mark.parametrize("expiry", [b"20261121005500Z", b"2026"])
def test_refuses_authorisations_with_other_dates(expiry):
    octets = der.sequence(der.implicit(0, expiry), der.implicit(1, b""), der.implicit(2, b""))
    with pytest.raises(MalformedMessageError, match="14 digits"):
        RegistrationAuthorization.parse(octets)


def test_a_request_is_countersigned_over_the_authorisation_as_received():
    request = RegistrationRequest(PGW.public_key, b"AUTH")
    key, authorization, countersignature = parse(request.serialize(PGW)).children()
    assert key.encoding == der.implicit(0, PGW.public_key.spki)
    assert authorization.encoding == b"\x81\x04AUTH"
    text = bytes.fromhex("3013800b2b0601040183ca540002018104") + b"AUTH"
    PGW.public_key.verify(countersignature.content, text)
    assert RegistrationRequest.parse(request.serialize(PGW)) == request


def test_refuses_to_countersign_with_another_key():
    with pytest.raises(InvalidMessageError):
        RegistrationRequest(PGW.public_key, b"AUTH").serialize(EP)


def test_refuses_a_request_whose_countersignature_does_not_hold():
    octets = bytearray(RegistrationRequest(PGW.public_key, b"AUTH").serialize(PGW))
    octets[-1] ^= 1
    with pytest.raises(MalformedMessageError):
        RegistrationRequest.parse(octets)


def test_refuses_a_request_with_the_key_nested_as_a_structure():
    request = RegistrationRequest(PGW.public_key, b"AUTH").serialize(PGW)
    _, authorization, countersignature = (bytes(field.encoding) for field in parse(request).children())
    nested = der.implicit(0, parse(PGW.public_key.spki).content, constructed=True)
    with pytest.raises(MalformedMessageError):
        RegistrationRequest.parse(der.sequence(nested, authorization, countersignature))


@pytest.mark.parametrize("key", [None, KEY])
def test_registrations_are_read_as_written(key):
    registration = Registration(PGW_CERT, IGW_CERT, "example.com", key)
    fields = [
        der.implicit(0, PGW_CERT.encoding),
        der.implicit(1, IGW_CERT.encoding),
        der.implicit(2, b"example.com"),
    ]
    if key is not None:
        fields.append(der.explicit(3, der.implicit(0, key.key_id), der.implicit(1, key.public_key.spki)))
    assert registration.serialize() == der.sequence(*fields)
    assert Registration.parse(registration.serialize()) == registration


@pytest.mark.parametrize("missing", range(3))
def test_refuses_registrations_with_a_field_missing_or_damaged(missing):
    fields = [
        bytes(field.encoding)
        for field in parse(Registration(PGW_CERT, IGW_CERT, "example.com").serialize()).children()
    ]
    with pytest.raises(MalformedMessageError):
        Registration.parse(der.sequence(*fields[:missing], *fields[missing + 1 :]))
    with pytest.raises(MalformedMessageError):
        Registration.parse(
            der.sequence(*fields[:missing], der.implicit(missing, b"-"), *fields[missing + 1 :])
        )


def test_refuses_a_certificate_with_a_key_that_cannot_be_used():
    octets = bytearray(PGW_CERT.encoding)
    position = octets.find(bytes.fromhex("06092a864886f70d010101"))
    octets[position + 10] = 10  # id-RSASSA-PSS
    fields = (der.implicit(0, octets), der.implicit(1, IGW_CERT.encoding), der.implicit(2, b"example.com"))
    with pytest.raises(MalformedMessageError, match="key"):
        Registration.parse(der.sequence(*fields))


def test_refuses_to_write_a_registration_without_a_plain_domain_name():
    with pytest.raises(InvalidMessageError):
        Registration(PGW_CERT, IGW_CERT, "Example.com").serialize()


# Collection


def test_a_challenge_is_written_as_deployed_gateways_do():
    octets = HandshakeChallenge(b"0123456789abcdef").serialize()
    assert octets == bytes.fromhex("30128010") + b"0123456789abcdef"
    assert HandshakeChallenge.parse(octets).nonce == b"0123456789abcdef"


def test_a_response_holds_universal_octet_strings():
    octets = HandshakeResponse((b"a", b"bc")).serialize()
    assert octets.hex() == "3009a007040161" + "04026263"
    assert HandshakeResponse.parse(octets).signatures == (b"a", b"bc")


def test_a_response_needs_a_signature():
    with pytest.raises(InvalidMessageError):
        HandshakeResponse(()).serialize()
    with pytest.raises(MalformedMessageError):
        HandshakeResponse.parse(bytes.fromhex("3002a000"))


@pytest.mark.parametrize("octets", ["3000", "3003800161", "3005a003800161", "3005a1030401" + "61"])
def test_refuses_malformed_responses(octets):
    with pytest.raises(MalformedMessageError):
        HandshakeResponse.parse(bytes.fromhex(octets))


@pytest.mark.parametrize("octets", ["", "3000", "3003810161", "3003040161", "3005a003040161"])
def test_refuses_malformed_challenges(octets):
    with pytest.raises(MalformedMessageError):
        HandshakeChallenge.parse(bytes.fromhex(octets))


@settings(max_examples=40, deadline=None)
@given(ASCII, st.binary(max_size=400))
def test_deliveries_are_read_as_written(delivery_id, parcel):
    delivery = ParcelDelivery(delivery_id, parcel)
    assert delivery.serialize() == der.sequence(
        der.implicit(0, delivery_id.encode()), der.implicit(1, parcel)
    )
    assert ParcelDelivery.parse(delivery.serialize()) == delivery


def test_refuses_malformed_deliveries():
    with pytest.raises(MalformedMessageError):
        ParcelDelivery.parse(der.sequence(der.implicit(0, b"id")))
    with pytest.raises(InvalidMessageError):
        ParcelDelivery("\n", b"").serialize()


# Withdrawal


def test_a_withdrawal_has_the_structure_of_rs_000_behind_a_prefix_of_our_own():
    withdrawal = ParcelDeliveryDeauthorization(
        "0ab", frozenset({b"\x02\x01", b"\x03"}), datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    octets = withdrawal.serialize()
    assert octets[:7].hex() == "4177616c611200"
    assert octets[7:] == b"\x30\x1e\x80\x030ab\xa1\x07\x02\x01\x03\x02\x02\x02\x01\x82\x0e20270102030405"
    assert ParcelDeliveryDeauthorization.parse(octets) == withdrawal


@settings(max_examples=40, deadline=None)
@given(st.frozensets(st.binary(min_size=1, max_size=20), max_size=10), st.datetimes(timezones=st.just(UTC)))
def test_withdrawals_are_read_as_written(serials, expiry):
    withdrawal = ParcelDeliveryDeauthorization(EP.node_id, serials, expiry.replace(microsecond=0))
    assert ParcelDeliveryDeauthorization.parse(withdrawal.serialize()) == withdrawal


def test_a_withdrawal_of_some_names_them_by_their_octets():
    odd = with_serial(PDA, b"\x00\x05", EP)
    withdrawal = ParcelDeliveryDeauthorization(EP.node_id, frozenset({odd.serial}), NOW)
    assert withdrawal.withdraws(odd.serial)
    assert not withdrawal.withdraws(b"\x05")


def test_a_withdrawal_without_serial_numbers_withdraws_all():
    body = der.sequence(der.implicit(0, b"0ab"), der.explicit(1), der.implicit(2, b"20270102030405"))
    withdrawal = ParcelDeliveryDeauthorization.parse(MessageType.PDD.prefix + body)
    assert withdrawal.serials == frozenset()
    assert withdrawal.withdraws(PDA.serial)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (der.implicit(0, b"0ab"),),
        (der.implicit(0, b"0ab"), der.explicit(1)),
        (der.implicit(0, b"0ab"), der.implicit(2, b"20270102030405")),
        (der.implicit(0, b"0ab"), der.explicit(1), der.implicit(2, b"2027")),
        (
            der.implicit(0, b"0ab"),
            der.explicit(1, der.octet_string(b"1")),
            der.implicit(2, b"20270102030405"),
        ),
        (der.implicit(0, b"0ab"), der.explicit(1, b"\x02\x00"), der.implicit(2, b"20270102030405")),
        (
            der.implicit(0, b"0ab"),
            der.explicit(1, der.tlv(2, bytes(21))),
            der.implicit(2, b"20270102030405"),
        ),
    ],
)
def test_refuses_malformed_withdrawals(fields):
    with pytest.raises(MalformedMessageError):
        ParcelDeliveryDeauthorization.parse(MessageType.PDD.prefix + der.sequence(*fields))


@pytest.mark.parametrize("serials", [{b""}, {bytes(21)}])
def test_refuses_to_write_serial_numbers_that_cannot_be(serials):
    with pytest.raises(InvalidMessageError, match="serial number"):
        ParcelDeliveryDeauthorization("0ab", frozenset(serials), NOW).serialize()


def test_the_number_of_withdrawn_serial_numbers_is_bounded(monkeypatch):
    withdrawal = ParcelDeliveryDeauthorization("0ab", frozenset({b"1", b"2", b"3"}), NOW)
    octets = withdrawal.serialize()
    monkeypatch.setattr(deauthorization, "MAX_WITHDRAWN_SERIALS", 2)
    with pytest.raises(MalformedMessageError, match="More than 2"):
        ParcelDeliveryDeauthorization.parse(octets)
    with pytest.raises(InvalidMessageError, match="More than 2"):
        withdrawal.serialize()
