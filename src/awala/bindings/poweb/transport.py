# SPDX-License-Identifier: MIT
"""uvicorn's WebSocket protocol, made fit for large parcels on slow links.

Deployed collectors leave when no ping has come for seven seconds. A ping that waits behind megabytes
comes too late, so that large messages leave in fragments, each when the one before is nearly gone, and
little waits in the kernel. A peer that stops reading is cut rather than waited for; a slow one, which has
not even received our ping yet, is not taken for dead while octets arrive.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from asyncio.transports import BaseTransport
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from awala.bindings.dialling import keep_little_unsent
from awala.bindings.poweb.names import MAX_COLLECTOR_MESSAGE

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

FRAGMENT_SIZE: Final = 64 * 1024
"""Octets of a message that leave in one frame."""

UNSENT_LIMIT: Final = 64 * 1024
"""Octets that wait in the kernel, and as many in front of it."""

CLOSE_TIMEOUT: Final = 5.0
"""Seconds after which a connection that was closed is cut, whatever is still unsent."""


SLOWEST_LINK: Final = 4 * 1024
"""Octets per second at which what lies ahead of a ping has to arrive, lest the peer count as gone."""

RECHECK: Final = 0.5
"""Seconds between two looks at a ping whose pong is awaited."""

_TCP_INFO_SIZE: Final = 192
_BYTES_ACKNOWLEDGED: Final = 120  # the offset of tcpi_bytes_acked in Linux's struct tcp_info


class PacedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Give this class to uvicorn as ``ws`` (``serve(…, ws=PacedWebSocketProtocol)``)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT
        self.conn.max_message_size = MAX_COLLECTOR_MESSAGE
        self._cut_timer: asyncio.TimerHandle | None = None
        self._ping: _Ping | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Set the limits of what may wait to be sent."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=UNSENT_LIMIT)
        # No TCP_USER_TIMEOUT: Linux would count a slow reader, whose window is small, as gone.
        keep_little_unsent(transport.get_extra_info("socket"), UNSENT_LIMIT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        if self._cut_timer is not None:
            self._cut_timer.cancel()
        super().connection_lost(exc)

    def send_keepalive_ping(self) -> None:
        """Send a ping; the time for its pong counts from when the ping has arrived."""
        acknowledged, waiting = _progress(self.transport)
        self._ping = _Ping(acknowledged + waiting, self.loop.time(), acknowledged, arrived=not waiting)
        super().send_keepalive_ping()
        if self.pong_timer is not None:
            self.pong_timer.cancel()
            self.pong_timer = self.loop.call_later(RECHECK, self.keepalive_timeout)

    def keepalive_timeout(self) -> None:
        """Cut the connection of a peer that sends no pong: closing would wait until it reads."""
        patience = self.ping_timeout or 0.0
        left = 0.0
        if self._ping is not None:
            self._ping.look(_progress(self.transport)[0], self.loop.time(), patience)
            left = self._ping.since + patience - self.loop.time()
        if left > 0:
            self.pong_timer = self.loop.call_later(min(left, RECHECK), self.keepalive_timeout)
            return
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


@dataclass(slots=True)
class _Ping:
    """A ping whose pong is awaited."""

    arrival: int
    """How many octets the peer has acknowledged in all once the ping is among them."""
    since: float
    """When it arrived, or when enough of what is ahead of it had last arrived."""
    acknowledged: int
    """How many octets had been acknowledged then."""
    arrived: bool = False

    def look(self, acknowledged: int, now: float, patience: float) -> None:
        """Begin the patience anew when the ping has arrived, and as long as the link brings it nearer."""
        arrives = acknowledged >= self.arrival
        if not self.arrived and (arrives or acknowledged - self.acknowledged >= SLOWEST_LINK * patience):
            self.arrived, self.since, self.acknowledged = arrives, now, acknowledged


def _progress(transport: asyncio.Transport) -> tuple[int, int]:
    """Return how many octets the peer's kernel has acknowledged, and how many are on their way.

    Where the system does not tell (it is Linux that does), everything counts as arrived.
    """
    connection = transport.get_extra_info("socket")
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
        (acknowledged,) = struct.unpack_from("Q", info, _BYTES_ACKNOWLEDGED)
    except (AttributeError, OSError, ValueError, struct.error):
        return 0, 0
    return acknowledged, unacknowledged + transport.get_write_buffer_size()
