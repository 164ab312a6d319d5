# SPDX-License-Identifier: MIT
"""Damages real artefacts in many places: whatever comes out, it is a value or an error of ours."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    HandshakeResponse,
    MessageError,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
)
from awala.messages.inspection import Kind, inspect
from awala.pki import Certificate
from fuzz.mutation import judged
from fuzz.targets import TARGETS
from helpers.artefacts import artefacts
from helpers.mutations import everywhere, mutations
from helpers.vectors import AT, DIRECTORY, STACKS, vector

MUTATIONS = 120
LARGEST = 8000
SMALL = 400
SAMPLE = 300

PARSERS = [
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    HandshakeResponse,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
]

ARTEFACTS = [
    (stack, path.name)
    for stack in STACKS
    for path in sorted((DIRECTORY / stack).iterdir())
    if path.stat().st_size < LARGEST and "pkcs8" not in path.name
]


def damages(octets: bytes, seed: str):
    chance = random.Random(seed)
    for _ in range(MUTATIONS):
        damaged = bytearray(octets)
        position = chance.randrange(len(damaged))
        match chance.randrange(5):
            case 0:
                damaged[position] ^= 1 << chance.randrange(8)
            case 1:
                damaged[position] = chance.randrange(256)
            case 2:
                del damaged[position : position + chance.randrange(1, 20)]
            case 3:
                damaged[position:position] = chance.randbytes(chance.randrange(1, 8))
            case _:
                del damaged[position:]
        yield bytes(damaged)


@pytest.mark.parametrize(("stack", "name"), ARTEFACTS)
def test_damaged_artefacts_end_in_values_or_in_message_errors(stack, name):
    keys = [vector(stack, "sk.pkcs8.der")]
    anchors = [Certificate.parse(vector(stack, "igwCert.der"))]
    outcomes = set()
    for damaged in damages(vector(stack, name), stack + name):
        try:
            outcomes.add(type(inspect(damaged, keys=keys, anchors=anchors, at=AT)))
        except MessageError as error:
            outcomes.add(type(error))
    assert outcomes


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
@pytest.mark.parametrize(
    ("stack", "name"), [(stack, name) for stack in STACKS for name in ("pnr.der", "parcel")]
)
def test_every_parser_refuses_cleanly_what_is_meant_for_another(parser, stack, name):
    for damaged in damages(vector(stack, name), name):
        try:
            parser.parse(damaged)
        except MessageError:
            continue


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(list(Kind)))
def test_noise_is_never_more_than_a_message_error(noise, kind):
    for chosen in (kind, None):
        try:
            inspect(noise, kind=chosen, at=AT)
        except MessageError:
            continue


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_keeps_its_property_whatever_is_damaged_in_small_artefacts(name):
    target = TARGETS[name]
    for seed in set(target.seeds().values()):
        for damaged in everywhere(seed) if len(seed) <= SMALL else mutations(seed, SAMPLE // 10):
            target.run(damaged)


@pytest.mark.parametrize("artefact", artefacts(), ids=lambda artefact: artefact.name)
def test_a_damaged_message_is_refused_or_not_authorised_or_equal_in_every_value(artefact):
    still_authorised = judged(artefact)
    outcomes = {still_authorised(damaged) for damaged in mutations(artefact.octets, SAMPLE)}

    assert still_authorised(artefact.octets + b"what stands behind is ignored")
    assert False in outcomes


def test_a_message_that_is_authorised_with_other_values_is_noticed():
    parcels = [each for each in artefacts() if each.message_class is Parcel]

    with pytest.raises(AssertionError, match="other values"):
        judged(parcels[0])(parcels[1].octets)
