# SPDX-License-Identifier: MIT
"""Makes httpx2 connect through a ``Dialler``; TLS and Host still speak of the name."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpcore2
import httpx2

from awala.bindings.addressing.dialler import Dialler
from awala.bindings.errors import UnreachableError

MAX_CONNECTIONS: Final = 64
"""Connections of one client, whatever their hosts."""

MAX_IDLE_CONNECTIONS: Final = 16
"""Idle connections kept for later requests."""

IDLE_EXPIRY: Final = 20.0
"""Seconds that an idle connection is kept: less than servers keep theirs."""


def plain_headers() -> dict[str, str]:
    """Return the default headers of our clients: no software version, and no compression to unpack."""
    return {"User-Agent": "awala", "Accept-Encoding": "identity"}


def no_cookies() -> CookieJar:
    """Return a jar that takes no cookie, so that no server can recognise us by one."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


class DiallingBackend(httpcore2.AsyncNetworkBackend):
    """A network back-end of httpcore2 whose connections go to checked addresses only."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a checked address of ``host``.

        asyncio sets TCP_NODELAY by itself. The time limit of each attempt is the dialler's, that of
        all of them the caller's.
        """

        async def dial(address: str, port: int) -> httpcore2.AsyncNetworkStream:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                raise OSError(getattr(error.__cause__, "errno", None), str(error)) from error

        try:
            return await self._dialler.attempt(host, port, dial, discard=_close)
        except UnreachableError as error:
            raise httpcore2.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


async def _close(stream: httpcore2.AsyncNetworkStream) -> None:
    await stream.aclose()


class DiallingTransport(httpx2.AsyncHTTPTransport):
    """An httpx2 transport that dials through a ``Dialler``; AddressErrors pass through it unchanged."""

    def __init__(
        self,
        dialler: Dialler,
        *,
        tls: ssl.SSLContext,
        max_connections: int = MAX_CONNECTIONS,
        max_idle_connections: int = MAX_IDLE_CONNECTIONS,
    ) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx2 takes no network back-end, so the pool it made is replaced before its first use.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=max_connections,
            max_keepalive_connections=max_idle_connections,
            keepalive_expiry=IDLE_EXPIRY,
            network_backend=DiallingBackend(dialler),
        )
