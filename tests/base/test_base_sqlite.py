# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from functools import partial

import pytest

from awala.base import sqlite as module
from awala.base.errors import ConfigurationError, StorageFullError
from awala.base.sqlite import Database, StorageBusyError, StorageError

SCHEMA = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE); CREATE TABLE other (id INTEGER)"


def add(connection, text):
    return connection.execute("INSERT INTO note (text) VALUES (?)", (text,)).lastrowid


def texts(connection):
    return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY id")]


class Gate:
    """Holds the writer thread in a job, so that the jobs behind it share a transaction."""

    def __init__(self, database):
        self.database = database
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def __aenter__(self):
        self.task = asyncio.ensure_future(self.database.write(self._wait))
        await asyncio.to_thread(self.entered.wait)
        return self

    async def __aexit__(self, *_):
        self.opened.set()
        await self.task

    def _wait(self, _):
        self.entered.set()
        self.opened.wait(10)


@pytest.fixture
async def database(tmp_path):
    database = await Database.open(tmp_path / "notes.sqlite", [SCHEMA])
    yield database
    await database.close()


async def together(database, *works):
    """Run jobs in one batch; return their results or errors."""
    async with Gate(database):
        tasks = [asyncio.ensure_future(database.write(work)) for work in works]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_keeps_what_was_written_after_closing(tmp_path):
    path = tmp_path / "deep" / "notes.sqlite"
    database = await Database.open(path, [SCHEMA])

    assert await database.write(lambda connection: add(connection, "one")) == 1
    await database.close()

    database = await Database.open(path, [SCHEMA])
    assert await database.read(texts) == ["one"]
    await database.close()


async def test_rules_11_all_files_are_for_the_owner_alone(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.touch(mode=0o644)
    database = await Database.open(path, [SCHEMA])
    await database.write(lambda connection: add(connection, "one"))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    await database.close()

    assert modes == dict.fromkeys(["notes.sqlite", "notes.sqlite-wal", "notes.sqlite-shm"], 0o600)


async def test_is_as_durable_as_sqlite_can_be(database):
    def pragmas(connection):
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1]


async def test_jobs_that_wait_together_share_a_commit(database):
    commits = []
    async with Gate(database):
        database._writer._connection.set_trace_callback(commits.append)
        tasks = [asyncio.ensure_future(database.write(partial(add, text=f"{n}"))) for n in range(30)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)

    assert sum(statement == "BEGIN IMMEDIATE" for statement in commits) == 1
    assert await database.read(texts) == [f"{n}" for n in range(30)]


async def test_an_exception_undoes_its_own_job_alone(database):
    def fail(connection):
        add(connection, "never")
        raise LookupError("mine")

    first, failed, last = await together(
        database, partial(add, text="first"), fail, partial(add, text="last")
    )

    assert isinstance(failed, LookupError)
    assert (first, last) == (1, 2)
    assert await database.read(texts) == ["first", "last"]


async def test_maps_an_error_of_sqlite(database):
    first, second = await together(database, partial(add, text="same"), partial(add, text="same"))

    assert first == 1
    assert isinstance(second, StorageError)
    assert isinstance(second.__cause__, sqlite3.IntegrityError)


async def test_a_job_that_ends_the_transaction_does_not_spoil_the_others(database):
    def break_out(connection):
        connection.execute("ROLLBACK")

    first, broken, last = await together(
        database, partial(add, text="first"), break_out, partial(add, text="last")
    )

    assert isinstance(broken, StorageError)
    assert (first, last) == (1, 2)
    assert await database.read(texts) == ["first", "last"]


async def test_a_full_disk_is_said_and_refuses_only_what_does_not_fit(database):
    pages = await database.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await database.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 3}"))

    small, large, last = await together(
        database, partial(add, text="small"), partial(add, text="x" * 100_000), partial(add, text="last")
    )

    assert isinstance(large, StorageFullError)
    assert not isinstance(small, BaseException)
    assert not isinstance(last, BaseException)
    assert await database.read(texts) == ["small", "last"]


