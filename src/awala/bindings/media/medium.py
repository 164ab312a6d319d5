# SPDX-License-Identifier: MIT
"""A directory on a removable medium, with a file for each cargo and collection authorisation (rules §6).

Names say the kind and the digest of the content, never who it is for, and suit FAT. Whoever finds the
medium may have put anything on it: what has no such name is left alone, and links are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from awala.base.errors import StorageFullError
from awala.base.files import StorageError, sync_directory, write_whole
from awala.bindings.media.errors import DamagedFileError, MediumError, MediumFullError
from awala.messages import MessageType, recognise
from awala.messages.limits import MAX_RAMF_SIZE

MAX_ENTRIES: Final = 100_000
"""Entries of a directory that are looked at, whatever their names (rules §11)."""

SHARED_MODE: Final = 0o644
"""What files on a medium are made with: their next reader is another user, and they are sealed."""

DIGEST_CHARACTERS: Final = 32
"""How much of a SHA-256 in hexadecimal is in a name: 128 bits, which nobody meets twice by accident."""

_WORDS: Final = {MessageType.CARGO: "cargo", MessageType.CCA: "cca"}
_NAME: Final = re.compile(rf"(?:cargo|cca)-[0-9a-f]{{{DIGEST_CHARACTERS}}}\.awala", re.ASCII)
_UNFINISHED: Final = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]+\.tmp", re.ASCII)
_READ_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def file_name(octets: bytes) -> str:
    """Return the name of the file for a cargo or a collection authorisation.

    Raises DamagedFileError if it is neither.
    """
    word = _WORDS.get(kind) if (kind := recognise(octets)) else None
    if word is None:
        raise DamagedFileError("it holds neither cargo nor a collection authorisation")
    return f"{word}-{hashlib.sha256(octets).hexdigest()[:DIGEST_CHARACTERS]}.awala"


class Medium:
    """Reads and writes the files; it knows nothing of what they are for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def names(self) -> list[str]:
        """List the files that are whole, by name; raises MediumError."""
        return await asyncio.to_thread(self._names, _NAME)

    async def read(self, name: str) -> bytes:
        """Return what one file holds; raises DamagedFileError."""
        return await asyncio.to_thread(self._read, name)

    async def write(self, octets: bytes) -> bool:
        """Write a cargo or collection authorisation; return False if it is there already.

        It is durable when this returns. Raises MediumError, MediumFullError, and then has left nothing.
        """
        return await asyncio.to_thread(self._write, octets)

    async def remove(self, name: str) -> None:
        """Remove a file; raises MediumError."""
        await asyncio.to_thread(self._remove, name)

    async def tidy(self) -> None:
        """Remove what an export that was cut off had not finished; raises MediumError."""
        for name in await asyncio.to_thread(self._names, _UNFINISHED):
            await asyncio.to_thread(self._remove, name)

    def _names(self, pattern: re.Pattern[str]) -> list[str]:
        try:
            with os.scandir(self._directory) as entries:
                names = [entry.name for entry in islice(entries, MAX_ENTRIES + 1)]
        except (OSError, ValueError) as error:
            raise _medium_error(error, f"cannot read {self._directory}") from error
        if len(names) > MAX_ENTRIES:
            raise MediumError(f"{self._directory} has more than {MAX_ENTRIES} entries")
        return sorted(name for name in names if pattern.fullmatch(name))

    def _read(self, name: str) -> bytes:
        try:
            octets = _read_bounded(self._directory / name)
        except OSError as error:
            raise DamagedFileError(f"it cannot be read: {_reason(error)}") from error
        if file_name(octets) != name:
            raise DamagedFileError("it is damaged")
        return octets

    def _write(self, octets: bytes) -> bool:
        name = file_name(octets)
        with suppress(DamagedFileError):
            if self._read(name) == octets:
                return False
        try:
            write_whole(self._directory / name, octets, mode=SHARED_MODE)
        except StorageFullError as error:
            raise MediumFullError(str(error)) from error
        except StorageError as error:
            raise MediumError(str(error)) from error
        return True

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
            sync_directory(self._directory)
        except StorageError as error:
            raise MediumError(str(error)) from error
        except OSError as error:
            raise _medium_error(error, f"cannot remove {name}") from error


def _read_bounded(path: Path) -> bytes:
    """Read a file of at most `MAX_RAMF_SIZE` octets; raises OSError, DamagedFileError."""
    descriptor = os.open(path, _READ_FLAGS)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DamagedFileError("it is no file")
        octets = file.read(MAX_RAMF_SIZE + 1)
    if len(octets) > MAX_RAMF_SIZE:
        raise DamagedFileError(f"it is larger than {MAX_RAMF_SIZE} octets")
    return octets


def _medium_error(error: OSError | ValueError, what: str) -> MediumError:
    return MediumError(f"{what}: {_reason(error)}")


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
