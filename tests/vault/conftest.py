# SPDX-License-Identifier: MIT
"""The adapters of the vault, all alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from awala.vault import MemoryVault, SqliteVault, Vault, protection


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "SCRYPT_COST", 2)


@pytest.fixture(params=["memory", "sqlite", "protected"])
async def vault(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Vault]:
    request.getfixturevalue("cheap_scrypt")
    if request.param == "memory":
        vault = MemoryVault()
    else:
        passphrase = b"correct horse" if request.param == "protected" else None
        vault = await SqliteVault.open(tmp_path / "vault", passphrase=passphrase)
    yield vault
    await vault.close()
