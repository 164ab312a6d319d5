# SPDX-License-Identifier: MIT
"""What every node does from time to time: erase what has ended, wherever it is kept.

Here alone is decided what may be erased for its age: what had ended by `ClockState.erase_before` of the
spool, and nothing while the clock is in doubt (rules §2, decision 44).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.nodes.quarantine import Quarantine
from awala.pki import CLOCK_TOLERANCE
from awala.sessions import Sessions
from awala.spool.port import Spool
from awala.vault import Vault

logger = logging.getLogger(__name__)


class KeyUpkeep:
    """Prunes a node's session keys, and leaves those that what rests here needs (rules §7)."""

    def __init__(
        self, sessions: Sessions, spool: Spool, *, unread: str, quarantine: Quarantine | None = None
    ) -> None:
        """Look after the keys of ``sessions``; ``unread`` is the lane where messages wait to be opened."""
        self._sessions = sessions
        self._spool = spool
        self._unread = unread
        self._quarantine = quarantine

    async def prune(self, before: datetime) -> int:
        """Erase the keys whose time was over by then, and return how many went. Raises StorageError."""
        # In the order in which messages move, so that none is overlooked between the two.
        unread_since = await self._spool.oldest(self._unread)
        keep = set() if self._quarantine is None else await self._quarantine.session_keys()
        return await self._sessions.prune(before, unread_since=unread_since, keep=keep)


async def keep_up(
    spool: Spool,
    clock: Clock,
    interval: timedelta,
    *,
    keys: KeyUpkeep | None = None,
    vault: Vault | None = None,
) -> None:
    """Erase what may be erased from the spool, the session keys and the vault, until cancelled.

    That is done at once and then once in every interval; what fails is tried again in the next.
    """
    while True:
        try:
            await _erase(spool, clock.now(), keys, vault)
        except AwalaError as error:
            logger.warning("upkeep failed and will be tried again: %s", error)
        await clock.sleep(interval.total_seconds())


async def _erase(spool: Spool, now: datetime, keys: KeyUpkeep | None, vault: Vault | None) -> None:
    await spool.sweep(now=now)
    before = spool.clock_state(now).erase_before
    if before is None:
        return
    if keys is not None:
        await keys.prune(before)
    if vault is not None:
        await vault.delete_expired_paths(before - CLOCK_TOLERANCE)
        await vault.withdrawals.delete_expired(before)
