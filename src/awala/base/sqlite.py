# SPDX-License-Identifier: MIT
"""SQLite for asyncio: one writer thread with group commit, and a few readers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

from awala.base.errors import AwalaError, ConfigurationError, StorageFullError
from awala.base.files import (
    DIRECTORY_MODE,
    FILE_MODE,
    StorageBusyError,
    StorageError,
    storage_error,
    sync_directory,
)

__all__ = [
    "Database",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "StorageVersionError",
    "connect",
    "storage_failure",
]

A = TypeVar("A")
T = TypeVar("T")

MINIMUM_VERSION = (3, 35, 0)
"""The first SQLite with RETURNING."""

MAX_JOBS_PER_COMMIT = 512
"""How many jobs share a transaction at most, so that nobody waits for long."""

READERS = 2
"""How many connections read at the same time."""

PAGE_SIZE = 4096
"""Octets in a page of a new database."""

CHECKPOINT_PAGES = 1_000
"""Pages in the write-ahead log before they are folded into the database."""

BUSY_TIMEOUT = 5_000
"""How long another process may hold the database, in milliseconds."""

WAL_SIZE_LIMIT = 64 * 1024 * 1024
"""What remains of the write-ahead log after a burst, in octets."""

CACHE_SIZE = 4 * 1024 * 1024
"""Octets of pages that the writer keeps in memory, so that inner pages of large trees are at hand."""

_CACHED_STATEMENTS = 256


def storage_failure(error: BaseException, path: Path) -> BaseException:
    """Return what the caller should see for an error met with the database at ``path``."""
    if isinstance(error, sqlite3.Error):
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        mapped: AwalaError
        if primary == sqlite3.SQLITE_FULL:
            mapped = StorageFullError(f"{path}: the database has no room: {error}")
        elif primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            mapped = StorageBusyError(f"{path}: the database is in use: {error}")
        else:
            mapped = StorageError(f"{path}: the database failed: {error}")
        mapped.__cause__ = error
        return mapped
    if isinstance(error, OSError):
        mapped = storage_error(error, f"{path}: the database failed")
        mapped.__cause__ = error
        return mapped
    if isinstance(error, StopIteration):  # a future cannot carry it
        replaced = StorageError("a database job ended an iteration that was not its own")
        replaced.__cause__ = error
        return replaced
    if isinstance(error, _LostTransactionError):
        return StorageError("a database job ended a transaction that was not its own")
    return error


class StorageVersionError(StorageError):
    """A database with a schema that this version does not know."""

    advice = "Install the version that was used before or a newer one; or use another data directory."


class _LostTransactionError(Exception):
    """The whole transaction is gone, not just one job's part."""


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    """One caller's work, and where its result goes.

    ``work`` gets the arguments of all jobs that it is done for at once, and returns their results.
    """

    work: Callable[[sqlite3.Connection, Sequence[Any]], Sequence[T]]
    argument: Any
    after_commit: Callable[[T], None] | None
    after_failure: Callable[[], None] | None
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop
    result: T | None = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell the caller, in its own loop, once the outcome is durable."""
        result: Any = self.result
        if self.error is not None:
            if self.after_failure is not None:
                self.after_failure()
            if not self.future.done():
                self.future.set_exception(self.error)
            return
        if self.after_commit is not None:
            self.after_commit(result)
        if not self.future.done():
            self.future.set_result(result)


def _run(jobs: Sequence[_Job[Any]], connection: sqlite3.Connection, path: Path) -> bool:
    """Do the work of jobs that share it; note each result or the error, and say whether it succeeded."""
    try:
        results = jobs[0].work(connection, [job.argument for job in jobs])
        for job, result in zip(jobs, results, strict=True):
            job.result, job.error = result, None
    except BaseException as error:  # noqa: BLE001 - the callers get it, the writer thread lives on
        mapped = storage_failure(error, path)
        for job in jobs:
            job.result, job.error = None, mapped
        return False
    return True


def _work_of(job: _Job[Any]) -> object:
    return job.work


def _settle(jobs: Sequence[_Job[Any]]) -> None:
    for job in jobs:
        try:
            job.settle()
        except Exception as error:  # noqa: BLE001 - a faulty callback fails its own caller only
            if not job.future.done():
                job.future.set_exception(error)


class _Writer(threading.Thread):
    """The one thread that writes. Jobs that wait together share a commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(name=f"sqlite-writer {path.name}", daemon=True)
        self._path = path
        self._connection = connection
        self._jobs: deque[_Job[Any]] = deque()
        self._awake = threading.Event()
        self._announced = False
        self._closing = False

    def submit(self, job: _Job[Any]) -> None:
        """Queue a job; all jobs of one turn of the loop are announced together."""
        self._jobs.append(job)
        if not self._announced:
            self._announced = True
            job.loop.call_soon(self._announce)

    def _announce(self) -> None:
        self._announced = False  # before the wake-up: a job that comes now announces itself again
        self._awake.set()

    def finish(self) -> None:
        """Run what is queued, then end and join the thread."""
        self._closing = True
        self._awake.set()
        self.join()

    def run(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            closing = self._closing
            while self._jobs:
                self._run_batch()
            if closing:
                self._connection.close()
                return

    def _run_batch(self) -> None:
        jobs: list[_Job[Any]] = []
        with contextlib.suppress(IndexError):
            while len(jobs) < MAX_JOBS_PER_COMMIT:
                jobs.append(self._jobs.popleft())
        if not self._attempt(jobs) and len(jobs) > 1:
            for job in jobs:  # one cannot spoil another's transaction
                self._attempt([job])
        self._report(jobs)

    def _attempt(self, jobs: Sequence[_Job[Any]]) -> bool:
        """Run jobs in one transaction; say False if it was lost, and note the error with each job."""
        began = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            began = True
            self._run_together(jobs)
        except (sqlite3.Error, _LostTransactionError) as error:
            self._roll_back()
            for job in jobs:
                job.error = job.error or storage_failure(error, self._path)
            return not began  # where none begins, none will for a single job
        return True

    def _run_together(self, jobs: Sequence[_Job[Any]]) -> None:
        if len(jobs) == 1:
            self._run_alone(jobs)
            return
        for _, group in groupby(jobs, key=_work_of):
            sharing = list(group)
            if not self._run_undoable(sharing) and len(sharing) > 1:
                for job in sharing:
                    self._run_undoable([job])
        self._connection.execute("COMMIT")

    def _run_alone(self, jobs: Sequence[_Job[Any]]) -> None:
        succeeded = _run(jobs, self._connection, self._path)
        if not self._connection.in_transaction:
            raise _LostTransactionError
        self._connection.execute("COMMIT" if succeeded else "ROLLBACK")

    def _run_undoable(self, jobs: Sequence[_Job[Any]]) -> bool:
        execute = self._connection.execute
        execute("SAVEPOINT job")
        succeeded = _run(jobs, self._connection, self._path)
        if not self._connection.in_transaction:
            raise _LostTransactionError
        if not succeeded:
            execute("ROLLBACK TO job")
        execute("RELEASE job")
        return succeeded

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @staticmethod
    def _report(jobs: Sequence[_Job[Any]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
        for job in jobs:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, settled in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there
                loop.call_soon_threadsafe(_settle, settled)


class Database:
    """A SQLite database whose writes are durable when they return.

    Obtain one with `open`. Work is given as functions of a connection; they
    must not begin or end transactions, and must be repeatable: a job may run
    again when a transaction that it shared was lost.
    """

    def __init__(self, path: Path, writer: _Writer, readers: Sequence[sqlite3.Connection]) -> None:
        self.path = path
        self._writer = writer
        self._reader_pool = ThreadPoolExecutor(len(readers), thread_name_prefix="sqlite-reader")
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for reader in readers:
            self._readers.put(reader)
        self._closed = False
        self._closing = threading.Lock()

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: Sequence[str],
        *,
        page_size: int = PAGE_SIZE,
        checkpoint_pages: int = CHECKPOINT_PAGES,
    ) -> Database:
        """Open the database, create it 0600 if need be, and bring its schema up to date.

        ``migrations`` are SQL scripts; the n-th leads from version n-1 to n
        (``PRAGMA user_version``), each in a transaction of its own. A longer log
        (``checkpoint_pages``) saves writes where commits touch the same pages.

        Raises:
            ConfigurationError: this Python's SQLite is too old.
            StorageError: the file is no database, or was written by a newer version.

        """
        return await asyncio.to_thread(cls._open, path, tuple(migrations), page_size, checkpoint_pages)

    @classmethod
    def _open(cls, path: Path, migrations: Sequence[str], page_size: int, checkpoint_pages: int) -> Database:
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        with contextlib.ExitStack() as opened:
            try:
                _create(path)
                writing = opened.enter_context(contextlib.closing(_connect(path)))
                _prepare(writing, page_size, checkpoint_pages)
                _migrate(writing, migrations, path)
                readers = [opened.enter_context(contextlib.closing(_connect(path))) for _ in range(READERS)]
                for reader in readers:
                    reader.execute("PRAGMA query_only = ON")
            except (sqlite3.Error, OSError) as error:
                raise storage_failure(error, path) from error
            opened.pop_all()  # from here they belong to the database object
        writer = _Writer(writing, path)
        writer.start()
        return cls(path, writer, readers)

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        after_commit: Callable[[T], None] | None = None,
        after_failure: Callable[[], None] | None = None,
    ) -> T:
        """Run ``work`` in the writer thread and return its result once it is committed.

        Jobs that wait together share a transaction, each under a savepoint:
        an exception undoes its own job alone, and is raised here. A job whose
        caller is cancelled is still done. ``after_commit(result)``, or
        ``after_failure()``, is then called in the caller's loop in any case,
        in the order of the jobs, before the caller goes on.

        Raises:
            StorageFullError: the disk is full; nothing of this job was kept.
            StorageError: the database failed or is closed.

        """

        def alone(connection: sqlite3.Connection, _arguments: Sequence[None]) -> Sequence[T]:
            return (work(connection),)

        return await self.write_together(alone, None, after_commit=after_commit, after_failure=after_failure)

    async def write_together(
        self,
        work: Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]],
        argument: A,
        *,
        after_commit: Callable[[T], None] | None = None,
        after_failure: Callable[[], None] | None = None,
    ) -> T:
        """Do the same as `write`, with a function that serves many callers in one go.

        Calls that wait side by side with an equal ``work`` become one: it
        gets all their arguments and returns a result for each. If it raises,
        that is undone, and it is called for each argument alone.

        Raises:
            StorageFullError: the disk is full; nothing of this job was kept.
            StorageError: the database failed or is closed.

        """
        if self._closed:
            if after_failure is not None:
                after_failure()
            raise StorageError(f"{self.path.name} is closed")
        loop = asyncio.get_running_loop()
        job: _Job[T] = _Job(work, argument, after_commit, after_failure, loop.create_future(), loop)
        self._writer.submit(job)
        return await job.future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a reader thread; all its queries see one state of the database.

        Raises:
            StorageError: the database failed or is closed.

        """
        if self._closed:
            raise StorageError(f"{self.path.name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._reader_pool, self._read, work)

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._readers.get()
        try:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("COMMIT")
        except (sqlite3.Error, StopIteration) as error:
            raise storage_failure(error, self.path) from error
        finally:
            self._readers.put(connection)

    async def close(self) -> None:
        """Finish all work that was given, then close; may be called again."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._closing:
            if not self._writer.is_alive():
                return
            self._reader_pool.shutdown(wait=True)
            while not self._readers.empty():
                self._readers.get().close()
            self._writer.finish()  # last, so that SQLite folds the log into the database


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that writes to a database alone, made 0600 if need be; blocking.

    For who must hold a transaction open for a while; everybody else uses `Database`.

    Raises sqlite3.Error and OSError, for which `storage_failure` gives what to raise.
    """
    _create(path)
    connection = _connect(path)
    try:
        _prepare(connection, PAGE_SIZE, CHECKPOINT_PAGES)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    existed = path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    os.close(descriptor)
    path.chmod(FILE_MODE)  # the log and its index take the mode of the database
    if not existed:
        sync_directory(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
        timeout=BUSY_TIMEOUT / 1000,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare(connection: sqlite3.Connection, page_size: int, checkpoint_pages: int) -> None:
    for pragma in (
        f"page_size = {page_size}",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {checkpoint_pages}",
        f"journal_size_limit = {WAL_SIZE_LIMIT}",
        f"cache_size = -{CACHE_SIZE // 1024}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str], path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StorageVersionError(f"{path} was written by a newer version of this program")
    for number, script in enumerate(migrations[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
