# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    PGW_CERT,
    RAW_FIELDS,
    STRANGER,
    a_parcel,
    certificate,
    envelope,
    received,
)

from awala.asn1 import der
from awala.cms import SignedData, sign
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    InvalidMessageError,
    MalformedMessageError,
    MessageType,
    Parcel,
    Recipient,
    limits,
    recognise,
)
from awala.pki import Role

HOUR = timedelta(hours=1)


def content_of(message: bytes) -> bytes:
    content = SignedData.parse(message[7:]).content
    assert content is not None
    return content


@pytest.mark.parametrize(
    ("values", "octets"),
    [
        (
            {"recipient": Recipient("0abab", "example.com"), "ttl": 300, "payload": b"PAYLOAD"},
            (
                "303aa01480053061626162810b6578616d706c652e636f6d81056d73672d31"
                "820e32303330303130323033303430358302012c84075041594c4f4144"
            ),
        ),
        (
            {"recipient": Recipient("0abab"), "ttl": 0, "payload": b""},
            "3025a0078005306162616281056d73672d31820e32303330303130323033303430358301008400",
        ),
    ],
)
def test_emits_the_fields_octet_for_octet_as_deployed_stacks_do(values, octets):
    parcel = a_parcel(creation_date=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), **values)
    assert content_of(parcel.serialize(PEER)).hex() == octets


@pytest.mark.parametrize(
    ("message_class", "prefix"),
    [
        (Parcel, "4177616c615000"),
        (Cargo, "4177616c614300"),
        (CargoCollectionAuthorization, "4177616c614400"),
    ],
)
def test_each_type_has_its_prefix(message_class, prefix):
    message = message_class(Recipient("0ab"), "id", NOW, 1, b"", PDA)
    octets = message.serialize(PEER)
    assert octets[:7].hex() == prefix
    assert message_class.parse(octets) == message
    assert recognise(octets) is message_class.TYPE


PARCELS = st.builds(
    Parcel,
    st.builds(
        Recipient,
        st.from_regex(r"0[0-9a-f]{1,80}", fullmatch=True),
        st.none() | st.from_regex(r"[a-z0-9]{1,10}\.[a-z]{2,5}", fullmatch=True),
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64),
    st.datetimes(timezones=st.just(UTC)).map(lambda date: date.replace(microsecond=0)),
    st.integers(0, limits.MAX_TTL),
    st.binary(max_size=2000),
    st.just(PDA),
    st.lists(st.sampled_from([EP_CERT, PGW_CERT, IGW_CERT]), unique=True).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(PARCELS)
def test_what_is_written_is_read(parcel):
    octets = parcel.serialize(PEER)
    again = Parcel.parse(octets)
    assert again == parcel
    assert again.encoding == octets
    assert again.sender_id == PEER.node_id


def test_creation_dates_are_truncated_to_the_second_and_written_in_utc():
    zone = timezone(timedelta(hours=-5))
    date = datetime(2026, 11, 21, 1, 2, 3, 999_999, tzinfo=zone)
    assert received(a_parcel(creation_date=date)).creation_date == datetime(2026, 11, 21, 6, 2, 3, tzinfo=UTC)


def test_the_octets_received_are_kept_whatever_buffer_they_came_in():
    octets = a_parcel().serialize(PEER)
    assert Parcel.parse(memoryview(octets)).encoding == octets
    assert Parcel.parse(bytearray(octets)) == Parcel.parse(octets)


def test_a_message_made_here_has_no_received_octets():
    assert a_parcel().encoding is None
    assert a_parcel().signed_attribute_types == frozenset()


def test_emits_content_type_and_digest_as_the_only_signed_attributes():
    assert received(a_parcel()).signed_attribute_types == {"1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"}


def test_representations_keep_payloads_to_themselves():
    assert "PAYLOAD" not in repr(a_parcel())


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": -1},
        {"ttl": limits.MAX_TTL + 1},
        {"message_id": "x" * 65},
        {"message_id": "ü"},
        {"message_id": "a\nb"},
        {"creation_date": datetime(2026, 1, 1)},  # noqa: DTZ001 - that it has no zone is the point
        {"recipient": Recipient("no id")},
        {
            "sender_chain": tuple(
                certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION) for _ in range(16)
            )
        },
        {"sender_certificate": EP_CERT},
        {"payload": bytes(limits.EMITTED_PAYLOAD_MAX + 1)},
        {"payload": bytes(limits.EMITTED_PARCEL_MAX)},
    ],
)
def test_refuses_to_write_illegal_values(changes):
    with pytest.raises(InvalidMessageError):
        a_parcel(**changes).serialize(PEER)


