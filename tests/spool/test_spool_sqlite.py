# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import sqlite3
import stat
import threading
from collections import namedtuple
from functools import partial
from pathlib import Path

import pytest

from awala.base import files as base_files
from awala.base.errors import StorageFullError
from awala.base.sqlite import StorageBusyError, StorageError
from awala.spool import Hop, Outcome, Priority, SqliteSpool, statements
from awala.spool import bodies as bodies_module
from awala.spool import changes as changes_module
from awala.spool import disk as disk_module
from awala.spool import sqlite as module
from awala.spool.changes import Changes
from awala.spool.schema import MIGRATIONS
from helpers.spool_items import HOP, HOUR, LARGE, MINUTE, NOW, Stopwatch, arrival, identity


@pytest.fixture
def stopwatch():
    return Stopwatch()


@pytest.fixture
async def spool(tmp_path, stopwatch):
    spool = await SqliteSpool.open(tmp_path / "spool", monotonic=stopwatch)
    yield spool
    await spool.close()


@pytest.fixture
def bodies(tmp_path):
    return tmp_path / "spool" / "bodies"


async def take(spool, *arrivals):
    return await spool.accept(arrivals, now=NOW)


async def lease(spool, limit=10):
    return await spool.lease(HOP, now=NOW, duration=MINUTE, limit=limit)


def names(directory):
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def only_file(directory):
    (name,) = names(directory)
    return directory / name


async def files_settled(spool):
    """Wait until the threads that remove files have done all that was given to them."""
    meeting = threading.Barrier(bodies_module.FILE_THREADS)
    waits = [spool._files._submit(meeting.wait, 10) for _ in range(bodies_module.FILE_THREADS)]
    await asyncio.gather(*(asyncio.wrap_future(wait) for wait in waits))


async def reopened(spool, tmp_path):
    await spool.close()
    return await SqliteSpool.open(tmp_path / "spool")


# --- files -------------------------------------------------------------------------------------------


@pytest.mark.rule("11.4")
async def test_everything_is_for_the_owner_alone(spool, tmp_path):
    await take(spool, arrival("m1", bytes(LARGE)))

    for path in (tmp_path / "spool").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


@pytest.mark.rule("4.11")
async def test_large_bodies_are_files_and_go_with_their_rows(spool, bodies):
    await take(spool, arrival("large", bytes(LARGE)), arrival("small", bytes(LARGE - 1)))
    assert only_file(bodies).stat().st_size == LARGE
    assert spool._files._pending == {}

    await spool.release(await lease(spool), now=NOW)

    await files_settled(spool)
    assert names(bodies) == []
    assert spool._files._pending == {}
    assert await spool._database.read(lambda c: c.execute("SELECT count(*) FROM body").fetchone()) == (0,)


async def test_a_replaced_file_is_removed(spool, bodies):
    await take(spool, arrival("m1", bytes(LARGE)))
    await take(spool, arrival("m1", bytes(LARGE + 1), created=-MINUTE))
    await files_settled(spool)
    assert len(names(bodies)) == 1

    await take(spool, arrival("m1", b"small", created=-MINUTE / 2))

    await files_settled(spool)
    assert names(bodies) == []


async def test_a_sweep_removes_files_of_what_it_erases(spool, bodies, stopwatch):
    await take(spool, arrival("m1", bytes(LARGE), expiry=HOUR))

    await spool.sweep(now=NOW + HOUR)
    stopwatch.run(48 * HOUR)
    assert await spool.sweep(now=NOW + 49 * HOUR) == 1

    await files_settled(spool)
    assert names(bodies) == []


async def test_no_file_is_written_for_what_is_not_taken(tmp_path, monkeypatch):
    written = []
    write = bodies_module.write_private
    monkeypatch.setattr(
        bodies_module, "write_private", lambda path, data: (written.append(path), write(path, data))
    )
    spool = await SqliteSpool.open(tmp_path / "spool", quota=200_000)

    outcomes = [
        await take(spool, arrival("m1", bytes(LARGE))),
        await take(spool, arrival("m1", bytes(LARGE))),
        await take(spool, arrival("m2", bytes(150_000))),
    ]
    await spool.close()

    assert outcomes == [[Outcome.STORED], [Outcome.DUPLICATE], [Outcome.FULL]]
    assert len(written) == 1


async def test_a_file_written_for_nothing_is_removed(spool, bodies):
    twins = [arrival("m1", bytes(LARGE)), arrival("m1", bytes(LARGE))]

    assert await take(spool, *twins) == [Outcome.STORED, Outcome.DUPLICATE]

    await files_settled(spool)
    assert len(names(bodies)) == 1


