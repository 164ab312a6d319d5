# SPDX-License-Identifier: MIT

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature

from awala.messages import InvalidMessageError, MalformedMessageError, ServiceMessage
from awala.testing.bench import Plan, core
from awala.testing.bench.cast import gather
from awala.testing.bench.floor import bare_open, bare_seal, floor_material, new_buffer
from helpers.vectors import AT

SIZES = (100, 2048)
SENDERS = 3


@pytest.fixture(scope="module")
def people():
    return gather(SENDERS, AT)


@pytest.fixture(scope="module")
def report():
    said = []
    plan = Plan(seconds=0.001, say=said.append)
    return core.measure(plan, sizes=SIZES, senders=SENDERS, now=AT), said


def test_each_size_is_sealed_and_opened_cold_and_warm(report):
    measured, said = report

    assert [tuple(figure.labels.values()) for figure in measured.figures] == [
        (operation, size, caches)
        for size in SIZES
        for operation in ("seal", "open")
        for caches in ("cold", "warm")
    ]
    assert len(said) == 1 + 2 * len(SIZES)


def test_each_figure_stands_beside_its_floor(report):
    for figure in report[0].figures:
        plain = figure.plain()
        assert min(plain[name] for name in ("per_second", "floor_per_second", "ratio", "microseconds")) > 0
        assert plain["turns"] >= 3


def test_says_how_large_the_pools_were(report):
    conditions = report[0].plain()["conditions"]

    assert conditions["senders"] == SENDERS
    assert conditions["certificates"] == 3 * (SENDERS + 1) + 1
    assert conditions["pool_of_100"] == SENDERS
    assert conditions["openssl"].startswith("OpenSSL")


def test_large_parcels_have_smaller_pools(people, monkeypatch):
    monkeypatch.setattr(core, "MAX_POOL_OCTETS", 2 * 1024)

    assert len(core._pool(people, 1024, AT).senders) == 2


def test_no_two_senders_share_a_key_or_a_certificate(people):
    certificates = [c for sender in people.senders for c in (sender.authorization, *sender.chain)]

    assert len({sender.key.node_id for sender in people.senders}) == SENDERS
    assert len(set(certificates)) == 3 * SENDERS


def test_what_is_sealed_is_opened(people):
    sender = people.senders[0]
    message = ServiceMessage("text/plain", b"content")

    parcel = core.seal_parcel(sender, message, AT)

    assert core.open_parcel(parcel, sender, (people.gateway,), AT) == message


def test_opening_takes_no_short_cuts(people):
    first, second = people.senders[:2]
    parcel = core.seal_parcel(first, ServiceMessage("text/plain", b"content"), AT)

    with pytest.raises(MalformedMessageError):
        core.open_parcel(parcel[:-1] + bytes((parcel[-1] ^ 1,)), first, (people.gateway,), AT)
    with pytest.raises(InvalidMessageError):
        core.open_parcel(parcel, first, (second.endpoint,), AT)
    with pytest.raises(InvalidMessageError):
        core.open_parcel(parcel, first, (people.gateway,), AT + timedelta(days=9))


def test_the_floor_does_what_it_says(people):
    sender, plaintext = people.senders[0], b"p" * 1000
    material, buffer = floor_material(people, sender, plaintext), new_buffer(plaintext)

    bare_open(material, buffer)
    assert bytes(buffer[: len(plaintext)]) == plaintext
    assert len(material.signatures) == 4

    bare_seal(material, buffer)
    assert bytes(buffer[: len(plaintext)]) != plaintext


def test_the_floor_verifies_what_the_parcel_has(people):
    material = floor_material(people, people.senders[0], b"p")
    forged = tuple(
        dataclasses.replace(signed, message=signed.message + b"!") if number == 3 else signed
        for number, signed in enumerate(material.signatures)
    )

    with pytest.raises(InvalidSignature):
        bare_open(dataclasses.replace(material, signatures=forged), new_buffer(b"p"))


def test_goes_round_the_pool_a_turn_at_a_time():
    rounds = core._Rounds(range(core.TURN + 2))

    assert [list(rounds.next()) for _ in range(3)] == [
        list(range(core.TURN)),
        [core.TURN, core.TURN + 1],
        list(range(core.TURN)),
    ]
