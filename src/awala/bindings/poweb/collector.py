# SPDX-License-Identifier: MIT
"""The client's side of a parcel collection (RS-016 §3.4, rules §8)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Self

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.protocol import State
from websockets.uri import parse_uri

from awala.base.errors import AwalaError
from awala.bindings.closing import Closing
from awala.bindings.dialling import Dialler, tls_problem
from awala.bindings.errors import (
    BindingError,
    ProtocolError,
    ServerError,
    UnauthenticatedError,
    UnreachableError,
)
from awala.bindings.poweb.answers import error_for
from awala.bindings.poweb.names import CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, PING_INTERVAL, SILENCE, CloseCode
from awala.bindings.poweb.service import StreamingMode
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from awala.messages.limits import MAX_RAMF_SIZE

MAX_DELIVERY: Final = MAX_RAMF_SIZE + 4096
"""Octets of a message that a server sends: the largest message there is, and its envelope."""

WAITING_FRAMES: Final = 2
"""Frames received ahead of their reader; then we stop reading."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that the closing handshake may take."""

SEND_TIMEOUT: Final = 9.0
"""Seconds that a server may leave an acknowledgement unread."""

MIN_ACK_INTERVAL: Final = 0.020
"""Seconds between acknowledgements: deployed servers glue together what comes faster (rules §8)."""

MAX_ACK_INTERVAL: Final = 0.500
"""Seconds to which that grows."""


class AckPacing:
    """Spaces acknowledgements; outlives connections, so that what was learnt stays learnt (rules §8).

    Attributes:
        interval: seconds between two acknowledgements.

    """

    def __init__(self) -> None:
        self.interval = MIN_ACK_INTERVAL
        self._lock = asyncio.Lock()
        self._last: float | None = None

    def slow_down(self) -> None:
        """Double the interval, to half a second at most: a server did not understand us."""
        self.interval = min(2 * self.interval, MAX_ACK_INTERVAL)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, alone and long enough after the one before."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if self._last is not None:
                await asyncio.sleep(max(0.0, self._last + self.interval - loop.time()))
            try:
                yield
            finally:
                self._last = loop.time()


class WatchedConnection(ClientConnection):
    """A WebSocket that sends pings and gives up when nothing at all comes back.

    Attributes:
        silent: whether it was given up for silence.

    """

    def __init__(self, protocol: ClientProtocol, *, silence: float, ping_interval: float) -> None:
        super().__init__(
            protocol, ping_interval=None, close_timeout=CLOSE_TIMEOUT, max_queue=(WAITING_FRAMES, 0)
        )
        self.silent = False
        self._silence = silence
        self._between_pings = ping_interval
        self._heard = self._pinged = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to watch."""
        super().connection_made(transport)
        self._heard = self._pinged = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to watch."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hear: any octet is a sign of life, be it of a ping, a pong or a large parcel under way."""
        self._heard = self.loop.time()
        super().data_received(data)

    def _look(self) -> None:
        now = self.loop.time()
        if self.recv_messages.paused:
            # It is we who don't listen, because the parcels received before are still being handled.
            self._heard = now
        if now - self._heard >= self._silence:
            self.silent = True
            self.transport.abort()
            return
        if now - self._pinged >= self._between_pings:
            self._pinged = now
            if self.protocol.state is State.OPEN:
                self.protocol.send_ping(b"")
                self.send_data()
        due = min(self._heard + self._silence, self._pinged + self._between_pings)
        self._watch = self.loop.call_later(max(0.0, due - now), self._look)


