# SPDX-License-Identifier: MIT
"""Renews a certificate while the node runs, in time and without haste (rules §2, §9)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.nodes.background import first_of
from awala.nodes.backoff import Backoff

logger = logging.getLogger(__name__)

CHECK_INTERVAL = timedelta(hours=1)
"""How often it is looked whether renewal is due: a machine that slept has lost no day."""

UNHELPFUL_WAIT = timedelta(days=1)
"""Wait after a renewal that leaves another one due: the issuer has no more to give for now."""


class Renewal:
    """One thing that has to be renewed from time to time; a failure is tried again after a back-off."""

    def __init__(
        self,
        clock: Clock,
        *,
        is_due: Callable[[datetime], bool],
        renew: Callable[[], Awaitable[None]],
        backoff: Backoff,
    ) -> None:
        self._clock = clock
        self._is_due = is_due
        self._renew = renew
        self._backoff = backoff
        self._kicked = asyncio.Event()
        self._failures = 0
        self._rest_until: datetime | None = None
        self._issuer_changed = False

    def kick(self) -> None:
        """Look at once whether it is due, whatever the back-off says: the issuer can be reached."""
        self._kicked.set()

    def issuer_changed(self) -> None:
        """Look at once, also if the issuer had no more to give before: now it may have."""
        self._issuer_changed = True
        self._rest_until = None
        self.kick()

    async def run(self) -> None:
        """Renew whenever it is due, until cancelled."""
        while True:
            self._kicked.clear()
            wait = await self._attempt() if self._may_try() else CHECK_INTERVAL
            await first_of(self._clock.sleep(wait.total_seconds()), self._kicked.wait())

    def _may_try(self) -> bool:
        now = self._clock.now()
        if self._rest_until is not None and not timedelta() < self._rest_until - now <= UNHELPFUL_WAIT:
            self._rest_until = None  # it is over, or the clock was set back
        return self._rest_until is None and self._is_due(now)

    async def _attempt(self) -> timedelta:
        """Renew, and return how long to wait before the next look."""
        self._issuer_changed = False
        try:
            await self._renew()
        except AwalaError as error:
            self._failures += 1
            logger.info("a certificate could not be renewed, which will be tried again: %s", error)
            return self._backoff.wait(self._failures)
        self._failures = 0
        if self._is_due(self._clock.now()) and not self._issuer_changed:
            self._rest_until = self._clock.now() + UNHELPFUL_WAIT
        return CHECK_INTERVAL
