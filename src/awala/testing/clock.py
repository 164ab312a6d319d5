# SPDX-License-Identifier: MIT
"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

DEFAULT_START: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)

_SETTLING_ROUNDS: Final = 25  # turns of the event loop that woken tasks get before time goes on


class FakeClock:
    """An ``awala.base.clock.Clock`` under a test's control.

    ``advance`` wakes the sleepers in the order of their deadlines, and shows each of them its own
    deadline as the present; a sleeper that sleeps again meanwhile is woken again where it falls.
    """

    def __init__(self, start: datetime = DEFAULT_START) -> None:
        self._now = self._start = start.astimezone(UTC)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = count()
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        """Return the present of this clock."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that this clock was advanced by, jumps left out."""
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by ``seconds``; a turn of the event loop for 0 or less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), future))
        self._changed.set()
        await future

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def wait_for_sleepers(self, number: int = 1) -> None:
        """Return once at least ``number`` are asleep."""
        while self.sleepers < number:
            self._changed.clear()
            await self._changed.wait()

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, waking who has slept enough, and let them run."""
        target = self._now + timedelta(seconds=seconds)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now = max(self._now, deadline)
            future.set_result(None)
            await _settle()
        self._now = target
        await _settle()

    def jump(self, to: datetime) -> None:
        """Set the wall clock, forwards or back, as an administrator might; this wakes nobody."""
        shift = to - self._now
        self._now = to.astimezone(UTC)
        self._start += shift
        self._sleepers = [(deadline + shift, order, future) for deadline, order, future in self._sleepers]


class HastyClock:
    """A clock that runs ``haste`` times as fast as the machine's, so that pauses and back-offs are short.

    Nodes of one network share its ``epoch``, the moment at which it showed the real time, over restarts too.
    """

    def __init__(self, haste: float, epoch: datetime | None = None) -> None:
        self._haste = haste
        self._epoch = epoch or datetime.now(UTC)

    def now(self) -> datetime:
        """Return the present of this clock."""
        return self._epoch + (datetime.now(UTC) - self._epoch) * self._haste

    async def sleep(self, seconds: float) -> None:
        """Return once ``seconds`` of this clock have passed."""
        await asyncio.sleep(seconds / self._haste)


async def _settle() -> None:
    for _ in range(_SETTLING_ROUNDS):
        await asyncio.sleep(0)