async def open_websocket(
    *,
    uri: str,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    dialler: Dialler,
    headers: dict[str, str],
    now: Callable[[], datetime],
    silence: float = SILENCE,
    ping_interval: float = PING_INTERVAL,
) -> WatchedConnection:
    """Open a WebSocket; redirects are not followed.

    Raises:
        UnreachableError: no connection, or none in time.
        ProtocolError: the server doesn't speak WebSocket.
        BindingError: the error that the server's HTTP status stands for.

    """
    protocol = ClientProtocol(parse_uri(uri), max_size=MAX_DELIVERY)
    connection: WatchedConnection | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            sock = await dialler.connect(host, port)
            try:
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: WatchedConnection(protocol, silence=silence, ping_interval=ping_interval),
                    sock=sock,
                    ssl=tls,
                    server_hostname=None if tls is None else host,
                )
            except BaseException:
                sock.close()
                raise
            await connection.handshake(headers, None)
    except BaseException as error:
        if connection is not None:
            connection.transport.abort()
        mapped = _opening_error(error, now)
        if mapped is None:
            raise
        raise mapped from error
    return connection


def _opening_error(error: BaseException, now: Callable[[], datetime]) -> BindingError | None:
    mapped: BindingError | None = None
    match error:
        case InvalidStatus():
            status, headers = error.response.status_code, error.response.headers
            retry_after = headers.get_all("retry-after")
            mapped = error_for(status, retry_after[0] if retry_after else None, now())
        case InvalidMessage() if isinstance(error.__cause__, EOFError):
            mapped = UnreachableError("The gateway hung up before the collection began")
        case InvalidHandshake():
            mapped = ProtocolError("The gateway's answer to the collection request is not WebSocket")
        case TimeoutError():
            mapped = UnreachableError("The gateway did not open the collection in time")
        case ssl.SSLError():
            mapped = UnreachableError(tls_problem(error))
        case OSError():
            mapped = UnreachableError("The gateway cannot be reached")
    return mapped


class Delivery:
    """A parcel that was handed to us.

    Attributes:
        parcel: its octets, as the gateway sent them.

    """

    __slots__ = ("_acknowledge", "parcel")

    def __init__(self, parcel: bytes, acknowledge: Callable[[], Awaitable[None]]) -> None:
        self.parcel = parcel
        self._acknowledge: Callable[[], Awaitable[None]] | None = acknowledge

    async def acknowledge(self) -> None:
        """Tell the gateway that the parcel is safe here; it forgets it. Once is enough, twice does no harm.

        Raises:
            UnreachableError: the connection ended before; the parcel will be handed out again.

        """
        if self._acknowledge is not None:
            await self._acknowledge()
            self._acknowledge = None


