# SPDX-License-Identifier: MIT

from __future__ import annotations

import hashlib
import sqlite3

import pytest

from awala.spool import Outcome, SqliteSpool, Totals, Usage
from awala.spool.codec import to_micros
from awala.spool.schema import MIGRATIONS
from helpers.spool_items import HOP, HOUR, LARGE, MINUTE, NOW, OTHER_HOP, arrival, identity

FILE, ORPHAN = "a" * 32, "b" * 32


def digest(message_id):
    """Return the key of a seen row as the first version wrote it."""
    fields = [field.encode() for field in ("parcel", "0s", "0r", message_id)]
    lengths = ",".join(str(len(field)) for field in fields).encode()
    return hashlib.sha256(b"\0".join((lengths, *fields))).digest()[:16]


def add(connection, key, message_id, hop, body, *, queue=0, offered=None):
    """Store an item as the first version did."""
    created, expiry = to_micros(NOW - HOUR), to_micros(NOW + 24 * HOUR)
    is_large = len(body) >= LARGE
    connection.execute(
        "INSERT INTO hop (lane, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (hop.lane, hop.name)
    )
    connection.execute(
        "INSERT INTO item (key, version, kind, sender, recipient, message_id, hop, carriers, rank, created,"
        " expiry, due, queue, size, attempts, offered, file)"
        " SELECT ?, 2, 'parcel', '0s', '0r', ?, id, 3, ?, ?, ?, ?, ?, ?, 1, ?, ? FROM hop WHERE name = ?",
        (
            *(key, message_id, 5 if is_large else 4, created, expiry, created + queue * 7_200_000_000, queue),
            *(len(body), offered, FILE if is_large else None, hop.name),
        ),
    )
    if not is_large:
        connection.execute("INSERT INTO body VALUES (?, ?)", (key, body))
    connection.execute(
        "INSERT INTO seen VALUES (?, ?, ?, ?, ?)",
        (digest(message_id), hashlib.sha256(body).digest()[:16], created, expiry, key),
    )


@pytest.fixture
async def spool(tmp_path):
    directory = tmp_path / "spool"
    (directory / "bodies").mkdir(parents=True)
    connection = sqlite3.connect(directory / "spool.sqlite")
    connection.executescript(MIGRATIONS[0] + "; PRAGMA user_version = 1")
    add(connection, 1, "small", HOP, b"small", offered=2)
    add(connection, 2, "waits", HOP, b"waits", queue=1)
    add(connection, 3, "large", OTHER_HOP, bytes(LARGE))
    add(connection, 4, "gone", HOP, b"gone")
    connection.execute("DELETE FROM item WHERE key = 4")
    connection.execute(
        "INSERT INTO debt (identity, peer, sender, recipient, message_id, expiry)"
        " VALUES ('x', '0p', '0s', '0r', 'm', ?)",
        (to_micros(NOW + HOUR),),
    )
    connection.commit()
    connection.close()
    (directory / "bodies" / FILE).write_bytes(bytes(LARGE))
    (directory / "bodies" / ORPHAN).write_bytes(b"orphan")
    spool = await SqliteSpool.open(directory)
    yield spool
    await spool.close()


async def lease(spool, hop, now=NOW):
    return await spool.lease(hop, now=now, duration=MINUTE, limit=9)


async def test_a_spool_of_the_first_version_is_taken_over_whole(spool):
    assert await spool.usage() == Usage(3, 10 + LARGE, 4, 1)
    assert await spool.totals() == {HOP: Totals(2, 10), OTHER_HOP: Totals(1, LARGE)}
    (small,) = await lease(spool, HOP)
    assert (small.identity, small.version, small.attempts) == (identity("small"), 2, 1)
    assert await spool.body(small) == b"small"
    assert await spool.next_due("gateway", now=NOW + 30 * MINUTE) == NOW + 30 * MINUTE
    assert [item.identity.message_id for item in await lease(spool, HOP, NOW + HOUR)] == ["small", "waits"]
    assert [debt.message_id for debt in await spool.debts("0p", now=NOW, limit=9)] == ["m"]


async def test_what_the_first_version_has_seen_is_a_duplicate(spool):
    for message_id in ("small", "large", "gone"):
        assert await spool.accept([arrival(message_id)], now=NOW) == [Outcome.DUPLICATE]
    assert await spool.accept([arrival("gone", created=-MINUTE)], now=NOW) == [Outcome.DUPLICATE]
    assert await spool.accept([arrival("small", b"newer", created=-MINUTE)], now=NOW) == [Outcome.REPLACED]


async def test_marks_of_the_first_version_still_count(spool):
    assert await spool.acknowledge(identity("small"), hop=HOP, now=NOW)


async def test_a_body_of_the_first_version_is_read_and_goes_with_its_row(spool, tmp_path):
    bodies = tmp_path / "spool" / "bodies"
    (large,) = await lease(spool, OTHER_HOP)

    assert await spool.body(large) == bytes(LARGE)
    await spool.release([large], now=NOW)
    await spool.close()

    assert list(bodies.iterdir()) == []


async def test_counters_stay_right_after_the_first_version(spool):
    items = [*await lease(spool, HOP, NOW + HOUR), *await lease(spool, OTHER_HOP)]
    await spool.release(items, now=NOW)
    await spool.accept([arrival("new", b"new")], now=NOW)

    assert await spool.usage() == Usage(1, 3, 5, 1)
    assert await spool.totals() == {HOP: Totals(1, 3)}


async def test_a_spool_of_the_first_version_is_searched_for_orphans_once(spool, tmp_path):
    await spool.accept([arrival("new", bytes(LARGE))], now=NOW)
    await spool.close()
    later = tmp_path / "spool" / "bodies" / ORPHAN
    later.write_bytes(b"not looked for")

    await (await SqliteSpool.open(tmp_path / "spool")).close()

    assert later.exists()
    assert (later.parent / FILE).exists()
