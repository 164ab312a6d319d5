# SPDX-License-Identifier: MIT
"""What the server's two methods share: the view of a call, reading without losing messages, and statuses."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from awala.base.errors import StorageFullError
from awala.base.files import StorageError
from awala.bindings.cogrpc.errors import CodecError, Fulfilled, WrongRecipient
from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.errors import (
    Forbidden,
    MalformedRequest,
    TemporarilyUnavailable,
    Unauthenticated,
    Unprocessable,
)

_logger = logging.getLogger(__name__)

MAX_DETAILS: Final = 200
"""Characters of an error's message that are sent along with a status."""


class ServerContext(Protocol):
    """The part of grpcio's context of a call that is used here."""

    async def read(self) -> object:
        """Return the next message, or ``grpc.aio.EOF``."""

    async def write(self, message: bytes) -> None:
        """Send a message; return when the transport has room for more."""

    async def send_initial_metadata(self, metadata: tuple[()]) -> None:
        """Tell the client that the call is accepted."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...] | None:
        """Return what the client sent."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the client's deadline, None without one."""

    def peer(self) -> str:
        """Return gRPC's name of the connection: the peer's address and port."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set the status that the call ends with."""

    def set_details(self, details: str) -> None:
        """Set the text that goes with the status."""


class CallCutError(Exception):
    """The client is gone: nothing more can be sent in this call."""


class CallStatusError(Exception):
    """The call must end with this status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


_STATUSES: Final[tuple[tuple[type[Exception], grpc.StatusCode], ...]] = (
    (CodecError, grpc.StatusCode.INVALID_ARGUMENT),
    (WrongRecipient, grpc.StatusCode.INVALID_ARGUMENT),
    (Fulfilled, grpc.StatusCode.PERMISSION_DENIED),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (MalformedRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (Forbidden, grpc.StatusCode.INVALID_ARGUMENT),
    (Unprocessable, grpc.StatusCode.INVALID_ARGUMENT),
    (TemporarilyUnavailable, grpc.StatusCode.UNAVAILABLE),
)


def status_of(error: Exception) -> CallStatusError | None:
    """Return the status that stands for a service's error; None if the error is not one of the port."""
    if isinstance(error, CallStatusError):
        return error
    for kind, code in _STATUSES:
        if isinstance(error, kind):
            return CallStatusError(code, str(error)[:MAX_DETAILS])
    if isinstance(error, StorageFullError):  # its message names places on this machine
        return CallStatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, "There is no room for this")
    if isinstance(error, StorageError):
        _logger.warning("A CogRPC call failed because the store did: %s", error)
        return CallStatusError(grpc.StatusCode.UNAVAILABLE, "The store does not answer; try again later")
    return None


async def accept(context: ServerContext) -> None:
    """Tell the client that the call is accepted, ahead of any message.

    Without this, a call whose first message is not out in time could not be ended in an orderly way.

    Raises:
        CallCutError: the client is gone.
    """
    try:
        await context.send_initial_metadata(())
    except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
        raise CallCutError from error


async def send(context: ServerContext, message: bytes) -> None:
    """Send a message.

    Raises:
        CallCutError: the client is gone.
    """
    try:
        await context.write(message)
    except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
        raise CallCutError from error


class Requests:
    """The messages of a call, read one ahead, so that waiting for one can end without losing it."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._reading: asyncio.Task[object] | None = None

    def read_ahead(self) -> asyncio.Task[object]:
        """Begin to read the next message while the one before is in work."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def next(self, timeout: float | None = None) -> bytes | None:  # noqa: ASYNC109 - expiry is no error here
        """Return the next message, or None when the client has no more.

        Raises:
            TimeoutError: it did not come in time; call again for it.
        """
        reading = self.read_ahead()
        done, _ = await asyncio.wait({reading}, timeout=timeout)
        if not done:
            raise TimeoutError
        self._reading = None
        message = reading.result()
        return message if isinstance(message, bytes) else None

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _read(self) -> object:
        return await self._context.read()
