# SPDX-License-Identifier: MIT
"""The tables of a vault. Times are microseconds since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE protection (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        salt BLOB NOT NULL,
        cost INTEGER NOT NULL,
        block_size INTEGER NOT NULL,
        parallelism INTEGER NOT NULL,
        wrapped_key BLOB NOT NULL
    );
    CREATE TABLE identity_keys (
        label TEXT NOT NULL PRIMARY KEY,
        private_key BLOB NOT NULL
    );
    CREATE TABLE certification_paths (
        purpose TEXT NOT NULL,
        subject_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        expiry INTEGER NOT NULL,
        encoding BLOB NOT NULL,
        PRIMARY KEY (purpose, subject_id, digest)
    );
    CREATE INDEX certification_paths_by_expiry ON certification_paths (expiry);
    CREATE TABLE records (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (namespace, key)
    );
    CREATE TABLE own_session_keys (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        own_id TEXT NOT NULL,
        key_id BLOB NOT NULL,
        peer_id TEXT,
        private_key BLOB NOT NULL,
        created INTEGER NOT NULL,
        until INTEGER,
        proven INTEGER NOT NULL DEFAULT 0,
        superseded_at INTEGER,
        UNIQUE (own_id, key_id)
    );
    CREATE INDEX own_session_keys_by_peer ON own_session_keys (own_id, peer_id, sequence);
    CREATE INDEX own_session_keys_by_until ON own_session_keys (until) WHERE until IS NOT NULL;
    CREATE INDEX own_session_keys_by_superseded ON own_session_keys (superseded_at)
        WHERE superseded_at IS NOT NULL;
    CREATE TABLE peer_session_keys (
        own_id TEXT NOT NULL,
        peer_id TEXT NOT NULL,
        key_id BLOB NOT NULL,
        public_key BLOB NOT NULL,
        as_of INTEGER NOT NULL,
        PRIMARY KEY (own_id, peer_id)
    );
    """,
    """
    CREATE TABLE withdrawals (
        gateway_id TEXT NOT NULL,
        endpoint_id TEXT NOT NULL,
        serial BLOB NOT NULL,
        expiry INTEGER NOT NULL,
        PRIMARY KEY (gateway_id, endpoint_id, serial)
    ) WITHOUT ROWID;
    CREATE INDEX withdrawals_by_expiry ON withdrawals (expiry);
    CREATE TABLE withdrawal_counts (
        gateway_id TEXT NOT NULL PRIMARY KEY,
        rows INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER withdrawal_added AFTER INSERT ON withdrawals BEGIN
        INSERT INTO withdrawal_counts (gateway_id, rows) VALUES (new.gateway_id, 1)
        ON CONFLICT (gateway_id) DO UPDATE SET rows = rows + 1;
    END;
    CREATE TRIGGER withdrawal_removed AFTER DELETE ON withdrawals BEGIN
        UPDATE withdrawal_counts SET rows = rows - 1 WHERE gateway_id = old.gateway_id;
        DELETE FROM withdrawal_counts WHERE gateway_id = old.gateway_id AND rows = 0;
    END;
    """,
    """
    ALTER TABLE own_session_keys ADD COLUMN first_sent INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE own_session_keys ADD COLUMN last_sent INTEGER NOT NULL DEFAULT 0;
    UPDATE own_session_keys SET first_sent = created, last_sent = created;
    ALTER TABLE peer_session_keys ADD COLUMN adopted_key_id BLOB;
    ALTER TABLE peer_session_keys ADD COLUMN adopted_public_key BLOB;
    """,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Return the form in which a time is stored; it is exact."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """Return the time that was stored."""
    return _EPOCH + microseconds * _MICROSECOND