def test_refuses_to_sign_with_another_key():
    with pytest.raises(InvalidMessageError):
        a_parcel().serialize(EP)


def overhead(message_class) -> int:
    message = message_class(Recipient("0ab"), "id", NOW, 1, bytes(8_300_000), PDA)
    return len(message.serialize(PEER)) - 8_300_000


@pytest.mark.parametrize(
    ("message_class", "size"), [(Parcel, limits.EMITTED_PARCEL_MAX), (Cargo, limits.EMITTED_RAMF_MAX)]
)
def test_writes_messages_up_to_the_limit_and_no_larger(message_class, size):
    payload = min(size - overhead(message_class), limits.EMITTED_PAYLOAD_MAX)
    message = message_class(Recipient("0ab"), "id", NOW, 1, bytes(payload), PDA)
    assert len(message.serialize(PEER)) <= size
    larger = message_class(Recipient("0ab"), "id", NOW, 1, bytes(payload + 1), PDA)
    with pytest.raises(InvalidMessageError):
        larger.serialize(PEER)


def test_refuses_a_cargo_larger_than_a_ramf_message_may_be(monkeypatch):
    monkeypatch.setattr(Cargo, "EMITTED_MAX", 1000)
    with pytest.raises(InvalidMessageError, match="larger"):
        Cargo(Recipient("0ab"), "id", NOW, 1, b"", PDA).serialize(PEER)


@pytest.mark.parametrize(
    ("message_class", "size"), [(Parcel, limits.MAX_PARCEL_SIZE), (Cargo, limits.MAX_RAMF_SIZE)]
)
def test_the_size_is_checked_before_anything_else(message_class, size):
    with pytest.raises(MalformedMessageError, match="larger"):
        message_class.parse(bytes(size + 1))
    with pytest.raises(MalformedMessageError, match="prefix"):
        message_class.parse(bytes(size))


@pytest.mark.parametrize(
    ("prefix", "complaint"),
    [
        (b"", "too short"),
        (b"Awala", "too short"),
        (b"Relaynet\x50\x00", "prefix"),
        (b"Awala   \x50\x00", "type 0x20"),
        (b"Awala\x43\x00", "type 0x43"),
        (b"Awala\x50\x01", "version 1"),
    ],
)
def test_the_prefix_is_checked_before_the_signature(prefix, complaint):
    with pytest.raises(MalformedMessageError, match=complaint):
        Parcel.parse(prefix + (b"junk" if len(prefix) >= 7 else b""))


def test_the_signature_is_checked_before_the_fields():
    octets = bytearray(envelope(b"\x05\x00"))
    with pytest.raises(MalformedMessageError, match="1 fields"):
        Parcel.parse(octets)
    octets[-1] ^= 1
    with pytest.raises(MalformedMessageError, match="signed"):
        Parcel.parse(octets)


def test_refuses_a_message_whose_content_is_detached():
    with pytest.raises(MalformedMessageError, match="detached"):
        Parcel.parse(envelope(detached=True))


def test_refuses_more_than_sixteen_certificates():
    chain = tuple(certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION) for _ in range(16))
    octets = MessageType.PARCEL.prefix + sign(
        der.sequence(*RAW_FIELDS), key=PEER, signer=PEER_SELF, certificates=chain
    )
    with pytest.raises(MalformedMessageError, match="16 certificates"):
        Parcel.parse(octets)


