# SPDX-License-Identifier: MIT
"""The tables of the SQLite spool. A migration that was released is never edited."""

from __future__ import annotations

PAGE_SIZE = 2048
"""Octets in a page: seen rows land all over their tree, and each commit writes whole pages."""

CHECKPOINT_PAGES = 8_000
"""Pages in the log before they go into the database: commits touch the same pages, then written once."""

READY, WAITING, BY_CARGO = range(3)
"""The queues: due on-line, not due yet, and never on-line."""

_TABLES = """
CREATE TABLE hop (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    name TEXT NOT NULL,
    items INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    UNIQUE (lane, name)
);

-- Keys are never used again: a caller may hold one of an item that is gone.
-- queue is 0 for what may leave on-line, 1 for what waits for its time, 2 for what leaves by cargo only.
CREATE TABLE item (
    key INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    hop INTEGER NOT NULL,
    carriers INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    due INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    offered INTEGER,
    file TEXT
);

-- Small bodies stand apart, so that lists read few pages.
CREATE TABLE body (
    item INTEGER PRIMARY KEY,
    octets BLOB NOT NULL
);

-- What was ever accepted, until the expiry of its item. The item may be gone: then its key leads nowhere.
CREATE TABLE seen (
    identity BLOB PRIMARY KEY,
    digest BLOB NOT NULL,
    created INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    item INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE debt (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    identity BLOB NOT NULL UNIQUE,
    peer TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT NOT NULL,
    expiry INTEGER NOT NULL
);

CREATE TABLE meter (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last_key INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0,
    debts INTEGER NOT NULL DEFAULT 0
);
INSERT INTO meter (id) VALUES (1);
"""

_INDEXES = """
-- Each is in the order in which it is read, and ends with what the reader filters by. Every index
-- costs a page or two in each commit: an arrival touches item_order and seen_expiry alone.
CREATE INDEX item_order ON item (hop, queue, rank, created, key, due, expiry, carriers);
CREATE INDEX item_waiting ON item (hop, due, expiry) WHERE queue = 1;
CREATE INDEX item_file ON item (file) WHERE file IS NOT NULL;
CREATE INDEX seen_expiry ON seen (expiry);
CREATE INDEX debt_peer ON debt (peer, serial, expiry);
CREATE INDEX debt_expiry ON debt (expiry);
"""

_TRIGGERS = """
CREATE TRIGGER item_added AFTER INSERT ON item BEGIN
    UPDATE hop SET items = items + 1, octets = octets + NEW.size WHERE id = NEW.hop;
    UPDATE meter SET items = items + 1, octets = octets + NEW.size, last_key = NEW.key WHERE id = 1;
END;
CREATE TRIGGER item_removed AFTER DELETE ON item BEGIN
    UPDATE hop SET items = items - 1, octets = octets - OLD.size WHERE id = OLD.hop;
    UPDATE meter SET items = items - 1, octets = octets - OLD.size WHERE id = 1;
    DELETE FROM body WHERE item = OLD.key;
END;
CREATE TRIGGER item_replaced AFTER UPDATE OF hop, size ON item BEGIN
    UPDATE hop SET items = items - 1, octets = octets - OLD.size WHERE id = OLD.hop;
    UPDATE hop SET items = items + 1, octets = octets + NEW.size WHERE id = NEW.hop;
    UPDATE meter SET octets = octets - OLD.size + NEW.size WHERE id = 1;
END;
CREATE TRIGGER seen_added AFTER INSERT ON seen BEGIN
    UPDATE meter SET seen = seen + 1 WHERE id = 1;
END;
CREATE TRIGGER seen_removed AFTER DELETE ON seen BEGIN
    UPDATE meter SET seen = seen - 1 WHERE id = 1;
END;
CREATE TRIGGER debt_added AFTER INSERT ON debt BEGIN
    UPDATE meter SET debts = debts + 1 WHERE id = 1;
END;
CREATE TRIGGER debt_removed AFTER DELETE ON debt BEGIN
    UPDATE meter SET debts = debts - 1 WHERE id = 1;
END;
"""

_FIRST = _TABLES + _INDEXES + _TRIGGERS

_NEW_TABLES = """
-- A sender and a recipient: what one PDA lets through.
CREATE TABLE pair (
    id INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    items INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sender, recipient)
);
ALTER TABLE hop ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;

CREATE TABLE new_item (
    key INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    pair INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    hop INTEGER NOT NULL,
    carriers INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    due INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    offered INTEGER,
    file TEXT
);

-- Short rows: each arrival writes one into the middle of this tree. hop and pair count it; 0 is nobody.
CREATE TABLE new_seen (
    identity BLOB PRIMARY KEY,
    expiry INTEGER NOT NULL,
    item INTEGER NOT NULL,
    hop INTEGER NOT NULL,
    pair INTEGER NOT NULL
) WITHOUT ROWID;

-- Files whose rows are gone; a name leaves once its file has.
CREATE TABLE dropped (
    file TEXT PRIMARY KEY
) WITHOUT ROWID;

-- The folder of bodies from which on there may be files that have no row yet.
ALTER TABLE meter ADD COLUMN folder INTEGER NOT NULL DEFAULT 0;

-- What the clock showed, and after how many microseconds of running.
CREATE TABLE clock_note (
    running INTEGER PRIMARY KEY,
    shown INTEGER NOT NULL
);
ALTER TABLE meter ADD COLUMN high_water INTEGER;
ALTER TABLE meter ADD COLUMN running INTEGER NOT NULL DEFAULT 0;
"""

