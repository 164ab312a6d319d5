# SPDX-License-Identifier: MIT
"""A vault in SQL tables, whatever runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Connection
from typing import Final

from awala.crypto import IdentityPrivateKey
from awala.pki import Certificate, CertificationPath
from awala.vault.errors import VaultError
from awala.vault.executor import Executor
from awala.vault.protection import Protection
from awala.vault.schema import to_microseconds
from awala.vault.session_keys import SqlSessionKeys
from awala.vault.withdrawals import SqlWithdrawals

_PATHS: Final = """
    SELECT encoding FROM certification_paths WHERE purpose = ? AND subject_id = ? AND expiry >= ?
    ORDER BY expiry DESC, rowid DESC"""

_INSERT_PATH: Final = """
    INSERT INTO certification_paths (purpose, subject_id, digest, expiry, encoding) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""

_UPSERT_RECORD: Final = """
    INSERT INTO records (namespace, key, value) VALUES (?, ?, ?)
    ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value"""

_INSERT_RECORD: Final = """
    INSERT INTO records (namespace, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"""

_RECORD: Final = "SELECT value FROM records WHERE namespace = ? AND key = ?"

_RECORDS: Final = "SELECT key, value FROM records WHERE namespace = ? ORDER BY key"


class SqlVault:
    """Keeps keys, certification paths and records; see the port for what the operations mean.

    Private keys and the values of records are protected. Labels, names of
    records, certificates and peers' public keys are not.
    """

    def __init__(self, executor: Executor, protection: Protection) -> None:
        self._executor = executor
        self._protection = protection
        self._session_keys = SqlSessionKeys(executor, protection)
        self._withdrawals = SqlWithdrawals(executor)

    @property
    def session_keys(self) -> SqlSessionKeys:
        """The session keys in this vault."""
        return self._session_keys

    @property
    def withdrawals(self) -> SqlWithdrawals:
        """The withdrawn authorisations in this vault."""
        return self._withdrawals

    async def identity(self, label: str = "node") -> IdentityPrivateKey | None:
        """Return the identity key with that label. It is ours, so it is not checked again."""
        encoding = await self._executor.read(lambda connection: self._read_identity(connection, label))
        return None if encoding is None else IdentityPrivateKey.load(encoding, own=True)

    async def identities(self) -> list[str]:
        """List the labels of all identity keys, sorted."""
        query = "SELECT label FROM identity_keys ORDER BY label"
        return await self._executor.read(lambda connection: [row[0] for row in connection.execute(query)])

    async def save_identity(self, label: str, key: IdentityPrivateKey) -> None:
        """Keep an identity key.

        Raises VaultError when the label stands for another key.
        """
        encoding = key.serialize()

        def write(connection: Connection) -> None:
            present = self._read_identity(connection, label)
            if present is None:
                row = (label, self._protection.close(encoding, *_identity_place(label)))
                connection.execute("INSERT INTO identity_keys (label, private_key) VALUES (?, ?)", row)
            elif present != encoding:
                raise VaultError(f"The vault has another identity key with the label {label!r}")

        await self._executor.write(write)

    async def delete_identity(self, label: str) -> None:
        """Erase an identity key for good; nothing happens if there is none."""
        query = "DELETE FROM identity_keys WHERE label = ?"
        await self._executor.write(lambda connection: connection.execute(query, (label,)))

    async def save_path(self, path: CertificationPath, *, purpose: str) -> None:
        """Keep a path for its leaf's subject under a purpose; one that is there already changes nothing."""
        encoding = path.serialize()
        expiry = min(certificate.not_after for certificate in path.chain)
        row = (purpose, path.leaf.node_id, _digest(encoding), to_microseconds(expiry), encoding)
        await self._executor.write(lambda connection: connection.execute(_INSERT_PATH, row))

    async def paths(self, *, subject_id: str, purpose: str, now: datetime) -> list[CertificationPath]:
        """Return the paths of which no certificate has expired, that which lasts longest first."""
        row = (purpose, subject_id, to_microseconds(now))
        encodings = await self._executor.read(
            lambda connection: [found[0] for found in connection.execute(_PATHS, row)]
        )
        return [CertificationPath.parse(encoding) for encoding in encodings]

    async def certificates(self, *, subject_id: str, purpose: str, now: datetime) -> list[Certificate]:
        """Return the leaves of ``paths``, in the same order."""
        return [path.leaf for path in await self.paths(subject_id=subject_id, purpose=purpose, now=now)]

    async def delete_path(self, path: CertificationPath, *, purpose: str) -> None:
        """Erase exactly this path under a purpose; nothing happens if it is not there."""
        query = "DELETE FROM certification_paths WHERE purpose = ? AND subject_id = ? AND digest = ?"
        row = (purpose, path.leaf.node_id, _digest(path.serialize()))
        await self._executor.write(lambda connection: connection.execute(query, row))

    async def delete_paths(self, *, subject_id: str, purpose: str) -> None:
        """Erase the paths of a subject under a purpose."""
        query = "DELETE FROM certification_paths WHERE subject_id = ? AND purpose = ?"
        await self._executor.write(lambda connection: connection.execute(query, (subject_id, purpose)))

    async def delete_expired_paths(self, now: datetime) -> int:
        """Erase every path with a certificate that has expired, and return how many went."""
        query = "DELETE FROM certification_paths WHERE expiry < ?"
        row = (to_microseconds(now),)
        return await self._executor.write(lambda connection: connection.execute(query, row).rowcount)

    async def put_record(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a record, in place of one with the same name."""
        await self.put_records(namespace, {key: value})

    async def put_records(self, namespace: str, records: Mapping[str, bytes]) -> None:
        """Keep several records, all of them or none."""
        rows = [(namespace, key, self._close_record(namespace, key, value)) for key, value in records.items()]
        await self._executor.write(lambda connection: connection.executemany(_UPSERT_RECORD, rows))

    async def put_record_if_absent(self, namespace: str, key: str, value: bytes) -> bytes | None:
        """Keep a record unless there is one; return None if it was kept, else the one that stands."""
        row = (namespace, key, self._close_record(namespace, key, value))

        def write(connection: Connection) -> bytes | None:
            if connection.execute(_INSERT_RECORD, row).rowcount > 0:
                return None
            return self._read_record(connection, namespace, key)

        return await self._executor.write(write)

    async def get_record(self, namespace: str, key: str) -> bytes | None:
        """Return a record."""
        return await self._executor.read(lambda connection: self._read_record(connection, namespace, key))

    async def records(self, namespace: str) -> dict[str, bytes]:
        """Return all records of a namespace, sorted by name."""

        def read(connection: Connection) -> dict[str, bytes]:
            rows = connection.execute(_RECORDS, (namespace,))
            return {key: self._open_record(namespace, key, stored) for key, stored in rows}

        return await self._executor.read(read)

    async def delete_record(self, namespace: str, key: str) -> None:
        """Erase a record; nothing happens if there is none."""
        query = "DELETE FROM records WHERE namespace = ? AND key = ?"
        await self._executor.write(lambda connection: connection.execute(query, (namespace, key)))

    async def close(self) -> None:
        """Finish what is under way and close the vault."""
        await self._executor.close()

    def _read_identity(self, connection: Connection, label: str) -> bytes | None:
        query = "SELECT private_key FROM identity_keys WHERE label = ?"
        row = connection.execute(query, (label,)).fetchone()
        return None if row is None else self._protection.open(row[0], *_identity_place(label))

    def _read_record(self, connection: Connection, namespace: str, key: str) -> bytes | None:
        row = connection.execute(_RECORD, (namespace, key)).fetchone()
        return None if row is None else self._open_record(namespace, key, row[0])

    def _open_record(self, namespace: str, key: str, stored: bytes) -> bytes:
        return self._protection.open(stored, "record", namespace, key)

    def _close_record(self, namespace: str, key: str, value: bytes) -> bytes:
        return self._protection.close(value, "record", namespace, key)


def _digest(encoding: bytes) -> bytes:
    return hashlib.sha256(encoding).digest()


def _identity_place(label: str) -> tuple[str, ...]:
    return ("identity key", label)
