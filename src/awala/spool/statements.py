# SPDX-License-Identifier: MIT
"""Every statement of the SQLite spool. Each names the index that it walks; a test checks the plans."""

# ruff: noqa: S608 - put together from constants of this file; every value is a parameter

from __future__ import annotations

from awala.spool.room import RANKS as _RANKS

_COLUMNS = (
    "key, version, kind, sender, recipient, message_id, carriers, rank, created, expiry, size, attempts"
)
_HOP = "(SELECT id FROM hop WHERE lane = :lane AND name = :name)"

# --- accept -----------------------------------------------------------------------------------------

FIND = """
SELECT seen.expiry, item.key, item.version, item.created, item.size, item.file, item.offered, item.hop
FROM seen LEFT JOIN item ON item.key = seen.item
WHERE seen.identity = ?
"""
METER = "SELECT items, octets, seen, debts, last_key FROM meter WHERE id = 1"
USAGE = "SELECT items, octets, seen, debts FROM meter WHERE id = 1"
COUNT = """
UPDATE meter SET items = items + ?, octets = octets + ?, seen = seen + ?, last_key = ? WHERE id = 1
"""
HOP = "SELECT id, items, octets, seen FROM hop WHERE lane = ? AND name = ?"
IS_HOP = "SELECT 1 FROM hop WHERE id = ? AND lane = ? AND name = ?"
ADD_HOP = "INSERT INTO hop (lane, name) VALUES (?, ?) RETURNING id"
COUNT_AT_HOP = "UPDATE hop SET items = items + ?, octets = octets + ?, seen = seen + ? WHERE id = ?"
PAIR = "SELECT id, items, octets, seen FROM pair WHERE sender = ? AND recipient = ?"
ADD_PAIR = "INSERT INTO pair (sender, recipient) VALUES (?, ?) RETURNING id"
COUNT_AT_PAIR = "UPDATE pair SET items = items + ?, octets = octets + ?, seen = seen + ? WHERE id = ?"
ADD_ITEM = """
INSERT INTO item (key, version, kind, pair, message_id, hop, carriers, rank, created, expiry, due, queue,
                  size, file)
VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
REPLACE_ITEM = """
UPDATE item SET version = version + 1, hop = ?, carriers = ?, rank = ?, created = ?, expiry = ?, due = ?,
       queue = ?, size = ?, attempts = 0, file = ?
WHERE key = ?
"""
PUT_BODY = "INSERT INTO body (item, octets) VALUES (?, ?) ON CONFLICT DO UPDATE SET octets = excluded.octets"
ADD_BODY = "INSERT INTO body (item, octets) VALUES (?, ?)"
DROP_BODY = "DELETE FROM body WHERE item = ?"
OCTETS = "SELECT octets FROM body WHERE item = ?"
ADD_SEEN = "INSERT INTO seen (identity, expiry, item, hop, pair) VALUES (?, ?, ?, ?, ?)"
RENEW_SEEN = "UPDATE seen SET expiry = ?, item = ?, hop = ?, pair = ? WHERE identity = ?"
SEEN = "SELECT 1 FROM seen WHERE identity = ? AND expiry > ?"

# --- hand-over --------------------------------------------------------------------------------------

_QUEUE = f"""
SELECT {_COLUMNS} FROM item INDEXED BY item_order CROSS JOIN pair ON pair.id = item.pair
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
_AGAIN_OF_HOP = "item INDEXED BY item_again WHERE item.hop = hop.id AND queue = 0 AND attempts > 0"
HOPS = f"""
SELECT name FROM hop INDEXED BY hop_busy
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
_IS_LATER = "expiry > due AND key NOT IN (SELECT value FROM json_each(:held))"
_FIRST_DUE = (
    f"SELECT due FROM {_WAITING_OF_HOP} AND due > :now AND {_IS_LATER} ORDER BY due LIMIT 1",
    f"SELECT due FROM {_AGAIN_OF_HOP} AND due > :now AND {_IS_LATER} ORDER BY due LIMIT 1",
    # After the clock went back, more is ahead. What was never tried is due when it was created.
    *(
        f"SELECT due FROM {_ONLINE_OF_HOP} AND rank = {rank} AND created > :now AND {_IS_LATER}"
        " ORDER BY created LIMIT 1"
        for rank in _RANKS
    ),
)
NEXT_DUE = tuple(
    f"SELECT min(({first})) FROM hop INDEXED BY hop_busy WHERE lane = :lane AND items > 0"
    for first in _FIRST_DUE
)
OLDEST = """
SELECT (SELECT created FROM item INDEXED BY item_order
        WHERE item.hop = hop.id AND queue = :queue AND rank = :rank ORDER BY created LIMIT 1)
FROM hop INDEXED BY hop_busy WHERE lane = :lane AND items > 0
"""
TOTALS = "SELECT lane, name, items, octets FROM hop INDEXED BY hop_busy WHERE items > 0"

# --- erasure ------------------------------------------------------------------------------------------

EXPIRED = "SELECT identity, item FROM seen INDEXED BY seen_expiry WHERE expiry <= ? ORDER BY expiry LIMIT ?"
ERASE_ITEM = "DELETE FROM item WHERE key = ? RETURNING key, file"
ERASE_SEEN = "DELETE FROM seen WHERE identity = ?"
SWEEP_DEBTS = """
DELETE FROM debt WHERE serial IN (
    SELECT serial FROM debt INDEXED BY debt_expiry WHERE expiry <= ? ORDER BY expiry LIMIT ?)
"""
SWEEP_HOPS = """
DELETE FROM hop WHERE id IN (SELECT id FROM hop INDEXED BY hop_idle WHERE items = 0 AND seen = 0 LIMIT ?)
"""
SWEEP_PAIRS = """
DELETE FROM pair WHERE id IN (SELECT id FROM pair INDEXED BY pair_idle WHERE items = 0 AND seen = 0 LIMIT ?)
"""

# --- files --------------------------------------------------------------------------------------------

HAS_FILE = "SELECT 1 FROM item INDEXED BY item_file WHERE file = ?"
DROPPED = "SELECT file FROM dropped"
FORGET_FILE = "DELETE FROM dropped WHERE file = ?"
SET_FOLDER = "UPDATE meter SET folder = ? WHERE id = 1 AND folder < ?1"
FOLDER = "SELECT folder FROM meter WHERE id = 1"

# --- the clock ----------------------------------------------------------------------------------------

CLOCK = "SELECT high_water, running FROM meter WHERE id = 1"
CLOCK_NOTES = "SELECT running, shown FROM clock_note ORDER BY running"
SET_CLOCK = "UPDATE meter SET high_water = ?, running = ? WHERE id = 1"
DROP_CLOCK_NOTES = "DELETE FROM clock_note"
ADD_CLOCK_NOTE = "INSERT INTO clock_note (running, shown) VALUES (?, ?)"
