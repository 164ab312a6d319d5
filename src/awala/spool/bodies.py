# SPDX-License-Identifier: MIT
"""Large bodies as files: durable before their row, gone after it (rules §4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from awala.base.files import private_directory, storage_error, write_private
from awala.base.sqlite import StorageError

P = ParamSpec("P")
T = TypeVar("T")

FILE_THREADS = 2
"""How many large bodies are written at the same time."""

FOLDER_SIZE = 1_000
"""How many bodies share a folder: so many names a start looks at, beside those that were being written."""

_log = logging.getLogger(__name__)


class BodyFiles:
    """A directory of bodies under random names, in numbered folders.

    A name is *pending* from before its file exists until the row that names
    it is committed or known to have failed; a file that is neither pending
    nor named by a row is an orphan. Folders are filled one after the other,
    so orphans can only be in that of the first pending name and behind it
    (`unsettled`): a start looks there alone, however many bodies there are.
    Folder 0 is the directory itself, which earlier versions filled.
    """

    def __init__(self, directory: Path, *, unsettled: int = 0) -> None:
        self._directory = private_directory(directory)
        self._recorded = unsettled
        self._found = self._list(unsettled)
        self._folder = max(self._found, default=0)
        self._used = len(self._found.get(self._folder, ())) if self._folder else FOLDER_SIZE
        self._pending: dict[str, int] = {}
        self._removed: deque[str] = deque()
        self._threads = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="spool-bodies")

    @property
    def unsettled(self) -> int:
        """The first folder that may have files without a row."""
        return min(list(self._pending.values()), default=self._folder)

    @property
    def moved_on(self) -> int | None:
        """The same if it is not what the database says, else None."""
        unsettled = self.unsettled
        return unsettled if unsettled > self._recorded else None

    def found(self) -> list[str]:
        """Return the names of the files of unsettled folders, as they were at the start, once."""
        found, self._found = self._found, {}
        return [name for names in found.values() for name in names]

    async def write(self, octets: bytes) -> str:
        """Make a body durable; return its name, which is pending.

        Raises:
            StorageFullError: there is no room for it.
            StorageError: it cannot be written.

        """
        if self._used >= FOLDER_SIZE:
            self._folder += 1
            self._used = 0
        name = f"{self._folder}/{secrets.token_hex(16)}"
        self._pending[name] = self._folder
        future = self._submit(self._write, name, octets)
        try:
            await asyncio.wrap_future(future)
        except BaseException:
            # The thread may still be writing: remove the file once it has ended.
            future.add_done_callback(lambda _: self._remove(name))
            raise
        self._used += 1
        return name

    async def read(self, name: str) -> bytes | None:
        """Return a body, or None if there is no such file.

        Raises:
            StorageError: it cannot be read.

        """
        return await asyncio.wrap_future(self._submit(self._read, name))

    def keep(self, names: Iterable[str], *, unsettled: int | None) -> None:
        """Note that rows name these files now, and what the database says is unsettled if that changed."""
        for name in names:
            self._pending.pop(name, None)
        self._recorded = max(self._recorded, unsettled or 0)

    def discard(self, names: Iterable[str]) -> None:
        """Remove files that no row names, in a thread; a crash leaves them to the next start."""
        for name in names:
            # Once closed, the next start finds the name.
            with contextlib.suppress(StorageError):
                self._submit(self._remove, name)

    def take_removed(self) -> list[str]:
        """Return the names of files that were removed since this was last asked."""
        return [self._removed.popleft() for _ in range(len(self._removed))]

    def close(self) -> None:
        """Finish what is under way (blocking)."""
        self._threads.shutdown(wait=True)

    def _submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return self._threads.submit(work, *args, **kwargs)
        except RuntimeError as error:
            raise StorageError("the spool is closed") from error

    def _write(self, name: str, octets: bytes) -> None:
        path = self._directory / name
        if not path.parent.exists():
            private_directory(path.parent)
        write_private(path, octets)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, "cannot read a stored body") from error

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cannot remove a stored body: %s", error.strerror)
        else:
            self._removed.append(name)
        self._pending.pop(name, None)
        folder = _folder(name)
        if 0 < folder < self._recorded:
            with contextlib.suppress(OSError):  # others are still in it
                (self._directory / str(folder)).rmdir()

    def _list(self, unsettled: int) -> dict[int, list[str]]:
        """List the files of each folder from ``unsettled`` on; there are no gaps."""
        found: dict[int, list[str]] = {}
        try:
            if unsettled == 0:
                with os.scandir(self._directory) as entries:
                    found[0] = [entry.name for entry in entries if entry.is_file()]
            folder = max(1, unsettled)
            while (self._directory / str(folder)).is_dir():
                found[folder] = [f"{folder}/{name}" for name in os.listdir(self._directory / str(folder))]  # noqa: PTH208 - names are wanted
                folder += 1
        except OSError as error:
            raise storage_error(error, "cannot list the stored bodies") from error
        return found


def _folder(name: str) -> int:
    folder, slash, _ = name.partition("/")
    return int(folder) if slash else 0