class ParcelCollection(AsyncIterator[Delivery], Closing):
    """A collection under way: an iterator over deliveries, and a context that closes it.

    It connects when the first delivery is asked for. It ends normally when the server
    closes with 1000 (or without a code), and in keep-alive mode with 4000: the server is stopping.
    Any other end raises; coming back is up to the caller.

    Attributes:
        close_code: how the connection ended (RFC 6455 §7.4; 1006 if it was lost); None until then.

    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[WatchedConnection]],
        sign: Callable[[bytes], Sequence[bytes]],
        mode: StreamingMode,
        pacing: AckPacing,
        on_open: Callable[[], None] | None = None,
    ) -> None:
        self.close_code: int | None = None
        self._on_open = on_open
        self._connect = connect
        self._sign = sign
        self._mode = mode
        self._pacing = pacing
        self._connection: WatchedConnection | None = None
        self._ended = False
        self._deliveries = 0
        self._acknowledged = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        """Return the next delivery.

        Raises:
            UnreachableError: no connection, or it was lost or fell silent.
            UnauthenticatedError: the gateway does not accept our signatures.
            ServerError: the gateway ended the collection before its time.
            ProtocolError: the gateway said something that can't be understood.

        """
        if self._ended:
            raise StopAsyncIteration
        try:
            connection = await self._open() if self._connection is None else self._connection
            return await self._receive(connection)
        except ConnectionClosed as closed:
            error = self._end_of(closed)
            await self.aclose()
            if error is None:
                raise StopAsyncIteration from None
            raise error from closed
        except AwalaError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection; what was not acknowledged will be handed out again."""
        self._ended = True
        if self._connection is not None:
            await _close(self._connection, CloseCode.COMPLETED)
            if self.close_code is None:
                self.close_code = self._connection.close_code

    async def _open(self) -> WatchedConnection:
        connection = self._connection = await self._connect()
        try:
            await self._shake_hands(connection)
        except (AwalaError, ConnectionClosed):
            raise
        except BaseException:  # cancelled half-way: the next attempt starts afresh
            self._connection = None
            connection.transport.abort()
            raise
        return connection

    async def _shake_hands(self, connection: WatchedConnection) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                message = await connection.recv()
        except TimeoutError:
            raise UnreachableError("The gateway did not start the handshake in time") from None
        try:
            challenge = HandshakeChallenge.parse(_binary(message))
        except AwalaError as error:
            await self._reject(connection)
            raise ProtocolError("The gateway's handshake challenge is malformed") from error
        signatures = tuple(self._sign(challenge.nonce))
        if not signatures:
            raise UnauthenticatedError("There is no certificate to collect parcels with", status=None)
        await self._send(connection, HandshakeResponse(signatures).serialize())
        if self._on_open is not None:
            self._on_open()

    async def _receive(self, connection: WatchedConnection) -> Delivery:
        message = await connection.recv()
        try:
            delivery = ParcelDelivery.parse(_binary(message))
        except AwalaError as error:
            await self._reject(connection)
            raise ProtocolError("The gateway sent a malformed delivery") from error
        self._deliveries += 1

        async def acknowledge() -> None:
            async with self._pacing.turn():
                await self._send(connection, delivery.delivery_id)
                self._acknowledged += 1

        return Delivery(delivery.parcel, acknowledge)

    async def _send(self, connection: WatchedConnection, message: str | bytes) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await connection.send(message)
        except TimeoutError:
            connection.transport.abort()
            raise UnreachableError("The gateway does not read what we send") from None
        except ConnectionClosed as closed:
            if isinstance(message, bytes):
                raise
            raise UnreachableError("The collection ended before the acknowledgement was sent") from closed

    async def _reject(self, connection: WatchedConnection) -> None:
        """Close as the protocol wants it when a message can't be understood."""
        self.close_code = CloseCode.REFUSED
        await _close(connection, CloseCode.REFUSED)

    def _end_of(self, closed: ConnectionClosed) -> BindingError | None:
        """Return the error that this end is, or None if it is a normal one."""
        if closed.rcvd is None:
            return self._loss(closed)
        self.close_code = code = closed.rcvd.code
        if code in (CloseCode.COMPLETED, CloseCode.NO_CODE):
            return None
        if code == CloseCode.DRAINED and self._mode is StreamingMode.KEEP_ALIVE:
            return None
        if code == CloseCode.REFUSED:
            return self._refusal()
        return ServerError(f"The gateway ended the collection ({code})")

    def _loss(self, closed: ConnectionClosed) -> BindingError:
        self.close_code = CloseCode.LOST
        if self._connection is not None and self._connection.silent:
            return UnreachableError("The gateway fell silent")
        if closed.sent is not None and closed.sent.code != CloseCode.COMPLETED:
            self.close_code = closed.sent.code
            return ProtocolError(f"The gateway broke the WebSocket protocol ({closed.sent.code})")
        return UnreachableError("The connection to the gateway was lost")

    def _refusal(self) -> BindingError:
        if self._acknowledged:
            self._pacing.slow_down()
            return ServerError(f"The gateway did not understand an acknowledgement ({CloseCode.REFUSED})")
        if self._deliveries:
            return ServerError(f"The gateway ended the collection ({CloseCode.REFUSED})")
        return UnauthenticatedError(
            f"The gateway does not accept our handshake ({CloseCode.REFUSED})", status=None
        )


async def _close(connection: WatchedConnection, code: CloseCode) -> None:
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT):
            await connection.close(code)
    except TimeoutError:
        # The closing handshake has a bound of its own, but not what waits to be sent before it.
        connection.transport.abort()
        await connection.wait_closed()


def _binary(message: str | bytes) -> bytes:
    """Return the octets of a message; a text, which it should not be, is read for what it is."""
    return message if isinstance(message, bytes) else message.encode()
