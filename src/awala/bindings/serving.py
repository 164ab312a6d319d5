# SPDX-License-Identifier: MIT
"""Runs an ASGI application on a TCP port with uvicorn, from our own code.

Signals, lifespan and logging stay with whoever composes the node; a server ends by ``drain`` or by
leaving its context, always within a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from awala.base.errors import ConfigurationError
from awala.bindings.accepting import Acceptor, ConnectionLimits
from awala.bindings.host_port import join_address, split_address

MAX_HEADER_SIZE: Final = 16 * 1024
"""Octets of a request line and its headers, together; the last KiB may be refused already."""

HEADER_TIMEOUT: Final = 10.0
"""Seconds for the headers of a request, counted from the connection, or later from the first octet."""

UNWANTED_TIMEOUT: Final = 10.0
"""Seconds for the rest of a body whose request has been answered already."""

KEEP_ALIVE: Final = 30
"""Seconds that an idle connection is kept."""

DEFAULT_GRACE: Final = 5
"""Seconds that running requests get to end when a server is drained."""

IDLE_CLOSE: Final = 0.25
"""Seconds that idle connections get to close in order when a server is drained."""

_HEADER_PIECE: Final = 1024  # octets
_HEADER_END: Final = b"\r\n\r\n"

_DATE_INTERVAL: Final = 1.0  # the Date header has a resolution of one second

_log = logging.getLogger(__name__)


class _HeadWithBody:
    """Stands between an answer and its connection: the head leaves together with what follows at once.

    One write instead of two, and for the peer one wake-up. A head that nothing follows within the same
    turn of the loop leaves alone.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._begun = False

    def write(self, data: bytes) -> None:
        if not self._begun:
            self._begun, self._head = True, data
            self._loop.call_soon(self._flush)
            return
        head, self._head = self._head, None
        self._transport.write(data if head is None else head + data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        head, self._head = self._head, None
        if head is not None:
            self._transport.write(head)


class _BoundedH11Protocol(H11Protocol):
    """Bounds the headers of requests strictly, and the time that a peer may take where nobody else looks.

    uvicorn gives up idle connections; here are those that are about to say something, and never do.
    """

    _deadline: asyncio.TimerHandle | None = None
    _started = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # h11 checks the size of headers only while they are incomplete, so they are fed bit by bit, unless
        # they came all at once and are no longer than they may be.
        whole = not self.conn.trailing_data[0] and data.find(_HEADER_END, 0, MAX_HEADER_SIZE) >= 0
        while not whole and len(data) > _HEADER_PIECE and self.conn.their_state is h11.IDLE:
            super().data_received(data[:_HEADER_PIECE])
            data = data[_HEADER_PIECE:]
            if self.transport.is_closing():
                return
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        if getattr(self.cycle, "transport", None) is self.transport:  # whose task has not begun yet
            self.cycle.transport = _HeadWithBody(self.transport, self.loop)  # type: ignore[assignment]  # enough for it
        self._started = self._started or self.conn.their_state is not h11.IDLE

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """See to it that what is awaited from the peer has a time; what is under way keeps its own."""
        if self.conn.their_state is h11.IDLE and (not self._started or self.conn.trailing_data[0]):
            self._set_deadline(HEADER_TIMEOUT)
        elif self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self._set_deadline(UNWANTED_TIMEOUT)
        else:
            self._set_deadline(None)

    def _set_deadline(self, seconds: float | None) -> None:
        """Start the timer unless it runs; None stops it."""
        if seconds is None and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif seconds is not None and self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without its signal handlers, told to stop by an event, and accepting within bounds."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self.servers: list[Any] = []
        self._listener = listener
        self._limits = limits
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: they belong to the program."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's API
        """Accept connections, and say so."""
        await self.lifespan.startup()
        acceptor = Acceptor(self._listener, self._make_protocol, tls=self.config.ssl, limits=self._limits)
        self.servers.append(acceptor)
        self.started = True
        self.ready.set()

    def _make_protocol(self) -> asyncio.Protocol:
        return _BoundedH11Protocol(self.config, self.server_state, self.lifespan.state)

    async def main_loop(self) -> None:
        """Keep the Date header fresh until the end is asked for."""
        while not self.should_exit:
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _DATE_INTERVAL)

    def stop(self) -> None:
        """Ask for the end."""
        self.should_exit = True
        self._stop.set()

    def close_listeners(self) -> None:
        """Accept no more connections."""
        for acceptor in self.servers:
            acceptor.close()

    @property
    def is_busy(self) -> bool:
        """Whether any request is being answered."""
        return bool(self.server_state.tasks)

    def abort_connections(self) -> None:
        """Cut what is still connected after the grace."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Server:
    """A running server, as ``serve`` hands it out.

    Attributes:
        address: where it accepts connections: ``127.0.0.1:43211``, with the real port.

    """

    def __init__(
        self,
        address: str,
        server: _Uvicorn,
        task: asyncio.Task[None],
        on_drain: Callable[[], Awaitable[None]] | None,
        grace: float,
    ) -> None:
        self.address = address
        self._server = server
        self._task = task
        self._on_drain = on_drain
        self._grace = grace
        self._draining = asyncio.Lock()

    @property
    def port(self) -> int:
        """The port alone."""
        return split_address(self.address)[1]

    async def drain(self) -> None:
        """Accept nothing new, let what runs end within the grace, then stop. May be called again."""
        async with self._draining:
            if self._task.done():
                return
            self._server.close_listeners()
            if self._on_drain is not None:
                await self._run_hook(self._on_drain)
            self._server.stop()
            try:
                await self._end_idle_connections()
                await asyncio.shield(self._task)
            finally:
                self._server.abort_connections()

    async def _end_idle_connections(self) -> None:
        """Cut the connections that nobody uses; a peer that does not read would keep them for the grace."""
        while not self._task.done():
            await asyncio.wait((self._task,), timeout=IDLE_CLOSE)
            if not self._server.is_busy:
                self._server.abort_connections()

    async def _run_hook(self, hook: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self._grace):
                await hook()
        except TimeoutError:
            _log.warning("Open conversations did not end within the grace and are cut")
        except Exception:  # noqa: BLE001 - draining has to go on, or the node could not stop
            _log.exception("Closing open conversations failed")


@contextlib.asynccontextmanager
async def serve(
    app: Callable[..., Awaitable[None]],
    listen: str,
    *,
    tls: ssl.SSLContext | None = None,
    grace: int = DEFAULT_GRACE,
    on_drain: Callable[[], Awaitable[None]] | None = None,
    ws: type[asyncio.Protocol] | str = "none",
    ws_max_size: int = 16 * 1024,
    ws_max_queue: int = 8,
    ws_ping_interval: float | None = 5.0,
    ws_ping_timeout: float | None = 4.0,
    ws_per_message_deflate: bool = False,
    limits: ConnectionLimits | None = None,
) -> AsyncIterator[Server]:
    """Serve ``app`` on ``listen`` until the context ends.

    Args:
        app: an ASGI 3 application; lifespan events are not sent to it.
        listen: ``host:port``; port 0 is any free one.
        tls: how to speak TLS; None is plain HTTP, for loopback or behind a proxy.
        grace: seconds that open requests get to end.
        on_drain: awaited first when the server is drained, within ``grace``, after it has stopped to
            accept: the place to close WebSockets with a code of one's own.
        ws: uvicorn's WebSocket implementation, by name or class; ``none`` refuses upgrades.
        ws_max_size: octets of an incoming WebSocket message.
        ws_max_queue: incoming WebSocket messages kept unread.
        ws_ping_interval: seconds between pings.
        ws_ping_timeout: seconds within which a pong has to come.
        ws_per_message_deflate: whether to offer compression.
        limits: how many connections there may be at once.

    Raises:
        ConfigurationError: nothing can listen there; the message names the address.

    """
    sock = await _bind(listen)
    try:
        config = uvicorn.Config(
            app,
            http=_BoundedH11Protocol,
            ws=ws,
            ws_max_size=ws_max_size,
            ws_max_queue=ws_max_queue,
            ws_ping_interval=ws_ping_interval,
            ws_ping_timeout=ws_ping_timeout,
            ws_per_message_deflate=ws_per_message_deflate,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=grace,
            ssl_context_factory=_fixed(tls),
            h11_max_incomplete_event_size=MAX_HEADER_SIZE - _HEADER_PIECE,
        )
        config.load()
        server = _Uvicorn(config, sock, limits or ConnectionLimits())
        host, port = sock.getsockname()[:2]
        task = asyncio.create_task(server.serve(), name=f"serve {join_address(host, port)}")
        running = Server(join_address(host, port), server, task, on_drain, grace)
        try:
            await _until_ready(server, task)
            yield running
        finally:
            await _end(running, server, task)
    finally:
        sock.close()


async def _until_ready(server: _Uvicorn, task: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
    if task.done():
        task.result()


async def _end(running: Server, server: _Uvicorn, task: asyncio.Task[None]) -> None:
    try:
        await running.drain()
    finally:
        # Reached with the task alive only when we are cancelled ourselves while draining.
        if not task.done():
            server.abort_connections()
            server.force_exit = True
            server.stop()
            task.cancel()
            await asyncio.wait((task,))


def _fixed(tls: ssl.SSLContext | None) -> Callable[[Any, Any], ssl.SSLContext] | None:
    if tls is None:
        return None
    return lambda _config, _default: tls


async def _bind(listen: str) -> socket.socket:
    """Return a socket bound to the first address of ``listen`` that can be had."""
    host, port = split_address(listen)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"Cannot listen on {listen}: the host is not known") from error
    problem: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen()
        except OSError as error:
            sock.close()
            problem = error
        else:
            sock.setblocking(False)  # noqa: FBT003 - the method takes it so
            return sock
    reason = problem.strerror if problem is not None else "the host has no address"
    raise ConfigurationError(f"Cannot listen on {listen}: {reason}") from problem
