# SPDX-License-Identifier: MIT
"""Opens the stores of a node as its configuration says."""

from __future__ import annotations

from awala.nodes.config import StorageConfig
from awala.spool import SqliteSpool


async def open_spool(storage: StorageConfig) -> SqliteSpool:
    """Open a node's spool with its quotas; raises StorageError, StorageBusyError."""
    return await SqliteSpool.open(
        storage.directory / "spool",
        quota=storage.quota,
        mailbox_quota=storage.mailbox_quota,
        pair_quota=storage.pair_quota,
    )
