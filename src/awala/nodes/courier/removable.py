# SPDX-License-Identifier: MIT
"""A courier's removable media: what it carries, copied out and taken in (rules §6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from awala.base.clock import Clock
from awala.messages import MessageType, recognise
from awala.nodes.courier.cargo import CargoHold
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY
from awala.nodes.removable import ExportProgress, ImportProgress, export_to, import_from
from awala.spool.port import Spool

EXPORTED_LANES = frozenset({TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY, REQUESTS})


class CourierMedia:
    """Exports to and imports from one medium at a time."""

    def __init__(self, *, hold: CargoHold, spool: Spool, clock: Clock, events: EventHub) -> None:
        self._hold = hold
        self._spool = spool
        self._clock = clock
        self._events = events
        self._busy = asyncio.Lock()

    async def export(self, directory: Path) -> AsyncIterator[ExportProgress]:
        """Write everything on board to a directory, and keep it; raises MediumError."""
        async with self._busy:
            async for progress in export_to(directory, self._outgoing()):
                yield progress

    async def take_in(self, directory: Path) -> AsyncIterator[ImportProgress]:
        """Take over the cargo and authorisations in a directory; raises MediumError, StorageFullError."""
        async with self._busy:
            async for progress in import_from(directory, self._take):
                yield progress

    async def _outgoing(self) -> AsyncGenerator[bytes]:
        for hop in sorted(await self._spool.totals()):
            if hop.lane not in EXPORTED_LANES:
                continue
            async for item, body in self._hold.rest(hop):
                yield body
                kind, message_id = item.identity.kind.value, item.identity.message_id
                self._events.emit(
                    HopEvent(self._clock.now(), Action.OFFERED, kind, message_id, Way.MEDIA, item.size)
                )

    async def _take(self, octets: bytes) -> bool:
        if recognise(octets) is MessageType.CCA:
            await self._hold.keep_request(octets, Way.MEDIA)
        else:
            await self._hold.load(octets, Way.MEDIA)
        return True
