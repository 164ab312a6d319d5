# SPDX-License-Identifier: MIT
"""DeliverCargo at the server: take cargo over, one after the other, and acknowledge at the right moment."""

from __future__ import annotations

import logging
from enum import Enum, auto

from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck
from awala.bindings.cogrpc.quota import ConnectionQuota
from awala.bindings.cogrpc.server_call import (
    MAX_DETAILS,
    CallStatusError,
    Requests,
    ServerContext,
    send,
)
from awala.bindings.cogrpc.service import CogRpcService
from awala.bindings.errors import Forbidden, MalformedRequest, Unprocessable

_logger = logging.getLogger(__name__)


class Refusals(Enum):
    """What becomes of cargo that the service will never take (rules §6)."""

    ACKNOWLEDGE = auto()
    """It is acknowledged and dropped, so that nobody carries it again: gateways."""

    INVALID_ARGUMENT = auto()
    """The call ends with INVALID_ARGUMENT: couriers."""


class DeliverCall:
    """One DeliverCargo call.

    An acknowledgement is held back until the next cargo is there or ``ack_hold`` seconds have passed, because
    deployed senders stop as soon as nothing is pending (rules §6). What was taken over is acknowledged before
    the call ends, whatever ends it.
    """

    def __init__(
        self,
        service: CogRpcService,
        context: ServerContext,
        *,
        refusals: Refusals,
        ack_hold: float,
        quota: ConnectionQuota,
    ) -> None:
        self._service = service
        self._context = context
        self._refusals = refusals
        self._ack_hold = ack_hold
        self._quota = quota
        self._held: str | None = None

    async def run(self) -> None:
        """Take over all cargo of the call; return when the client has no more."""
        requests = Requests(self._context)
        try:
            while (message := await self._next(requests)) is not None:
                requests.read_ahead()
                delivery = CargoDelivery.parse(message)
                await self._take(delivery.cargo)
                self._held = delivery.delivery_id
        finally:
            await requests.close()

    async def _next(self, requests: Requests) -> bytes | None:
        try:
            message = await requests.next(None if self._held is None else self._ack_hold)
        except TimeoutError:
            await self._acknowledge_held()
            message = await requests.next()
        await self._acknowledge_held()
        return message

    async def _acknowledge_held(self) -> None:
        if self._held is not None:
            await send(self._context, CargoDeliveryAck(self._held).serialize())
            self._held = None

    async def _take(self, cargo: bytes) -> None:
        connection = self._context.peer()
        self._quota.check(connection, len(cargo))
        try:
            await self._service.deliver(cargo)
            self._quota.note(connection, len(cargo))
        except (MalformedRequest, Forbidden, Unprocessable) as refusal:
            if self._refusals is Refusals.INVALID_ARGUMENT:
                code = grpc.StatusCode.INVALID_ARGUMENT
                raise CallStatusError(code, str(refusal)[:MAX_DETAILS]) from refusal
            _logger.info("Dropped a cargo that was refused: %s", refusal)
