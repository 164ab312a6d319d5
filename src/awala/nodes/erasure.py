# SPDX-License-Identifier: MIT
"""Erases from the vault what has ended, once the clock can be trusted (rules §2)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.pki import CLOCK_TOLERANCE
from awala.vault import Vault

logger = logging.getLogger(__name__)

INTERVAL = timedelta(hours=1)
"""How often it is looked for what has ended."""

TRUSTED_AFTER = timedelta(hours=48)
"""A node erases nothing before it has run for so long (rules §2)."""

LARGEST_STEP = timedelta(hours=24)
"""When the clock moves on by more than this from one look to the next, it has jumped (rules §2)."""

MayErase: TypeAlias = Callable[[datetime], Awaitable[bool]]
"""Says whether what ended before a time may be erased for good: the one place where that is decided."""


class RunningTime:
    """Trusts a clock that has gone for two days without a jump, as far as this process has seen."""

    def __init__(self, clock: Clock) -> None:
        self._since = self._last = clock.now()

    async def may_erase(self, now: datetime) -> bool:
        """Say whether the clock can be trusted; to be asked once in every interval."""
        if not timedelta() <= now - self._last <= LARGEST_STEP:
            self._since = now
        self._last = now
        return now - self._since >= TRUSTED_AFTER


async def erase_expired(vault: Vault, clock: Clock, may_erase: MayErase | None = None) -> None:
    """Erase certificates and withdrawals that have ended, from time to time, until cancelled."""
    may_erase = may_erase or RunningTime(clock).may_erase
    while True:
        await clock.sleep(INTERVAL.total_seconds())
        now = clock.now()
        try:
            if await may_erase(now):
                await vault.delete_expired_paths(now - CLOCK_TOLERANCE)
                await vault.withdrawals.delete_expired(now)
        except AwalaError as error:
            logger.warning("what has ended could not be erased, which will be tried again: %s", error)
