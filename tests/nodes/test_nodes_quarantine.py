# SPDX-License-Identifier: MIT
"""The quarantine and its bounds, and stored items that cannot be read."""

from __future__ import annotations

import json
import logging

import pytest

from awala.base.files import StorageError
from awala.bindings.errors import MalformedError
from awala.bindings.poweb import StreamingMode
from awala.nodes import quarantine as module
from awala.nodes.backoff import Backoff
from awala.nodes.events import Action, EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.mailbox import UNREADABLE_WAIT, open_mailbox
from awala.nodes.quarantine import QUARANTINE, Quarantine
from awala.nodes.stored import GIVE_BACK_ATTEMPTS, give_back, readable_body
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.faults import Faulty
from helpers.nodes import Recorder, running
from helpers.spool_items import NOW, SECOND, arrival

HOP = Hop("uplink", "gateway")


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def vault():
    return Faulty(MemoryVault())


@pytest.fixture
def spool():
    return Faulty(MemorySpool())


@pytest.fixture
def quarantine(vault, clock):
    return Quarantine(vault, clock)


async def leased(spool, *names, body=None):
    await spool.accept([arrival(name, body or name.encode(), hop=HOP) for name in names], now=NOW)
    return await spool.lease(HOP, now=NOW, duration=SECOND * 60, limit=len(names))


async def kept(vault):
    return [name.rpartition("/")[2] for name in await vault.records(QUARANTINE)]


async def test_keeps_a_parcel_with_the_reason(quarantine, spool, vault):
    [item] = await leased(spool, "a")
    await quarantine.keep(item, b"octets", "why")

    [record] = (await vault.records(QUARANTINE)).values()
    document = json.loads(record)
    assert (bytes.fromhex(document["parcel"]), document["reason"]) == (b"octets", "why")


@pytest.mark.parametrize("again", [False, True], ids=["same run", "after a restart"])
async def test_the_newest_displace_the_oldest(quarantine, spool, vault, clock, monkeypatch, again):
    monkeypatch.setattr(module, "MAX_PARCELS", 3)
    for item in await leased(spool, "e", "d", "c", "b", "a"):
        await clock.advance(1)
        await quarantine.keep(item, b"octets", "why")
        if again:
            quarantine = Quarantine(vault, clock)

    assert await kept(vault) == ["a", "b", "c"]


async def test_the_octets_are_bounded_too(quarantine, spool, vault, monkeypatch):
    monkeypatch.setattr(module, "MAX_OCTETS", 100)
    first, second, third = await leased(spool, "a", "b", "c")
    await quarantine.keep(first, bytes(40), "why")
    await quarantine.keep(second, bytes(60), "why")
    assert await kept(vault) == ["a", "b"]
    await quarantine.keep(third, bytes(41), "why")
    assert await kept(vault) == ["c"]


async def test_the_same_parcel_takes_its_own_place(quarantine, spool, vault, monkeypatch):
    monkeypatch.setattr(module, "MAX_PARCELS", 2)
    first, second = await leased(spool, "a", "b")
    for item in (first, second, first, second):
        await quarantine.keep(item, b"octets", "why")
    assert await kept(vault) == ["a", "b"]


@pytest.mark.parametrize("damage", [b"\xff", b"[]", b"{}", b"7"])
async def test_a_damaged_record_is_the_first_to_go(quarantine, spool, vault, monkeypatch, damage):
    monkeypatch.setattr(module, "MAX_PARCELS", 2)
    await vault.put_record(QUARANTINE, "z/damaged", damage)
    first, second = await leased(spool, "a", "b")
    await quarantine.keep(first, b"octets", "why")
    await quarantine.keep(second, b"octets", "why")
    assert await kept(vault) == ["a", "b"]


async def test_a_failed_attempt_leaves_the_count_right(quarantine, spool, vault, monkeypatch):
    monkeypatch.setattr(module, "MAX_PARCELS", 1)
    first, second = await leased(spool, "a", "b")
    await quarantine.keep(first, b"octets", "why")
    vault.arm(("put_record", range(1, 2)))
    with pytest.raises(StorageError):
        await quarantine.keep(second, b"octets", "why")
    await quarantine.keep(second, b"octets", "why")
    assert await kept(vault) == ["b"]


