# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.sdk import IncomingMessage, TicketState, UnwantedMessageError
from awala.sdk import messages as module
from awala.sdk.handlers import Handlers
from awala.sdk.messages import Tickets
from awala.testing import FakeClock
from helpers.nodes import DAY, HOUR, NOW, running


def message(message_type="t"):
    return IncomingMessage("m", "0s", message_type, b"", NOW, NOW + DAY, 1)


class TestHandlers:
    async def test_each_type_goes_to_its_handler_and_the_rest_to_the_default(self):
        handlers, heard = Handlers(), []

        @handlers.on("a")
        async def on_a(message):
            heard.append(("a", message.type))

        @handlers.on(None)
        async def on_any(message):
            heard.append(("any", message.type))

        await handlers.handle(message("a"))
        await handlers.handle(message("b"))
        assert heard == [("a", "a"), ("any", "b")]
        assert on_a is not on_any

    async def test_what_nobody_handles_is_unwanted(self):
        with pytest.raises(UnwantedMessageError):
            await Handlers().handle(message())


def event(action, message_id="m", kind="parcel", way=Way.POWEB):
    return HopEvent(NOW, action, kind, message_id, way, 1, "why")


class TestTickets:
    @pytest.fixture
    async def tickets(self):
        self.hub = EventHub()
        self.clock = FakeClock(NOW)
        tickets = Tickets(self.hub, self.clock)
        async with running(tickets.run()):
            await asyncio.sleep(0)
            yield tickets

    @pytest.mark.parametrize(
        ("action", "state"),
        [(Action.HANDED_ON, TicketState.SENT), (Action.REFUSED, TicketState.REFUSED)],
    )
    async def test_tells_what_became_of_a_message(self, tickets, action, state):
        ticket = tickets.issue("m", NOW + DAY)
        assert ticket.state is TicketState.QUEUED
        for other in (
            event(Action.STORED),
            event(action, "other"),
            event(action, kind="cargo"),
            event(action, way=None),
        ):
            self.hub.emit(other)
        await asyncio.sleep(0)
        assert ticket.state is TicketState.QUEUED

        self.hub.emit(event(action))
        async with asyncio.timeout(5):
            assert await ticket.wait() is state
        assert ticket.reason == "why"

    async def test_the_number_of_tickets_is_bounded(self, tickets, monkeypatch):
        monkeypatch.setattr(module, "MAX_TICKETS", 2)
        first, second, third = (tickets.issue(name, NOW + DAY) for name in "abc")
        for name in "abc":
            self.hub.emit(event(Action.HANDED_ON, name))
        async with asyncio.timeout(5):
            await second.wait()
            await third.wait()
        assert first.state is TicketState.QUEUED

    async def test_a_message_that_was_not_sent_in_time_has_expired(self, tickets):
        late, sent, long_lived = (
            tickets.issue(name, NOW + life) for name, life in (("a", 2 * HOUR), ("b", HOUR), ("c", DAY))
        )
        self.hub.emit(event(Action.HANDED_ON, "b"))
        await self.clock.advance(7200 - 1)
        assert late.state is TicketState.QUEUED
        await self.clock.advance(2)

        async with asyncio.timeout(5):
            assert await late.wait() is TicketState.EXPIRED
        assert (sent.state, long_lived.state) == (TicketState.SENT, TicketState.QUEUED)

    async def test_expiry_is_followed_however_many_tickets_there_were(self, tickets, monkeypatch):
        monkeypatch.setattr(module, "MAX_TICKETS", 2)
        issued = [tickets.issue(str(n), NOW + HOUR) for n in range(20)]
        assert len(tickets._ends) <= 5
        await self.clock.advance(3601)

        assert [ticket.state for ticket in issued[-2:]] == [TicketState.EXPIRED] * 2
