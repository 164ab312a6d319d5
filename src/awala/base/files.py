# SPDX-License-Identifier: MIT
"""Files that survive a crash and that nobody else may read (rules §11)."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from awala.base.errors import AwalaError, StorageFullError

DIRECTORY_MODE = 0o700
"""What directories with keys or messages are made with (rules §11)."""

FILE_MODE = 0o600
"""What files with keys or messages are made with (rules §11)."""

TEMPORARY_SUFFIX = ".tmp"
"""Ends the name of a file that is still being written."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StorageError(AwalaError):
    """A file or database that cannot be read or written."""

    advice: ClassVar[str] = "Check the disk, and that this user may read and write the data directory."


class StorageBusyError(StorageError):
    """A store that another process is using at this moment."""

    retryable: ClassVar[bool] = True
    advice: ClassVar[str] = "Stop the other process that uses this data directory, or use another directory."


def storage_error(error: OSError, what: str) -> StorageError | StorageFullError:
    """Return the error of this package for ``error``, which was met while doing ``what``."""
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return StorageFullError(f"{what}: {reason}")
    return StorageError(f"{what}: {reason}")


def private_directory(path: Path) -> Path:
    """Make sure that ``path`` is a directory for its owner alone, and return it.

    Missing ones are created 0700, parents too. One that exists and is ours is
    narrowed to 0700, unless it is shared on purpose (sticky, as /tmp is).

    Raises:
        StorageError: the directory cannot be made or narrowed.

    """
    try:
        for missing in reversed([level for level in (path, *path.parents) if not level.exists()]):
            missing.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            sync_directory(missing.parent)
        if not path.is_dir():
            raise StorageError(f"{path} is not a directory")
        state = path.stat()
        ours = not hasattr(os, "getuid") or state.st_uid == os.getuid()
        if ours and not state.st_mode & stat.S_ISVTX and stat.S_IMODE(state.st_mode) & 0o077:
            path.chmod(DIRECTORY_MODE)
    except OSError as error:
        raise storage_error(error, f"cannot make the directory {path}") from error
    return path


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: what was created, renamed or removed.

    Raises:
        StorageError: the directory cannot be synced.

    """
    if sys.platform == "win32":  # directories cannot be opened there, and need not be
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, f"cannot sync the directory {path}") from error


def write_private(path: Path, data: bytes) -> None:
    """Write a whole file, 0600, as `write_whole` does."""
    write_whole(path, data, mode=FILE_MODE)


def write_whole(path: Path, data: bytes, *, mode: int) -> None:
    """Write a whole file so that a crash leaves either the old or the new one.

    The octets are durable when this returns: temporary file in the same
    directory, fsync, rename, fsync of the directory.

    Raises:
        StorageFullError: there is no room for it.
        StorageError: it cannot be written.

    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        _write_synced(temporary, data, mode)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # what cannot be written to does not let go of anything either
            temporary.unlink()
        raise storage_error(error, f"cannot write {path}") from error
    sync_directory(path.parent)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Keeps a second process, or a second store of this one, out of a directory.

    The lock goes with the process: one that was killed leaves none behind.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            StorageBusyError: somebody else has it.
            StorageError: the lock file cannot be made.

        """
        path = directory / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        except OSError as error:
            raise storage_error(error, f"cannot open {path}") from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise StorageBusyError(f"{directory} is in use by another process") from error

    def release(self) -> None:
        """Let others in; the object is of no use afterwards. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
