# SPDX-License-Identifier: MIT
"""DeliverCargo at the client: cargo out and acknowledgements in, at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from dataclasses import dataclass, field

from awala.bindings.cogrpc.client_call import ClientCall
from awala.bindings.cogrpc.errors import CodecError, UnsendableError
from awala.bindings.cogrpc.limits import END_WAIT
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck
from awala.bindings.cogrpc.service import OutgoingCargo
from awala.bindings.errors import BindingError, ProtocolError

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Progress:
    """What is on its way: octets by delivery id, and whether more will come."""

    pending: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    all_written: bool = False

    @property
    def done(self) -> bool:
        return self.all_written and not self.pending

    def patience(self, slowest: float) -> float | None:
        """Return the seconds that what is on its way may take, or None while there is nothing to wait for."""
        if not self.pending and not self.all_written:
            return None
        return sum(self.pending.values()) / slowest


class Delivery:
    """One DeliverCargo call.

    Our side is ended only after the last acknowledgement: deployed couriers drop those still due otherwise.
    ``slowest`` is the rate, in octets per second, below which a peer counts as gone.
    """

    def __init__(self, call: ClientCall, cargoes: AsyncIterable[OutgoingCargo], slowest: float) -> None:
        self._call = call
        self._cargoes = cargoes
        self._slowest = slowest
        self._progress = _Progress()

    async def acknowledged(self) -> AsyncGenerator[str, None]:
        """Send everything, and yield each delivery id when its acknowledgement has come."""
        self._noted()
        writing = asyncio.create_task(self._write_all())
        try:
            while (delivery_id := await self._next(writing)) is not None:
                if self._progress.pending.pop(delivery_id, None) is not None:
                    self._noted()
                    yield delivery_id
                    await self._half_close_if_done()
        finally:
            self._call.cancel()
            writing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await writing

    async def _next(self, writing: asyncio.Task[None]) -> str | None:
        """Return the id in the next acknowledgement, or None at the end of a complete delivery."""
        try:
            message = await self._call.read()
            if message is not None:
                return CargoDeliveryAck.parse(message).delivery_id
        except CodecError as error:
            raise ProtocolError("The peer sent an acknowledgement that cannot be read") from error
        except BindingError:
            if writing.done() and not writing.cancelled() and (fault := writing.exception()) is not None:
                raise fault from None
            if not self._progress.done:
                raise
            _logger.debug("The peer acknowledged everything, then ended the call badly or not at all")
            return None
        if not self._progress.done:
            raise ProtocolError("The peer ended the call before it had acknowledged every cargo")
        return None

    async def _write_all(self) -> None:
        try:
            async for cargo in self._cargoes:
                message = self._serialize(cargo)
                self._progress.pending[cargo.delivery_id] = len(message)
                self._noted()
                if not await self._call.write(message):
                    return
                self._noted()
            self._progress.all_written = True
            self._noted()
            await self._half_close_if_done()
        except Exception:
            self._call.cancel()
            raise

    def _serialize(self, cargo: OutgoingCargo) -> bytes:
        if cargo.delivery_id in self._progress.used:
            raise UnsendableError("Two cargoes of one call bear the same delivery id")
        self._progress.used.add(cargo.delivery_id)
        try:
            return CargoDelivery(cargo.delivery_id, cargo.cargo).serialize()
        except CodecError as error:
            raise UnsendableError(str(error)) from error

    async def _half_close_if_done(self) -> None:
        if self._progress.done:
            await self._call.half_close()

    def _noted(self) -> None:
        if self._progress.done:
            self._call.wind_up(END_WAIT)
        else:
            self._call.expect(self._progress.patience(self._slowest))
