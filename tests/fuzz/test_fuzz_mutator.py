# SPDX-License-Identifier: MIT

from __future__ import annotations

import random

import pytest

from awala.asn1 import Asn1Error, parse
from fuzz.mutator import Node, mutate, nodes, prefix_octets
from helpers.vectors import DIRECTORY, vector

ARTEFACTS = ["parcel", "pnr.der", "ccr.der", "serviceMessage.der", "ep.spki.der"]


def plain(data, _max_size):
    return data[:-1]


def by_elements(data, count, **how):
    return [mutate(data, 8192, seed, plain, **how) for seed in range(count)]


@pytest.mark.parametrize("name", ARTEFACTS)
def test_what_is_taken_apart_is_put_together_as_it_was(name):
    octets = vector("js", name)
    start = prefix_octets(octets)

    assert octets[:start] + b"".join(node.encode() for node in nodes(octets[start:])) == octets


@pytest.mark.parametrize("name", ARTEFACTS)
def test_most_mutations_by_elements_can_still_be_read_on_the_outside(name):
    octets = vector("js", name)
    readable = 0
    mutated = by_elements(octets, 200, plain_share=0)
    for each in mutated:
        try:
            parse(each[prefix_octets(each) :]).children()
        except Asn1Error:
            continue
        readable += 1

    assert readable > 80
    assert len(set(mutated)) > 60


def test_the_same_seed_makes_the_same_mutation():
    octets = vector("js", "parcel")

    assert by_elements(octets, 50) == by_elements(octets, 50)


def test_octets_that_are_no_elements_are_left_to_the_fuzzer():
    assert mutate(b"-----BEGIN", 100, 1, plain, plain_share=0) == b"-----BEGI"


def test_nothing_grows_beyond_what_is_allowed():
    octets = vector("js", "pnr.der")

    for seed in range(200):
        assert len(mutate(octets, len(octets), seed, plain, plain_share=0)) <= len(octets)


def test_any_octets_are_survived():
    chance = random.Random(1)
    for file in sorted(DIRECTORY.glob("js/*.der")):
        octets = bytearray(file.read_bytes()[:2000])
        for seed in range(20):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
            mutate(bytes(octets), 4096, seed, plain)


def test_an_indefinite_length_is_written_with_its_end():
    assert Node(0x04, b"x", indefinite=True).encode() == b"\x24\x80x\0\0"
