# SPDX-License-Identifier: MIT
"""Upkeep: session keys go when their time is over, but none that what rests here needs (rules §7)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from awala.base.files import StorageError
from awala.messages import NodeConnectionParams, Parcel, ServiceMessage
from awala.nodes.endpoint.inbox import UnwantedMessageError
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.lanes import APP, UNPACK_HOP
from awala.nodes.quarantine import QUARANTINE
from awala.nodes.upkeep import KeyUpkeep
from awala.sessions import MINIMUM_RETENTION, MemorySessionKeyStore, Sessions, UnknownSessionKeyError
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.faults import ANY, Faulty
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    NOW,
    PEER,
    PoHttp,
    internet_side,
    private_side,
    running,
    to_internet,
)
from helpers.spool_items import arrival

PONG = "pong.demo.test"
LONG = 1000 * DAY
OVER = NOW + 300 * DAY
"""When the time of a key that is published now is over."""


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def spool(clock):
    return MemorySpool(monotonic=clock.monotonic)


@pytest.fixture
async def vault():
    vault = MemoryVault()
    await vault.save_identity("internet-endpoint", PEER)
    await InternetEndpoint.create(vault, PONG)
    return vault


async def opened(vault, spool, clock):
    return await InternetEndpoint.open(vault=vault, spool=spool, clock=clock, client=PoHttp())


async def erased(spool, clock):
    """Let a running node erase what has ended by now: a peer confirms the time, and two days pass."""
    await spool.confirm_time(clock.now())
    await clock.advance((2 * DAY + HOUR).total_seconds())


async def message_for(pong, content):
    """Return a parcel from a stranger who has read the connection parameters."""
    params = NodeConnectionParams.parse(pong.connection_params())
    sessions = Sessions(MemorySessionKeyStore())
    names = {"own_id": ENDPOINT.node_id, "peer_id": pong.node_id}
    await sessions.adopt(params.session_key, as_of=NOW, **names)
    payload = await sessions.seal(ServiceMessage("text/plain", content).serialize(), now=NOW, **names)
    return to_internet(PONG, payload=payload)[1]


async def unwanted(_):
    raise UnwantedMessageError("not today")


@pytest.mark.rule("7.5")
async def test_a_parcel_in_quarantine_can_be_opened_when_the_time_of_its_key_is_over(vault, spool, clock):
    pong = await opened(vault, spool, clock)
    other_key = await pong.identity.sessions.hand_out(
        own_id=pong.node_id, peer_id=None, now=NOW, until=NOW + 30 * DAY
    )
    await pong.deliver(await message_for(pong, b"kept"))
    async with running(pong.run(unwanted)):
        await clock.advance(1)
    [record] = (await vault.records(QUARANTINE)).values()

    clock.jump(OVER)
    again = await opened(vault, spool, clock)  # as after a restart
    async with running(again.run(unwanted)):
        await erased(spool, clock)

    parcel = Parcel.parse(bytes.fromhex(json.loads(record)["parcel"]))
    assert (await again.identity.open(parcel)).content == b"kept"
    assert await vault.session_keys.own_key(own_id=pong.node_id, key_id=other_key.key_id) is None


async def test_the_key_goes_when_the_parcel_has_left_the_quarantine(vault, spool, clock):
    pong = await opened(vault, spool, clock)
    octets = await message_for(pong, b"gone")
    await pong.deliver(octets)
    async with running(pong.run(unwanted)):
        await clock.advance(1)
    for name in await vault.records(QUARANTINE):
        await vault.delete_record(QUARANTINE, name)

    clock.jump(OVER)
    again = await opened(vault, spool, clock)
    async with running(again.run(unwanted)):
        await erased(spool, clock)

    with pytest.raises(UnknownSessionKeyError):
        await again.identity.open(Parcel.parse(octets))


async def test_a_message_that_cannot_be_opened_holds_no_key(vault, spool, clock):
    pong = await opened(vault, spool, clock)
    await pong.deliver(to_internet(PONG, payload=b"not encrypted")[1])
    async with running(pong.run(unwanted)):
        await clock.advance(1)

    [record] = (await vault.records(QUARANTINE)).values()
    assert json.loads(record)["session_key"] is None


async def superseded_key(sessions, own, peer):
    """Exchange messages until a first key of ``own`` is superseded at NOW; return a message to it."""
    other = Sessions(MemorySessionKeyStore())
    us, them = {"own_id": own, "peer_id": peer}, {"own_id": peer, "peer_id": own}
    offer = await sessions.hand_out(now=NOW, until=NOW + LONG, **us)
    await other.adopt(offer, as_of=NOW - DAY, **them)
    payloads = []
    for turn in range(3):
        date = NOW - (2 - turn) * DAY / 2
        payloads.append(await other.seal(b"%d" % turn, now=date, **them))
        await sessions.open(payloads[-1], message_date=date, now=date, **us)
        answer = await sessions.seal(b"", now=date, **us)
        await other.open(answer, message_date=date, now=date, **them)
    return payloads[1]


@pytest.mark.rule("7.5")
async def test_a_message_that_waits_unread_can_be_opened_whatever_the_retention(vault, spool):
    sessions = Sessions(vault.session_keys, retention=MINIMUM_RETENTION)
    payload = await superseded_key(sessions, "own", "peer")
    hop = Hop(APP, "own")
    unread = replace(arrival("unread", hop=hop), created=NOW - DAY / 2, expiry=NOW + LONG)
    await spool.accept([unread], now=NOW)
    keys = KeyUpkeep(sessions, spool, unread=APP)
    names = {"own_id": "own", "peer_id": "peer", "message_date": NOW, "now": NOW + 10 * DAY}

    assert await keys.prune(NOW + 10 * DAY) == 0
    assert await sessions.open(payload, **names) == b"1"

    [item] = await spool.lease(hop, now=NOW + 10 * DAY, duration=DAY)
    await spool.release([item], now=NOW + 10 * DAY)
    assert await keys.prune(NOW + 10 * DAY) == 1
    with pytest.raises(UnknownSessionKeyError):
        await sessions.open(payload, **names)


@pytest.mark.rule("7.5")
@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize("kind", [internet_side, private_side])
async def test_cargo_that_waits_to_be_unpacked_keeps_the_keys_of_its_time(kind, rests, clock):
    spool = Faulty(MemorySpool(monotonic=clock.monotonic))
    side = await kind(clock=clock, spool=spool)
    own_id = side.node.credentials.node_id
    key = await side.sessions.hand_out(own_id=own_id, peer_id="peer", now=NOW, until=NOW)
    if rests:
        await spool.accept([arrival("cargo", hop=UNPACK_HOP, expiry=LONG)], now=NOW)
    spool.arm(("body", range(1, 10_000)))  # so that it cannot be unpacked

    clock.jump(NOW + 181 * DAY)
    async with running(side.node.run()):
        await erased(spool, clock)

    kept = await side.vault.session_keys.own_key(own_id=own_id, key_id=key.key_id)
    assert (kept is not None) is rests


async def test_prunes_nothing_while_it_is_not_known_what_is_unread(vault, spool):
    store = Faulty(spool)
    sessions = Sessions(vault.session_keys)
    await sessions.hand_out(own_id="own", peer_id=None, now=NOW, until=NOW)
    store.arm((ANY, range(1, 9)))

    with pytest.raises(StorageError):
        await KeyUpkeep(sessions, store, unread=APP).prune(NOW + LONG)

    store.disarm()
    assert await KeyUpkeep(sessions, store, unread=APP).prune(NOW + LONG) == 1