async def test_a_large_body_whose_fate_changed_meanwhile_is_kept_all_the_same(spool, monkeypatch):
    async def foresaw_a_duplicate(_):
        return Outcome.DUPLICATE, None

    read = spool._database.read
    monkeypatch.setattr(spool._database, "read", foresaw_a_duplicate)
    assert await take(spool, arrival("m1", bytes(LARGE))) == [Outcome.STORED]
    monkeypatch.setattr(spool._database, "read", read)

    (item,) = await lease(spool)
    assert await spool.body(item) == bytes(LARGE)


@pytest.mark.rule("4.11")
async def test_orphans_are_removed_at_the_start(spool, tmp_path, bodies, caplog):
    await take(spool, arrival("m1", bytes(LARGE)))
    kept = names(bodies)
    for name in ("a" * 32, ".bbbb.123.tmp"):
        (bodies / "1" / name).write_bytes(b"orphan")

    with caplog.at_level(logging.INFO):
        spool = await reopened(spool, tmp_path)
    try:
        await files_settled(spool)
        assert names(bodies) == kept
        assert "2 bodies" in caplog.text
        (item,) = await lease(spool)
        assert await spool.body(item) == bytes(LARGE)
    finally:
        await spool.close()


@pytest.fixture
def small_folders(monkeypatch):
    monkeypatch.setattr(bodies_module, "FOLDER_SIZE", 2)


async def take_large(spool, *message_ids):
    for message_id in message_ids:
        await take(spool, arrival(message_id, bytes(LARGE)))


@pytest.mark.usefixtures("small_folders")
async def test_a_start_looks_only_where_a_file_may_have_no_row(spool, tmp_path, bodies, monkeypatch):
    await take_large(spool, "m1", "m2", "m3", "m4", "m5")
    await spool.close()
    listed = []
    list_names = bodies_module.os.listdir
    monkeypatch.setattr(
        bodies_module.os, "listdir", lambda path: listed.append(path.name) or list_names(path)
    )

    spool = await SqliteSpool.open(tmp_path / "spool")
    await take_large(spool, "m6", "m7")
    await spool.close()

    assert listed == ["3"]
    assert [Path(name).parent.name for name in names(bodies)] == ["1", "1", "2", "2", "3", "3", "4"]


@pytest.mark.usefixtures("small_folders")
async def test_a_folder_with_a_body_that_is_still_written_stays_in_view(spool, tmp_path, bodies, monkeypatch):
    held = Held(monkeypatch)
    taking = asyncio.ensure_future(take_large(spool, "slow"))
    await asyncio.to_thread(held.written.wait)
    monkeypatch.setattr(bodies_module, "write_private", base_files.write_private)
    await take_large(spool, "m1", "m2", "m3", "m4")
    shutil.copytree(tmp_path / "spool", tmp_path / "copy")  # as a crash at this moment leaves it
    held.go_on.set()
    await taking

    copy = await SqliteSpool.open(tmp_path / "copy")
    await copy.close()

    assert len(names(tmp_path / "copy" / "bodies")) == 4
    assert len(names(bodies)) == 5


@pytest.mark.usefixtures("small_folders")
async def test_folders_go_with_their_last_body(spool, bodies):
    await take_large(spool, "m1", "m2", "m3", "m4", "m5")

    await spool.release(await lease(spool), now=NOW)

    await files_settled(spool)
    assert [path.name for path in bodies.iterdir()] == ["3"]


async def test_files_whose_rows_went_before_a_crash_are_removed_at_the_next_start(
    spool, tmp_path, bodies, monkeypatch
):
    await take(spool, arrival("m1", bytes(LARGE)), arrival("m2", bytes(LARGE)))
    await take(spool, arrival("m2", bytes(LARGE + 1), created=-MINUTE))
    monkeypatch.setattr(spool._files, "discard", lambda _: None)
    await spool.release(await lease(spool), now=NOW)
    assert len(names(bodies)) == 2

    spool = await reopened(spool, tmp_path)
    await files_settled(spool)
    assert names(bodies) == []
    await spool.sweep(now=NOW)
    assert await spool._database.read(lambda c: c.execute(statements.DROPPED).fetchall()) == []
    await spool.close()


async def test_a_sweep_tries_again_to_remove_what_could_not_be_removed(spool, bodies):
    await take(spool, arrival("m1", bytes(LARGE)))
    path = only_file(bodies)
    path.unlink()
    path.mkdir()
    await spool.release(await lease(spool), now=NOW)
    await files_settled(spool)
    path.rmdir()
    path.write_bytes(b"there again")

    await spool.sweep(now=NOW)

    await files_settled(spool)
    assert names(bodies) == []


