# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.asn1 import der, parse
from awala.messages import (
    InvalidMessageError,
    MalformedMessageError,
    Recipient,
    is_internet_address,
    is_routable_id,
    normalise_address,
)

ID = "0" + "ab" * 32


def field(node_id: bytes, *more: bytes) -> bytes:
    return der.implicit(0, der.implicit(0, node_id) + b"".join(more), constructed=True)


@pytest.mark.parametrize("text", [ID, "0" * 65])
def test_routable_ids_are_a_zero_and_64_hexadecimal_digits(text):
    assert is_routable_id(text)


@pytest.mark.parametrize(
    "text", ["", "0", ID[:-1], ID + "0", "1" + ID[1:], ID.upper(), ID + "\n", "0" + "٣" * 64]
)
def test_other_ids_are_not_routable(text):
    assert not is_routable_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "EXAMPLE.com",
        "example.com.",
        "a_b.example.com",
        "x.y1",
        "a" * 63 + ".test",
        "xn--a.xn--p1ai",
    ],
)
def test_addresses_that_deployed_parsers_take(text):
    assert is_internet_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "localhost",
        "a..com",
        ".com",
        "-a.com",
        "a-.com",
        "127.0.0.1",
        "::1",
        "a b.com",
        "example.com:80",
        "https://example.com",
        "a" * 64 + ".test",
        "a." * 127 + "com",
        "\u212aexample.com",
        "exämple.com",
        "example.com\n",
        "example.com..",
    ],
)
def test_other_texts_are_no_addresses(text):
    assert not is_internet_address(text)


def test_addresses_are_compared_in_lower_case_without_final_dot():
    assert normalise_address("Example.COM.") == "example.com"


@pytest.mark.parametrize(
    ("recipient", "octets"),
    [
        (Recipient("0abab"), "a00780053061626162"),
        (Recipient("0abab", "example.com"), "a01480053061626162810b6578616d706c652e636f6d"),
    ],
)
def test_writes_and_reads_the_field(recipient, octets):
    assert recipient.encode().hex() == octets
    assert Recipient.decode(parse(bytes.fromhex(octets))) == recipient


@pytest.mark.parametrize(
    "recipient",
    [
        Recipient(""),
        Recipient("abab"),
        Recipient("0"),
        Recipient("0ABAB"),
        Recipient("0" * 1025),
        Recipient(ID, ""),
        Recipient(ID, "Example.com"),
        Recipient(ID, "example.com."),
        Recipient(ID, "a_b.com"),
        Recipient(ID, "example.c"),
        Recipient(ID, "127.0.0.1"),
        Recipient(ID, "a." * 126 + "com"),
        Recipient(ID, "exämple.com"),
    ],
)
def test_refuses_to_write_what_some_deployed_parser_would_refuse(recipient):
    with pytest.raises(InvalidMessageError):
        recipient.encode()


@pytest.mark.parametrize("node_id", [b"0", b"abc", b"0" * 1024])
def test_reads_any_id_that_a_deployed_parser_takes(node_id):
    assert Recipient.decode(parse(field(node_id))).id == node_id.decode()


@pytest.mark.parametrize("node_id", [b"", b"0AB", b"xyz", b"0" * 1025, b"\xff", b"0 1", b"0" * 5000])
def test_refuses_other_ids(node_id):
    with pytest.raises(MalformedMessageError):
        Recipient.decode(parse(field(node_id)))


def test_an_empty_address_is_none_and_further_fields_are_ignored():
    octets = field(b"0a", der.implicit(1, b""), der.implicit(2, b"more"))
    assert Recipient.decode(parse(octets)) == Recipient("0a", None)


def test_keeps_an_address_as_received():
    octets = field(b"0a", der.implicit(1, b"Example.COM."))
    assert Recipient.decode(parse(octets)).internet_address == "Example.COM."


@pytest.mark.parametrize("address", [b"no domain", b"localhost", b"a" * 300])
def test_refuses_an_address_that_is_no_domain_name(address):
    with pytest.raises(MalformedMessageError):
        Recipient.decode(parse(field(b"0a", der.implicit(1, address))))
