# SPDX-License-Identifier: MIT
"""How long to wait before trying again (rules §9)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

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


def local_backoff() -> Backoff:
    """Return the back-off towards a peer on this machine."""
    return Backoff(first=LOCAL_WAIT, longest=LONGEST_LOCAL_WAIT)