@pytest.mark.rule("4.2")
async def test_a_large_body_that_is_stored_already_is_recognised_without_another_file(spool, bodies):
    await take(spool, arrival("m1", bytes(LARGE)))
    before = names(bodies)

    assert await take(spool, arrival("m1", bytes(LARGE), created=-MINUTE)) == [Outcome.DUPLICATE]
    assert names(bodies) == before
    assert await take(spool, arrival("m1", bytes(LARGE - 1) + b"x", created=-MINUTE)) == [Outcome.REPLACED]


class Held:
    """Holds `write_private` after the file is there, before it returns."""

    def __init__(self, monkeypatch):
        self.written, self.go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(bodies_module, "write_private", self._write)

    def _write(self, path, data):
        base_files.write_private(path, data)
        self.written.set()
        self.go_on.wait(10)


@pytest.mark.rule("4.11")
async def test_a_sweep_leaves_files_alone_whose_rows_are_still_to_come(spool, monkeypatch):
    held = Held(monkeypatch)
    taking = asyncio.ensure_future(take(spool, arrival("m1", bytes(LARGE))))
    await asyncio.to_thread(held.written.wait)

    await spool.sweep(now=NOW)
    held.go_on.set()

    assert await taking == [Outcome.STORED]
    (item,) = await lease(spool)
    assert await spool.body(item) == bytes(LARGE)


async def test_a_caller_cancelled_while_its_body_is_written_leaves_no_file(spool, bodies, monkeypatch):
    held = Held(monkeypatch)
    taking = asyncio.ensure_future(take(spool, arrival("m0", bytes(LARGE)), arrival("m1", bytes(LARGE))))
    held.go_on.set()
    await asyncio.to_thread(held.written.wait)
    held.written.clear()
    held.go_on.clear()
    await asyncio.to_thread(held.written.wait)

    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    held.go_on.set()

    await files_settled(spool)
    assert names(bodies) == []
    assert not await spool.seen(identity("m1"), now=NOW)


@pytest.mark.rule("4.11")
async def test_a_file_whose_row_failed_is_removed(spool, bodies, monkeypatch):
    def fail(*_):
        raise sqlite3.OperationalError("made up")

    monkeypatch.setattr(module.Intake, "take", fail)

    with pytest.raises(StorageError):
        await take(spool, arrival("m1", bytes(LARGE)))

    await files_settled(spool)
    assert names(bodies) == []


async def test_a_body_that_is_lost_or_cut_is_an_error(spool, bodies):
    await take(spool, arrival("m1", bytes(LARGE)))
    (item,) = await lease(spool)
    path = only_file(bodies)

    path.write_bytes(b"cut")
    with pytest.raises(StorageError, match="lost"):
        await spool.body(item)
    path.unlink()
    with pytest.raises(StorageError, match="lost"):
        await spool.body(item)
    path.mkdir()
    with pytest.raises(StorageError, match="cannot read"):
        await spool.body(item)
    path.rmdir()


async def test_a_body_that_cannot_be_removed_is_logged(spool, bodies, caplog):
    await take(spool, arrival("m1", bytes(LARGE)))
    path = only_file(bodies)
    path.unlink()
    path.mkdir()

    await spool.release(await lease(spool), now=NOW)
    await spool.close()

    assert "cannot remove a stored body" in caplog.text


async def test_says_that_the_bodies_cannot_be_listed(tmp_path, monkeypatch):
    def fail(_):
        raise PermissionError

    monkeypatch.setattr(bodies_module.os, "scandir", fail)

    with pytest.raises(StorageError, match="cannot list"):
        await SqliteSpool.open(tmp_path / "spool")


# --- opening and closing ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("spool")
async def test_a_directory_belongs_to_one_spool_at_a_time(tmp_path):
    with pytest.raises(StorageBusyError, match="in use"):
        await SqliteSpool.open(tmp_path / "spool")


async def test_a_broken_database_is_an_error_and_leaves_no_lock(tmp_path):
    directory = tmp_path / "spool"
    directory.mkdir()
    (directory / "spool.sqlite").write_bytes(b"not a database" * 999)

    for _ in range(2):
        with pytest.raises(StorageError, match="not a database"):
            await SqliteSpool.open(directory)


