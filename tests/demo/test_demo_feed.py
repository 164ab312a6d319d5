# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio

import pytest

from awala.demo.feed import BACKLOG, Feed, Hop, read_hop

RECORD = {
    "event": "parcel stored",
    "message_id": "m1",
    "message_kind": "parcel",
    "action": "stored",
    "way": "poweb",
    "size": 7,
    "reason": "",
    "timestamp": "2026-01-01T00:00:00Z",
}


def hop(message_id: str, action: str = "stored", node: str = "igw-a") -> Hop:
    return Hop(node, action, "parcel", message_id, "poweb", 7, "", "")


def test_reads_a_hop_event_from_a_log_record():
    expected = Hop("igw-a", "stored", "parcel", "m1", "poweb", 7, "", "2026-01-01T00:00:00Z")

    assert read_hop("igw-a", RECORD) == expected


def test_reads_a_step_within_a_node_which_has_no_way():
    assert read_hop("igw-a", RECORD | {"way": None}).way == ""


@pytest.mark.parametrize("missing", ["message_id", "message_kind", "action"])
def test_takes_other_log_records_for_what_they_are(missing):
    assert read_hop("igw-a", {name: value for name, value in RECORD.items() if name != missing}) is None


async def test_finds_what_happened_before_it_was_asked():
    feed = Feed()
    feed.publish(hop("m1"))

    assert (await feed.seen("igw-a", "stored", "m1")).message_id == "m1"


async def test_waits_for_what_will_happen_and_ignores_all_else():
    feed = Feed()
    waiting = asyncio.create_task(feed.seen("igw-a", "stored", "m1"))
    await asyncio.sleep(0)

    for other in (hop("m2"), hop("m1", action="offered"), hop("m1", node="igw-b")):
        feed.publish(other)
        await asyncio.sleep(0)
        assert not waiting.done()
    feed.publish(hop("m1"))

    assert await waiting == hop("m1")


async def test_forgets_those_who_no_longer_wait():
    feed = Feed()
    waiting = asyncio.create_task(feed.seen("igw-a", "stored", "m1"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    feed.publish(hop("m1"))

    assert feed._waiting == []


async def test_a_slow_reader_loses_the_oldest_events():
    feed = Feed()
    with feed.subscribe() as hops:
        for number in range(BACKLOG + 2):
            feed.publish(hop(str(number)))

        assert (await anext(hops)).message_id == "2"
    assert feed._readers == set()


async def test_finds_and_waits_for_the_next_step_of_a_kind_behind_a_position():
    feed = Feed()
    feed.publish(hop("m1"))
    assert (await feed.next("igw-a", "stored", "parcel", after=0)).message_id == "m1"

    waiting = asyncio.create_task(feed.next("igw-a", "stored", "parcel", after=feed.position))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.publish(hop("m2", node="igw-b"))
    feed.publish(hop("m3"))
    assert (await waiting).message_id == "m3"
