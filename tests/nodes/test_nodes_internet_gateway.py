# SPDX-License-Identifier: MIT
"""The Internet gateway's doors for private gateways and Internet hosts, its routing and its credentials."""

from __future__ import annotations

import asyncio

import pytest

from awala.base.errors import ConfigurationError, StorageFullError
from awala.base.sqlite import StorageError
from awala.bindings.errors import Forbidden, MalformedRequest, RefusedError, Unauthenticated, Unprocessable
from awala.bindings.poweb import StreamingMode
from awala.messages import (
    DetachedSignature,
    InvalidMessageError,
    MalformedMessageError,
    MessageType,
    NodeConnectionParams,
    Registration,
    RegistrationRequest,
)
from awala.nodes.config import StorageConfig
from awala.nodes.errors import NotInitialisedError
from awala.nodes.events import Way
from awala.nodes.internet_gateway.credentials import Credentials
from awala.nodes.internet_gateway.node import open_internet_gateway
from awala.nodes.internet_gateway.root import create_internet_gateway, read_connection_params
from awala.nodes.lanes import GATEWAY, INTERNET
from awala.pki import Role
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    EMPTY_HANDSHAKE,
    ENDPOINT,
    ENDPOINT_CERT,
    HOUR,
    IGW,
    NOW,
    OTHER_ENDPOINT,
    OTHER_IGW,
    OTHER_PGW,
    PEER,
    PGW,
    PGW_CERT,
    PoHttp,
    certify,
    countersign,
    drive,
    handshake,
    internet_side,
    parcel,
    running,
    to_internet,
    until,
)

MAILBOX = Hop(GATEWAY, PGW.node_id)
NONCE = b"0123456789abcdef"


@pytest.fixture
async def side():
    return await internet_side()


async def hops(side):
    return sorted(await side.spool.totals())


def forged(**changes):
    return parcel(**changes)[1]


OTHER_CHAIN_IGW = certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY)
OTHER_CHAIN_PGW = certify(OTHER_PGW, OTHER_IGW, OTHER_CHAIN_IGW, Role.GATEWAY)
OTHER_CHAIN_EP = certify(OTHER_ENDPOINT, OTHER_PGW, OTHER_CHAIN_PGW, Role.ENDPOINT)
FOREIGN_PDA = certify(PEER, OTHER_ENDPOINT, OTHER_CHAIN_EP, Role.DELIVERY_AUTHORIZATION)
SELF_ISSUED = certify(PEER, PEER, None, Role.ENDPOINT)
GATEWAY_AS_ENDPOINT = certify(ENDPOINT, PGW, PGW_CERT, Role.GATEWAY)
PDA_UNDER_IT = certify(PEER, ENDPOINT, GATEWAY_AS_ENDPOINT, Role.DELIVERY_AUTHORIZATION)
PDA_AS_AUTHORITY = certify(PEER, ENDPOINT, ENDPOINT_CERT, Role.ENDPOINT)
SHORT_ENDPOINT = certify(ENDPOINT, IGW, certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY), Role.ENDPOINT)
PDA_WITHOUT_GATEWAY = certify(PEER, ENDPOINT, SHORT_ENDPOINT, Role.DELIVERY_AUTHORIZATION)

UNAUTHORISED = {
    "self-issued": {"certificate": SELF_ISSUED, "chain": ()},
    "another gateway's endpoint": {
        "certificate": FOREIGN_PDA,
        "chain": (OTHER_CHAIN_EP, OTHER_CHAIN_PGW),
        "recipient": OTHER_ENDPOINT.node_id,
    },
    "chain cut short": {"chain": (ENDPOINT_CERT,)},
    "no chain": {"chain": ()},
    "contradictory recipient": {"recipient": OTHER_ENDPOINT.node_id},
    "wrong flags of the endpoint": {"certificate": PDA_UNDER_IT, "chain": (GATEWAY_AS_ENDPOINT, PGW_CERT)},
    "wrong flags of the authorisation": {"certificate": PDA_AS_AUTHORITY},
    "no private gateway on the path": {"certificate": PDA_WITHOUT_GATEWAY, "chain": (SHORT_ENDPOINT,)},
    "expired": {"created": -10 * HOUR, "ttl": 3600},
    "dated in the future": {"created": 3 * HOUR},
    "expired authorisation": {
        "certificate": certify(
            PEER, ENDPOINT, ENDPOINT_CERT, Role.DELIVERY_AUTHORIZATION, since=-3 * HOUR, life=-2.5 * HOUR
        )
    },
}


