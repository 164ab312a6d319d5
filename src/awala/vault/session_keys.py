# SPDX-License-Identifier: MIT
"""Session keys in the vault's tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection
from typing import Any, Final

from awala.vault.executor import Executor
from awala.vault.protection import Protection
from awala.vault.schema import to_datetime, to_microseconds

_OWN_KEY: Final = """
    SELECT key_id, peer_id, private_key, created, until, proven, first_sent, last_sent FROM own_session_keys
    WHERE own_id = ? AND key_id = ?"""

_NEWEST: Final = """
    SELECT key_id, peer_id, private_key, created, until, proven, first_sent, last_sent, sequence
    FROM own_session_keys
    WHERE own_id = ? AND peer_id IS ? ORDER BY sequence DESC LIMIT 1"""

_INSERT_OWN_KEY: Final = """
    INSERT INTO own_session_keys
    (own_id, key_id, peer_id, private_key, created, until, first_sent, last_sent)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (own_id, key_id) DO NOTHING"""

_WIDEN_SENT: Final = """
    UPDATE own_session_keys SET first_sent = min(first_sent, ?), last_sent = max(last_sent, ?)
    WHERE own_id = ? AND key_id = ?"""

_PEER_KEY: Final = """
    SELECT key_id, public_key, as_of FROM peer_session_keys WHERE own_id = ? AND peer_id = ?"""

_UPSERT_PEER_KEY: Final = """
    INSERT INTO peer_session_keys (own_id, peer_id, key_id, public_key, as_of) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (own_id, peer_id) DO UPDATE
    SET key_id = excluded.key_id, public_key = excluded.public_key, as_of = excluded.as_of
    WHERE excluded.as_of >= as_of"""

_ADOPT_PEER_KEY: Final = """
    INSERT INTO peer_session_keys
    (own_id, peer_id, key_id, public_key, as_of, adopted_key_id, adopted_public_key)
    VALUES (:own, :peer, :key_id, :public_key, :as_of, :key_id, :public_key)
    ON CONFLICT (own_id, peer_id) DO UPDATE
    SET key_id = excluded.key_id, public_key = excluded.public_key,
    as_of = max(as_of, CASE WHEN adopted_key_id IS NULL THEN :as_of ELSE :anew_as_of END),
    adopted_key_id = excluded.adopted_key_id, adopted_public_key = excluded.adopted_public_key
    WHERE adopted_key_id IS NOT excluded.adopted_key_id
    OR adopted_public_key IS NOT excluded.adopted_public_key"""

_PROVE: Final = "UPDATE own_session_keys SET proven = 1 WHERE own_id = ? AND key_id = ? AND NOT proven"

_ORDER: Final = "SELECT sequence, first_sent FROM own_session_keys WHERE own_id = ? AND key_id = ?"

_SUPERSEDE: Final = """
    UPDATE own_session_keys SET superseded_at = ?
    WHERE own_id = ? AND peer_id = ? AND until IS NULL AND superseded_at IS NULL
    AND sequence < ? AND last_sent < ?"""

_CORRECT_SUPERSEDED: Final = "UPDATE own_session_keys SET superseded_at = :now WHERE superseded_at > :now"

_OUTDATED: Final = """
    SELECT sequence, key_id FROM own_session_keys WHERE superseded_at < ?
    UNION ALL SELECT sequence, key_id FROM own_session_keys WHERE until < ?"""

_FORGET_OWN_KEYS: Final = "DELETE FROM own_session_keys WHERE own_id = ? AND peer_id = ?"

_FORGET_PEER_KEY: Final = "DELETE FROM peer_session_keys WHERE own_id = ? AND peer_id = ?"


@dataclass(frozen=True, slots=True)
class StoredOwnKey:
    """A session key of one of this node's identities."""

    key_id: bytes
    peer_id: str | None
    private_key: bytes
    created: datetime
    until: datetime | None
    proven: bool
    first_sent: datetime
    last_sent: datetime


@dataclass(frozen=True, slots=True)
class StoredPeerKey:
    """The current session key of a peer."""

    key_id: bytes
    public_key: bytes
    as_of: datetime