@pytest.mark.rule("4.1", "4.3")
async def test_everything_but_leases_survives_a_restart(spool, tmp_path):
    await take(spool, arrival("m1", owed_to="0p"), arrival("m2", bytes(LARGE)))
    first, second = await lease(spool)
    await spool.retry_at(first, NOW + HOUR)
    await spool.offered([second])
    usage = await spool.usage()

    spool = await reopened(spool, tmp_path)
    try:
        assert [item.key for item in await lease(spool)] == [second.key]
        assert await spool.next_due("gateway", now=NOW + 2 * MINUTE) == NOW + 2 * MINUTE
        assert await spool.usage() == usage
        assert len(await spool.debts("0p", now=NOW, limit=9)) == 1
        assert await spool.acknowledge(identity("m2"), hop=HOP, now=NOW)
        (again,) = await spool.lease(HOP, now=NOW + HOUR, duration=MINUTE)
        assert again.attempts == 1
    finally:
        await spool.close()


async def test_keys_are_never_used_again(spool, tmp_path):
    await take(spool, arrival("m1"))
    (first,) = await lease(spool)
    await spool.release([first], now=NOW)
    await take(spool, arrival("m2"))
    (second,) = await lease(spool)
    await spool.release([second], now=NOW)
    spool = await reopened(spool, tmp_path)
    await take(spool, arrival("m3"))
    (third,) = await lease(spool)
    await spool.close()

    assert first.key < second.key < third.key


async def test_a_closed_spool_takes_nothing(spool):
    await spool.close()

    for body in (b"small", bytes(LARGE)):
        with pytest.raises(StorageError, match="closed"):
            await take(spool, arrival("m1", body))


