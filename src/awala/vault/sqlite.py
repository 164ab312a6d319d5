# SPDX-License-Identifier: MIT
"""The vault on a device: one SQLite file in a directory of its owner's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from awala.base.files import private_directory
from awala.base.sqlite import Database
from awala.vault.errors import VaultError, VaultLockedError
from awala.vault.protection import Lock, Protection, new_lock, unlock
from awala.vault.schema import MIGRATIONS
from awala.vault.sql import SqlVault

FILE_NAME: Final = "vault.sqlite"

_LOCK: Final = "SELECT salt, cost, block_size, parallelism, wrapped_key FROM protection"

_INSERT_LOCK: Final = """
    INSERT INTO protection (id, salt, cost, block_size, parallelism, wrapped_key) VALUES (1, ?, ?, ?, ?, ?)"""

_HOLDS_VALUES: Final = """
    SELECT EXISTS (SELECT 1 FROM identity_keys) OR EXISTS (SELECT 1 FROM own_session_keys)
    OR EXISTS (SELECT 1 FROM records)"""


class SqliteVault(SqlVault):
    """A vault in the file ``vault.sqlite``, 0600, in a directory 0700 (rules §11)."""

    @classmethod
    async def open(cls, directory: Path, *, passphrase: bytes | None = None) -> SqliteVault:
        """Open the vault in a directory, or create it.

        A vault that is created with a passphrase keeps private keys and the
        values of records encrypted, and opens with that passphrase only.
        Without one, nothing but the modes of the files protects them.

        Raises VaultLockedError when the passphrase is wrong or missing,
        VaultError when it is empty or was given for a vault that holds values
        in clear, StorageError when the file cannot be made, read or written.
        """
        if passphrase is not None and not passphrase:
            raise VaultError("The passphrase of a vault must not be empty")
        await asyncio.to_thread(private_directory, directory)
        database = await Database.open(directory / FILE_NAME, MIGRATIONS)
        try:
            # What is deleted is overwritten: a pruned key must not be found in the file later.
            await database.write(lambda connection: connection.execute("PRAGMA secure_delete = ON"))
            protection = await _protection(database, passphrase)
        except BaseException:
            await database.close()
            raise
        return cls(database, protection)


async def _protection(database: Database, passphrase: bytes | None) -> Protection:
    """Return the protection of the vault's values; set it up when the vault is new."""
    lock = await database.read(_read_lock)
    if passphrase is None:
        if lock is not None:
            raise VaultLockedError("The vault is protected by a passphrase, and none was given")
        return Protection()
    if lock is None:
        new, protection = await asyncio.to_thread(new_lock, passphrase)
        lock = await database.write(lambda connection: _set_lock(connection, new))
        if lock == new:
            return protection
    return await asyncio.to_thread(unlock, lock, passphrase)


def _read_lock(connection: Connection) -> Lock | None:
    row = connection.execute(_LOCK).fetchone()
    return None if row is None else Lock(*row)


def _set_lock(connection: Connection, new: Lock) -> Lock:
    """Lock a vault that holds no values yet; return its lock, which another process may have set first."""
    present = _read_lock(connection)
    if present is not None:
        return present
    if connection.execute(_HOLDS_VALUES).fetchone()[0]:
        raise VaultError("The vault holds values in clear; only a new vault can be given a passphrase")
    row = (new.salt, new.cost, new.block_size, new.parallelism, new.wrapped_key)
    connection.execute(_INSERT_LOCK, row)
    return new
