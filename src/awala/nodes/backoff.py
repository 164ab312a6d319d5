# SPDX-License-Identifier: MIT
"""How long to wait before trying again (rules §9)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LONGEST_WAIT = timedelta(hours=6)
"""No retry waits longer than this (rules §9)."""

LOCAL_WAIT = timedelta(seconds=1)
"""The first wait towards a peer on this machine or a courier (rules §9)."""

LONGEST_LOCAL_WAIT = timedelta(seconds=30)
"""No retry towards a peer on this machine waits longer: trying costs nobody anything (decision 9)."""

INTERNET_WAIT = timedelta(seconds=5)
"""The first wait towards a peer on the Internet (rules §9)."""

LEAST_SHARE = 0.1
"""The part of a wait that jitter never takes away, so that no loop runs without pause."""

_MAX_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: a random part of a wait that doubles each time.

    A tenth of the wait is always kept.
    """

    first: timedelta = INTERNET_WAIT
    longest: timedelta = LONGEST_WAIT
    jitter: Callable[[], float] = field(default=random.random)

    def wait(self, failures: int, retry_after: float | None = None) -> timedelta:
        """Return the wait after ``failures`` (1 or more) attempts in a row that failed.

        ``retry_after`` is what the peer asked for, in seconds; it is honoured
        up to the longest wait.
        """
        doublings = min(max(failures, 1) - 1, _MAX_DOUBLINGS)
        ceiling = min(self.first * float(2**doublings), self.longest)
        chosen: timedelta = ceiling * max(LEAST_SHARE, self.jitter())
        if retry_after is not None:
            chosen = max(chosen, min(timedelta(seconds=retry_after), self.longest))
        return chosen


class Attempts:
    """Counts the failures in a row of a loop that keeps coming back to its peer, and says how long to wait.

    An attempt succeeded if something came of it, or if it held for as long as the first wait. Who lets us in
    and ends it at once, in whatever friendly a way, makes the wait grow like who does not answer (rules §9).
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures = 0
        self._opened: datetime | None = None
        self._successful = False

    def begin(self) -> None:
        """Begin an attempt."""
        self._opened = None
        self._successful = False

    def opened(self, now: datetime) -> None:
        """Take note that the peer let us in."""
        self._opened = now

    def succeeded(self) -> None:
        """Take note that something came of the attempt."""
        self._successful = True

    def wait(self, now: datetime, retry_after: float | None = None) -> timedelta:
        """End the attempt; return how long to wait before the next one."""
        held = self._opened is not None and now - self._opened >= self._backoff.first
        self._failures = 1 if self._successful or held else self._failures + 1
        return self._backoff.wait(self._failures, retry_after)


def local_backoff() -> Backoff:
    """Return the back-off towards a peer on this machine."""
    return Backoff(first=LOCAL_WAIT, longest=LONGEST_LOCAL_WAIT)
