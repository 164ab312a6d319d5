# SPDX-License-Identifier: MIT
"""Connects HTTP and WebSockets through a dialler, so that whoever checks names also opens the sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final, Protocol

import httpcore2
import httpx2

CONNECT_TIMEOUT: Final = 5.0
"""Seconds within which a connection has to stand, TLS included."""

_IDLE_LIFE: Final = 3.0  # seconds; below what servers keep idle connections
_MAX_CONNECTIONS: Final = 8


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
        for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(0)
            try:
                await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                problem = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise problem


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection for httpcore: plain, until it starts TLS before its first octet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._pair is None:
            self._pair = await asyncio.open_connection(sock=self._sock)
        return self._pair

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - its API
        try:
            async with asyncio.timeout(timeout):
                reader, _ = await self._streams()
                return await reader.read(max_bytes)
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
                self._pair = await asyncio.open_connection(
                    sock=self._sock, ssl=ssl_context, server_hostname=server_hostname
                )
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
        if info == "is_readable":  # asked about idle connections: has the peer closed it?
            return self._pair is not None and self._pair[0].at_eof()
        if self._pair is None:
            return None
        return self._pair[1].get_extra_info(info)


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


class DiallingTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport with a dialler under it."""

    def __init__(self, dialler: Dialler, tls: ssl.SSLContext | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls is None else tls
        super().__init__(verify=context, trust_env=False)
        # httpx2 has no public way to hand a network backend to its pool.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_IDLE_LIFE,
            network_backend=_Backend(dialler),
        )


def tls_problem(error: OSError) -> str:
    """Say why TLS could not be established, without an address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of the server is not trusted: {error.verify_message}"
    return "TLS could not be established"
