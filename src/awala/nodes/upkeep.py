# SPDX-License-Identifier: MIT
"""What every node does from time to time: erase what has expired, prune keys."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.nodes.quarantine import Quarantine
from awala.sessions import Sessions
from awala.spool.port import Spool

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

    async def prune(self, now: datetime) -> int:
        """Erase the keys whose time is over, and return how many went. Raises StorageError."""
        # In the order in which messages move, so that none is overlooked between the two.
        unread_since = await self._spool.oldest(self._unread)
        keep = set() if self._quarantine is None else await self._quarantine.session_keys()
        return await self._sessions.prune(now, unread_since=unread_since, keep=keep)


async def keep_up(spool: Spool, keys: KeyUpkeep | None, clock: Clock, interval: timedelta) -> None:
    """Sweep the spool and prune session keys once in every interval, until cancelled."""
    while True:
        try:
            await spool.sweep(now=clock.now())
            if keys is not None:
                await keys.prune(clock.now())
        except AwalaError as error:
            logger.warning("upkeep failed and will be tried again: %s", error)
        await clock.sleep(interval.total_seconds())
