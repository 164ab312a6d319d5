# SPDX-License-Identifier: MIT

from __future__ import annotations

import re

import pytest

from awala.asn1 import Asn1Error, der, parse
from awala.messages import MessageError, Recipient, recipient
from helpers.mutations import mutations

NODE_ID = "0" + "5a" * 32
NEVER = re.compile(rb"(?!)")


@pytest.fixture
def by_element(monkeypatch):
    def read(encoding):
        with monkeypatch.context() as context:
            context.setattr(recipient, "_USUAL", NEVER)
            return outcome(encoding)

    return read


def outcome(encoding):
    try:
        return Recipient.decode(parse(encoding))
    except (MessageError, Asn1Error) as error:
        return type(error)


@pytest.mark.parametrize("address", [None, "a.bc", "gateway.example.com", "x-1.xn--p1ai", "a." * 62 + "com"])
def test_the_usual_form_reads_the_same_at_once_and_by_element(address, by_element):
    encoding = Recipient(NODE_ID, address).encode()

    assert recipient._USUAL.fullmatch(parse(encoding).content) is not None
    assert outcome(encoding) == by_element(encoding) == Recipient(NODE_ID, address)


def test_damage_reads_the_same_at_once_and_by_element(by_element):
    read = 0
    for damaged in mutations(Recipient(NODE_ID, "gateway.example.com").encode(), 5000):
        assert outcome(damaged) == by_element(damaged)
        read += isinstance(outcome(damaged), Recipient)

    assert read > 200, "hardly any of them could be read, so this has proved nothing"


@pytest.mark.parametrize(
    "address", ["", "Gateway.Example.Com", "example.com.", "under_score.example", "b." * 100 + "com"]
)
def test_addresses_that_are_read_though_they_are_not_written(address, by_element):
    fields = der.implicit(0, NODE_ID.encode()) + der.implicit(1, address.encode())
    encoding = der.implicit(0, fields, constructed=True)

    assert outcome(encoding) == by_element(encoding) == Recipient(NODE_ID, address or None)


def test_an_address_with_a_wrong_length_is_refused(by_element):
    encoding = bytearray(Recipient(NODE_ID, "example.com").encode())
    encoding[2 + 67 + 1] -= 1

    assert outcome(bytes(encoding)) == by_element(bytes(encoding))
    assert outcome(bytes(encoding)) == Asn1Error
