# SPDX-License-Identifier: MIT
"""Drives a chat app of the demonstration: tells it what to do, and remembers what it tells."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from awala.demo.errors import DemoError
from awala.demo.nodes import Node

KEPT_EVENTS = 10_000
"""Events kept of each chat."""

ANSWER_SECONDS = 15.0
"""Time that the app has for what it can do by itself."""

Event = dict[str, Any]


class ChatApp:
    """The chat on one side of the network.

    Attributes:
        node: the app's process.
        events: what the app told, in order: objects with one member each, named after what happened.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.on_event: Callable[[Event], None] = lambda _event: None
        """Called with each event, for the page."""
        self._told: Counter[str] = Counter()
        self._busy = asyncio.Lock()
        self._changed = asyncio.Event()
        node.listen(self._note)

    @property
    def id(self) -> str:
        """The node id of this side."""
        return str(self.node.addresses["id"])

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._told.update(event.keys())
        self._changed.set()
        self.on_event(event)

    async def offer(self) -> str:
        """Make an offer."""
        return str(await self._do("offer", {"do": "offer"}))

    async def accept(self, offer: str, name: str) -> str:
        """Answer the offer of somebody who is called ``name`` from now on."""
        return str(await self._do("invitation", {"do": "accept", "text": offer, "name": name}))

    async def complete(self, invitation: str, name: str) -> None:
        """Take an invitation."""
        await self._do("paired", {"do": "complete", "text": invitation, "name": name})

    async def say(self, to: str, text: str) -> str:
        """Send a text to a peer, by id or name; return the message's id."""
        said: Event = await self._do("said", {"do": "say", "to": to, "text": text})
        return str(said["id"])

    async def peers(self) -> list[Event]:
        """Return the peers."""
        found: list[Event] = await self._do("peers", {"do": "peers"})
        return found

    def received(self, message_id: str) -> list[Event]:
        """Return every time that a message came, which should be once."""
        texts = (event["received"] for event in self.events if "received" in event)
        return [text for text in texts if text["id"] == message_id]

    def paired(self, peer_id: str) -> int:
        """Return how often a peer has said that it can be written to."""
        return sum(event["paired"]["id"] == peer_id for event in self.events if "paired" in event)

    async def wait_paired(self, peer_id: str, *, times: int = 1, seconds: float) -> None:
        """Return when a peer has said so often that it can be written to."""
        paired = self._until(lambda: self.paired(peer_id) >= times)
        await self.node.wait_for("the peer's authorisation", paired, seconds=seconds)

    async def withdraw(self, peer: str) -> bool:
        """Let a peer, by id or name, write to this side no longer; return whether it could."""
        withdrawn: Event = await self._do("withdrawn", {"do": "withdraw", "to": peer})
        return bool(withdrawn["was_authorised"])

    async def wait_received(self, *message_ids: str, seconds: float) -> None:
        """Return when all these messages have come."""

        def complete() -> bool:
            return all(self.received(message_id) for message_id in message_ids)

        what = "a text" if len(message_ids) == 1 else f"{len(message_ids)} texts"
        await self.node.wait_for(what, self._until(complete), seconds=seconds)

    async def _do(self, answer: str, order: Event) -> Any:
        """Give an order and return what the app answers to it; raises DemoError if it refuses."""
        async with self._busy:
            count = self._told[answer] + self._told["error"]
            await self.node.write(order)
            await self.node.wait_for(
                f"the answer to {order['do']!r}",
                self._until(lambda: self._told[answer] + self._told["error"] > count),
                seconds=ANSWER_SECONDS,
            )
            event = next(event for event in reversed(self.events) if answer in event or "error" in event)
        if "error" in event:
            raise DemoError(f"{self.node.name}: {event['error']}")
        return event[answer]

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()
