# SPDX-License-Identifier: MIT
"""uvicorn's WebSocket protocol, made fit for large parcels on slow links.

Deployed collectors leave when no ping has come for seven seconds. A ping that waits behind megabytes
comes too late, so that large messages leave in fragments, each when the one before is nearly gone, and
little waits in the kernel. A peer that stops reading is cut rather than waited for.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.transports import BaseTransport
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from awala.bindings.poweb.names import MAX_COLLECTOR_MESSAGE

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

FRAGMENT_SIZE: Final = 64 * 1024
"""Octets of a message that leave in one frame."""

UNSENT_LIMIT: Final = 64 * 1024
"""Octets that wait in the kernel, and as many in front of it (TCP_NOTSENT_LOWAT)."""

UNACKNOWLEDGED_TIMEOUT: Final = 9_000
"""Milliseconds after which the kernel gives a peer up that acknowledges nothing (TCP_USER_TIMEOUT)."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds after which a connection that was closed is cut, whatever is still unsent."""


class PacedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Give this class to uvicorn as ``ws`` (``serve(…, ws=PacedWebSocketProtocol)``)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT
        self.conn.max_message_size = MAX_COLLECTOR_MESSAGE
        self._cut_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Set the limits of what may wait to be sent."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=UNSENT_LIMIT)
        connection = transport.get_extra_info("socket")
        for option, value in _options():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        if self._cut_timer is not None:
            self._cut_timer.cancel()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """Cut the connection of a peer that sends no pong: closing would wait until it reads."""
        super().keepalive_timeout()
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Cut the connection if closing takes too long."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._cut_timer = self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def shutdown(self) -> None:
        """End the connection when the server stops; one that is closing already needs no second close."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message, a large one in fragments between which pings pass."""
        if self.close_sent:
            raise ClientDisconnected
        data = message.get("bytes") if message["type"] == "websocket.send" else None
        if not isinstance(data, bytes) or len(data) <= FRAGMENT_SIZE or not self.handshake_complete:
            await super().send(message)
            return
        view = memoryview(data)
        for start in range(0, len(data), FRAGMENT_SIZE):
            await self._send_fragment(view[start : start + FRAGMENT_SIZE], start, len(data))

    async def _send_fragment(self, fragment: memoryview, start: int, size: int) -> None:
        await asyncio.sleep(0)  # let a ping that is due pass
        await self.writable.wait()
        if self.disconnected or self.close_sent:
            raise ClientDisconnected
        final = start + len(fragment) == size
        try:
            if start == 0:
                self.conn.send_binary(fragment, fin=final)
            else:
                self.conn.send_continuation(fragment, fin=final)
        except InvalidState:
            raise ClientDisconnected from None
        self.transport.write(b"".join(self.conn.data_to_send()))


def _options() -> list[tuple[int, int]]:
    """Return the socket options that this system has; they are of Linux, and partly of macOS."""
    wanted = (("TCP_NOTSENT_LOWAT", UNSENT_LIMIT), ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_TIMEOUT))
    return [(getattr(socket, name), value) for name, value in wanted if hasattr(socket, name)]
