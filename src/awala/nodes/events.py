# SPDX-License-Identifier: MIT
"""Hop events: what happens to each message at this node, for pages, tickets, logs and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

logger = logging.getLogger(__name__)

SUBSCRIBER_BACKLOG = 1_000
"""Events that a slow subscriber may leave unread before it loses the oldest."""


class Action(Enum):
    """What happened to a message at a hop."""

    STORED = "stored"
    REPLACED = "replaced"
    DUPLICATE = "duplicate"
    HANDED_ON = "handed-on"
    POSTPONED = "postponed"
    REFUSED = "refused"
    DROPPED = "dropped"
    OFFERED = "offered"
    ACKNOWLEDGED = "acknowledged"
    UNPACKED = "unpacked"


class Way(Enum):
    """How a message came or left."""

    POWEB = "poweb"
    POHTTP = "pohttp"
    COGRPC = "cogrpc"
    CARGO = "cargo"
    MEDIA = "media"


@dataclass(frozen=True, slots=True)
class HopEvent:
    """One step of one message at this node.

    Only the message's own id is named: no endpoint, no address (design, decision 7).
    """

    at: datetime
    action: Action
    kind: str
    message_id: str
    way: Way | None = None
    size: int = 0
    reason: str = ""


class EventHub:
    """Passes hop events to the log and to whoever subscribed."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[HopEvent]] = set()

    def emit(self, event: HopEvent) -> None:
        """Publish an event; never blocks, and drops a slow subscriber's oldest one."""
        logger.info(
            "%s %s",
            event.kind,
            event.action.value,
            extra={
                "message_id": event.message_id,
                "message_kind": event.kind,
                "action": event.action.value,
                "way": event.way.value if event.way else None,
                "size": event.size,
                "reason": event.reason,
            },
        )
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[HopEvent]]:
        """Receive every event from now on, until the context ends."""
        queue: asyncio.Queue[HopEvent] = asyncio.Queue(SUBSCRIBER_BACKLOG)
        self._queues.add(queue)
        try:
            yield _drain(queue)
        finally:
            self._queues.discard(queue)


async def _drain(queue: asyncio.Queue[HopEvent]) -> AsyncIterator[HopEvent]:
    while True:
        yield await queue.get()
