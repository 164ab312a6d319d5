# SPDX-License-Identifier: MIT
"""What peers have just made confirms a clock that is in doubt; nothing else does (rules §2, decision 44)."""

from __future__ import annotations

import pytest

from awala.base.errors import AwalaError
from awala.base.files import StorageError
from awala.messages import ServiceMessage
from awala.nodes.courier.node import Courier
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.trusted_time import ADVICE, agrees, clock_status
from awala.spool import MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    NOW,
    OTHER_ENDPOINT,
    OTHER_PGW,
    PEER,
    DirectPoWeb,
    PoHttp,
    cargo,
    internet_side,
    parcel,
    private_side,
    to_internet,
)

PONG = "pong.demo.test"
SECOND = HOUR / 3600


@pytest.fixture
def clock():
    return FakeClock()


async def doubting(clock, *, ahead=-30 * DAY):
    """Return a spool that trusted another time than the clock shows now."""
    spool = MemorySpool(monotonic=clock.monotonic)
    await spool.sweep(now=clock.now() + ahead)
    spool.restart()
    assert not spool.clock_state(clock.now()).trusted
    return spool


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (-5 * HOUR - SECOND, False),
        (-5 * HOUR, True),
        (-3 * HOUR, True),
        (2 * HOUR, True),
        (2 * HOUR + SECOND, False),
        (-365 * DAY, False),
    ],
)
def test_what_was_made_just_now_is_dated_up_to_three_hours_back_give_or_take_two(made, expected):
    assert agrees(NOW + made, NOW) is expected


@pytest.mark.rule("2.12")
async def test_a_fresh_certificate_from_the_internet_gateway_confirms_the_time(clock):
    side = await private_side(clock=clock, spool=await doubting(clock))
    internet = await internet_side(clock)
    side.uplink.service = internet.node.gateway_door

    await side.node.pairing.pair(internet.node.credentials.address)

    assert side.spool.clock_state(clock.now()).trusted


@pytest.mark.rule("2.12")
async def test_a_certificate_that_was_made_days_ago_does_not(clock):
    theirs = FakeClock(clock.now() - 3 * DAY)
    side = await private_side(clock=clock, spool=await doubting(clock))
    internet = await internet_side(theirs)
    side.uplink.service = internet.node.gateway_door

    await side.node.pairing.pair(internet.node.credentials.address)

    assert not side.spool.clock_state(clock.now()).trusted


@pytest.mark.rule("2.12")
@pytest.mark.parametrize(("created", "expected"), [(-3 * HOUR, True), (-6 * HOUR, False)])
async def test_an_authorised_parcel_that_was_just_made_confirms_the_time(clock, created, expected):
    at_internet = await internet_side(clock, spool=await doubting(clock))
    await at_internet.node.internet_door.deliver(parcel(created=created)[1])

    assert at_internet.spool.clock_state(clock.now()).trusted is expected


async def test_a_parcel_that_is_refused_confirms_nothing(clock):
    side = await internet_side(clock, spool=await doubting(clock))
    stranger = to_internet("igw.demo.test", recipient=parcel()[0].recipient.id)[1]

    with pytest.raises(AwalaError):
        await side.node.internet_door.deliver(stranger)

    assert not side.spool.clock_state(clock.now()).trusted


async def test_a_parcel_that_comes_again_confirms_nothing(clock):
    side = await internet_side(clock)
    _, octets = parcel()
    await side.node.internet_door.deliver(octets)
    side.spool._timekeeper = (await doubting(clock))._timekeeper

    await side.node.internet_door.deliver(octets)

    assert not side.spool.clock_state(clock.now()).trusted


@pytest.mark.parametrize("known", [True, False])
async def test_an_internet_endpoint_believes_whom_it_knows(clock, known):
    vault, spool = MemoryVault(), await doubting(clock)
    await vault.save_identity("internet-endpoint", PEER)
    await InternetEndpoint.create(vault, PONG)
    pong = await InternetEndpoint.open(vault=vault, spool=spool, clock=clock, client=PoHttp())
    message, octets = to_internet(PONG)
    if known:
        key = message.sender_certificate.public_key
        await pong.identity.peers.save(Peer(message.sender_id, PeerKind.PRIVATE, key, None))

    await pong.deliver(octets)

    assert spool.clock_state(clock.now()).trusted is known


async def app_of(key, gateway, **changes):
    """Return an app that has registered with a private gateway."""
    vault, client = MemoryVault(), DirectPoWeb(gateway.node.local)
    await vault.save_identity("endpoint", key)
    spool = changes.get("spool") or MemorySpool()
    app = await PrivateEndpoint.open(vault=vault, spool=spool, clock=gateway.clock, client=client)
    await app.register()
    return app


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_an_app_believes_who_has_another_clock_than_its_own_device(clock, elsewhere):
    here = await private_side(await internet_side(clock))
    away = await private_side(await internet_side(clock), key=OTHER_PGW)
    app = await app_of(ENDPOINT, here, spool=await doubting(clock))
    other = await app_of(OTHER_ENDPOINT, away if elsewhere else here)
    for one, another in ((app, other), (other, app)):
        peer = Peer(another.node_id, PeerKind.PRIVATE, another.identity.key.public_key, None)
        await another.identity.take_authorization(await one.authorise(peer), sender_id=one.node_id)
    assert not app._spool.clock_state(clock.now()).trusted, "a gateway on this device goes by the same clock"

    sealed = await other.identity.seal(app.node_id, ServiceMessage("text", b""), life=DAY)
    await app._take(sealed.octets)

    assert app._spool.clock_state(clock.now()).trusted is elsewhere


@pytest.mark.parametrize("source", ["internet gateway", "private gateway"])
async def test_a_courier_believes_cargo_that_was_made_for_its_collection(clock, source):
    courier = Courier(spool=await doubting(clock), clock=clock, connect=None)

    if source == "internet gateway":
        await courier.trip._load(cargo())
    else:
        await courier.door.deliver(cargo())

    assert courier._spool.clock_state(clock.now()).trusted is (source == "internet gateway")


async def test_a_store_that_fails_costs_the_confirmation_and_not_the_parcel(clock, monkeypatch):
    side = await internet_side(clock, spool=await doubting(clock))

    async def failing(_now):
        raise StorageError("the disk is gone")

    monkeypatch.setattr(side.spool, "confirm_time", failing)
    await side.node.internet_door.deliver(parcel()[1])

    assert (await side.spool.usage()).items == 1


async def test_the_status_tells_of_a_clock_in_doubt_and_what_to_do(clock):
    spool = await doubting(clock)
    status = clock_status(spool, clock.now())

    assert (status.trusted, status.last_trusted, status.erases_before) == (False, NOW - 30 * DAY, None)
    assert (status.ahead_seconds, status.advice) == (30 * 86_400, ADVICE)

    await spool.confirm_time(clock.now())
    status = clock_status(spool, clock.now())
    assert (status.trusted, status.last_trusted, status.ahead_seconds, status.advice) == (True, NOW, 0, "")


async def test_every_gateway_and_courier_tells_its_clocks_state(clock):
    courier = Courier(spool=await doubting(clock), clock=clock, connect=None)
    internet = await internet_side(clock, spool=await doubting(clock))
    private = await private_side(clock=clock, spool=await doubting(clock))

    for node in (courier, internet.node, private.node):
        assert not (await node.status()).clock.trusted
