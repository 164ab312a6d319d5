# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import timedelta

import pytest

from awala.bindings.errors import Forbidden, MalformedRequest, TemporarilyUnavailable
from awala.messages import Registration, RegistrationAuthorization, RegistrationRequest
from awala.nodes import registrar as module
from awala.nodes.registrar import AUTHORIZATION_LIFETIME, Registrar
from awala.testing import FakeClock
from helpers.nodes import ADDRESS, IGW, IGW_CERT, NOW, OTHER_IGW, PEER, PGW, PGW_CERT


class Enrolment:
    def __init__(self) -> None:
        self.keys = []

    async def __call__(self, key, now):
        self.keys.append((key.node_id, now))
        return Registration(PGW_CERT, IGW_CERT, ADDRESS)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def enrolment():
    return Enrolment()


@pytest.fixture
def registrar(clock, enrolment):
    return Registrar(key=IGW, clock=clock, enrol=enrolment)


def request(authorization: bytes, key=PGW) -> bytes:
    return RegistrationRequest(key.public_key, authorization).serialize(key)


async def test_registers_the_node_that_was_authorised(registrar, enrolment):
    authorization = await registrar.preregister(PGW.public_key.digest)

    registration = Registration.parse(await registrar.register(request(authorization)))

    assert registration.node_certificate == PGW_CERT
    assert enrolment.keys == [(PGW.node_id, NOW)]


@pytest.mark.rule("3.10")
async def test_an_authorisation_lives_ten_seconds(registrar, clock):
    authorization = RegistrationAuthorization.parse(await registrar.preregister(PGW.public_key.digest))

    assert authorization.expiry - NOW == AUTHORIZATION_LIFETIME == timedelta(seconds=10)
    authorization.verify(IGW.public_key, clock.now())


async def test_refuses_an_authorisation_after_its_end(registrar, clock, enrolment):
    authorization = await registrar.preregister(PGW.public_key.digest)
    clock.jump(NOW + timedelta(seconds=11))

    with pytest.raises(MalformedRequest, match="expired"):
        await registrar.register(request(authorization))
    assert not enrolment.keys


@pytest.mark.rule("3.10")
async def test_an_authorisation_is_good_once(registrar, enrolment):
    authorization = await registrar.preregister(PGW.public_key.digest)
    await registrar.register(request(authorization))

    with pytest.raises(MalformedRequest, match="used before"):
        await registrar.register(request(authorization))
    assert len(enrolment.keys) == 1


@pytest.mark.rule("3.10")
async def test_an_authorisation_is_for_one_key_and_another_does_not_use_it_up(registrar, enrolment):
    authorization = await registrar.preregister(PGW.public_key.digest)

    with pytest.raises(Forbidden):
        await registrar.register(request(authorization, PEER))
    await registrar.register(request(authorization))

    assert [node_id for node_id, _ in enrolment.keys] == [PGW.node_id]


@pytest.mark.parametrize(
    "authorization",
    [
        b"rubbish",
        RegistrationAuthorization(NOW + timedelta(seconds=5), bytes(48)).serialize(OTHER_IGW),
    ],
    ids=["rubbish", "another signer"],
)
async def test_refuses_authorisations_that_it_did_not_give(registrar, authorization):
    with pytest.raises(MalformedRequest):
        await registrar.register(request(authorization))


async def test_refuses_an_authorisation_with_data_of_a_wrong_size(registrar):
    authorization = RegistrationAuthorization(NOW + timedelta(seconds=5), b"short").serialize(IGW)

    with pytest.raises(Forbidden):
        await registrar.register(request(authorization))


async def test_refuses_an_authorisation_that_an_earlier_process_gave(registrar):
    earlier = RegistrationAuthorization(NOW + timedelta(seconds=5), bytes(16) + PGW.public_key.digest)

    with pytest.raises(MalformedRequest, match="used before"):
        await registrar.register(request(earlier.serialize(IGW)))


async def test_refuses_a_request_whose_countersignature_does_not_hold(registrar):
    authorization = await registrar.preregister(PGW.public_key.digest)
    forged = bytearray(request(authorization))
    forged[-1] ^= 1

    with pytest.raises(MalformedRequest):
        await registrar.register(bytes(forged))


async def test_asking_for_many_authorisations_keeps_nobody_out(registrar):
    for _ in range(50):
        await registrar.preregister(PEER.public_key.digest)
    assert not registrar._used
    await registrar.register(request(await registrar.preregister(PGW.public_key.digest)))


async def test_registrations_are_bounded_and_forgotten_when_their_authorisations_end(
    registrar, clock, monkeypatch
):
    monkeypatch.setattr(module, "MAX_USED", 2)
    for _ in range(2):
        await registrar.register(request(await registrar.preregister(PGW.public_key.digest)))
    third = await registrar.preregister(PGW.public_key.digest)

    with pytest.raises(TemporarilyUnavailable):
        await registrar.register(request(third))
    clock.jump(NOW + timedelta(seconds=11))
    await registrar.register(request(await registrar.preregister(PGW.public_key.digest)))
    assert len(registrar._used) == 1
