# SPDX-License-Identifier: MIT
"""Withdrawn authorisations in the vault's tables (rules §3)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from sqlite3 import Connection
from typing import Final

from awala.base.errors import StorageFullError
from awala.vault.executor import Executor
from awala.vault.schema import to_microseconds

MAX_WITHDRAWALS: Final = 100_000
"""Serial numbers that may be withdrawn at once under one gateway, so that strangers cannot fill the vault."""

_ALL: Final = b""
"""Stands in place of a serial number where all authorisations of an endpoint are withdrawn."""

_UPSERT: Final = """
    INSERT INTO withdrawals (gateway_id, endpoint_id, serial, expiry) VALUES (?, ?, ?, ?)
    ON CONFLICT (gateway_id, endpoint_id, serial) DO UPDATE SET expiry = max(expiry, excluded.expiry)"""

_COUNT: Final = "SELECT rows FROM withdrawal_counts WHERE gateway_id = ?"

_COVERS: Final = """
    SELECT 1 FROM withdrawals
    WHERE gateway_id = ? AND endpoint_id = ? AND serial IN (?, ?) AND expiry >= ? LIMIT 1"""


class SqlWithdrawals:
    """Which authorisations endpoints have withdrawn, each under the private gateway that said so."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(
        self, *, gateway_id: str, endpoint_id: str, serials: Collection[bytes], expiry: datetime
    ) -> None:
        """Withdraw what an endpoint issued with these serial numbers, or all it issued if there are none.

        Raises `StorageFullError` if too many are withdrawn under that gateway; nothing is kept then.
        """
        until = to_microseconds(expiry)
        rows = [(gateway_id, endpoint_id, serial, until) for serial in serials or (_ALL,)]

        def write(connection: Connection) -> None:
            connection.executemany(_UPSERT, rows)
            (count,) = connection.execute(_COUNT, (gateway_id,)).fetchone()
            if count > MAX_WITHDRAWALS:
                raise StorageFullError(f"more than {MAX_WITHDRAWALS} authorisations would be withdrawn")

        await self._executor.write(write)

    async def covers(self, *, gateway_id: str, endpoint_id: str, serial: bytes, now: datetime) -> bool:
        """Say whether an authorisation that the endpoint issued is withdrawn on paths through the gateway."""
        row = (gateway_id, endpoint_id, serial, _ALL, to_microseconds(now))
        found = await self._executor.read(lambda connection: connection.execute(_COVERS, row).fetchone())
        return found is not None

    async def delete_expired(self, now: datetime) -> int:
        """Erase the withdrawals of what has ended by itself, and return how many went."""
        row = (to_microseconds(now),)
        query = "DELETE FROM withdrawals WHERE expiry < ?"
        return await self._executor.write(lambda connection: connection.execute(query, row).rowcount)
