# SPDX-License-Identifier: MIT
from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.asn1 import MAX_DEPTH, MAX_ELEMENTS, Asn1Error, Element, der, parse
from helpers.vectors import STACKS, vector

INDEFINITE_SEQUENCE = b"\x30\x80"
END = b"\0\0"


def walk(element: Element) -> int:
    if not element.is_constructed:
        return 1
    return 1 + sum(map(walk, element.children()))


def test_reads_one_level_at_a_time():
    inner = der.sequence(der.integer(5), der.null())
    root = parse(der.sequence(inner, der.boolean(True)))
    first, second = root.children()
    assert (first.identifier, bytes(first.encoding)) == (der.SEQUENCE, inner)
    assert (second.identifier, bytes(second.content)) == (der.BOOLEAN, b"\xff")
    assert [child.identifier for child in first.children()] == [der.INTEGER, der.NULL]


def test_ignores_octets_behind_the_first_element():
    root = parse(der.integer(1) + b"rest")
    assert bytes(root.encoding) == der.integer(1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_plain_buffer(kind):
    assert bytes(parse(kind(der.integer(3))).content) == b"\x03"


@pytest.mark.parametrize("data", [memoryview(bytes(8)).cast("I"), memoryview(b"\x02\x01\x05\0\0")[::2]])
def test_refuses_buffers_that_are_no_plain_octets(data):
    with pytest.raises(Asn1Error, match="plain run"):
        parse(data)


@pytest.mark.parametrize(
    "encoded_length", [b"\x05", b"\x81\x05", b"\x82\x00\x05", b"\x83\x00\x00\x05", b"\x84\x00\x00\x00\x05"]
)
def test_reads_lengths_in_more_octets_than_necessary(encoded_length):
    data = b"\x04" + encoded_length + b"hello"
    assert parse(data).octets() == b"hello"
    assert parse(der.sequence(data)).children()[0].octets() == b"hello"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no element"),
        (b"\x30", "cut short"),
        (b"\x04\x05hell", "cut short"),
        (b"\x04\x82\x01", "cut short"),
        (b"\x04\x85\0\0\0\0\x01a", "four octets"),
        (b"\x04\xff" + bytes(127), "four octets"),
        (b"\x1f\x01\x01", "above 30"),
        (b"\xbf\x01\x01", "above 30"),
        (b"\0\0", "end marker"),
        (b"\x20\0", "end marker"),
        (b"\x04\x80a\0\0", "primitive element has an indefinite"),
        (INDEFINITE_SEQUENCE, "no end"),
        (INDEFINITE_SEQUENCE + b"\x02\x01\x05", "no end"),
        (INDEFINITE_SEQUENCE + b"\x02\x05\x05" + END, "no end"),
        (INDEFINITE_SEQUENCE + b"\x1f\x05\x05" + END, "above 30"),
        (INDEFINITE_SEQUENCE + b"\x04\x80" + END + END, "primitive element has an indefinite"),
        (INDEFINITE_SEQUENCE + b"\x04\x83\x00", "cut short"),
    ],
)
def test_refuses_what_is_damaged(data, message):
    with pytest.raises(Asn1Error, match=message):
        parse(data)
    with pytest.raises(Asn1Error):
        parse(der.sequence(data or b"\x01")).children()


@pytest.mark.parametrize("inside", [b"\x02", b"\x02\x02\x01", b"\x02\x82\x01", b"\x02\x01\x05\0\0", b"\0\0"])
def test_refuses_children_that_do_not_fit(inside):
    with pytest.raises(Asn1Error):
        parse(der.sequence(inside)).children()


def test_a_child_may_not_reach_beyond_its_parent_into_what_follows():
    with pytest.raises(Asn1Error, match="cut short"):
        parse(der.sequence(der.tlv(der.SEQUENCE, b"\x04\x03a"), der.octet_string(b"xyz"))).children()[
            0
        ].children()


def test_an_indefinite_element_may_not_end_outside_its_parent():
    root = parse(der.sequence(INDEFINITE_SEQUENCE) + END)
    with pytest.raises(Asn1Error, match="no end"):
        root.children()


def test_a_primitive_element_has_no_children():
    with pytest.raises(Asn1Error, match="primitive"):
        parse(der.integer(1)).children()


def test_reads_nested_indefinite_lengths():
    inner = (
        INDEFINITE_SEQUENCE + der.integer(1) + INDEFINITE_SEQUENCE + der.octet_string(bytes(300)) + END + END
    )
    data = INDEFINITE_SEQUENCE + der.sequence(inner) + inner + END
    root = parse(data + b"rest")
    assert bytes(root.encoding) == data
    assert bytes(root.content) == der.sequence(inner) + inner
    wrapped, plain = root.children()
    for element in (wrapped.children()[0], plain):
        number, deeper = element.children()
        assert bytes(number.content) == b"\x01"
        assert deeper.children()[0].octets() == bytes(300)


@pytest.mark.parametrize("data", [b"\x24\x80", b"\x30\x80"])
def test_an_empty_indefinite_element_has_no_children(data):
    assert parse(data + END).children() == []


