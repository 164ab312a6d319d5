# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime

import pytest

from awala.asn1 import Asn1Error, der, parse, values


@pytest.mark.parametrize(("content", "value"), [("00", 0), ("0001", 1), ("80", -128), ("ffff", -1)])
def test_integers_need_not_be_minimal(content, value):
    assert values.integer(parse(der.tlv(der.INTEGER, bytes.fromhex(content)))) == value


@pytest.mark.parametrize("content", [b"", bytes(1025)])
def test_refuses_integers_without_octets_or_with_far_too_many(content):
    with pytest.raises(Asn1Error, match="a number takes"):
        values.integer_from(content)


@pytest.mark.parametrize(("content", "value"), [(b"\0", False), (b"\x01", True), (b"\xff", True)])
def test_booleans(content, value):
    assert values.boolean(parse(der.tlv(der.BOOLEAN, content))) is value


@pytest.mark.parametrize("content", [b"", b"\0\0"])
def test_refuses_booleans_of_another_size(content):
    with pytest.raises(Asn1Error, match="truth value"):
        values.boolean(parse(der.tlv(der.BOOLEAN, content)))


@pytest.mark.parametrize("content", [b"", b"\x81", b"\x2a\x80\x01", b"\x2a" * 129])
def test_refuses_damaged_object_identifiers(content):
    with pytest.raises(Asn1Error, match="object identifier"):
        values.oid_from(content)


def test_octet_strings_may_come_in_segments():
    assert values.octet_string(parse(der.octet_string(b"ab"))) == b"ab"
    assert values.octet_string(parse(der.tlv(0x24, der.octet_string(b"a"), der.octet_string(b"b")))) == b"ab"
    with pytest.raises(Asn1Error, match="octet string"):
        values.octet_string(parse(der.utf8_string("ab")))


def test_bit_strings_hold_whole_octets_in_one_piece():
    assert values.bit_string(parse(der.bit_string(b"ab"))) == b"ab"
    for damaged in (der.tlv(3), der.tlv(3, b"\x01\x02"), der.tlv(0x23, der.bit_string(b"a"))):
        with pytest.raises(Asn1Error):
            values.bit_string(parse(damaged))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (der.bmp_string("0é"), "0é"),
        (der.utf8_string("0é"), "0é"),
        (der.visible_string("0a"), "0a"),
        (der.tlv(0x13, b"0a"), "0a"),
        (der.tlv(0x16, b"0a"), "0a"),
        (der.tlv(0x14, b"\xe9"), "é"),
        (der.tlv(0x1C, b"\0\0\0a"), "a"),
        (der.tlv(0x2C, der.octet_string(b"a"), der.octet_string(b"b")), "ab"),
    ],
)
def test_texts_of_any_type(encoding, text):
    assert values.text(parse(encoding)) == text


@pytest.mark.parametrize(
    "encoding", [der.octet_string(b"a"), der.tlv(0x0C, b"\xff"), der.tlv(0x13, b"\xff"), der.tlv(0x1E, b"a")]
)
def test_refuses_what_is_no_text(encoding):
    with pytest.raises(Asn1Error, match="a text"):
        values.text(parse(encoding))


@pytest.mark.parametrize(
    ("identifier", "content", "expected"),
    [
        (der.UTC_TIME, b"261121005507Z", datetime(2026, 11, 21, 0, 55, 7, tzinfo=UTC)),
        (der.UTC_TIME, b"2611210055Z", datetime(2026, 11, 21, 0, 55, tzinfo=UTC)),
        (der.UTC_TIME, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (der.UTC_TIME, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"20261121005507Z", datetime(2026, 11, 21, 0, 55, 7, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"202611210055Z", datetime(2026, 11, 21, 0, 55, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"20261121005507.25Z", datetime(2026, 11, 21, 0, 55, 7, tzinfo=UTC)),
        (der.GENERALIZED_TIME, b"99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(identifier, content, expected):
    assert values.time(parse(der.tlv(identifier, content))) == expected


@pytest.mark.parametrize(
    ("identifier", "content"),
    [
        (der.UTC_TIME, b""),
        (der.UTC_TIME, b"Z"),
        (der.UTC_TIME, b"261121005507"),
        (der.UTC_TIME, b"261121005507+0000"),
        (der.UTC_TIME, b"261121005507.5Z"),
        (der.UTC_TIME, b"26112100550Z"),
        (der.UTC_TIME, b"261321005507Z"),
        (der.UTC_TIME, b"260230005507Z"),
        (der.UTC_TIME, b"261121005560Z"),
        (der.UTC_TIME, b"261121 05507Z"),
        (der.UTC_TIME, b"261121005507ZZ"),
        (der.UTC_TIME, b"26112\xb2005507Z"),
        (der.GENERALIZED_TIME, b"00001121005507Z"),
        (der.GENERALIZED_TIME, b"20261121005507.Z"),
        (der.GENERALIZED_TIME, b"20261121005507.xZ"),
        (der.GENERALIZED_TIME, b"20261121240000Z"),
        (der.GENERALIZED_TIME, b"2026W121005507Z"),
        (der.OCTET_STRING, b"261121005507Z"),
    ],
)
def test_refuses_what_is_no_time(identifier, content):
    with pytest.raises(Asn1Error, match="a time"):
        values.time(parse(der.tlv(identifier, content)))
