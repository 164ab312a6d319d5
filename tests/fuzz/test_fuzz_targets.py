# SPDX-License-Identifier: MIT
"""Runs every fuzz target over its seeds, without a fuzzer: vectors, and inputs that once broke something."""

from __future__ import annotations

import inspect
import sys

import pytest

import awala.asn1.values
import awala.cms
import awala.crypto
import awala.messages
import awala.pki
from awala.messages import Parcel
from fuzz.messages import judging
from fuzz.target import CORPUS
from fuzz.targets import TARGETS
from helpers.artefacts import _own, judge
from helpers.vectors import DIRECTORY, vector

VECTORS = sorted(file for stack in ("js", "jvm") for file in DIRECTORY.joinpath(stack).iterdir())
SLOW = 8192
READERS = ("parse", "load", "from_point", "decode")
FUNCTIONS = (
    awala.asn1.parse,
    awala.crypto.decrypt_content,
    awala.crypto.unwrap_key,
    awala.crypto.hash_of_signature_algorithm,
    awala.messages.recognise,
    awala.messages.inspection.inspect,
    awala.messages.inspection.pem.without_armour,
)


def parsers():
    """Return every public function that takes octets from outside, by name."""
    found = {function.__name__: (function.__code__, None) for function in FUNCTIONS}
    for name, function in inspect.getmembers(awala.asn1.values, inspect.isfunction):
        if function.__module__ == awala.asn1.values.__name__:
            found[name] = (function.__code__, None)
    for package in (awala.crypto, awala.pki, awala.cms, awala.messages):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) and value is not awala.messages.RamfMessage:
                for reader in READERS:
                    if hasattr(value, reader):
                        found[f"{name}.{reader}"] = (getattr(value, reader).__func__.__code__, value)
    return found


@pytest.fixture(scope="module")
def called():
    """What was called while all targets ran over their seeds: code, and the class of a class method."""
    seen = set()

    def note(frame, event, _argument):
        if event == "call":
            owner = frame.f_locals.get("cls")
            seen.add((frame.f_code, owner if isinstance(owner, type) else None))

    for target in TARGETS.values():
        for octets in target.seeds().values():
            if len(octets) < SLOW:
                sys.setprofile(note)
                try:
                    target.run(octets)
                finally:
                    sys.setprofile(None)
    return seen


@pytest.mark.parametrize("name", parsers())
def test_every_public_parser_is_reached_by_a_target(name, called):
    code, owner = parsers()[name]

    assert (code, owner) in called


def test_parsers_are_looked_for_where_they_are():
    assert {"Parcel.parse", "EnvelopedData.parse", "IdentityPublicKey.load", "text"} <= parsers().keys()


@pytest.mark.parametrize("name", TARGETS)
def test_the_property_of_each_target_holds_for_every_vector_and_every_seed(name):
    target = TARGETS[name]
    seeds = target.seeds()

    assert any(len(octets) <= target.max_len for octets in seeds.values()), "there is nothing to start from"
    for octets in (*seeds.values(), *(file.read_bytes() for file in VECTORS)):
        target.run(octets)


def test_the_corpus_has_a_folder_only_for_targets_that_there_are():
    assert {folder.name for folder in CORPUS.glob("*")} <= TARGETS.keys()


def test_a_certificate_in_another_form_of_ber_makes_no_other_message():
    octets = (CORPUS / "parcel" / "certificate-of-indefinite-length").read_bytes()

    assert octets != vector("js", "parcel")
    assert judge(Parcel, octets) == judge(Parcel, vector("js", "parcel"))


def test_messages_that_another_process_made_count_once_they_are_learned():
    target = judging("a target", Parcel, 1)
    others = [each.octets for each in _own() if each.message_class is Parcel]

    with pytest.raises(AssertionError, match="other values"):
        target.run(others[0])
    target.learn(others)
    fresh = judging("another", Parcel, 1)
    fresh.learn(others)

    for octets in others:
        target.run(octets)
        fresh.run(octets)
    for octets in target.seeds().values():
        fresh.run(octets)
