# SPDX-License-Identifier: MIT
"""CollectCargo at the server: send cargo as fast as the client takes it, and heed its acknowledgements."""

from __future__ import annotations

import asyncio
import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from awala.bindings.cogrpc.errors import CodecError, UnsendableError
from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck
from awala.bindings.cogrpc.server_call import CallStatusError, Requests, ServerContext, accept, send
from awala.bindings.cogrpc.service import CargoCollection, OutgoingCargo

_SCHEMES: Final = ("relaynet-cca", "awala-cca")
_CUT_NOTICE: Final = 0.05
"""Seconds in which a cut shows: at first it looks as if the client had only ended its side."""


class OutOfTime(Enum):
    """How a collection ends when the client's deadline is near and there is cargo left (rules §6)."""

    UNAVAILABLE = auto()
    """Internet gateways: the CCA stays good, so the client should come again."""

    OK = auto()
    """Couriers: what was acknowledged is gone, the rest waits for the next CCA."""


@dataclass(frozen=True, slots=True)
class CollectionRules:
    """How a server ends its collections; all in seconds."""

    out_of_time: OutOfTime
    ack_wait: float
    deadline_margin: float


def collection_authorization(context: ServerContext) -> bytes | None:
    """Return the CCA in the metadata; None unless there is exactly one well-formed value."""
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return None
    scheme, _, encoding = values[0].partition(" ")
    if scheme.lower() not in _SCHEMES:
        return None
    try:
        return base64.b64decode(encoding.strip(), validate=True) or None
    except (binascii.Error, ValueError):
        return None


class CollectCall:
    """One CollectCargo call whose CCA was accepted."""

    def __init__(self, collection: CargoCollection, context: ServerContext, rules: CollectionRules) -> None:
        self._collection = collection
        self._context = context
        self._rules = rules
        self._pending: set[str] = set()
        self._all_sent = False
        self._ended = False
        self._half_closed = False
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Send everything, wait for acknowledgements within bounds, and finish the collection in any case."""
        try:
            await self._converse()
            self._ended = True
        finally:
            complete = self._all_sent and (self._ended or not self._pending)
            await self._collection.finish(complete=complete)
        if not self._all_sent and self._rules.out_of_time is OutOfTime.UNAVAILABLE:
            raise CallStatusError(grpc.StatusCode.UNAVAILABLE, "The deadline is too near to send the rest")

    async def _converse(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                await accept(self._context)
                listening = group.create_task(self._listen())
                await self._send_all()
                if self._all_sent:
                    await self._await_acknowledgements()
                listening.cancel()
        except ExceptionGroup as group_of_errors:
            raise group_of_errors.exceptions[0] from None

    def _time_left(self) -> float | None:
        remaining = self._context.time_remaining()
        return None if remaining is None else max(0.0, remaining - self._rules.deadline_margin)

    async def _send_all(self) -> None:
        cargoes = self._collection.cargoes()
        try:
            async with asyncio.timeout(self._time_left()) as limit:
                async for cargo in cargoes:
                    message = _serialize(cargo)
                    self._pending.add(cargo.delivery_id)
                    await send(self._context, message)
                self._all_sent = True
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            close = getattr(cargoes, "aclose", None)
            if close is not None:
                await close()

    async def _listen(self) -> None:
        requests = Requests(self._context)
        try:
            while (message := await requests.next()) is not None:
                delivery_id = CargoDeliveryAck.parse(message).delivery_id
                if delivery_id in self._pending:
                    await self._collection.acknowledge(delivery_id)
                    self._pending.discard(delivery_id)
                    self._news.set()
            self._half_closed = True
            self._news.set()
        finally:
            await requests.close()

    async def _await_acknowledgements(self) -> None:
        left = self._time_left()
        patience = self._rules.ack_wait if left is None else min(left, self._rules.ack_wait)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._pending and not self._half_closed:
                    self._news.clear()
                    await self._news.wait()
        if self._pending and self._half_closed:
            await asyncio.sleep(_CUT_NOTICE)


def _serialize(cargo: OutgoingCargo) -> bytes:
    try:
        return CargoDelivery(cargo.delivery_id, cargo.cargo).serialize()
    except CodecError as error:
        raise UnsendableError(str(error)) from error
