# SPDX-License-Identifier: MIT
"""What an app sees of its messages: what came, what became of what it sent."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from awala.base.clock import Clock
from awala.nodes.background import first_of
from awala.nodes.events import Action, EventHub
from awala.spool.model import Kind


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message from a peer, decrypted.

    ``id`` is the same at every attempt; ``attempt`` counts from 1.
    """

    id: str
    sender_id: str
    type: str
    content: bytes
    created: datetime
    expires: datetime
    attempt: int


class TicketState(Enum):
    """What became of a message that was sent."""

    QUEUED = "queued"
    """It is safe in this app's outbox."""

    SENT = "sent"
    """The next node has it safe."""

    REFUSED = "refused"
    """The next node refused it for good."""

    EXPIRED = "expired"
    """Its time ran out before the next node took it."""


class Ticket:
    """Follows one message that was sent."""

    def __init__(self, message_id: str) -> None:
        self.id = message_id
        self.state = TicketState.QUEUED
        self.reason = ""
        """Why it was refused; empty otherwise."""
        self._settled = asyncio.Event()

    async def wait(self) -> TicketState:
        """Return when the message was sent or refused, or has expired unsent."""
        await self._settled.wait()
        return self.state

    def settle(self, state: TicketState, reason: str = "") -> None:
        """Note what became of the message."""
        self.state = state
        self.reason = reason
        self._settled.set()


CLOCK_RECHECK = timedelta(hours=1)
"""Expiry is looked at this often at least, whatever the clock did."""

MAX_TICKETS = 10_000
"""Messages whose fate is followed at once; the oldest ticket is no longer told beyond that."""


class Tickets:
    """Tells each ticket what became of its message."""

    def __init__(self, events: EventHub, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._open: dict[str, Ticket] = {}
        self._ends: list[tuple[datetime, str]] = []
        self._issued = asyncio.Event()

    def issue(self, message_id: str, expiry: datetime) -> Ticket:
        """Return a ticket for a message that is in the outbox until its expiry."""
        while len(self._open) >= MAX_TICKETS:
            del self._open[next(iter(self._open))]
        ticket = self._open[message_id] = Ticket(message_id)
        if len(self._ends) >= 2 * MAX_TICKETS:
            self._ends = [end for end in self._ends if end[1] in self._open]
            heapq.heapify(self._ends)
        heapq.heappush(self._ends, (expiry, message_id))
        self._issued.set()
        return ticket

    async def run(self) -> None:
        """Follow the endpoint's events and the clock until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_events())
            group.create_task(self._follow_clock())

    async def _follow_clock(self) -> None:
        while True:
            self._issued.clear()
            now = self._clock.now()
            while self._ends and self._ends[0][0] <= now:
                ticket = self._open.pop(heapq.heappop(self._ends)[1], None)
                if ticket is not None:
                    ticket.settle(TicketState.EXPIRED)
            if self._ends:
                wait = min(self._ends[0][0] - now, CLOCK_RECHECK)
                await first_of(self._issued.wait(), self._clock.sleep(wait.total_seconds()))
            else:
                await self._issued.wait()

    async def _follow_events(self) -> None:
        states = {Action.HANDED_ON: TicketState.SENT, Action.REFUSED: TicketState.REFUSED}
        with self._events.subscribe() as events:
            async for event in events:
                if event.kind == Kind.PARCEL.value and event.way is not None and event.action in states:
                    ticket = self._open.pop(event.message_id, None)
                    if ticket is not None:
                        ticket.settle(states[event.action], event.reason)
