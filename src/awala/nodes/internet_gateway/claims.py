# SPDX-License-Identifier: MIT
"""A collection authorisation (CCA) is used once: free, claimed by a call, fulfilled (rules §6)."""

from __future__ import annotations

from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.bindings.cogrpc import Busy, Fulfilled
from awala.pki.lifetimes import CLOCK_TOLERANCE
from awala.spool.model import Arrival, Carrier, Hop, Identity
from awala.spool.port import Spool

FULFILLED_LANE = "fulfilled"
"""Used-up authorisations pass through this lane, so that the spool remembers them to their expiry."""

CLAIM_LIFE = timedelta(minutes=20)
"""A claim whose call never ended is free again after this: longer than any call may last."""


class Claims:
    """Which authorisations are in use by a call, and which were used up."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._claims: dict[Identity, datetime] = {}

    async def claim(self, identity: Identity) -> None:
        """Reserve an authorisation for one call; raises Fulfilled or Busy."""
        now = self._clock.now()
        claimed = self._claims.get(identity)
        if claimed is not None and now - claimed < CLAIM_LIFE:
            raise Busy("the authorisation is being used by another call")
        self._claims[identity] = now  # before the look at the past: meanwhile another call may fulfil it
        try:
            if await self._spool.seen(identity, now=now):
                raise Fulfilled("the authorisation was used before")
        except BaseException:
            self.free(identity)
            raise

    def free(self, identity: Identity) -> None:
        """Let the authorisation stay good: its call was cut."""
        self._claims.pop(identity, None)

    async def fulfil(self, identity: Identity, expiry: datetime) -> None:
        """Remember until its end that the authorisation was used up: every cargo was sent."""
        now = self._clock.now()
        hop = Hop(FULFILLED_LANE, identity.sender)
        arrival = Arrival(identity, hop, now, expiry + CLOCK_TOLERANCE, b"", carriers=Carrier.CARGO)
        try:
            await self._spool.accept([arrival], now=now)
            await self._spool.release(await self._spool.snapshot(hop, now=now, budget=0), now=now)
        finally:
            self.free(identity)  # what could not be remembered stays good: a repetition does no harm
