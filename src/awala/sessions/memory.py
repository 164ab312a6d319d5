# SPDX-License-Identifier: MIT
"""A session key store that forgets everything with the process: for tests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class _OwnKey:
    own_id: str
    key_id: bytes
    peer_id: str | None
    private_key: bytes
    created: datetime
    until: datetime | None
    first_sent: datetime
    last_sent: datetime
    proven: bool = False
    superseded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _PeerKey:
    key_id: bytes
    public_key: bytes
    as_of: datetime
    adopted: tuple[bytes, bytes] | None
    """The id and the octets of the key that was handed out last."""


class MemorySessionKeyStore:
    """Keeps session keys in memory, in the order in which they were saved."""

    def __init__(self) -> None:
        self._own: dict[tuple[str, bytes], _OwnKey] = {}
        self._peers: dict[tuple[str, str], _PeerKey] = {}

    async def save_own_key(
        self,
        *,
        own_id: str,
        peer_id: str | None,
        key_id: bytes,
        private_key: bytes,
        created: datetime,
        until: datetime | None,
        first_sent: datetime,
    ) -> None:
        """See the port."""
        key = _OwnKey(own_id, key_id, peer_id, private_key, created, until, first_sent, first_sent)
        self._own.setdefault((own_id, key_id), key)

    async def widen_sent(self, *, own_id: str, key_id: bytes, first: datetime, last: datetime) -> None:
        """See the port."""
        key = self._own.get((own_id, key_id))
        if key is not None:
            self._own[own_id, key_id] = replace(
                key, first_sent=min(key.first_sent, first), last_sent=max(key.last_sent, last)
            )

    async def own_key(self, *, own_id: str, key_id: bytes) -> _OwnKey | None:
        """See the port."""
        return self._own.get((own_id, key_id))

    async def newest_own_key(self, *, own_id: str, peer_id: str | None) -> _OwnKey | None:
        """See the port."""
        for key in reversed(self._own.values()):
            if key.own_id == own_id and key.peer_id in (None, peer_id):
                return key
        return None

    async def peer_key(self, *, own_id: str, peer_id: str) -> _PeerKey | None:
        """See the port."""
        return self._peers.get((own_id, peer_id))

    async def adopt_peer_key(
        self,
        *,
        own_id: str,
        peer_id: str,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        anew_as_of: datetime,
    ) -> bool:
        """See the port."""
        present = self._peers.get((own_id, peer_id))
        offer = (key_id, public_key)
        if present is None:
            date = as_of
        elif present.adopted == offer:
            return False
        else:
            date = max(present.as_of, as_of if present.adopted is None else anew_as_of)
        self._peers[own_id, peer_id] = _PeerKey(key_id, public_key, date, offer)
        return True

    async def record_opened(
        self,
        *,
        own_id: str,
        peer_id: str,
        own_key_id: bytes,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        now: datetime,
    ) -> None:
        """See the port."""
        present = self._peers.get((own_id, peer_id))
        if present is None or present.as_of <= as_of:
            adopted = None if present is None else present.adopted
            self._peers[own_id, peer_id] = _PeerKey(key_id, public_key, as_of, adopted)
        proven = self._own.get((own_id, own_key_id))
        if proven is None:
            return
        for place, key in self._own.items():  # in the order in which they were saved
            if key is proven:
                break
            if _can_be_superseded(key, own_id, peer_id) and key.last_sent < proven.first_sent:
                self._own[place] = replace(key, superseded_at=now)
        self._own[own_id, own_key_id] = replace(proven, proven=True)

    async def prune(
        self,
        *,
        now: datetime,
        superseded_before: datetime,
        until_before: datetime,
        keep: Collection[bytes],
    ) -> int:
        """See the port."""
        for place, key in self._own.items():
            if key.superseded_at is not None and key.superseded_at > now:
                self._own[place] = replace(key, superseded_at=now)
        outdated = [
            place
            for place, key in self._own.items()
            if key.key_id not in keep
            and (
                (key.superseded_at is not None and key.superseded_at < superseded_before)
                or (key.until is not None and key.until < until_before)
            )
        ]
        for place in outdated:
            del self._own[place]
        return len(outdated)

    async def forget(self, *, own_id: str, peer_id: str) -> None:
        """See the port."""
        self._peers.pop((own_id, peer_id), None)
        for place in [p for p, key in self._own.items() if (key.own_id, key.peer_id) == (own_id, peer_id)]:
            del self._own[place]


def _can_be_superseded(key: _OwnKey, own_id: str, peer_id: str) -> bool:
    """Say whether the proof of a later key can outdate this one: only keys for messages can be."""
    bound_alike = (key.own_id, key.peer_id) == (own_id, peer_id)
    return bound_alike and key.until is None and key.superseded_at is None