@pytest.mark.rule("3.1")
@pytest.mark.parametrize("changes", UNAUTHORISED.values(), ids=UNAUTHORISED)
async def test_refuses_from_the_internet_what_is_not_authorised_and_stores_nothing(side, changes):
    with pytest.raises(Forbidden):
        await side.node.internet_door.deliver(forged(**changes))
    assert not await side.spool.totals()
    assert not side.events.events


async def test_takes_from_the_internet_what_is_authorised(side):
    message, octets = parcel()

    await side.node.internet_door.deliver(octets)

    assert await hops(side) == [MAILBOX]
    [event] = side.events.events
    assert (event.action.value, event.way, event.message_id) == ("stored", Way.POHTTP, message.message_id)


@pytest.mark.rule("5.1")
async def test_a_repetition_is_taken_and_dropped(side):
    _, octets = parcel()
    await side.node.internet_door.deliver(octets)
    await side.node.internet_door.deliver(octets)

    assert side.events.actions == ["stored", "duplicate"]
    assert (await side.spool.totals())[MAILBOX].items == 1


@pytest.mark.parametrize("octets", [b"", b"rubbish", parcel()[1][:-1], b"Awala\x43\x00" + bytes(30)])
async def test_says_that_what_it_cannot_read_is_malformed(side, octets):
    with pytest.raises(MalformedRequest):
        await side.node.internet_door.deliver(octets)


async def test_a_full_spool_is_said_and_nothing_is_kept():
    side = await internet_side(spool=MemorySpool(quota=100))

    with pytest.raises(StorageFullError):
        await side.node.internet_door.deliver(parcel()[1])
    assert not await side.spool.totals()


@pytest.mark.rule("2.10")
async def test_a_parcels_life_ends_with_the_first_certificate_of_its_chain(side):
    short = certify(PEER, ENDPOINT, ENDPOINT_CERT, Role.DELIVERY_AUTHORIZATION, life=HOUR)
    await side.node.internet_door.deliver(parcel(certificate=short)[1])

    [item] = await side.spool.snapshot(MAILBOX, now=NOW, budget=1)
    assert item.expiry == short.not_after


async def deliver(side, octets, *, key=PGW, certificate=PGW_CERT):
    signature = await side.node.gateway_door.recognise(countersign(octets, key, certificate))
    await side.node.gateway_door.deliver(octets, signature)


async def test_sends_a_private_gateways_parcel_for_the_internet_to_its_host(side):
    _, octets = to_internet("PONG.demo.test.".lower().rstrip("."))
    await deliver(side, octets)

    assert await hops(side) == [Hop(INTERNET, "pong.demo.test")]
    async with running(side.node.run()):
        await until(lambda: side.pohttp.sent)
    assert side.pohttp.sent == [("pong.demo.test", octets)]
    assert not await side.spool.totals()


async def test_a_parcel_that_the_host_refuses_is_let_go(side):
    side.pohttp.error = RefusedError("no", status=403)
    await deliver(side, to_internet()[1])
    async with running(side.node.run()):
        await until(lambda: "refused" in side.events.actions)

    assert not await side.spool.totals()


@pytest.mark.parametrize("address", [ADDRESS, None])
async def test_puts_a_parcel_for_its_own_address_into_the_mailbox(side, address):
    await deliver(side, parcel(address=address)[1])

    assert await hops(side) == [MAILBOX]


@pytest.mark.parametrize(
    "changes",
    [
        *UNAUTHORISED.values(),
        {"recipient": "0abc", "address": "pong.demo.test"},
        {"recipient": "0" + "a" * 65, "address": ADDRESS},
    ],
    ids=[*UNAUTHORISED, "no node id", "too long an id"],
)
async def test_refuses_unauthorised_parcels_for_its_own_endpoints_from_private_gateways(side, changes):
    with pytest.raises(Unprocessable):
        await deliver(side, forged(**changes))
    assert not await side.spool.totals()


