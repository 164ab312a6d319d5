# SPDX-License-Identifier: MIT
"""Holds senders to the rate limits of their authorisations (RS-002, PDA rate limiting; rules §3)."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final

from awala.messages import InvalidMessageError, ParcelPath
from awala.pki import RateLimit
from awala.spool.model import Identity
from awala.spool.port import Spool

PARTS: Final = 64
"""Into so many parts a period is divided for counting."""

MAX_COUNTED: Final = 10_000
"""Authorisations that are counted at once; the one that was unused for longest starts anew beyond that."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RateLimits:
    """How many parcels came under each authorisation lately.

    Counts live in memory: a node that starts anew begins to count anew (decision 25).
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._counted: OrderedDict[tuple[str, bytes], _Window] = OrderedDict()

    async def check(self, path: ParcelPath, identity: Identity, *, at: datetime, now: datetime) -> None:
        """Count a parcel ``at`` its moment; raise InvalidMessageError if its sender has sent too many.

        One that was taken over before is not counted again, and passes.
        """
        limit = path.rate_limit
        if limit is None or await self._spool.seen(identity, now=now):
            return
        key = (path.endpoint_id, path.authorization.serial)
        window = self._counted.pop(key, None) or _Window(limit)
        self._counted[key] = window  # last in the order
        if len(self._counted) > MAX_COUNTED:
            self._counted.popitem(last=False)
        if not window.take(at):
            seconds = limit.period.total_seconds()
            raise InvalidMessageError(
                f"The sender may send {limit.limit} parcels in {seconds:.0f} s, no more"
            )


class _Window:
    """Counts in parts of the period, so that no period of any beginning ever has more than the limit.

    It may hold a sender back for one part longer than necessary.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit.limit
        self._part = max(limit.period / PARTS, timedelta(microseconds=1))
        self._counts: dict[int, int] = {}

    def take(self, at: datetime) -> bool:
        """Count one more at that moment unless it is one too many."""
        part = (at - _EPOCH) // self._part
        if self._most_with(part) >= self._limit:
            return False
        self._counts[part] = self._counts.get(part, 0) + 1
        self._forget(part)
        return True

    def _most_with(self, part: int) -> int:
        """Return the largest number in any period, and one part more, that holds this part."""
        near = {key: count for key, count in self._counts.items() if abs(key - part) <= PARTS}
        starts = {part, *(key for key in near if key <= part)}
        return max(
            sum(count for key, count in near.items() if start <= key <= start + PARTS) for start in starts
        )

    def _forget(self, part: int) -> None:
        """Keep two periods: dates need not come in order, but what is older counts for nobody."""
        newest = max(part, *self._counts)
        self._counts = {key: count for key, count in self._counts.items() if newest - key <= 2 * PARTS}
