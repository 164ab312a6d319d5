# SPDX-License-Identifier: MIT
"""Passes what happens to every open page, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

BACKLOG = 1_000
"""Events that a page may leave unread; one that is slower is cut, and begins anew with the whole picture."""

MAX_PAGES = 20
"""Pages that are open at once."""


class Hub:
    """All open pages."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    @property
    def is_full(self) -> bool:
        """Whether no further page is taken."""
        return self._closed or len(self._pages) >= MAX_PAGES

    def publish(self, kind: str, value: object) -> None:
        """Tell all pages."""
        event = format_event(kind, value)
        for page in list(self._pages):
            try:
                page.put_nowait(event)
            except asyncio.QueueFull:
                self._cut(page)

    async def events(self, picture: Callable[[], object]) -> AsyncIterator[bytes]:
        """Yield the whole picture, then what happens, until the hub closes."""
        page: asyncio.Queue[bytes | None] = asyncio.Queue(BACKLOG)
        self._pages.add(page)
        try:
            yield format_event("picture", picture())
            while (event := await page.get()) is not None:
                yield event
        finally:
            self._pages.discard(page)

    def close(self) -> None:
        """End all streams of events."""
        self._closed = True
        for page in list(self._pages):
            self._cut(page)

    def _cut(self, page: asyncio.Queue[bytes | None]) -> None:
        self._pages.discard(page)
        while page.full():
            page.get_nowait()
        page.put_nowait(None)


def format_event(kind: str, value: object) -> bytes:
    """Return a server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()
