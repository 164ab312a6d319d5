# SPDX-License-Identifier: MIT
"""A vault that forgets everything with the object: for tests."""

from __future__ import annotations

from awala.vault.executor import MemoryExecutor
from awala.vault.protection import Protection
from awala.vault.schema import MIGRATIONS
from awala.vault.sql import SqlVault


class MemoryVault(SqlVault):
    """A vault in memory: no file, no thread, no protection."""

    def __init__(self) -> None:
        super().__init__(MemoryExecutor(MIGRATIONS), Protection())
