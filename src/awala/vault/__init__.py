# SPDX-License-Identifier: MIT
"""The vault: a node's keys, certificates and small records at rest."""

from __future__ import annotations

from awala.vault.errors import VaultError, VaultLockedError
from awala.vault.memory import MemoryVault
from awala.vault.port import OwnSessionKey, PeerSessionKey, SessionKeys, Vault
from awala.vault.sqlite import SqliteVault

__all__ = [
    "MemoryVault",
    "OwnSessionKey",
    "PeerSessionKey",
    "SessionKeys",
    "SqliteVault",
    "Vault",
    "VaultError",
    "VaultLockedError",
]
