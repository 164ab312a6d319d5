# SPDX-License-Identifier: MIT
"""What the rules say about the session keys in one store, as plainly as it can be said (rules §7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

RETENTION = timedelta(days=180, hours=2)
GRACE = timedelta(days=180)
ROTATION = timedelta(days=30)
TOLERANCE = timedelta(hours=2)
STEP = timedelta(minutes=1)


def second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


@dataclass
class ModelKey:
    """One of a node's own keys; ``peer`` is None for a static one, ``until`` for one that messages bring."""

    owner: str
    peer: str | None
    created: datetime
    until: datetime | None
    first_sent: datetime
    last_sent: datetime
    proven: bool = False
    superseded_at: datetime | None = None

    def is_over(self, horizon: datetime, retention: timedelta) -> bool:
        if self.until is not None:
            return self.until < horizon - GRACE
        return self.superseded_at is not None and self.superseded_at < horizon - retention


@dataclass
class ModelPeer:
    """The key that is used for a peer, and the one that the peer handed out last."""

    key_id: bytes
    as_of: datetime
    adopted: bytes | None = None


@dataclass
class StoreModel:
    """The keys of all own nodes in a store, in the order in which they were saved."""

    retention: timedelta = RETENTION
    keys: dict[bytes, ModelKey] = field(default_factory=dict)
    peers: dict[tuple[str, str], ModelPeer] = field(default_factory=dict)

    def newest(self, owner: str, peer: str | None) -> tuple[bytes, ModelKey] | None:
        found = [
            (key_id, key)
            for key_id, key in self.keys.items()
            if key.owner == owner and key.peer in (None, peer)
        ]
        return found[-1] if found else None

    def handed_out(self, owner: str, peer: str | None, key_id: bytes, now: datetime, until: datetime) -> None:
        assert key_id not in self.keys
        sent = second(now) - 2 * TOLERANCE
        self.keys[key_id] = ModelKey(owner, peer, now, until, sent, sent)

    def published(self, owner: str, now: datetime) -> bytes | None:
        """Return the static key that is to be published, None for a new one."""
        newest = self.newest(owner, None)
        if newest is None or not -TOLERANCE <= now - newest[1].created < ROTATION:
            return None
        return newest[0]

    def sent(self, owner: str, peer: str, key_id: bytes, now: datetime) -> None:
        """Check which key went out with a message, and note it."""
        newest = self.newest(owner, peer)
        moment = second(now)
        if newest is None or newest[1].until is not None or newest[1].proven:
            assert key_id not in self.keys
            self.keys[key_id] = ModelKey(owner, peer, now, None, moment, moment)
            return
        assert key_id == newest[0]
        key = newest[1]
        if not key.first_sent <= moment <= key.last_sent:
            key.first_sent, key.last_sent = min(key.first_sent, moment), max(key.last_sent, moment + STEP)

    def adopted(self, owner: str, peer: str, key_id: bytes, as_of: datetime) -> None:
        present = self.peers.get((owner, peer))
        if present is None:
            self.peers[owner, peer] = ModelPeer(key_id, as_of, key_id)
        elif present.adopted != key_id:
            date = as_of if present.adopted is None else as_of + 2 * TOLERANCE
            self.peers[owner, peer] = ModelPeer(key_id, max(present.as_of, date), key_id)

    def opened(
        self, owner: str, peer: str, own_key_id: bytes, key_id: bytes, date: datetime, now: datetime
    ) -> None:
        """Note that a message from a peer was opened with a key of ours and brought a key of the peer's."""
        present = self.peers.get((owner, peer))
        if present is None or date >= present.as_of:
            self.peers[owner, peer] = ModelPeer(key_id, date, present and present.adopted)
        proven = self.keys[own_key_id]
        proven.proven = True
        for key in self._before(own_key_id):
            can_be = (key.owner, key.peer, key.until, key.superseded_at) == (owner, peer, None, None)
            if can_be and key.last_sent < proven.first_sent:
                key.superseded_at = now

    def _before(self, key_id: bytes) -> Iterator[ModelKey]:
        for other_id, key in self.keys.items():
            if other_id == key_id:
                return
            yield key

    def prune(self, now: datetime, unread_since: datetime | None, keep: Collection[bytes]) -> set[bytes]:
        """Erase what is over, and return the ids."""
        for key in self.keys.values():
            if key.superseded_at is not None:
                key.superseded_at = min(key.superseded_at, now)
        horizon = min(now, unread_since or now)
        over = {
            key_id
            for key_id, key in self.keys.items()
            if key_id not in keep and key.is_over(horizon, self.retention)
        }
        for key_id in over:
            del self.keys[key_id]
        return over
