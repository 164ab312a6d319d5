# SPDX-License-Identifier: MIT
"""Large bodies as files: durable before their row, gone after it (rules §4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from awala.base.files import private_directory, storage_error, write_private
from awala.base.sqlite import StorageError
from awala.spool.codec import body_digest

P = ParamSpec("P")
T = TypeVar("T")

FILE_THREADS = 2
"""How many large bodies are written at the same time."""

_log = logging.getLogger(__name__)


class BodyFiles:
    """A directory of bodies under random names.

    A name is *pending* from before its file exists until the row that names
    it is committed or known to have failed; a file that is neither pending
    nor named by a row is an orphan.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = private_directory(directory)
        self._pending: set[str] = set()
        self._threads = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="spool-bodies")

    async def digest(self, octets: bytes) -> bytes:
        """Return the digest of a large body, worked out in a thread."""
        return await asyncio.wrap_future(self._submit(body_digest, octets))

    async def write(self, octets: bytes) -> str:
        """Make a body durable; return its name, which is pending.

        Raises:
            StorageFullError: there is no room for it.
            StorageError: it cannot be written.

        """
        name = secrets.token_hex(16)
        self._pending.add(name)
        future = self._submit(write_private, self._directory / name, octets)
        try:
            await asyncio.wrap_future(future)
        except BaseException:
            # The thread may still be writing: remove the file once it has ended.
            future.add_done_callback(lambda _: self._remove(name))
            raise
        return name

    async def read(self, name: str) -> bytes | None:
        """Return a body, or None if there is no such file.

        Raises:
            StorageError: it cannot be read.

        """
        return await asyncio.wrap_future(self._submit(self._read, name))

    def keep(self, names: Iterable[str]) -> None:
        """Note that rows name these files now."""
        self._pending.difference_update(names)

    def discard(self, names: Iterable[str]) -> None:
        """Remove files that no row names, in a thread; a crash leaves them to the sweep."""
        for name in names:
            # Once closed, the sweep at the next start finds the file.
            with contextlib.suppress(StorageError):
                self._submit(self._remove, name)

    async def settled(self) -> list[str]:
        """List the files that are not pending: each has its row by now, or is an orphan.

        Raises:
            StorageError: the directory cannot be listed.

        """
        names = await asyncio.wrap_future(self._submit(self._list))
        return [name for name in names if _final_name(name) not in self._pending]

    def close(self) -> None:
        """Finish what is under way (blocking)."""
        self._threads.shutdown(wait=True)

    def _submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return self._threads.submit(work, *args, **kwargs)
        except RuntimeError as error:
            raise StorageError("the spool is closed") from error

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
        self._pending.discard(name)

    def _list(self) -> list[str]:
        try:
            return os.listdir(self._directory)  # noqa: PTH208 - names are wanted, and many of them
        except OSError as error:
            raise storage_error(error, "cannot list the stored bodies") from error


def _final_name(name: str) -> str:
    """Return the name that a temporary file, ``.name.….tmp``, is going to have."""
    return name.split(".")[1] if name.startswith(".") else name
