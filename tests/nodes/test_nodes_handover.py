# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from awala.base.sqlite import StorageError
from awala.bindings.errors import (
    MalformedError,
    RefusedError,
    ServerError,
    UnauthenticatedError,
    UnreachableError,
)
from awala.nodes import handover as module
from awala.nodes.backoff import LONGEST_WAIT, Backoff
from awala.nodes.events import Action, EventHub, Way
from awala.nodes.handover import Handover
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from helpers.nodes import Recorder, drive, running, until
from helpers.spool_items import NOW, SECOND, arrival

LANE = "internet"
HOP = Hop(LANE, "a.test")
OTHER = Hop(LANE, "b.test")


class Peer:
    """Takes everything, unless it was given an error for a hop or for one message."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.attempts: Counter[str] = Counter()
        self.taken: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def deliver(self, item, body):
        message_id = item.identity.message_id
        self.attempts[message_id] += 1
        assert body.startswith(message_id.encode())
        if item.hop.name in self.gates:
            await self.gates[item.hop.name].wait()
        for name in (message_id, item.hop.name):
            if name in self.errors:
                raise self.errors[name]
        self.taken.append(message_id)


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def spool():
    return MemorySpool()


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
def hub():
    return EventHub()


@pytest.fixture
def events(hub):
    return Recorder(hub)


@pytest.fixture
def handover(spool, peer, clock, hub):
    return Handover(
        spool,
        LANE,
        peer.deliver,
        clock=clock,
        events=hub,
        way=Way.POHTTP,
        backoff=Backoff(jitter=lambda: 1.0),
    )


async def put(spool, *message_ids, hop=HOP, **changes):
    await spool.accept([arrival(each, each.encode(), hop=hop, **changes) for each in message_ids], now=NOW)


async def test_delivers_what_rests_and_what_comes_later_once(handover, spool, peer, clock, events):
    await put(spool, "a", "b")
    await put(spool, "elsewhere", hop=Hop("gateway", "x"))
    async with running(handover.run()):
        await until(lambda: len(peer.taken) == 2)
        await put(spool, "c", hop=OTHER)
        await until(lambda: len(peer.taken) == 3)
        await clock.advance(3600)

    assert peer.attempts == {"a": 1, "b": 1, "c": 1}
    assert [hop.lane for hop in await spool.totals()] == ["gateway"]
    assert {(event.action, event.way) for event in events.events} == {(Action.HANDED_ON, Way.POHTTP)}


@pytest.mark.rule("9.1")
@pytest.mark.parametrize("error", [RefusedError("no"), MalformedError("what?")])
async def test_what_is_refused_for_good_goes_and_the_next_follows_at_once(
    handover, spool, peer, events, error
):
    peer.errors["a"] = error
    await put(spool, "a", "b")
    async with running(handover.run()):
        await until(lambda: peer.taken == ["b"])

    assert peer.attempts["a"] == 1
    assert not await spool.totals()
    assert [(event.action, event.reason) for event in events.events] == [
        (Action.REFUSED, str(error)),
        (Action.HANDED_ON, ""),
    ]


@pytest.mark.rule("9.3")
async def test_an_unreachable_peer_is_tried_after_its_back_off_and_no_sooner(handover, spool, peer, clock):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a", "b")
    async with running(handover.run()):
        await clock.advance(4.9)
        assert peer.attempts == {"a": 1}
        await clock.advance(0.2)
        assert peer.attempts == {"a": 2}
        await clock.advance(9.8)
        assert peer.attempts == {"a": 2}
        await clock.advance(0.2)
        assert peer.attempts.total() == 3
        peer.errors.clear()
        await clock.advance(20.1)

        assert peer.taken == ["a", "b"]


@pytest.mark.rule("9.5")
@pytest.mark.parametrize(
    "error",
    [UnreachableError("gone"), ServerError("busy", status=503), UnauthenticatedError("who?")],
    ids=lambda error: type(error).__name__,
)
async def test_nothing_spins_whatever_the_peer_does(handover, spool, peer, clock, error):
    peer.errors[HOP.name] = error
    await put(spool, *(f"m{n}" for n in range(5)), expiry=timedelta(days=30))
    async with running(handover.run()):
        await clock.advance(3600)
        assert peer.attempts.total() <= 12  # 5 s doubled ten times is more than an hour
        await clock.advance(23 * 3600)
        assert peer.attempts.total() <= 20  # then every six hours


async def test_an_idle_lane_asks_nothing_of_anybody(handover, spool, peer, clock, monkeypatch):
    looks = Counter()
    hops = spool.hops

    async def counted(lane, *, now):
        looks["hops"] += 1
        return await hops(lane, now=now)

    monkeypatch.setattr(spool, "hops", counted)
    async with running(handover.run()):
        await clock.advance(600)

    assert looks["hops"] <= 12
    assert not peer.attempts


@pytest.mark.rule("9.3")
async def test_retry_after_is_honoured(handover, spool, peer, clock):
    peer.errors["a"] = ServerError("later", status=503, retry_after=100)
    await put(spool, "a")
    async with running(handover.run()):
        await clock.advance(100)
        assert peer.attempts["a"] == 1
        await clock.advance(5.1)
        assert peer.attempts["a"] == 2


async def test_an_item_that_a_peer_dislikes_does_not_hold_up_the_others(handover, spool, peer, clock):
    peer.errors["a"] = ServerError("oops", status=500)
    await put(spool, "a", "b", "c")
    async with running(handover.run()):
        await clock.advance(5.1)

    assert peer.taken == ["b", "c"]


async def test_a_hop_that_fails_does_not_hold_up_another(handover, spool, peer):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a")
    await put(spool, "b", hop=OTHER)
    async with running(handover.run()):
        await until(lambda: peer.taken == ["b"])


async def test_a_kick_forgets_the_back_off(handover, spool, peer, clock):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a")
    async with running(handover.run()):
        await clock.advance(40)
        attempts = peer.attempts["a"]
        peer.errors.clear()
        handover.kick()
        await until(lambda: peer.taken == ["a"])

    assert peer.attempts["a"] == attempts + 1


async def test_a_success_ends_the_back_off_of_its_peer(handover, spool, peer, clock):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a")
    async with running(handover.run()):
        await clock.advance(60)
        peer.errors.clear()
        await clock.advance(100)
        assert peer.taken == ["a"]
        peer.errors[HOP.name] = UnreachableError("gone")
        await put(spool, "b")
        await clock.advance(5.1)

        assert peer.attempts["b"] == 2


@pytest.mark.rule("2.3")
async def test_what_is_dated_ahead_leaves_when_its_time_has_come(handover, spool, peer, clock):
    await put(spool, "ahead", created=30 * SECOND)
    async with running(handover.run()):
        await clock.advance(29)
        assert not peer.attempts
        await clock.advance(1.5)
        assert peer.taken == ["ahead"]


@pytest.mark.rule("9.3")
async def test_what_has_expired_is_no_longer_tried(handover, spool, peer, clock):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a", expiry=8 * SECOND)
    async with running(handover.run()):
        await clock.advance(3600)

    assert peer.attempts["a"] == 2


async def test_many_hops_are_served_at_once_within_the_bound(handover, spool, peer, monkeypatch):
    monkeypatch.setattr(module, "MAX_HOPS_AT_ONCE", 3)
    hops = [Hop(LANE, f"h{n}.test") for n in range(8)]
    for number, hop in enumerate(hops):
        peer.gates[hop.name] = asyncio.Event()
        await put(spool, f"m{number}", hop=hop)
    async with running(handover.run()):
        await until(lambda: peer.attempts.total() == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert peer.attempts.total() == 3
        for gate in peer.gates.values():
            gate.set()
        await until(lambda: len(peer.taken) == 8)


async def test_one_item_at_a_time_for_each_hop(handover, spool, peer):
    peer.gates[HOP.name] = asyncio.Event()
    await put(spool, "a", "b")
    async with running(handover.run()):
        await until(lambda: peer.attempts)
        for _ in range(50):
            await asyncio.sleep(0)
        assert peer.attempts == {"a": 1}
        peer.gates[HOP.name].set()
        await until(lambda: peer.taken == ["a", "b"])


async def test_cancellation_gives_the_lease_back(handover, spool, peer):
    peer.gates[HOP.name] = asyncio.Event()
    await put(spool, "a")
    async with running(handover.run()):
        await until(lambda: peer.attempts)

    [item] = await spool.lease(HOP, now=NOW, duration=SECOND)
    assert item.attempts == 0


async def test_an_item_replaced_meanwhile_is_sent_in_its_new_version(handover, spool, peer, monkeypatch):
    await put(spool, "a")
    read = spool.body

    async def replace_then_read(item):
        monkeypatch.setattr(spool, "body", read)
        await spool.accept([arrival("a", b"a, newer", hop=HOP, created=SECOND * 0)], now=NOW)
        return await read(item)

    monkeypatch.setattr(spool, "body", replace_then_read)
    async with running(handover.run()):
        await until(lambda: peer.taken == ["a"])


async def test_a_body_that_cannot_be_read_stops_nothing_but_itself(
    handover, spool, peer, clock, events, monkeypatch
):
    await put(spool, "lost")
    await put(spool, "b", hop=OTHER)
    read = spool.body

    async def fail(item):
        if item.identity.message_id == "lost":
            raise StorageError("the body is lost")
        return await read(item)

    monkeypatch.setattr(spool, "body", fail)
    async with running(handover.run()):
        await clock.advance(1)

    assert peer.taken == ["b"]
    assert "postponed" in events.actions


async def test_peers_for_which_nothing_is_left_are_forgotten(handover, spool, peer, clock):
    peer.errors[HOP.name] = UnreachableError("gone")
    await put(spool, "a", expiry=8 * SECOND)
    async with running(handover.run()):
        await clock.advance(60)
        assert handover._peers
        await clock.advance(2 * LONGEST_WAIT.total_seconds())

    assert not handover._peers


async def test_what_comes_during_a_back_off_costs_no_look_each(handover, spool, peer, clock, monkeypatch):
    looks = Counter()
    hops = spool.hops

    async def look(lane, *, now):
        looks[lane] += 1
        return await hops(lane, now=now)

    monkeypatch.setattr(spool, "hops", look)
    peer.errors[HOP.name] = UnreachableError("no")
    await put(spool, "first")
    async with running(handover.run()):
        await until(lambda: peer.attempts["first"] == 1)
        await clock.wait_for_sleepers()
        looks.clear()
        for number in range(50):
            await put(spool, f"later{number}")
            for _ in range(10):
                await asyncio.sleep(0)
        assert looks[LANE] <= 3
        peer.errors.clear()
        await clock.advance(LONGEST_WAIT.total_seconds())
        await drive(clock, lambda: len(peer.taken) == 51)


async def test_a_kick_cuts_the_breather_short(handover, spool, peer):
    peer.errors[HOP.name] = UnreachableError("no")
    await put(spool, "first")
    async with running(handover.run()):
        await until(lambda: peer.attempts["first"] == 1)
        for number in range(5):
            await put(spool, f"later{number}")
            for _ in range(10):
                await asyncio.sleep(0)
        peer.errors.clear()
        handover.kick()
        await until(lambda: len(peer.taken) == 6)