@pytest.mark.rule("3.4")
async def test_refuses_a_contradictory_chain_for_another_address(side):
    with pytest.raises(Unprocessable):
        await deliver(side, forged(address="igw-b.demo.test", recipient=OTHER_ENDPOINT.node_id))


async def test_passes_on_a_parcel_for_another_gateway_that_only_that_one_can_judge(side):
    octets = forged(
        certificate=FOREIGN_PDA,
        chain=(OTHER_CHAIN_EP, OTHER_CHAIN_PGW),
        recipient=OTHER_ENDPOINT.node_id,
        address="igw-b.demo.test",
    )
    await deliver(side, octets)

    assert await hops(side) == [Hop(INTERNET, "igw-b.demo.test")]


async def test_refuses_a_parcel_that_cannot_be_read(side):
    with pytest.raises(MalformedRequest):
        await deliver(side, b"rubbish")


async def test_a_countersignature_of_another_parcel_is_not_accepted(side):
    _, octets = to_internet()
    signature = await side.node.gateway_door.recognise(countersign(b"other", PGW, PGW_CERT))

    with pytest.raises(Unauthenticated):
        await side.node.gateway_door.deliver(octets, signature)


STRANGE_PGW = certify(
    OTHER_PGW, OTHER_IGW, certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY), Role.GATEWAY
)


@pytest.mark.parametrize(
    "signature",
    [
        b"rubbish",
        countersign(b"x", OTHER_PGW, STRANGE_PGW),
        countersign(b"x", PGW, certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY)),
        countersign(b"x", ENDPOINT, ENDPOINT_CERT),
    ],
    ids=["rubbish", "of another gateway", "self-issued", "of an endpoint"],
)
async def test_recognises_only_countersigners_that_it_certified(side, signature):
    with pytest.raises(Unauthenticated):
        await side.node.gateway_door.recognise(signature)


async def test_recognises_a_private_gateway_until_its_certificate_ends(side):
    signature = countersign(
        b"x", PGW, certify(PGW, IGW, side.node.credentials.current(NOW), Role.GATEWAY, life=DAY)
    )
    assert isinstance(await side.node.gateway_door.recognise(signature), DetachedSignature)

    side.clock.jump(NOW + DAY + 3 * HOUR)
    with pytest.raises(Unauthenticated):
        await side.node.gateway_door.recognise(signature)


async def test_hands_out_the_mailbox_to_who_signed_the_nonce(side):
    _, octets = parcel()
    await side.node.internet_door.deliver(octets)
    response = handshake(NONCE, (PGW, PGW_CERT))

    async with side.node.gateway_door.collect(NONCE, response, StreamingMode.CLOSE_UPON_COMPLETION) as box:
        collected = await box.next()
        await box.acknowledge(collected)
        assert collected.parcel == octets
        assert await box.next() is None
    assert not await side.spool.totals()


@pytest.mark.rule("3.11")
@pytest.mark.parametrize(
    "response",
    [
        b"rubbish",
        EMPTY_HANDSHAKE,
        handshake(b"another nonce...", (PGW, PGW_CERT)),
        handshake(NONCE, (OTHER_PGW, STRANGE_PGW)),
        handshake(NONCE, (PGW, PGW_CERT), (OTHER_PGW, STRANGE_PGW)),
    ],
    ids=["rubbish", "nobody", "another nonce", "stranger", "one of them a stranger"],
)
async def test_hands_out_nothing_to_others(side, response):
    with pytest.raises(Unauthenticated):
        async with side.node.gateway_door.collect(NONCE, response, StreamingMode.KEEP_ALIVE):
            pass


