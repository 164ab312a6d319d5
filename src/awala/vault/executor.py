# SPDX-License-Identifier: MIT
"""What runs the vault's SQL: a database in a file, or one in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from awala.base.sqlite import StorageError

T = TypeVar("T")


class Executor(Protocol):
    """Runs functions of a connection; what a write changed is kept when it returns."""

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction of its own."""
        ...

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work``, which changes nothing."""
        ...

    async def close(self) -> None:
        """Finish all work that was given, then close; may be called again."""
        ...


class MemoryExecutor:
    """A database in memory, gone with the object; it works in the caller's thread, at once."""

    def __init__(self, migrations: Sequence[str]) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for script in migrations:
            self._connection.executescript(script)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in a transaction of its own."""
        try:
            self._connection.execute("BEGIN")
            try:
                result = work(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageError(f"the database failed: {error}") from error
        return result

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work``, which changes nothing."""
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise StorageError(f"the database failed: {error}") from error

    async def close(self) -> None:
        """Forget everything."""
        self._connection.close()