async def test_a_commit_that_fails_is_an_error_for_its_job(database):
    def dangle(connection):
        connection.execute("CREATE TABLE child (id REFERENCES note DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO child VALUES (77)")

    good, bad = await together(database, partial(add, text="good"), dangle)

    assert good == 1
    assert isinstance(bad, StorageError)
    assert await database.read(texts) == ["good"]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(28, "no room"), StorageFullError),
        (OSError(5, "I/O"), StorageError),
        (StopIteration(), StorageError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
async def test_maps_what_a_job_may_raise(database, raised, expected):
    def work(_):
        raise raised

    results = await asyncio.gather(asyncio.ensure_future(settle(database, work)))

    assert isinstance(results[0], expected)
    assert await database.write(lambda connection: add(connection, "on")) == 1


async def settle(database, work):
    try:
        return await database.write(work)
    except BaseException as error:  # noqa: BLE001 - it is what the test is about
        return error


async def test_waits_for_another_process_only_for_a_while(database):
    await database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchone())
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageBusyError) as caught:
        await database.write(lambda connection: add(connection, "one"))
    other.execute("ROLLBACK")
    other.close()

    assert caught.value.retryable
    assert await database.write(lambda connection: add(connection, "one")) == 1


def add_all(connection, texts):
    """Add several notes in one go; one that is empty spoils it."""
    numbers = [add(connection, text) for text in texts]
    if "" in texts:
        raise LookupError
    return numbers


async def test_calls_of_one_kind_that_wait_together_become_one(database):
    seen = []

    def work(connection, texts):
        seen.append(list(texts))
        return add_all(connection, texts)

    async with Gate(database):
        tasks = [asyncio.ensure_future(database.write_together(work, text)) for text in ("a", "b")]
        other = asyncio.ensure_future(database.write(lambda connection: add(connection, "c")))
        tasks.append(asyncio.ensure_future(database.write_together(work, "d")))
        await asyncio.sleep(0)

    assert await asyncio.gather(*tasks, other) == [1, 2, 4, 3]
    assert seen == [["a", "b"], ["d"]]


