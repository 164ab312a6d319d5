# SPDX-License-Identifier: MIT
"""A bounded cache whose entries live as long as the DNS says."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_ENTRIES: Final = 1024
"""Entries kept; the one unused for longest goes first."""

MAX_TTL: Final = 24 * 3600.0
"""Seconds after which even a long-lived answer is asked for again."""


class TtlCache(Generic[K, V]):
    """Keeps positive answers for their time to live."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: OrderedDict[K, tuple[datetime, datetime, V]] = OrderedDict()
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: datetime) -> V | None:
        """Return the live entry; one stored in what is now the future is not trusted."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        stored, expiry, value = entry
        if not stored <= now < expiry:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, *, ttl: float, now: datetime) -> None:
        """Keep ``value`` for ``ttl`` seconds; nothing is kept for a ttl of 0."""
        if ttl <= 0:
            return
        self._entries[key] = (now, now + timedelta(seconds=min(ttl, MAX_TTL)), value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