async def test_registers_a_private_gateway_with_a_session_key_of_its_own(side):
    door = side.node.gateway_door
    request = RegistrationRequest(PGW.public_key, await door.preregister(PGW.public_key.digest))

    registration = Registration.parse(await door.register(request.serialize(PGW)))

    certificate = registration.node_certificate
    assert certificate.node_id == PGW.node_id
    assert Role.GATEWAY.matches(certificate)
    assert certificate.not_after - NOW > 150 * DAY
    assert registration.gateway_certificate == side.node.credentials.current(NOW)
    assert registration.internet_address == ADDRESS
    assert registration.session_key is not None
    assert (await side.node.status()).private_gateways == 1


async def test_publishes_its_address_its_key_and_a_session_key_that_opens(side):
    params = NodeConnectionParams.parse(side.node.gateway_door.connection_params())

    assert params.internet_address == ADDRESS
    assert params.identity_key.spki == IGW.public_key.spki
    assert params == NodeConnectionParams.parse(side.node.connection_params())


class TestCargoItems:
    """What comes in cargo: each parcel is acknowledged, accepted or refused."""

    async def test_a_parcel_is_taken_and_owed_for(self, side):
        message, octets = to_internet()
        await side.node._unpacker._on_parcel(octets, PGW.node_id)

        [owed] = await side.spool.debts(PGW.node_id, now=NOW, limit=9)
        assert owed.message_id == message.message_id
        assert await hops(side) == [Hop(INTERNET, "pong.demo.test")]

    @pytest.mark.rule("4.5")
    async def test_a_repetition_is_owed_for_again(self, side):
        _, octets = to_internet()
        await side.node._unpacker._on_parcel(octets, PGW.node_id)
        await side.spool.pay(await side.spool.debts(PGW.node_id, now=NOW, limit=9))
        await side.node._unpacker._on_parcel(octets, PGW.node_id)

        assert len(await side.spool.debts(PGW.node_id, now=NOW, limit=9)) == 1

    @pytest.mark.rule("4.5")
    async def test_a_refused_parcel_is_dropped_and_owed_for(self, side):
        message, octets = parcel(**UNAUTHORISED["self-issued"])
        await side.node._unpacker._on_parcel(octets, PGW.node_id)

        [owed] = await side.spool.debts(PGW.node_id, now=NOW, limit=9)
        assert owed.message_id == message.message_id
        assert side.events.actions == ["dropped"]
        assert not await side.spool.totals()

    async def test_what_cannot_be_read_is_the_unpackers_to_drop(self, side):
        with pytest.raises(MalformedMessageError):
            await side.node._unpacker._on_parcel(b"rubbish", PGW.node_id)

    async def test_want_of_room_is_passed_on(self):
        side = await internet_side(spool=MemorySpool(quota=100))
        with pytest.raises(StorageFullError):
            await side.node._unpacker._on_parcel(to_internet()[1], PGW.node_id)

    async def test_rotations_are_ignored(self, side):
        await side.node._unpacker._take(MessageType.CERTIFICATE_ROTATION.prefix, PGW.node_id)
        assert side.events.actions == ["dropped"]


