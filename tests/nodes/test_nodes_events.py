# SPDX-License-Identifier: MIT
from __future__ import annotations

import logging

from awala.nodes.events import SUBSCRIBER_BACKLOG, Action, EventHub, HopEvent, Way
from helpers.nodes import NOW


def event(number: int = 0) -> HopEvent:
    return HopEvent(NOW, Action.STORED, "parcel", f"id-{number}", Way.POWEB, 7, "why")


async def test_a_subscriber_gets_what_happens_from_then_on():
    hub = EventHub()
    hub.emit(event(1))
    with hub.subscribe() as events:
        hub.emit(event(2))

        assert (await anext(events)).message_id == "id-2"


async def test_every_subscriber_gets_every_event_until_it_leaves():
    hub = EventHub()
    with hub.subscribe() as first:
        with hub.subscribe() as second:
            hub.emit(event(1))
            assert await anext(first) == await anext(second)
        hub.emit(event(2))
        assert (await anext(first)).message_id == "id-2"
    assert not hub._queues


async def test_a_slow_subscriber_loses_the_oldest_events_and_blocks_nobody():
    hub = EventHub()
    with hub.subscribe() as events:
        for number in range(SUBSCRIBER_BACKLOG + 3):
            hub.emit(event(number))

        assert (await anext(events)).message_id == "id-3"


def test_an_event_is_logged_with_the_message_id_and_no_address(caplog):
    with caplog.at_level(logging.INFO, "awala.nodes.events"):
        EventHub().emit(event(1))
        EventHub().emit(HopEvent(NOW, Action.DROPPED, "cargo", "id-9"))

    first, second = caplog.records
    assert (first.message_id, first.way, first.size, first.reason) == ("id-1", "poweb", 7, "why")
    assert (second.message, second.way) == ("cargo dropped", None)