_MOVE = """
DROP TRIGGER item_added;
DROP TRIGGER item_removed;
DROP TRIGGER item_replaced;
DROP TRIGGER seen_added;
DROP TRIGGER seen_removed;

INSERT INTO pair (sender, recipient, items, octets)
SELECT sender, recipient, count(*), sum(size) FROM item GROUP BY sender, recipient;
INSERT INTO new_item
SELECT key, version, kind, pair.id, message_id, hop, carriers, rank, created, expiry, due, queue, size,
       attempts, offered, file
FROM item JOIN pair ON pair.sender = item.sender AND pair.recipient = item.recipient ORDER BY key;
INSERT INTO new_seen
SELECT identity, seen.expiry, seen.item, coalesce(new_item.hop, 0), coalesce(new_item.pair, 0)
FROM seen LEFT JOIN new_item ON new_item.key = seen.item ORDER BY identity;
DROP TABLE item;
DROP TABLE seen;
ALTER TABLE new_item RENAME TO item;
ALTER TABLE new_seen RENAME TO seen;
UPDATE pair SET seen = items;
UPDATE hop SET seen = items;
"""

_NEW_INDEXES = """
CREATE INDEX item_order ON item (hop, queue, rank, created, key, due, expiry, carriers);
CREATE INDEX item_waiting ON item (hop, due, expiry) WHERE queue = 1;
-- Items that came back from waiting: due later than they were created.
CREATE INDEX item_again ON item (hop, due, expiry) WHERE queue = 0 AND attempts > 0;
CREATE INDEX item_file ON item (file) WHERE file IS NOT NULL;
CREATE INDEX seen_expiry ON seen (expiry);
CREATE INDEX hop_busy ON hop (lane, name) WHERE items > 0;
CREATE INDEX hop_idle ON hop (id) WHERE items = 0 AND seen = 0;
CREATE INDEX pair_idle ON pair (id) WHERE items = 0 AND seen = 0;
"""

_NEW_TRIGGERS = """
-- What goes is counted here; what comes is counted by the intake, once for a whole group.
CREATE TRIGGER item_removed AFTER DELETE ON item BEGIN
    UPDATE hop SET items = items - 1, octets = octets - OLD.size WHERE id = OLD.hop;
    UPDATE pair SET items = items - 1, octets = octets - OLD.size WHERE id = OLD.pair;
    UPDATE meter SET items = items - 1, octets = octets - OLD.size WHERE id = 1;
    DELETE FROM body WHERE item = OLD.key;
END;
CREATE TRIGGER item_replaced AFTER UPDATE OF hop, size ON item BEGIN
    UPDATE hop SET items = items - 1, octets = octets - OLD.size WHERE id = OLD.hop;
    UPDATE hop SET items = items + 1, octets = octets + NEW.size WHERE id = NEW.hop;
    UPDATE pair SET octets = octets - OLD.size + NEW.size WHERE id = NEW.pair;
    UPDATE meter SET octets = octets - OLD.size + NEW.size WHERE id = 1;
END;
CREATE TRIGGER file_dropped AFTER DELETE ON item WHEN OLD.file IS NOT NULL BEGIN
    INSERT INTO dropped (file) VALUES (OLD.file);
END;
CREATE TRIGGER file_replaced AFTER UPDATE OF file ON item WHEN OLD.file IS NOT NULL BEGIN
    INSERT INTO dropped (file) VALUES (OLD.file);
END;
CREATE TRIGGER seen_removed AFTER DELETE ON seen BEGIN
    UPDATE hop SET seen = seen - 1 WHERE id = OLD.hop;
    UPDATE pair SET seen = seen - 1 WHERE id = OLD.pair;
    UPDATE meter SET seen = seen - 1 WHERE id = 1;
END;
CREATE TRIGGER seen_moved AFTER UPDATE OF hop, pair ON seen BEGIN
    UPDATE hop SET seen = seen - 1 WHERE id = OLD.hop;
    UPDATE hop SET seen = seen + 1 WHERE id = NEW.hop;
    UPDATE pair SET seen = seen - 1 WHERE id = OLD.pair;
    UPDATE pair SET seen = seen + 1 WHERE id = NEW.pair;
END;
"""

_SECOND = _NEW_TABLES + _MOVE + _NEW_INDEXES + _NEW_TRIGGERS

MIGRATIONS = (_FIRST, _SECOND)