def test_joins_segments_at_any_depth():
    nested = der.tlv(0x24, der.octet_string(b"b"), b"\x24\x80" + der.octet_string(b"c") + END)
    data = der.tlv(0xA0, der.octet_string(b"a"), nested, der.octet_string(b""), der.octet_string(b"d"))
    assert parse(data).octets() == b"abcd"
    assert parse(der.tlv(0x24)).octets() == b""


def test_a_string_in_one_piece_is_not_copied():
    data = der.octet_string(b"abc")
    assert isinstance(parse(data).buffer(), memoryview)
    assert isinstance(parse(der.tlv(0x24, data)).buffer(), memoryview)
    assert isinstance(parse(der.tlv(0x24, data, data)).buffer(), bytes)


def test_refuses_segments_of_another_type():
    with pytest.raises(Asn1Error, match="segments"):
        parse(der.tlv(0x24, der.utf8_string("x"))).octets()


def test_expect_names_what_has_the_wrong_tag():
    element = parse(der.integer(1))
    assert element.expect(der.INTEGER, "a number") is element
    with pytest.raises(Asn1Error, match="a set has the tag 0x02 instead of 0x31"):
        element.expect(der.SET, "a set")


def test_repr_does_not_show_the_content():
    assert repr(parse(der.octet_string(b"secret"))) == "Element(0x04, 6 octets)"


def nested_definite(depth: int) -> bytes:
    data = der.null()
    for _ in range(depth - 1):
        data = der.sequence(data)
    return data


def test_depth_is_limited_in_definite_form():
    assert walk(parse(nested_definite(MAX_DEPTH))) == MAX_DEPTH
    with pytest.raises(Asn1Error, match="deep"):
        walk(parse(nested_definite(MAX_DEPTH + 1)))


def test_depth_is_limited_in_indefinite_form():
    assert walk(parse(INDEFINITE_SEQUENCE * MAX_DEPTH + END * MAX_DEPTH)) == MAX_DEPTH
    with pytest.raises(Asn1Error, match="deep"):
        parse(INDEFINITE_SEQUENCE * (MAX_DEPTH + 1) + END * (MAX_DEPTH + 1))


def test_depth_is_limited_in_segments():
    data = der.octet_string(b"x")
    for _ in range(MAX_DEPTH):
        data = der.tlv(0x24, data)
    with pytest.raises(Asn1Error, match="deep"):
        parse(data).octets()


def test_half_a_million_open_elements_are_refused_at_once():
    started = time.perf_counter()
    with pytest.raises(Asn1Error, match="deep"):
        parse(INDEFINITE_SEQUENCE * 500_000)
    assert time.perf_counter() - started < 0.1


def test_the_number_of_elements_is_limited():
    many = der.null() * (MAX_ELEMENTS - 1)
    assert len(parse(der.sequence(many)).children()) == MAX_ELEMENTS - 1
    with pytest.raises(Asn1Error, match="more than"):
        parse(der.sequence(many, der.null())).children()
    with pytest.raises(Asn1Error, match="more than"):
        parse(INDEFINITE_SEQUENCE + many + END)


def test_the_number_of_elements_is_limited_over_all_levels():
    half = der.tlv(0x24, b"\x04\0" * (MAX_ELEMENTS // 2))
    first, second = parse(der.sequence(half, half)).children()
    assert first.octets() == b""
    with pytest.raises(Asn1Error, match="more than"):
        second.octets()


def test_nothing_more_is_read_once_the_limit_is_passed():
    data = INDEFINITE_SEQUENCE + der.null() * (MAX_ELEMENTS // 2) + END
    first, second = parse(der.sequence(data, INDEFINITE_SEQUENCE + END)).children()
    with pytest.raises(Asn1Error, match="more than"):
        first.children()
    with pytest.raises(Asn1Error, match="more than"):
        first.children()
    assert second.children() == []


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", ["parcel", "cargo", "cca", "big.env.der", "igwCert.der"])
def test_walks_through_real_messages(stack, name):
    try:
        data = vector(stack, name)
    except FileNotFoundError:
        pytest.skip("only one library made this")
    data = data.removeprefix(data[:7] if data.startswith(b"Awala") else b"")
    root = parse(data)
    assert bytes(root.encoding) == data
    assert walk(root) > 50


trees = st.recursive(
    st.binary(max_size=200).map(lambda content: ("leaf", content)),
    lambda children: st.tuples(
        st.sampled_from(["definite", "indefinite", "long"]), st.lists(children, max_size=4)
    ),
    max_leaves=20,
)


def encode(tree) -> bytes:
    kind, inside = tree
    if kind == "leaf":
        return der.octet_string(inside)
    content = b"".join(map(encode, inside))
    if kind == "indefinite":
        return INDEFINITE_SEQUENCE + content + END
    if kind == "long":
        return b"\x30\x84" + len(content).to_bytes(4) + content
    return der.sequence(content)


def compare(element: Element, tree) -> None:
    kind, inside = tree
    if kind == "leaf":
        assert element.octets() == inside
        return
    children = element.children()
    assert len(children) == len(inside)
    for child, subtree in zip(children, inside, strict=True):
        compare(child, subtree)


@given(trees, st.binary(max_size=20))
def test_reads_back_any_tree_in_any_form(tree, rest):
    data = encode(tree)
    root = parse(data + rest)
    assert bytes(root.encoding) == data
    compare(root, tree)


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(data):
    with contextlib.suppress(Asn1Error):
        walk(parse(data))