class TestCredentials:
    async def test_there_is_none_before_it_was_created(self):
        with pytest.raises(NotInitialisedError):
            await Credentials.load(MemoryVault(), FakeClock())

    async def test_creating_again_changes_nothing(self, side):
        await Credentials.create(side.vault, "other.demo.test")

        credentials = await Credentials.load(side.vault, side.clock)
        assert (credentials.node_id, credentials.address) == (IGW.node_id, ADDRESS)

    async def test_a_new_gateway_gets_a_key(self):
        vault = MemoryVault()
        await Credentials.create(vault, ADDRESS)

        assert (await Credentials.load(vault, FakeClock())).key.public_key.bits == 2048

    async def test_the_address_is_kept_as_addresses_are_compared(self):
        side = await internet_side(address="IGW.Demo.Test.")

        assert side.node.credentials.address == ADDRESS

    @pytest.mark.parametrize("address", ["", "nodots", "münchen.test", "10.0.0.1", "a b.test"])
    async def test_refuses_what_is_no_domain_name(self, address):
        with pytest.raises(ConfigurationError):
            await Credentials.create(MemoryVault(), address)

    @pytest.mark.rule("2.5")
    async def test_the_certificate_is_renewed_every_thirty_days_and_the_old_one_trusted_on(self, side):
        credentials = side.node.credentials
        first = credentials.current(NOW)
        side.clock.jump(NOW + 29 * DAY)
        await credentials.renew_if_due()
        assert credentials.current(side.clock.now()) == first

        side.clock.jump(NOW + 31 * DAY)
        await credentials.renew_if_due()
        second = credentials.current(side.clock.now())
        assert second != first
        assert credentials.own_certificates(side.clock.now()) == [second, first]

        side.clock.jump(NOW + 181 * DAY)
        assert credentials.own_certificates(side.clock.now()) == [second]

    async def test_a_clock_that_jumped_over_every_certificate_has_one_made_at_once(self, side):
        credentials = side.node.credentials
        side.clock.jump(NOW + 400 * DAY)
        with pytest.raises(NotInitialisedError):
            credentials.current(side.clock.now())

        first, second = await asyncio.gather(credentials.issuer(), credentials.issuer())

        assert first == second == credentials.current(side.clock.now())
        assert (await side.node.status()).certificate_until == first.not_after
        door = side.node.gateway_door
        request = RegistrationRequest(PGW.public_key, await door.preregister(PGW.public_key.digest))
        registration = Registration.parse(await door.register(request.serialize(PGW)))
        assert registration.gateway_certificate == first

    async def test_a_clock_that_was_ahead_for_a_while_leaves_nothing_to_wait_for(self, side):
        credentials = side.node.credentials
        before = credentials.current(NOW)
        side.clock.jump(NOW + 100 * DAY)
        await credentials.renew_if_due()
        ahead = await credentials.issuer()
        side.clock.jump(NOW)

        assert ahead != before
        assert await credentials.issuer() == before
        assert before in credentials.own_certificates(NOW)

    async def test_all_certificates_survive_a_restart(self, side):
        side.clock.jump(NOW + 31 * DAY)
        await side.node.credentials.renew_if_due()
        expected = side.node.credentials.own_certificates(side.clock.now())

        again = await Credentials.load(side.vault, side.clock)
        assert again.own_certificates(side.clock.now()) == expected

    @pytest.mark.rule("2.5")
    async def test_what_an_earlier_certificate_issued_is_still_accepted(self, side):
        side.clock.jump(NOW + 31 * DAY)
        await side.node.credentials.renew_if_due()

        await side.node.internet_door.deliver(parcel(now=side.clock.now())[1])
        assert await hops(side) == [MAILBOX]


async def test_renews_by_itself_and_survives_a_store_that_fails(side, monkeypatch):
    before = side.node.connection_params()
    calls = []

    async def failing():
        calls.append(side.clock.now())
        if len(calls) == 1:
            raise StorageError("the disk is full")

    monkeypatch.setattr(side.node.credentials, "renew_if_due", failing)
    async with running(side.node._renew()):
        await side.clock.advance(3600 * 2 + 1)
        assert len(calls) == 2
        await side.clock.advance(31 * 86_400)
        await drive(side.clock, lambda: side.node.connection_params() != before)


async def test_sweeps_what_has_expired(side):
    await side.node.internet_door.deliver(parcel(ttl=4 * 3600)[1])
    async with running(side.node.run()):
        await side.clock.advance(51 * 3600)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not await side.spool.totals()


async def test_opens_its_stores_and_closes_them(tmp_path):
    clock = FakeClock()
    storage = StorageConfig(directory=tmp_path)
    with pytest.raises(NotInitialisedError):
        async with open_internet_gateway(storage, clock=clock, pohttp=PoHttp()):
            pass
    node_id = await create_internet_gateway(storage, ADDRESS)
    async with open_internet_gateway(storage, clock=clock, pohttp=PoHttp()) as node:
        assert (await node.status()).node_id == node_id
    params = NodeConnectionParams.parse(await read_connection_params(storage))
    assert params.identity_key.node_id == node_id


async def test_a_refused_parcel_says_why(side):
    with pytest.raises(Unprocessable, match="node id"):
        await deliver(side, forged(recipient="0abc", address="pong.demo.test"))
    with pytest.raises(InvalidMessageError):
        await side.node.gateway_door._router.from_internet(*parcel(chain=()))
