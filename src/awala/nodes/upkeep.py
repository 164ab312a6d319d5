# SPDX-License-Identifier: MIT
"""What every node does from time to time: erase what has expired, prune keys."""

from __future__ import annotations

import logging
from datetime import timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.sessions import Sessions
from awala.spool.port import Spool

logger = logging.getLogger(__name__)


async def keep_up(spool: Spool, sessions: Sessions | None, clock: Clock, interval: timedelta) -> None:
    """Sweep the spool and prune session keys once in every interval, until cancelled."""
    while True:
        try:
            await spool.sweep(now=clock.now())
            if sessions is not None:
                await sessions.prune(clock.now())
        except AwalaError as error:
            logger.warning("upkeep failed and will be tried again: %s", error)
        await clock.sleep(interval.total_seconds())
