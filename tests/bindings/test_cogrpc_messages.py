# SPDX-License-Identifier: MIT
from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.bindings.cogrpc.errors import CodecError
from awala.bindings.cogrpc.limits import MAX_CARGO, MAX_DELIVERY_ID, MAX_FIELDS, MAX_MESSAGE
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck

IDS = st.text(max_size=MAX_DELIVERY_ID // 4)


def test_writes_a_delivery_as_protobuf_has_it():
    assert CargoDelivery("ab", b"\x01\x02\x03").serialize() == bytes.fromhex("0a0261621203010203")


def test_writes_an_acknowledgement_as_protobuf_has_it():
    assert CargoDeliveryAck("ab").serialize() == bytes.fromhex("0a026162")


def test_writes_long_lengths_in_groups_of_seven_bits():
    assert CargoDelivery("", bytes(300)).serialize() == bytes.fromhex("0a0012ac02") + bytes(300)


@given(IDS, st.binary(max_size=400))
def test_reads_the_delivery_that_it_wrote(delivery_id, cargo):
    delivery = CargoDelivery(delivery_id, cargo)

    assert CargoDelivery.parse(delivery.serialize()) == delivery


@given(IDS)
def test_reads_the_acknowledgement_that_it_wrote(delivery_id):
    assert CargoDeliveryAck.parse(CargoDeliveryAck(delivery_id).serialize()).delivery_id == delivery_id


@given(st.binary(max_size=64))
def test_noise_is_read_or_refused_but_never_breaks(noise):
    for kind in (CargoDelivery, CargoDeliveryAck):
        with suppress(CodecError):
            kind.parse(noise)


@given(IDS, st.binary(max_size=200), st.data())
def test_a_truncated_delivery_is_never_taken_for_the_whole(delivery_id, cargo, data):
    encoding = CargoDelivery(delivery_id, cargo).serialize()
    cut = data.draw(st.integers(0, len(encoding) - 1))

    try:
        parsed = CargoDelivery.parse(encoding[:cut])
    except CodecError:
        return
    assert parsed.cargo == b""


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param("1807", id="varint"),
        pytest.param("18ffffffffffffffffff01", id="ten-octet varint"),
        pytest.param("190102030405060708", id="fixed64"),
        pytest.param("1a03616263", id="length-delimited"),
        pytest.param("1d01020304", id="fixed32"),
        pytest.param("f8ffffff0f01", id="highest field number"),
        pytest.param("0805", id="known number of another type"),
    ],
)
def test_skips_unknown_fields(unknown):
    field = bytes.fromhex(unknown)

    parsed = CargoDelivery.parse(field + bytes.fromhex("0a0161") + field + bytes.fromhex("120162") + field)

    assert parsed == CargoDelivery("a", b"b")


def test_an_acknowledgement_skips_a_cargo():
    assert CargoDeliveryAck.parse(bytes.fromhex("0a0161120162")) == CargoDeliveryAck("a")


def test_the_last_value_of_a_repeated_field_counts():
    assert CargoDelivery.parse(bytes.fromhex("0a01610a0162")) == CargoDelivery("b", b"")


def test_missing_fields_are_empty():
    assert CargoDelivery.parse(b"") == CargoDelivery("", b"")


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param("0a", id="no length"),
        pytest.param("0a05616263", id="content cut off"),
        pytest.param("0aff", id="length cut off"),
        pytest.param("80", id="tag cut off"),
        pytest.param("1d0102", id="fixed32 cut off"),
        pytest.param("190102", id="fixed64 cut off"),
        pytest.param("0affffffffffffffffffff01", id="overlong length"),
        pytest.param("0a02c328", id="not utf-8"),
        pytest.param("0000", id="field number 0"),
        pytest.param("8080808080010a", id="field number too large"),
        pytest.param("1b1c", id="group"),
        pytest.param("0e", id="wire type 6"),
        pytest.param("0f", id="wire type 7"),
    ],
)
def test_refuses_what_is_not_protobuf(encoding):
    with pytest.raises(CodecError):
        CargoDelivery.parse(bytes.fromhex(encoding))


def test_refuses_more_fields_than_the_limit():
    CargoDelivery.parse(bytes.fromhex("1801") * MAX_FIELDS)

    with pytest.raises(CodecError):
        CargoDelivery.parse(bytes.fromhex("1801") * (MAX_FIELDS + 1))


def test_the_id_is_bounded_in_both_directions():
    longest = "x" * MAX_DELIVERY_ID
    assert CargoDeliveryAck.parse(CargoDeliveryAck(longest).serialize()).delivery_id == longest

    with pytest.raises(CodecError):
        CargoDeliveryAck(longest + "x").serialize()
    with pytest.raises(CodecError):
        CargoDeliveryAck.parse(b"\x0a\xc9\x01" + b"x" * (MAX_DELIVERY_ID + 1))


def test_an_id_that_utf8_cannot_write_is_refused():
    with pytest.raises(CodecError):
        CargoDeliveryAck("\ud800").serialize()


def test_the_largest_cargo_with_the_longest_id_fits():
    encoding = CargoDelivery("x" * MAX_DELIVERY_ID, bytes(MAX_CARGO)).serialize()

    assert len(encoding) <= MAX_MESSAGE
    assert len(CargoDelivery.parse(encoding).cargo) == MAX_CARGO


def test_refuses_a_message_above_the_limit():
    with pytest.raises(CodecError):
        CargoDelivery("", bytes(MAX_MESSAGE)).serialize()
    with pytest.raises(CodecError):
        CargoDelivery.parse(bytes(MAX_MESSAGE + 1))