def test_octets_behind_the_message_and_further_fields_are_ignored():
    octets = envelope(*RAW_FIELDS, der.implicit(5, b"more")) + b"trailing"
    assert Parcel.parse(octets).message_id == "msg-1"


@pytest.mark.parametrize(
    ("content", "ttl"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x00\x80", 128),
        (b"\x00\xc8", 200),
        (b"\x00\x00\x01", 1),
        (b"\x00" * 12 + b"\x00\xed\x4e\x00", 15_552_000),
    ],
)
def test_reads_the_ttl_as_signed_and_not_necessarily_minimal(content, ttl):
    assert Parcel.parse(envelope(changes={3: der.implicit(3, content)})).ttl == ttl


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff", b"\x00\xed\x4e\x01", bytes(17), b"\x7f" * 5000])
def test_refuses_a_ttl_out_of_range(content):
    with pytest.raises(MalformedMessageError, match="ttl"):
        Parcel.parse(envelope(changes={3: der.implicit(3, content)}))


@pytest.mark.parametrize(
    "digits",
    [
        b"",
        b"20261121005500Z",
        b"202611210055",
        b"20261121005500.5",
        b"2026112100550",
        b"20261321005500",
        b"20260230005500",
        b"20261121240000",
        b"20261121005560",
        b"00001121005500",
        b"2026-11-21T005",
        b"+2026112100550",
        b"2026112100_500",
        "\uff120261121005".encode(),
    ],
)
def test_refuses_dates_that_are_not_14_digits_of_the_calendar(digits):
    with pytest.raises(MalformedMessageError, match="creation date"):
        Parcel.parse(envelope(changes={2: der.implicit(2, digits)}))


@pytest.mark.parametrize("message_id", [b"", b"x" * 64, "ü".encode() * 64])
def test_reads_message_ids_up_to_64_characters(message_id):
    octets = envelope(changes={1: der.implicit(1, message_id)})
    assert Parcel.parse(octets).message_id == message_id.decode()


@pytest.mark.parametrize("message_id", [b"x" * 65, b"\xff", b"a\nb", b"a\x00b", b"x" * 5000])
def test_refuses_other_message_ids(message_id):
    with pytest.raises(MalformedMessageError, match="message id"):
        Parcel.parse(envelope(changes={1: der.implicit(1, message_id)}))


@pytest.mark.parametrize(
    "changes",
    [
        {0: der.implicit(0, b"0abab")},
        {0: der.implicit(0, b"", constructed=True)},
        {0: RAW_FIELDS[1]},
        {1: der.tlv(der.VISIBLE_STRING, b"msg-1")},
        {1: der.explicit(1, der.tlv(der.VISIBLE_STRING, b"msg-1"))},
        {2: der.tlv(der.GENERALIZED_TIME, b"20261121005500")},
        {3: der.integer(300)},
        {4: der.octet_string(b"PAYLOAD")},
        {4: der.explicit(4, der.octet_string(b"PAYLOAD"))},
        {4: RAW_FIELDS[3], 3: RAW_FIELDS[4]},
    ],
)
def test_refuses_tags_that_are_not_implicit_or_not_in_order(changes):
    with pytest.raises(MalformedMessageError):
        Parcel.parse(envelope(changes=changes))


def test_refuses_fields_that_are_no_sequence():
    octets = MessageType.PARCEL.prefix + sign(der.tlv(der.SET, *RAW_FIELDS), key=PEER, signer=PEER_SELF)
    with pytest.raises(MalformedMessageError):
        Parcel.parse(octets)


def test_refuses_a_payload_larger_than_the_limit(monkeypatch):
    monkeypatch.setattr(Parcel, "MAX_PAYLOAD", 6)
    with pytest.raises(MalformedMessageError, match="payload"):
        Parcel.parse(envelope())


def test_a_life_beyond_the_calendar_ends_with_it():
    parcel = a_parcel(creation_date=datetime(9999, 12, 31, tzinfo=UTC), ttl=limits.MAX_TTL)
    assert parcel.expiry_date == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("ahead", [-5 * HOUR, timedelta(0), 2 * HOUR])