async def test_closing_finishes_what_was_given(spool, tmp_path):
    taking = [asyncio.ensure_future(take(spool, arrival(f"m{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await spool.close()
    assert await asyncio.gather(*taking) == [[Outcome.STORED]] * 50

    spool = await SqliteSpool.open(tmp_path / "spool")
    assert (await spool.usage()).items == 50
    await spool.close()


# --- the clock ------------------------------------------------------------------------------------------


@pytest.mark.rule("2.11")
async def test_running_time_adds_up_over_restarts(spool, tmp_path, stopwatch):
    await take(spool, arrival("m1", expiry=HOUR))
    for day in range(4):
        assert await spool.sweep(now=NOW + day * 24 * HOUR + HOUR) == 0
        stopwatch.run(13 * HOUR)
        await spool.close()
        spool = await SqliteSpool.open(tmp_path / "spool", monotonic=stopwatch)

    assert await spool.sweep(now=NOW + 97 * HOUR) == 1
    await spool.close()


@pytest.mark.rule("2.12")
async def test_after_more_than_a_day_without_running_the_time_must_be_confirmed(spool, tmp_path, stopwatch):
    await take(spool, arrival("m1", expiry=HOUR))
    for hour in range(0, 49, 12):
        await spool.sweep(now=NOW + hour * HOUR)
        stopwatch.run(12 * HOUR)
    await spool.close()

    for _ in range(2):  # a start changes nothing about it
        spool = await SqliteSpool.open(tmp_path / "spool", monotonic=stopwatch)
        now = NOW + 48 * HOUR + 25 * HOUR
        assert await spool.sweep(now=now) == 0
        assert spool.clock_state(now).jump == 25 * HOUR
        await spool.close()
    spool = await SqliteSpool.open(tmp_path / "spool", monotonic=stopwatch)
    await spool.confirm_time(now)
    await spool.close()

    spool = await SqliteSpool.open(tmp_path / "spool", monotonic=stopwatch)
    assert await spool.sweep(now=now) == 1
    await spool.close()


# --- concurrency ------------------------------------------------------------------------------------------


async def test_concurrent_callers_share_commits(spool):
    commits = []
    connection = spool._database._writer._connection
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)

    await asyncio.gather(*(take(spool, arrival(f"m{n}")) for n in range(200)))

    assert len(commits) < 20
    assert (await spool.usage()).items == 200


@pytest.mark.rule("4.7")
async def test_what_a_cancelled_caller_gave_is_kept_and_wakes_its_waiters(spool):
    waiter = asyncio.ensure_future(spool.changed(HOP, spool.cursor(HOP)))
    await asyncio.sleep(0)
    taking = asyncio.ensure_future(take(spool, arrival("m1")))
    await asyncio.sleep(0)

    taking.cancel()

    await asyncio.wait_for(waiter, 5)
    assert taking.cancelled()
    assert len(await lease(spool)) == 1


async def test_an_item_leased_by_somebody_quicker_is_passed_over(spool, monkeypatch):
    await take(spool, *(arrival(f"m{n}", created=-HOUR + n * MINUTE) for n in range(3)))
    read, rivals = spool._database.read, []

    async def slow_read(work):
        rows = await read(work)
        if not rivals:
            rivals.append(None)
            rivals.extend(await lease(spool, limit=2))
        return rows

    monkeypatch.setattr(spool._database, "read", slow_read)

    (item,) = await lease(spool, limit=1)
    assert item.identity.message_id == "m2"


async def test_a_lease_of_what_expired_is_forgotten_by_a_sweep(spool):
    await take(spool, arrival("m1"))
    await lease(spool)

    await spool.sweep(now=NOW + MINUTE)

    assert spool._leases._by_hop == {}


async def test_forgotten_scopes_wake_once_for_nothing_rather_than_never(monkeypatch):
    monkeypatch.setattr(changes_module, "REMEMBERED_SCOPES", 4)
    changes = Changes()
    start = changes.position
    for number in range(10):
        changes.note([Hop("lane", str(number))])

    position = await asyncio.wait_for(changes.wait(Hop("lane", "0"), start), 5)
    assert position == 10
    assert len(changes._last) <= 4
    changes.note([])
    assert changes.position == 10


# --- the disk ---------------------------------------------------------------------------------------------


@pytest.mark.rule("4.10")
async def test_a_full_database_acknowledges_nothing_and_goes_on(spool):
    await take(spool, arrival("m1"))
    pages = await spool._database.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await spool._database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())

    with pytest.raises(StorageFullError):
        await take(spool, arrival("m2", bytes(60_000)))

    assert not await spool.seen(identity("m2"), now=NOW)
    assert (await spool.usage()).items == 1
    await spool.release(await lease(spool), now=NOW)


Disk = namedtuple("Disk", "total used free")  # noqa: PYI024 - what shutil returns


@pytest.mark.rule("4.10")
async def test_full_is_said_before_the_disk_is(spool, monkeypatch):
    mebibyte = 1024 * 1024
    free = partial(Disk, 1000 * mebibyte, 0)
    monkeypatch.setattr(disk_module.shutil, "disk_usage", lambda _: free(64 * mebibyte + 5_000))

    assert await take(spool, arrival("m1", bytes(3_000)), arrival("m2", bytes(3_000))) == [
        Outcome.STORED,
        Outcome.FULL,
    ]
    monkeypatch.setattr(disk_module.shutil, "disk_usage", lambda _: free(mebibyte))
    assert await take(spool, arrival("m1", bytes(3_000))) == [Outcome.DUPLICATE]
    assert await take(spool, arrival("m2", bytes(LARGE))) == [Outcome.FULL]
    assert await take(spool, arrival("c", b"", priority=Priority.CONTROL)) == [Outcome.STORED]


async def test_a_disk_whose_room_is_unknown_is_tried(spool, monkeypatch):
    def fail(_):
        raise OSError

    monkeypatch.setattr(disk_module.shutil, "disk_usage", fail)

    assert await take(spool, arrival("m1")) == [Outcome.STORED]


# --- plans ------------------------------------------------------------------------------------------------

STATEMENTS = {
    f"{name} {number}": sql
    for name, value in vars(statements).items()
    if name.isupper() and name[0] != "_"
    for number, sql in enumerate((value,) if isinstance(value, str) else value)
}
WALKS_ALL = {
    "TOTALS 0": "SCAN hop USING INDEX hop_busy",  # what it returns
    "SWEEP_HOPS 0": "SCAN hop USING INDEX hop_idle",  # what it deletes
    "SWEEP_PAIRS 0": "SCAN pair USING INDEX pair_idle",  # the same
    "DROPPED 0": "SCAN dropped",  # what was removed since the last sweep
    "CLOCK_NOTES 0": "SCAN clock_note",  # fifty rows
    "DROP_CLOCK_NOTES 0": "SCAN clock_note",
}
GIVEN = "SCAN json_each VIRTUAL TABLE INDEX 1:"  # what the caller gives: the keys that are leased


@pytest.mark.rule("4.9")
@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_an_index_look_up(name):
    sql = STATEMENTS[name]
    connection = sqlite3.connect(":memory:")
    connection.executescript(";".join(MIGRATIONS))
    named = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    rows = connection.execute(
        f"EXPLAIN QUERY PLAN {sql}", named or [1] * len(re.findall(r"\?(?!\d)", sql))
    ).fetchall()
    connection.close()
    plan = [row[3] for row in rows]

    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert not [
        step for step in plan if step.startswith("SCAN") and step not in {WALKS_ALL.get(name), GIVEN}
    ], plan