class SqlSessionKeys:
    """The session keys of a vault; private ones are protected, public ones are not."""

    def __init__(self, executor: Executor, protection: Protection) -> None:
        self._executor = executor
        self._protection = protection

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
        """Keep a new key of ours; one with the same id that is there already stays as it is."""
        row = (
            own_id,
            key_id,
            peer_id,
            self._protection.close(private_key, *_place(own_id, key_id)),
            to_microseconds(created),
            None if until is None else to_microseconds(until),
            to_microseconds(first_sent),
            to_microseconds(first_sent),
        )
        await self._executor.write(lambda connection: connection.execute(_INSERT_OWN_KEY, row))

    async def widen_sent(self, *, own_id: str, key_id: bytes, first: datetime, last: datetime) -> None:
        """Widen the span of time in which a key of ours went out."""
        row = (to_microseconds(first), to_microseconds(last), own_id, key_id)
        await self._executor.write(lambda connection: connection.execute(_WIDEN_SENT, row))

    async def own_key(self, *, own_id: str, key_id: bytes) -> StoredOwnKey | None:
        """Return the key of ours with that id, whoever it is bound to."""
        row = await self._executor.read(
            lambda connection: connection.execute(_OWN_KEY, (own_id, key_id)).fetchone()
        )
        return None if row is None else self._own_key(own_id, row)

    async def newest_own_key(self, *, own_id: str, peer_id: str | None) -> StoredOwnKey | None:
        """Return the key saved last among those bound to the peer and those bound to nobody."""

        def read(connection: Connection) -> Any:
            candidates = [connection.execute(_NEWEST, (own_id, peer)).fetchone() for peer in {peer_id, None}]
            return max((row for row in candidates if row), key=lambda row: row[-1], default=None)

        row = await self._executor.read(read)
        return None if row is None else self._own_key(own_id, row)

    async def peer_key(self, *, own_id: str, peer_id: str) -> StoredPeerKey | None:
        """Return the peer's current key."""
        row = await self._executor.read(
            lambda connection: connection.execute(_PEER_KEY, (own_id, peer_id)).fetchone()
        )
        return None if row is None else StoredPeerKey(row[0], row[1], to_datetime(row[2]))

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
        """Make a key that was handed out the peer's current one, unless it was adopted last."""
        values = {
            "own": own_id,
            "peer": peer_id,
            "key_id": key_id,
            "public_key": public_key,
            "as_of": to_microseconds(as_of),
            "anew_as_of": to_microseconds(anew_as_of),
        }
        return await self._executor.write(
            lambda connection: connection.execute(_ADOPT_PEER_KEY, values).rowcount > 0
        )

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
        """Record that the peer encrypted to a key of ours and sent its own along, in one transaction."""

        def write(connection: Connection) -> None:
            peer_row = (own_id, peer_id, key_id, public_key, to_microseconds(as_of))
            connection.execute(_UPSERT_PEER_KEY, peer_row)
            connection.execute(_PROVE, (own_id, own_key_id))
            order = connection.execute(_ORDER, (own_id, own_key_id)).fetchone()
            if order is not None:
                connection.execute(_SUPERSEDE, (to_microseconds(now), own_id, peer_id, *order))

        await self._executor.write(write)

    async def prune(
        self,
        *,
        now: datetime,
        superseded_before: datetime,
        until_before: datetime,
        keep: Collection[bytes],
    ) -> int:
        """Erase what nobody may use any more, and return how many keys went."""
        bounds = (to_microseconds(superseded_before), to_microseconds(until_before))

        def write(connection: Connection) -> int:
            connection.execute(_CORRECT_SUPERSEDED, {"now": to_microseconds(now)})
            outdated = [(row[0],) for row in connection.execute(_OUTDATED, bounds) if row[1] not in keep]
            connection.executemany("DELETE FROM own_session_keys WHERE sequence = ?", outdated)
            return len(outdated)

        return await self._executor.write(write)

    async def forget(self, *, own_id: str, peer_id: str) -> None:
        """Erase the peer's key and every key of ours that is bound to the peer."""

        def write(connection: Connection) -> None:
            connection.execute(_FORGET_OWN_KEYS, (own_id, peer_id))
            connection.execute(_FORGET_PEER_KEY, (own_id, peer_id))

        await self._executor.write(write)

    def _own_key(self, own_id: str, row: Any) -> StoredOwnKey:
        key_id, peer_id, private_key, created, until, proven, first_sent, last_sent = row[:8]
        return StoredOwnKey(
            key_id,
            peer_id,
            self._protection.open(private_key, *_place(own_id, key_id)),
            to_datetime(created),
            None if until is None else to_datetime(until),
            bool(proven),
            to_datetime(first_sent),
            to_datetime(last_sent),
        )


def _place(own_id: str, key_id: bytes) -> tuple[str, ...]:
    return ("session key", own_id, key_id.hex())