async def test_one_that_spoils_a_shared_call_fails_alone(database):
    failures = []
    async with Gate(database):
        tasks = [
            asyncio.ensure_future(
                database.write_together(add_all, text, after_failure=lambda text=text: failures.append(text))
            )
            for text in ("a", "", "b")
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [int, LookupError, int]
    assert await database.read(texts) == ["a", "b"]
    assert failures == [""]


async def test_a_shared_call_must_answer_everybody(database):
    with pytest.raises(ValueError, match="zip"):
        await database.write_together(lambda _connection, _arguments: [], "a")

    assert await database.write(lambda connection: add(connection, "on")) == 1


async def test_a_cancelled_callers_job_is_still_done_and_reported(database):
    seen = []
    async with Gate(database):
        task = asyncio.ensure_future(
            database.write(lambda connection: add(connection, "kept"), after_commit=seen.append)
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await database.write(lambda _: None)

    assert seen == [1]
    assert await database.read(texts) == ["kept"]


async def test_reports_run_in_the_order_of_the_jobs_and_before_the_callers(database):
    order = []

    async def caller(number):
        await database.write(lambda _: number, after_commit=lambda n: order.append(("commit", n)))
        order.append(("caller", number))

    await asyncio.gather(*(caller(number) for number in range(3)))

    assert [entry for entry in order if entry[0] == "commit"] == [("commit", n) for n in range(3)]
    assert all(order.index(("commit", n)) < order.index(("caller", n)) for n in range(3))


async def test_reports_a_failure_even_when_closed(database):
    failures = []

    def fail(_):
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail, after_failure=lambda: failures.append("failed"))
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await database.write(fail, after_failure=lambda: failures.append("closed"))

    assert failures == ["failed", "closed"]


async def test_a_faulty_report_fails_its_own_caller_alone(database):
    def faulty(_):
        raise LookupError("in the report")

    async with Gate(database):
        bad = asyncio.ensure_future(database.write(lambda _: None, after_commit=faulty))
        good = asyncio.ensure_future(database.write(lambda _: 7))
        await asyncio.sleep(0)

    assert await good == 7
    with pytest.raises(LookupError):
        await bad


async def test_readers_see_one_state_and_cannot_write(database):
    await database.write(lambda connection: add(connection, "one"))
    started, go_on = threading.Event(), threading.Event()

    def slow(connection):
        before = texts(connection)
        started.set()
        go_on.wait(10)
        return before, texts(connection)

    reading = asyncio.ensure_future(database.read(slow))
    await asyncio.to_thread(started.wait)
    await database.write(lambda connection: add(connection, "two"))
    go_on.set()

    assert await reading == (["one"], ["one"])
    assert await database.read(texts) == ["one", "two"]
    with pytest.raises(StorageError, match="readonly"):
        await database.read(lambda connection: add(connection, "three"))
    with pytest.raises(StorageError):
        await database.read(lambda _: next(iter(())))


async def test_closing_finishes_what_was_given(tmp_path):
    database = await Database.open(tmp_path / "notes.sqlite", [SCHEMA])
    tasks = [asyncio.ensure_future(database.write(partial(add, text=f"{n}"))) for n in range(100)]
    await asyncio.sleep(0)

    await asyncio.gather(database.close(), database.close())

    assert sorted(await asyncio.gather(*tasks)) == list(range(1, 101))
    with pytest.raises(StorageError, match="closed"):
        await database.read(texts)
    await database.close()
    assert [file.name for file in tmp_path.iterdir()] == ["notes.sqlite"]


async def test_migrates_step_by_step_from_any_older_version(tmp_path):
    path = tmp_path / "notes.sqlite"
    await (await Database.open(path, [SCHEMA])).close()

    database = await Database.open(
        path, [SCHEMA, "ALTER TABLE note ADD COLUMN extra", "UPDATE note SET extra = 1"]
    )
    version = await database.read(lambda connection: connection.execute("PRAGMA user_version").fetchone())
    await database.close()

    assert version == (3,)


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path):
    path = tmp_path / "notes.sqlite"
    await (await Database.open(path, [SCHEMA])).close()

    with pytest.raises(StorageError):
        await Database.open(path, [SCHEMA, "CREATE TABLE half (id); SELECT nonsense"])

    database = await Database.open(path, [SCHEMA])
    tables = await database.read(
        lambda connection: [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    )
    await database.close()
    assert "half" not in tables


async def test_refuses_a_database_of_a_newer_version(tmp_path):
    path = tmp_path / "notes.sqlite"
    await (await Database.open(path, [SCHEMA, "SELECT 1"])).close()

    with pytest.raises(StorageError, match="newer version"):
        await Database.open(path, [SCHEMA])


async def test_refuses_what_is_no_database(tmp_path):
    (tmp_path / "notes.sqlite").write_bytes(b"something else" * 1000)

    with pytest.raises(StorageError, match="not a database"):
        await Database.open(tmp_path / "notes.sqlite", [SCHEMA])
    with pytest.raises(StorageError):
        await Database.open(tmp_path / "notes.sqlite" / "below", [SCHEMA])


async def test_refuses_an_sqlite_that_is_too_old(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(ConfigurationError, match="too old"):
        await Database.open(tmp_path / "notes.sqlite", [SCHEMA])


def test_serves_loops_that_come_after_one_another(tmp_path):
    opened = []

    async def first():
        opened.append(await Database.open(tmp_path / "notes.sqlite", [SCHEMA]))
        asyncio.ensure_future(opened[0].write(lambda connection: add(connection, "left behind")))  # noqa: RUF006
        await asyncio.sleep(0)

    async def second():
        await opened[0].write(lambda connection: add(connection, "later"))
        found = await opened[0].read(texts)
        await opened[0].close()
        return found

    asyncio.run(first())
    assert asyncio.run(second()) == ["left behind", "later"]
