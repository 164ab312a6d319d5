# SPDX-License-Identifier: MIT
"""Every statement of the SQLite spool. Each names the index that it walks; a test checks the plans."""

# ruff: noqa: S608 - put together from constants of this file; every value is a parameter

from __future__ import annotations

_COLUMNS = (
    "key, version, kind, sender, recipient, message_id, carriers, rank, created, expiry, size, attempts"
)
_HOP = "(SELECT id FROM hop WHERE lane = :lane AND name = :name)"

# --- accept -----------------------------------------------------------------------------------------

FIND = """
SELECT seen.digest, seen.created, seen.expiry, item.key, item.version, item.size, item.file, item.offered,
       hop.lane, hop.name
FROM seen LEFT JOIN item ON item.key = seen.item LEFT JOIN hop ON hop.id = item.hop
WHERE seen.identity = ?
"""
USAGE = "SELECT items, octets, seen, debts FROM meter WHERE id = 1"
HOP_USAGE = "SELECT items, octets FROM hop WHERE lane = ? AND name = ?"
ADD_HOP = "INSERT INTO hop (lane, name) VALUES (?, ?) ON CONFLICT DO NOTHING"
ADD_ITEM = """
INSERT INTO item (key, version, kind, sender, recipient, message_id, hop, carriers, rank, created, expiry,
                  due, queue, size, file)
SELECT meter.last_key + 1, 1, :kind, :sender, :recipient, :message_id, hop.id, :carriers, :rank, :created,
       :expiry, :created, :queue, :size, :file
FROM hop, meter WHERE hop.lane = :lane AND hop.name = :name AND meter.id = 1
"""
REPLACE_ITEM = f"""
UPDATE item SET version = version + 1, hop = {_HOP}, carriers = :carriers, rank = :rank, created = :created,
       expiry = :expiry, due = :created, queue = :queue, size = :size, attempts = 0, file = :file
WHERE key = :key
"""
PUT_BODY = "INSERT INTO body (item, octets) VALUES (?, ?) ON CONFLICT DO UPDATE SET octets = excluded.octets"
DROP_BODY = "DELETE FROM body WHERE item = ?"
REMEMBER = """
INSERT INTO seen (identity, digest, created, expiry, item) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET digest = excluded.digest, created = excluded.created, expiry = excluded.expiry,
                          item = excluded.item
"""
SEEN = "SELECT 1 FROM seen WHERE identity = ? AND expiry > ?"

# --- hand-over --------------------------------------------------------------------------------------

_QUEUE = f"""
SELECT {_COLUMNS} FROM item INDEXED BY item_order
WHERE hop = {_HOP} AND queue = :queue AND carriers & :carriers AND expiry > :now
"""
DUE = f"{_QUEUE} AND due <= :now ORDER BY rank, created, key LIMIT :limit"
BEHIND = f"""
{_QUEUE} AND created <= :now AND (rank, created, key) > (:rank, :created, :key) ORDER BY rank, created, key
"""
_WAITING = f"item INDEXED BY item_waiting WHERE hop = {_HOP} AND queue = 1 AND due <= :now AND expiry > :now"
HAS_WAITING = f"SELECT 1 FROM {_WAITING} LIMIT 1"
END_WAITING = f"UPDATE item SET queue = 0 WHERE key IN (SELECT key FROM {_WAITING} ORDER BY due LIMIT :limit)"
BODY = """
SELECT item.file, item.size, body.octets FROM item LEFT JOIN body ON body.item = item.key
WHERE item.key = ? AND item.version = ?
"""
REMOVE = "DELETE FROM item WHERE key = ? AND version = ? RETURNING file"
RETRY = """
UPDATE item SET attempts = attempts + 1, due = max(created, ?), queue = max(queue, 1)
WHERE key = ? AND version = ?
"""
OFFERED = """
UPDATE item SET offered = max(coalesce(offered, 0), :version) WHERE key = :key AND version >= :version
"""
FORGET_OFFER = "UPDATE item SET offered = NULL WHERE key = ?"

# --- acknowledgements owed ---------------------------------------------------------------------------

OWE = """
INSERT INTO debt (identity, peer, sender, recipient, message_id, expiry) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (identity) DO UPDATE SET expiry = max(expiry, excluded.expiry)
"""
IS_OWED = "SELECT 1 FROM debt WHERE identity = ?"
DEBTS = """
SELECT peer, sender, recipient, message_id, expiry FROM debt INDEXED BY debt_peer
WHERE peer = ? AND expiry > ? ORDER BY serial LIMIT ?
"""
PAY = "DELETE FROM debt WHERE identity = ? AND expiry <= ?"

# --- lanes -------------------------------------------------------------------------------------------

_ONLINE_OF_HOP = "item INDEXED BY item_order WHERE item.hop = hop.id AND queue = 0"
_WAITING_OF_HOP = "item INDEXED BY item_waiting WHERE item.hop = hop.id AND queue = 1"
HOPS = f"""
SELECT name FROM hop
WHERE lane = :lane AND items > 0 AND (
    EXISTS (SELECT 1 FROM {_ONLINE_OF_HOP} AND due <= :now AND expiry > :now)
    OR EXISTS (SELECT 1 FROM {_WAITING_OF_HOP} AND due <= :now AND expiry > :now))
ORDER BY name
"""
DUE_AT_HOP = f"""
SELECT key, version FROM item INDEXED BY item_order
WHERE hop = {_HOP} AND queue = 0 AND due <= :now AND expiry > :now
UNION ALL
SELECT key, version FROM {_WAITING}
LIMIT :limit
"""
NEXT_DUE = f"""
SELECT min(coalesce(min(waiting, ahead), waiting, ahead)) FROM (
    SELECT (SELECT due FROM {_WAITING_OF_HOP} AND due > :now AND expiry > due
            ORDER BY due LIMIT 1) AS waiting,
           (SELECT min(due) FROM {_ONLINE_OF_HOP} AND due > :now AND expiry > due) AS ahead
    FROM hop WHERE lane = :lane AND items > 0)
"""
OLDEST = """
SELECT (SELECT created FROM item INDEXED BY item_order
        WHERE item.hop = hop.id AND queue = :queue AND rank = :rank ORDER BY created LIMIT 1)
FROM hop WHERE lane = :lane AND items > 0
"""
TOTALS = "SELECT lane, name, items, octets FROM hop WHERE items > 0"

# --- erasure ------------------------------------------------------------------------------------------

EXPIRED = "SELECT identity, item FROM seen INDEXED BY seen_expiry WHERE expiry <= ? ORDER BY expiry LIMIT ?"
ERASE_ITEM = "DELETE FROM item WHERE key = ? RETURNING key, file"
ERASE_SEEN = "DELETE FROM seen WHERE identity = ?"
SWEEP_DEBTS = """
DELETE FROM debt WHERE serial IN (
    SELECT serial FROM debt INDEXED BY debt_expiry WHERE expiry <= ? ORDER BY expiry LIMIT ?)
"""
SWEEP_HOPS = "DELETE FROM hop WHERE items = 0"
HAS_FILE = "SELECT 1 FROM item INDEXED BY item_file WHERE file = ?"