class TestHandover:
    @pytest.fixture
    def hub(self):
        return EventHub()

    @pytest.fixture
    def events(self, hub):
        return Recorder(hub)

    @pytest.fixture
    def handover(self, spool, clock, hub, quarantine):
        async def deliver(_item, _body):
            raise MalformedError("what?", status=400)

        return Handover(
            spool,
            HOP.lane,
            deliver,
            clock=clock,
            events=hub,
            way=Way.POWEB,
            backoff=Backoff(jitter=lambda: 1.0),
            quarantine=quarantine,
        )

    @pytest.mark.rule("9.2")
    async def test_what_the_next_node_cannot_read_is_kept_and_told(
        self, handover, spool, vault, clock, events, caplog
    ):
        caplog.set_level(logging.WARNING)
        await spool.accept([arrival("a", b"a", hop=HOP)], now=NOW)
        async with running(handover.run()):
            await clock.advance(1)

        assert await kept(vault) == ["a"]
        assert not await spool.totals()
        assert [(each.action, each.reason) for each in events.events] == [(Action.REFUSED, "what?")]
        assert "quarantine" in caplog.text

    async def test_what_cannot_be_kept_yet_stays_in_the_outbox(self, handover, spool, vault, clock, events):
        vault.arm(("put_record", range(1, 2)))
        await spool.accept([arrival("a", b"a", hop=HOP)], now=NOW)
        async with running(handover.run()):
            await clock.advance(1)
            assert (await kept(vault), events.actions) == ([], ["postponed"])
            assert (await spool.totals())[HOP].items == 1
            await clock.advance(60)

        assert (await kept(vault), events.actions) == (["a"], ["postponed", "refused"])

    async def test_a_lost_body_does_not_hold_up_the_others(self, spool, clock, hub):
        taken = []

        async def deliver(_item, body):
            taken.append(body)

        handover = Handover(spool, HOP.lane, deliver, clock=clock, events=hub, way=Way.POWEB)
        read = spool.store.body

        async def lose(item):
            if item.identity.message_id == "lost":
                raise StorageError("the body is lost")
            return await read(item)

        spool.store.body = lose
        await spool.accept([arrival(name, name.encode(), hop=HOP) for name in ("lost", "b", "c")], now=NOW)
        async with running(handover.run()):
            await clock.advance(60)

        assert taken == [b"b", b"c"]


async def test_a_body_that_cannot_be_read_lets_the_others_of_its_mailbox_pass(spool, clock):
    hub = EventHub()
    events = Recorder(hub)
    await spool.accept([arrival(name, name.encode(), hop=HOP) for name in "ab"], now=NOW)
    spool.arm(("body", range(1, 2)))
    mode = StreamingMode.CLOSE_UPON_COMPLETION
    async with open_mailbox(spool, [HOP], clock=clock, events=hub, mode=mode) as mailbox:
        assert (await mailbox.next()).parcel == b"b"
        assert await mailbox.next() is None
        assert events.actions == ["postponed"]
        clock.jump(NOW + UNREADABLE_WAIT)
        assert (await mailbox.next()).parcel == b"a"


@pytest.mark.parametrize("method", ["lease", "release", "retry_at"])
async def test_a_store_that_fails_ends_the_collection_and_nothing_is_lost(spool, clock, method):
    await spool.accept([arrival("a", b"a", hop=HOP)], now=NOW)
    mode = StreamingMode.CLOSE_UPON_COMPLETION
    spool.arm((method, range(1, 2)), *([("body", range(1, 2))] if method == "retry_at" else []))
    with pytest.raises(StorageError):
        async with open_mailbox(spool, [HOP], clock=clock, events=EventHub(), mode=mode) as mailbox:
            await mailbox.acknowledge(await mailbox.next())
    async with open_mailbox(spool, [HOP], clock=clock, events=EventHub(), mode=mode) as mailbox:
        assert (await mailbox.next()).parcel == b"a"


async def test_a_lease_is_given_back_as_far_as_the_store_can(spool, caplog):
    items = await leased(spool, "a")
    spool.arm(("return_lease", range(1, GIVE_BACK_ATTEMPTS)))
    await give_back(spool, items)
    assert not caplog.records
    [item] = await spool.lease(HOP, now=NOW, duration=SECOND)
    spool.arm(("return_lease", range(1, 100)))
    await give_back(spool, [item])

    assert spool.calls["return_lease"] == GIVE_BACK_ATTEMPTS
    assert len(caplog.records) == 1


async def test_a_body_that_cannot_be_read_is_told_and_left(spool, caplog):
    [item] = await leased(spool, "a")
    spool.arm(("body", range(1, 2)))
    assert await readable_body(spool, item) is None
    assert len(caplog.records) == 1
    assert await readable_body(spool, item) == b"a"
