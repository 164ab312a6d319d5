# SPDX-License-Identifier: MIT
"""One call from the client's side: reading with a bound on silence, and every foreign error mapped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from awala.bindings.cogrpc.errors import Fulfilled, PeerFullError, WrongRecipient
from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.errors import (
    BindingError,
    MalformedError,
    ProtocolError,
    RefusedError,
    ServerError,
    UnauthenticatedError,
    UnreachableError,
)

_logger = logging.getLogger(__name__)


class Method(Enum):
    """The two methods of CogRPC."""

    DELIVER_CARGO = auto()
    COLLECT_CARGO = auto()


_CODE: Final = grpc.StatusCode
_COMMON: Final[dict[Any, Callable[[], BindingError]]] = {
    _CODE.UNAVAILABLE: lambda: UnreachableError("The peer is unavailable, or the connection broke"),
    _CODE.CANCELLED: lambda: UnreachableError("The peer cut the call"),
    _CODE.DEADLINE_EXCEEDED: lambda: UnreachableError("The peer did not end the call in time"),
    _CODE.UNAUTHENTICATED: lambda: UnauthenticatedError("The peer does not accept the CCA", status=None),
    _CODE.UNIMPLEMENTED: lambda: ProtocolError("The peer does not offer CogRPC"),
}
_DELIVER: Final[dict[Any, Callable[[], BindingError]]] = _COMMON | {
    _CODE.INVALID_ARGUMENT: lambda: MalformedError("The peer refused a cargo as invalid"),
    _CODE.PERMISSION_DENIED: lambda: RefusedError("The peer refused the delivery"),
    _CODE.RESOURCE_EXHAUSTED: lambda: PeerFullError("The peer has no room for more cargo"),
}
_COLLECT: Final[dict[Any, Callable[[], BindingError]]] = _COMMON | {
    _CODE.INVALID_ARGUMENT: lambda: WrongRecipient("The CCA is for another gateway"),
    _CODE.PERMISSION_DENIED: lambda: Fulfilled("The CCA was used before"),
}


def error_for(code: grpc.StatusCode, method: Method) -> BindingError:
    """Return the error that stands for a status, without the peer's text, which may name addresses."""
    table = _DELIVER if method is Method.DELIVER_CARGO else _COLLECT
    make = table.get(code)
    return ServerError(f"The peer failed with the status {code.name}") if make is None else make()


class ClientCall:
    """A call in progress; after ``idle`` seconds of silence the peer counts as gone."""

    def __init__(self, call: Any, method: Method, idle: float) -> None:
        self._call = call
        self._method = method
        self._idle = idle
        self._writing = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._patience: float | None = idle
        self._wait_from = 0.0

    async def read(self) -> bytes | None:
        """Return the next message, or None when the peer ended the call well.

        Raises:
            BindingError: it ended otherwise, or was silent for too long.
        """
        self._wait_from = _now()
        try:
            async with asyncio.timeout(None) as self._limit:
                self._reschedule()
                message = await self._read()
        except TimeoutError as error:
            raise UnreachableError("The peer has been silent for too long") from error
        finally:
            self._limit = None
        return message

    async def _read(self) -> bytes | None:
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            _logger.debug("A CogRPC call ended with %s", error.code())
            raise error_for(error.code(), self._method) from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            raise error_for(_CODE.CANCELLED, self._method) from None
        return message if isinstance(message, bytes) else None

    async def write(self, message: bytes) -> bool:
        """Send a message; return False if the call is over, about which :meth:`read` says more."""
        async with self._writing:
            try:
                await self._call.wait_for_connection()
                if self._call.done():
                    return False
                # The public ``write`` makes INTERNAL of the status of a call that the peer has just ended.
                await self._call._cython_call.send_serialized_message(message)  # noqa: SLF001 - for that reason
            except (grpc.aio.AioRpcError, grpc.aio.InternalError):
                return False
            except asyncio.CancelledError:
                self._call.cancel()
                if _is_cancelled():
                    raise
                return False
        return True

    async def half_close(self) -> None:
        """Tell the peer that nothing more will be sent, if it still listens."""
        try:
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, grpc.aio.InternalError) as error:
            _logger.debug("A CogRPC call had ended before its client was done: %s", type(error).__name__)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise

    def expect(self, extra: float | None) -> None:
        """Count silence from now: ``idle`` and ``extra`` seconds are allowed, None allows any time."""
        self._patience = None if extra is None else self._idle + extra
        self._wait_from = _now()
        self._reschedule()

    def wind_up(self, seconds: float) -> None:
        """Allow so many seconds from now, until the call ends: nothing else is expected of the peer."""
        self._patience = seconds
        self._wait_from = _now()
        self._reschedule()

    def cancel(self) -> None:
        """End the call, unless it has ended."""
        self._call.cancel()

    def _reschedule(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(None if self._patience is None else self._wait_from + self._patience)


def _is_cancelled() -> bool:
    """Tell a cancellation of this task from grpcio's way to say that the call was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _now() -> float:
    return asyncio.get_running_loop().time()
