# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from awala.bindings.poweb import StreamingMode
from awala.nodes.events import EventHub
from awala.nodes.mailbox import open_mailbox
from awala.spool import MemorySpool, SqliteSpool
from awala.testing import FakeClock
from helpers.nodes import Recorder, drive
from helpers.spool_items import HOP, NOW, OTHER_HOP, SECOND, arrival


@pytest.fixture(params=["memory", "sqlite"])
async def spool(request, tmp_path):
    spool = MemorySpool() if request.param == "memory" else await SqliteSpool.open(tmp_path / "spool")
    yield spool
    await spool.close()


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def hub():
    return EventHub()


@pytest.fixture
def open_box(spool, clock, hub):
    def open_box(*hops, mode=StreamingMode.KEEP_ALIVE):
        return open_mailbox(spool, hops or (HOP,), clock=clock, events=hub, mode=mode)

    return open_box


COMPLETE = StreamingMode.CLOSE_UPON_COMPLETION


async def put(spool, *message_ids, **changes):
    await spool.accept([arrival(each, each.encode(), **changes) for each in message_ids], now=NOW)


async def collect_all(box):
    found = []
    while (parcel := await box.next()) is not None:
        found.append(parcel.parcel)
        await box.acknowledge(parcel)
    return found


async def test_hands_out_the_backlog_and_says_when_it_is_done(spool, open_box):
    await put(spool, "a", "b")
    await put(spool, "c", hop=OTHER_HOP)
    await put(spool, "x", hop=replace(HOP, name="0cc"))

    async with open_box(HOP, OTHER_HOP, mode=COMPLETE) as box:
        assert await collect_all(box) == [b"a", b"b", b"c"]
    assert [hop.name for hop in await spool.totals()] == ["0cc"]


async def test_keep_alive_waits_for_what_arrives_at_any_of_its_hops(spool, open_box):
    async with open_box(HOP, OTHER_HOP) as box:
        waiting = asyncio.ensure_future(box.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        await put(spool, "late", hop=OTHER_HOP)

        async with asyncio.timeout(5):
            assert (await waiting).parcel == b"late"


async def test_what_was_not_acknowledged_goes_to_the_next_connection_at_once(spool, open_box):
    await put(spool, "a", "b")
    async with open_box() as first:
        await first.acknowledge(await first.next())
        await first.next()
        async with open_box(mode=COMPLETE) as second:
            assert await second.next() is None

    async with open_box(mode=COMPLETE) as third:
        assert await collect_all(third) == [b"b"]


async def test_a_connection_that_waits_gets_what_an_old_one_gives_back(spool, open_box):
    await put(spool, "a")
    async with open_box() as new:
        async with open_box() as old:
            await old.next()
            waiting = asyncio.ensure_future(new.next())
            await asyncio.sleep(0.01)
            assert not waiting.done()
        async with asyncio.timeout(5):
            assert (await waiting).parcel == b"a"


async def test_two_connections_never_hold_the_same_parcel(spool, open_box):
    await put(spool, "a", "b", "c")
    async with open_box(mode=COMPLETE) as one, open_box(mode=COMPLETE) as two:
        held = [await one.next(), await two.next(), await one.next(), await two.next()]

    assert sorted(each.parcel for each in held if each) == [b"a", b"b", b"c"]
    assert held[3] is None


async def test_acknowledging_a_replaced_parcel_leaves_the_new_version(spool, open_box):
    await put(spool, "a")
    async with open_box(mode=COMPLETE) as box:
        old = await box.next()
        await spool.accept([arrival("a", b"newer", created=SECOND * 0)], now=NOW)
        new = await box.next()
        await box.acknowledge(old)

        assert new.parcel == b"newer"

    async with open_box(mode=COMPLETE) as box:
        assert await collect_all(box) == [b"newer"]


async def test_a_parcel_replaced_between_lease_and_reading_does_not_end_the_collection(
    spool, open_box, monkeypatch
):
    await put(spool, "a", "b")
    read = spool.body

    async def replace_then_read(item):
        monkeypatch.setattr(spool, "body", read)
        await spool.accept([arrival("a", b"newer", created=SECOND * 0)], now=NOW)
        return await read(item)

    monkeypatch.setattr(spool, "body", replace_then_read)
    async with open_box(mode=COMPLETE) as box:
        assert sorted(await collect_all(box)) == [b"b", b"newer"]


@pytest.mark.rule("2.3")
async def test_a_parcel_dated_ahead_waits_for_its_time(spool, open_box, clock):
    await put(spool, "ahead", created=60 * SECOND)
    async with open_box() as box:
        waiting = asyncio.ensure_future(box.next())
        async with asyncio.timeout(5):
            await clock.wait_for_sleepers()
            await clock.advance(59)
            assert not waiting.done()
            await drive(clock, waiting.done, step=1)
            assert (await waiting).parcel == b"ahead"


async def test_a_cancelled_wait_loses_nothing(spool, open_box):
    await put(spool, "a")
    for turns in range(12):
        async with open_box() as box:
            asking = asyncio.ensure_future(box.next())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    async with open_box(mode=COMPLETE) as box:
        assert await collect_all(box) == [b"a"]


async def test_tells_what_was_handed_on(spool, open_box, hub):
    recorder = Recorder(hub)
    await put(spool, "a")
    async with open_box(mode=COMPLETE) as box:
        await collect_all(box)

    [event] = recorder.events
    assert (event.action.value, event.message_id, event.way.value) == ("handed-on", "a", "poweb")
