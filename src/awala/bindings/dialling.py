# SPDX-License-Identifier: MIT
"""Puts a dialler under HTTP and WebSockets, so that whoever checks addresses also opens the sockets.

TLS and the Host header keep speaking of the name. Apps import this module, so it stays light.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final, Protocol

import httpcore2
import httpx2

_READ_AHEAD: Final = 64 * 1024  # octets received before anybody asks for them


UNSENT_LIMIT: Final = 64 * 1024
"""Octets that wait in the kernel to be sent: what was written has then nearly left, which is progress."""


class Dialler(Protocol):
    """Opens connections; the one of ``awala.bindings.addressing`` dials only checked addresses."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket; raises OSError or an AwalaError."""
        ...


class DirectDialler:
    """Dials what the system's resolver says; meant for this machine."""

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a socket connected to the first address that answers."""
        loop = asyncio.get_running_loop()
        problem = OSError("The host has no address")
        for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return await open_socket(family, address)
            except OSError as error:
                problem = error
        raise problem


async def open_socket(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Return a non-blocking socket with TCP_NODELAY that is connected to ``address``; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def keep_little_unsent(sock: Any, limit: int) -> None:
    """Let at most ``limit`` octets wait in the kernel to be sent, on systems that can (TCP_NOTSENT_LOWAT)."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limit)


class DiallingTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport with a dialler under it.

    What the dialler raises passes through unchanged, except that OSErrors become httpx2's ConnectError.
    """

    def __init__(
        self,
        dialler: Dialler,
        *,
        tls: ssl.SSLContext | None,
        max_connections: int,
        max_idle_connections: int,
        idle_expiry: float,
    ) -> None:
        """Take the dialler and the limits.

        Args:
            dialler: opens the connections.
            tls: authenticates hosts; None where there is plain HTTP only.
            max_connections: connections at once, whatever their hosts.
            max_idle_connections: idle connections that are kept for later requests.
            idle_expiry: seconds that they are kept; less than servers keep theirs.

        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls is None else tls
        super().__init__(verify=context, trust_env=False)
        # httpx2 takes no network back-end, so the pool it made is replaced before its first use.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=max_connections,
            max_keepalive_connections=max_idle_connections,
            keepalive_expiry=idle_expiry,
            network_backend=_Backend(dialler),
        )


class _Backend(httpcore2.AnyIOBackend):
    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's API
        local_address: str | None = None,  # noqa: ARG002 - httpcore's API
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - httpcore's API
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                return _Stream(await self._dialler.connect(host, port))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("No connection in time") from error
        except OSError as error:
            raise httpcore2.ConnectError("No connection") from error


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection for httpcore: plain, until it starts TLS before its first octet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pair: tuple[_Reader, asyncio.StreamWriter] | None = None

    async def _streams(self) -> tuple[_Reader, asyncio.StreamWriter]:
        if self._pair is None:
            self._pair = await _open_streams(self._sock)
        return self._pair

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - its API
        try:
            async with asyncio.timeout(timeout):
                reader, _ = await self._streams()
                return await reader.take(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout("No answer in time") from error
        except OSError as error:
            raise httpcore2.ReadError("The connection broke") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - its API
        try:
            async with asyncio.timeout(timeout):
                _, writer = await self._streams()
                writer.write(buffer)
                await writer.drain()
        except TimeoutError as error:
            raise httpcore2.WriteTimeout("The peer does not read") from error
        except OSError as error:
            raise httpcore2.WriteError("The connection broke") from error

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - its API
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                self._pair = await _open_streams(self._sock, ssl=ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("TLS was not established in time") from error
        except OSError as error:
            raise httpcore2.ConnectError(tls_problem(error)) from error
        finally:
            if self._pair is None:
                self._sock.close()
        return self

    async def aclose(self) -> None:
        if self._pair is None:
            self._sock.close()
        else:
            # Nothing that matters is unsent, and a peer that doesn't read must not hold us.
            self._pair[1].transport.abort()

    def get_extra_info(self, info: str) -> Any:
        if self._pair is None:
            return None
        reader, writer = self._pair
        if info == "is_readable":  # asked about idle connections: true says not to use them again
            return reader.has_news or writer.transport.is_closing()
        return writer.get_extra_info(info)


class _Reader(asyncio.StreamReader):
    """A reader that can say whether something came that nobody has asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_READ_AHEAD, loop=loop)
        self._unread = 0

    @property
    def has_news(self) -> bool:
        """Whether there are octets to read, or the end."""
        return self._unread > 0 or self.at_eof()

    def feed_data(self, data: Iterable[Any]) -> None:
        octets = bytes(data)
        self._unread += len(octets)
        super().feed_data(octets)

    async def take(self, most: int) -> bytes:
        octets = await self.read(most)
        self._unread -= len(octets)
        return octets


async def _open_streams(sock: socket.socket, **tls: Any) -> tuple[_Reader, asyncio.StreamWriter]:
    """Return streams over a connected socket, as ``asyncio.open_connection`` does, with our reader.

    Little waits on the way, so that what was written has nearly left: that is what time-outs go by.
    """
    keep_little_unsent(sock, UNSENT_LIMIT)
    loop = asyncio.get_running_loop()
    reader = _Reader(loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=sock, **tls)
    transport.set_write_buffer_limits(high=UNSENT_LIMIT)  # under TLS asyncio would take half a MiB
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def tls_problem(error: OSError) -> str:
    """Say why TLS could not be established, without an address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of the server is not trusted: {error.verify_message}"
    return "TLS could not be established"
