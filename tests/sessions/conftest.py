# SPDX-License-Identifier: MIT
"""The stores that the session protocol must work over, all alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from awala.sessions import MemorySessionKeyStore, SessionKeyStore
from awala.vault import MemoryVault, SqliteVault, protection


@pytest.fixture(params=["memory", "memory-vault", "sqlite-vault", "protected-vault"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SessionKeyStore]:
    if request.param == "memory":
        yield MemorySessionKeyStore()
        return
    monkeypatch.setattr(protection, "SCRYPT_COST", 2)
    if request.param == "memory-vault":
        vault = MemoryVault()
    else:
        passphrase = b"correct horse" if request.param == "protected-vault" else None
        vault = await SqliteVault.open(tmp_path, passphrase=passphrase)
    yield vault.session_keys
    await vault.close()
