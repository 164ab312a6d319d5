# SPDX-License-Identifier: MIT
"""Wake-ups in the order of commits, without polling (rules §4, ``changed``)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from awala.base.sqlite import StorageError
from awala.spool.model import Hop

REMEMBERED_SCOPES = 10_000
"""For how many scopes the last change is known exactly; older ones may wake once for nothing."""


class Changes:
    """Counts commits and wakes who waits for one.

    A position is the number of commits so far, whatever they changed; a scope
    has changed after a position if its own last commit has a higher number.
    Everything happens in the loop's thread, so there is no gap between the
    look at a position and the wait.
    """

    __slots__ = ("_closed", "_forgotten", "_last", "_position", "_waiters")

    def __init__(self) -> None:
        self._position = 0
        self._forgotten = 0
        self._last: OrderedDict[Hop | str, int] = OrderedDict()
        self._waiters: dict[Hop | str, set[asyncio.Future[None]]] = {}
        self._closed = False

    @property
    def position(self) -> int:
        """The number of commits so far."""
        return self._position

    @property
    def waiting(self) -> int:
        """How many waiters there are."""
        return sum(len(waiters) for waiters in self._waiters.values())

    def note(self, hops: Iterable[Hop]) -> None:
        """Record a commit that brought something for ``hops``, and wake their waiters."""
        scopes = dict.fromkeys(scope for hop in hops for scope in (hop, hop.lane))
        if not scopes:
            return
        self._position += 1
        for scope in scopes:
            self._last[scope] = self._position
            self._last.move_to_end(scope)
            for waiter in self._waiters.get(scope, ()):
                if not waiter.done():
                    waiter.set_result(None)
        while len(self._last) > REMEMBERED_SCOPES:
            self._forgotten = self._last.popitem(last=False)[1]

    async def wait(self, scope: Hop | str, after: int) -> int:
        """Return the position as soon as ``scope`` has changed after ``after``.

        Raises:
            StorageError: the store was closed meanwhile.

        """
        if self._closed:
            raise StorageError("the spool is closed")
        if self._last.get(scope, self._forgotten) > after:
            return self._position
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(scope, set())
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(scope, None)
        return self._position

    def close(self) -> None:
        """End every wait with an error: nothing will change any more."""
        self._closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(StorageError("the spool was closed"))