def test_a_message_may_be_dated_up_to_two_hours_ahead(ahead):
    a_parcel(creation_date=NOW + ahead, ttl=86400).validate(NOW)


def test_refuses_a_message_dated_further_ahead():
    with pytest.raises(InvalidMessageError, match="future"):
        a_parcel(creation_date=NOW + 2 * HOUR + timedelta(seconds=1)).validate(NOW)


def test_a_message_is_good_until_two_hours_after_its_expiry():
    parcel = a_parcel(creation_date=NOW - 3 * HOUR, ttl=3600)
    parcel.validate(NOW)
    with pytest.raises(InvalidMessageError, match="expired"):
        parcel.validate(NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("start", "end", "good"),
    [
        (NOW + 2 * HOUR, NOW + DAY, True),
        (NOW + 2 * HOUR + timedelta(seconds=1), NOW + DAY, False),
        (NOW - DAY, NOW - 2 * HOUR, True),
        (NOW - DAY, NOW - 2 * HOUR - timedelta(seconds=1), False),
    ],
)
def test_the_sender_certificate_has_the_same_tolerance(start, end, good):
    issuer = certificate(PEER, PEER, None, Role.ENDPOINT, start=start, end=end)
    parcel = a_parcel(sender_certificate=issuer, sender_chain=())
    if good:
        parcel.validate(NOW)
    else:
        with pytest.raises(InvalidMessageError, match="certificate"):
            parcel.validate(NOW)


@pytest.mark.rule("2.2")
def test_the_creation_date_need_not_lie_within_the_sender_certificates_validity():
    a_parcel(creation_date=NOW - 10 * DAY, ttl=11 * 86400).validate(NOW)


@pytest.mark.rule("2.2")
def test_certificates_of_others_may_live_longer_than_ours():
    lasting = certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION, end=NOW + 3650 * DAY)

    a_parcel(sender_certificate=lasting).authorise([IGW_CERT], NOW)


@pytest.mark.parametrize(
    ("anchor", "length"), [(IGW_CERT, 4), (PGW_CERT, 3), (EP_CERT, 2)], ids=["gateway", "private", "endpoint"]
)
def test_the_path_leads_from_the_sender_to_the_anchor(anchor, length):
    path = received(a_parcel()).authorise([anchor], NOW)
    assert path == (PDA, EP_CERT, PGW_CERT, IGW_CERT)[:length]


def test_any_of_several_anchors_will_do():
    other = certificate(STRANGER, STRANGER, None, Role.SELF_ISSUED_GATEWAY)
    assert a_parcel().authorise([other, IGW_CERT], NOW)[-1] == IGW_CERT


@pytest.mark.parametrize(
    ("changes", "anchors", "complaint"),
    [
        ({"creation_date": NOW + DAY}, [IGW_CERT], "future"),
        ({"sender_certificate": PEER_SELF}, [PEER_SELF], "self-issued"),
        ({"sender_chain": (PGW_CERT,)}, [IGW_CERT], "no issuer"),
        ({}, [], "no issuer"),
        ({}, [PDA], "no issuer"),
        ({"recipient": Recipient(PEER.node_id)}, [IGW_CERT], "by the recipient"),
        ({"recipient": Recipient(IGW.node_id)}, [IGW_CERT], "by the recipient"),
    ],
)
def test_refuses_senders_whom_the_recipient_has_not_authorised(changes, anchors, complaint):
    with pytest.raises(InvalidMessageError, match=complaint):
        a_parcel(**changes).authorise(anchors, NOW)


def test_authorisation_ends_with_the_anchor():
    with pytest.raises(InvalidMessageError):
        a_parcel(creation_date=NOW + 29 * DAY, ttl=1_000_000).authorise([IGW_CERT], NOW + 31 * DAY)


def test_a_signature_by_a_stranger_with_a_stolen_certificate_is_refused():
    octets = bytearray(a_parcel().serialize(PEER))
    genuine = PEER.sign(b"something else")
    octets[-256:] = genuine
    with pytest.raises(MalformedMessageError):
        Parcel.parse(octets)
