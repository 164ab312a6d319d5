# SPDX-License-Identifier: MIT
"""The hop events of all nodes, as they tell them in their logs: to wait for, and to show."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

HISTORY = 2_000
"""Events that are kept for those who come later."""

BACKLOG = 1_000
"""Events that a slow reader may leave unread before it loses the oldest."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of one message at one node.

    ``way`` is how it came or left, empty within the node; ``at`` is the time in ISO format.
    """

    node: str
    action: str
    kind: str
    message_id: str
    way: str
    size: int
    reason: str
    at: str

    def as_json(self) -> dict[str, object]:
        """Return the event for the page."""
        return asdict(self)


def read_hop(node: str, record: Mapping[str, Any]) -> Hop | None:
    """Return the hop event in a node's log record, or None if it is about something else."""
    if not {"action", "message_id", "message_kind"} <= record.keys():
        return None
    return Hop(
        node=node,
        action=str(record["action"]),
        kind=str(record["message_kind"]),
        message_id=str(record["message_id"]),
        way=str(record.get("way") or ""),
        size=int(record.get("size") or 0),
        reason=str(record.get("reason") or ""),
        at=str(record.get("timestamp") or ""),
    )


class Feed:
    """Collects hop events; whoever waits for one also finds it in what came before."""

    def __init__(self) -> None:
        self.history: deque[Hop] = deque(maxlen=HISTORY)
        self.position = 0
        """How many events there were so far."""
        self._waiting: list[tuple[Callable[[Hop], bool], asyncio.Future[Hop]]] = []
        self._readers: set[asyncio.Queue[Hop]] = set()

    def publish(self, hop: Hop) -> None:
        """Add an event."""
        self.history.append(hop)
        self.position += 1
        for fits, future in self._waiting:
            if not future.done() and fits(hop):
                future.set_result(hop)
        for queue in self._readers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(hop)

    async def seen(self, node: str, action: str, message_id: str) -> Hop:
        """Return when this has happened to a message at a node."""

        def fits(hop: Hop) -> bool:
            return (hop.node, hop.action, hop.message_id) == (node, action, message_id)

        return await self._first(fits, self.history)

    async def next(self, node: str, action: str, kind: str, *, after: int) -> Hop:
        """Return when this has happened to any message of a kind at a node, behind an earlier `position`."""

        def fits(hop: Hop) -> bool:
            return (hop.node, hop.action, hop.kind) == (node, action, kind)

        new = self.position - after
        return await self._first(fits, list(self.history)[-new:] if new else ())

    async def _first(self, fits: Callable[[Hop], bool], past: Iterable[Hop]) -> Hop:
        """Return the first event that fits, of the past or to come."""
        found = next(filter(fits, past), None)
        if found is not None:
            return found
        future: asyncio.Future[Hop] = asyncio.get_running_loop().create_future()
        self._waiting.append((fits, future))
        try:
            return await future
        finally:
            self._waiting.remove((fits, future))

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[Hop]]:
        """Receive every event from now on, until the context ends."""
        queue: asyncio.Queue[Hop] = asyncio.Queue(BACKLOG)
        self._readers.add(queue)
        try:
            yield _drain(queue)
        finally:
            self._readers.discard(queue)


async def _drain(queue: asyncio.Queue[Hop]) -> AsyncIterator[Hop]:
    while True:
        yield await queue.get()
