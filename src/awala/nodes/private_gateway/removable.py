# SPDX-License-Identifier: MIT
"""A private gateway's removable media, which take the place of a courier's visit (rules §6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from awala.base.clock import Clock
from awala.messages import Cargo, MessageType, recognise
from awala.nodes.channel import Unpacker
from awala.nodes.events import Way
from awala.nodes.private_gateway.credentials import Credentials
from awala.nodes.private_gateway.freight import Freight
from awala.nodes.removable import ExportProgress, ImportProgress, export_to, import_from


class PrivateGatewayMedia:
    """Exports to and imports from one medium at a time."""

    def __init__(
        self, *, credentials: Credentials, freight: Freight, unpacker: Unpacker, clock: Clock
    ) -> None:
        self._credentials = credentials
        self._freight = freight
        self._unpacker = unpacker
        self._clock = clock
        self._busy = asyncio.Lock()

    async def export(self, directory: Path) -> AsyncIterator[ExportProgress]:
        """Write what waits for the Internet gateways, and authorisations to collect the answers.

        All of it stays here, and is exported again the next time, until it is acknowledged from end to end.
        Raises NotPairedError, CertificateExpiredError, MediumError.
        """
        async with self._busy:
            self._credentials.uplink_path(self._clock.now())
            async for progress in export_to(directory, self._outgoing()):
                yield progress

    async def take_in(self, directory: Path) -> AsyncIterator[ImportProgress]:
        """Take over the cargo for this gateway, and unpack it.

        Raises NotPairedError, MediumError, StorageFullError.
        """
        async with self._busy:
            _ = self._credentials.peer  # without one nobody can have written to us
            async for progress in import_from(directory, self._take):
                yield progress
            await self._unpacker.settle()

    async def _outgoing(self) -> AsyncGenerator[bytes]:
        for peer in self._freight.gateways():
            yield await self._freight.authorization(peer)
        async for prepared in self._freight.cargoes():
            yield prepared.octets

    async def _take(self, octets: bytes) -> bool:
        if recognise(octets) is not MessageType.CARGO:
            return False
        if Cargo.parse(octets).recipient.id != self._credentials.node_id:
            return False
        await self._freight.take(octets, Way.MEDIA)
        return True
