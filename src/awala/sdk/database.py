# SPDX-License-Identifier: MIT
"""The app's own database: what handlers write, beside the record of what was dealt with."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from awala.base.clock import Clock
from awala.base.sqlite import StorageError, StorageVersionError, connect, storage_failure
from awala.sdk.messages import IncomingMessage

T = TypeVar("T")

FILE_NAME: Final = "app.sqlite"
"""The database of an app, in its data directory."""

REMEMBERED_AFTER_EXPIRY: Final = timedelta(days=2)
"""What was dealt with is known for so long after its expiry, which nobody's clock sees at the same time."""

VERSION: Final = 1
"""Of the tables below, as written there too; ``PRAGMA user_version`` is the app's to use."""

RESERVED: Final = "awala_"
"""Begins the names of tables that are not the app's."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS awala_schema (version INTEGER NOT NULL);
INSERT INTO awala_schema SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM awala_schema);
CREATE TABLE IF NOT EXISTS awala_done (
    sender TEXT NOT NULL,
    message_id TEXT NOT NULL,
    forget_at REAL NOT NULL,
    PRIMARY KEY (sender, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS awala_done_end ON awala_done (forget_at);
CREATE TABLE IF NOT EXISTS awala_outbox (serial INTEGER PRIMARY KEY AUTOINCREMENT, parcel BLOB NOT NULL);
"""
_IS_DONE: Final = "SELECT 1 FROM awala_done WHERE sender = ? AND message_id = ?"
_NOTE_DONE: Final = "INSERT INTO awala_done (sender, message_id, forget_at) VALUES (?, ?, ?)"
_FORGET: Final = "DELETE FROM awala_done WHERE forget_at < ?"
_PUT_OUT: Final = "INSERT INTO awala_outbox (parcel) VALUES (?)"
_NEXT_OUT: Final = "SELECT serial, parcel FROM awala_outbox ORDER BY serial LIMIT 1"
_GONE_OUT: Final = "DELETE FROM awala_outbox WHERE serial = ?"

_FORBIDDEN: Final = {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}
_HARMLESS: Final = {sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT}


class AppDatabase:
    """One SQLite file, made when it is first needed; one transaction at a time.

    Statements run in the caller's thread, commits in another one, since they wait for the disk.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[object] | None = None
        self.filled = asyncio.Event()
        """Set by each commit that put something into the outbox."""

    @asynccontextmanager
    async def transaction(self, done: IncomingMessage | None = None) -> AsyncIterator[sqlite3.Connection]:
        """Commit what the block writes together with the note that ``done`` was dealt with.

        All or nothing: an exception in the block undoes everything. The connection is for the block alone;
        it ends no transaction, and writes no table that begins with ``awala_``.

        Raises:
            StorageFullError: the disk is full; nothing was kept.
            StorageError: the database failed; nothing was kept.

        """
        if self._owner is not None and self._owner is asyncio.current_task():
            raise RuntimeError("transactions cannot be nested")
        async with self._lock:
            connection = await self._open()
            self._owner = asyncio.current_task()
            try:
                self._own(lambda: connection.execute("BEGIN IMMEDIATE"))
                connection.set_authorizer(_permit)
                connection.row_factory = None
                yield connection
                await self._commit(connection, done)
            finally:
                self._owner = None
                await self._roll_back(connection)

    async def is_done(self, message: IncomingMessage) -> bool:
        """Say whether a transaction of this message was committed, now or before a crash."""
        if self._connection is None and not self._path.exists():
            return False
        async with self._lock:
            connection = await self._open()
            row = self._own(lambda: connection.execute(_IS_DONE, (message.sender_id, message.id)).fetchone())
        return row is not None

    def put_out(self, parcel: bytes) -> None:
        """Put a parcel into the outbox, as a part of the present transaction."""
        connection = self._require()
        self._own(lambda: connection.execute(_PUT_OUT, (parcel,)))
        connection.set_authorizer(_permit)

    async def next_out(self) -> tuple[int, bytes] | None:
        """Return the oldest parcel in the outbox, with the number by which it is taken out."""
        if self._connection is None and not self._path.exists():
            return None
        async with self._lock:
            connection = await self._open()
            row: tuple[int, bytes] | None = self._own(lambda: connection.execute(_NEXT_OUT).fetchone())
        return row

    async def take_out(self, serial: int) -> None:
        """Take a parcel out of the outbox: the endpoint has it safe."""
        async with self._lock:
            connection = await self._open()
            await self._in_thread(lambda: _take_out(connection, serial))

    async def close(self) -> None:
        """Close the file; may be called again."""
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                await asyncio.to_thread(connection.close)

    async def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = await self._in_thread(lambda: _open(self._path))
        return self._connection

    def _require(self) -> sqlite3.Connection:
        if self._connection is None or self._owner is None:
            raise RuntimeError("there is no transaction")
        return self._connection

    async def _commit(self, connection: sqlite3.Connection, done: IncomingMessage | None) -> None:
        def commit() -> bool:
            if not connection.in_transaction:
                raise StorageError(f"{self._path}: the transaction was lost")
            connection.execute(_FORGET, (self._clock.now().timestamp(),))
            if done is not None:
                end = _end_of(done)
                connection.execute(_NOTE_DONE, (done.sender_id, done.id, end.timestamp()))
            is_filled = connection.execute(_NEXT_OUT).fetchone() is not None
            connection.execute("COMMIT")
            return is_filled

        if await self._in_thread(lambda: self._own(commit)):
            self.filled.set()

    async def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Undo what was not committed, and leave a connection that nobody can use."""
        connection.set_authorizer(None)
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        connection.set_authorizer(_refuse)

    def _own(self, work: Callable[[], T]) -> T:
        """Do work of ours, which the app's limits do not concern."""
        if self._connection is not None:
            self._connection.set_authorizer(None)
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            raise storage_failure(error, self._path) from error
        finally:
            if self._connection is not None:
                self._connection.set_authorizer(_refuse)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do work of ours in a thread; also when this is cancelled, it is over when this returns."""
        working = asyncio.ensure_future(asyncio.to_thread(self._own, work))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait((working,))
            raise


@asynccontextmanager
async def open_database(directory: Path, clock: Clock) -> AsyncIterator[AppDatabase]:
    """Give the database of the app whose data are in ``directory``; the file is made when it is needed."""
    database = AppDatabase(directory / FILE_NAME, clock)
    try:
        yield database
    finally:
        await database.close()


def _end_of(message: IncomingMessage) -> datetime:
    return message.expires + REMEMBERED_AFTER_EXPIRY


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    try:
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        (version,) = connection.execute("SELECT max(version) FROM awala_schema").fetchone()
        if version > VERSION:
            raise StorageVersionError(f"{path} was written by a newer version of this program")
    except BaseException:
        connection.close()
        raise
    return connection


def _take_out(connection: sqlite3.Connection, serial: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_GONE_OUT, (serial,))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _permit(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Say what an app may do in its transaction."""
    if action in _HARMLESS:
        return sqlite3.SQLITE_OK
    reserved = any((name or "").lower().startswith(RESERVED) for name in (first, second))
    return sqlite3.SQLITE_DENY if reserved or action in _FORBIDDEN else sqlite3.SQLITE_OK


def _refuse(*_: object) -> int:
    """Say that nothing may be done: the transaction is over."""
    return sqlite3.SQLITE_DENY
