# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from awala.asn1 import Asn1Error, der, parse, values


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x81\x80"),
        (255, b"\x81\xff"),
        (256, b"\x82\x01\x00"),
        (65535, b"\x82\xff\xff"),
        (65536, b"\x83\x01\x00\x00"),
        (16_777_216, b"\x84\x01\x00\x00\x00"),
    ],
)
def test_lengths_are_as_short_as_possible(length, encoded):
    assert der.header(der.OCTET_STRING, length) == b"\x04" + encoded


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "0080"),
        (200, "00c8"),
        (255, "00ff"),
        (256, "0100"),
        (-1, "ff"),
        (-128, "80"),
        (-129, "ff7f"),
    ],
)
def test_integers_are_minimal(value, content):
    assert der.integer_content(value).hex() == content
    assert der.integer(value) == der.tlv(der.INTEGER, bytes.fromhex(content))


@given(st.integers(min_value=-(2**200), max_value=2**200))
def test_integers_are_what_another_library_writes(value):
    assert der.integer(value) == core.Integer(value).dump()
    assert values.integer(parse(der.integer(value))) == value


@pytest.mark.parametrize(
    ("dotted", "content"),
    [
        ("1.2.840.113549.1.7.1", "2a864886f70d010701"),
        ("1.3.6.1.4.1.58708.0.1.0", "2b0601040183ca54000100"),
        ("2.5.29.19", "551d13"),
        ("2.999.3", "883703"),
        ("0.0", "00"),
    ],
)
def test_object_identifiers(dotted, content):
    assert der.oid_content(dotted).hex() == content
    assert values.oid(parse(der.oid(dotted))) == dotted


@pytest.mark.parametrize("text", ["", "1", "1.", "1.x.3", "3.1", "1.40", "0.40", "1.-2", "1.٣"])
def test_refuses_texts_that_are_no_object_identifiers(text):
    with pytest.raises(Asn1Error):
        der.oid(text)


arcs = st.lists(st.integers(min_value=0, max_value=2**70), max_size=6)
roots = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39)), st.tuples(st.just(2), st.integers(0, 2**40))
)


@given(roots, arcs)
def test_object_identifiers_are_read_back(root, others):
    dotted = ".".join(map(str, (*root, *others)))
    assert values.oid(parse(der.oid(dotted))) == dotted


def test_sets_are_sorted():
    assert der.set_of(der.integer(300), der.integer(2), der.boolean(False)) == der.tlv(
        der.SET, der.boolean(False), der.integer(2), der.integer(300)
    )


def test_simple_elements():
    assert der.null().hex() == "0500"
    assert der.boolean(True).hex() == "0101ff"
    assert der.boolean(False).hex() == "010100"
    assert der.bit_string(b"\x01").hex() == "03020001"
    assert der.octet_string(memoryview(b"ab")).hex() == "04026162"
    assert der.utf8_string("é").hex() == "0c02c3a9"
    assert der.visible_string("a b").hex() == "1a03612062"
    assert der.bmp_string("0a").hex() == "1e0400300061"
    assert der.join([der.null(), der.null()]).hex() == "05000500"


def test_context_tags():
    assert der.implicit(0, b"x").hex() == "800178"
    assert der.implicit(1, der.null(), constructed=True).hex() == "a1020500"
    assert der.explicit(2, der.null()).hex() == "a2020500"
    for number in (-1, 31):
        with pytest.raises(Asn1Error, match="above 30"):
            der.implicit(number, b"")


@pytest.mark.parametrize(
    "write",
    [
        lambda: der.visible_string("é"),
        lambda: der.visible_string("a\nb"),
        lambda: der.bmp_string("\N{GRINNING FACE}"),
        lambda: der.bmp_string("\ud800"),
        lambda: der.utf8_string("\ud800"),
    ],
)
def test_refuses_texts_that_do_not_fit(write):
    with pytest.raises(Asn1Error):
        write()


AT = datetime(2026, 11, 21, 0, 55, 7, 999_999, tzinfo=UTC)


def test_times_are_written_in_utc_to_the_second():
    elsewhere = AT.astimezone(timezone(timedelta(hours=-5)))
    assert der.utc_time(elsewhere) == b"\x17\x0d261121005507Z"
    assert der.generalized_time(elsewhere) == b"\x18\x0f20261121005507Z"


@pytest.mark.parametrize(
    ("year", "identifier"),
    [
        (1949, der.GENERALIZED_TIME),
        (1950, der.UTC_TIME),
        (1999, der.UTC_TIME),
        (2049, der.UTC_TIME),
        (2050, der.GENERALIZED_TIME),
        (7, der.GENERALIZED_TIME),
    ],
)
def test_times_of_certificates_change_their_type_in_2050(year, identifier):
    at = AT.replace(year=year, microsecond=0)
    element = parse(der.x509_time(at))
    assert element.identifier == identifier
    assert values.time(element) == at


@pytest.mark.parametrize("write", [der.utc_time, der.generalized_time, der.x509_time])
def test_refuses_times_without_a_zone(write):
    with pytest.raises(Asn1Error, match="time zone"):
        write(AT.replace(tzinfo=None))


def test_refuses_years_that_a_utc_time_cannot_hold():
    with pytest.raises(Asn1Error, match="1950 to 2049"):
        der.utc_time(AT.replace(year=2050))
