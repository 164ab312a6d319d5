# SPDX-License-Identifier: MIT
"""Delivers parcels to Internet endpoints and to other gateways by PoHTTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx2

from awala.base.clock import Clock, SystemClock
from awala.bindings.addressing import (
    AddressError,
    Dialler,
    Resolver,
    Service,
    Target,
)
from awala.bindings.addressing.model import is_host
from awala.bindings.closing import Closing
from awala.bindings.dialling import DiallingTransport
from awala.bindings.errors import ProtocolError, ServerError, UnreachableError
from awala.bindings.http_client import pieces, plain_client, read_at_most
from awala.bindings.pohttp.outcome import REDIRECTS, problem_of
from awala.bindings.statuses import parse_retry_after
from awala.messages.media_types import CONNECTION_PARAMS, PARCEL

MAX_REDIRECTS: Final = 3
"""Redirects followed for one delivery (rules §9)."""

MAX_TARGETS: Final = 4
"""SRV targets tried for one delivery."""

MAX_CONNECTION_PARAMS: Final = 64 * 1024
"""Octets of connection parameters."""

CONNECTION_PARAMS_PATH: Final = "/connection-params.der"
"""Where an Internet node publishes its connection parameters (rules §10)."""

IDLE_TIMEOUT: Final = 30.0
"""Seconds without any progress after which an exchange is given up."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for finding and dialling a host, and as many again for TLS."""

TOTAL_TIMEOUT: Final = 600.0
"""Seconds for one delivery: a large parcel over a thin line takes minutes."""

MAX_CONNECTIONS: Final = 64
"""Connections of one client, whatever their hosts."""

MAX_IDLE_CONNECTIONS: Final = 16
"""Idle connections kept for later requests."""

IDLE_EXPIRY: Final = 20.0
"""Seconds that an idle connection is kept: less than servers keep theirs."""

_MAX_ANSWER: Final = 64 * 1024  # octets of an answer that are read so that its connection can be used again

_DEFAULT_PORT: Final = 443

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    retry_after: str | None
    location: str | None
    body: bytes
    complete: bool


class PoHttpClient(Closing):
    """Speaks PoHTTP with whatever runs the service of an Internet address.

    It holds a bounded pool of connections; one client serves a whole node. Also an asynchronous
    context manager.
    """

    def __init__(
        self,
        *,
        resolver: Resolver,
        tls: ssl.SSLContext,
        dialler: Dialler | None = None,
        clock: Clock | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        """Take what it needs; nothing is sent yet.

        Args:
            resolver: finds the service of an address.
            tls: authenticates hosts.
            dialler: connects to checked addresses; by default one over ``resolver``.
            clock: the present, for Retry-After dates.
            idle_timeout: seconds without progress.
            total_timeout: seconds for one call.

        """
        self._resolver = resolver
        self._clock = clock or SystemClock()
        self._total_timeout = total_timeout
        transport = DiallingTransport(
            dialler or Dialler(resolver),
            tls=tls,
            max_connections=MAX_CONNECTIONS,
            max_idle_connections=MAX_IDLE_CONNECTIONS,
            idle_expiry=IDLE_EXPIRY,
        )
        self._http = plain_client(transport, timeout=httpx2.Timeout(idle_timeout, connect=CONNECT_TIMEOUT))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def deliver(self, address: str, parcel: bytes) -> None:
        """Deliver a serialised parcel to the node at an Internet address.

        Returns once the node has taken the parcel over (2xx).

        Raises:
            RefusedError: never again (403, 422), or its subclass MalformedError (400, 413, 415).
            ServerError: not now; ``retry_after`` says when, if the node did.
            UnreachableError: no answer.
            AddressError: the address leads nowhere, or where we must not go.

        """

        async def post(target: Target) -> None:
            answer = await self._exchange("POST", _url(target, "/"), parcel, _MAX_ANSWER)
            problem = problem_of(answer.status, answer.retry_after, self._clock.now())
            if problem is not None:
                raise problem

        await self._at_first_target(address, post)

    async def fetch_connection_params(self, address: str) -> bytes:
        """Return the octets of the connection parameters that the node at an address publishes.

        They are authentic as far as DNSSEC and TLS go; pinning is the caller's (rules §10).

        Raises:
            ProtocolError: they are longer than 64 KiB.
            ServerError: the node does not give them now (any status but 200).
            UnreachableError: no answer.
            AddressError: the address leads nowhere, or where we must not go.

        """

        async def get(target: Target) -> bytes:
            url = _url(target, CONNECTION_PARAMS_PATH)
            answer = await self._exchange("GET", url, None, MAX_CONNECTION_PARAMS)
            if answer.status != httpx2.codes.OK:
                raise ServerError(
                    f"The peer does not give its connection parameters (HTTP {answer.status})",
                    status=answer.status,
                    retry_after=parse_retry_after(answer.retry_after, self._clock.now()),
                )
            if not answer.complete:
                raise ProtocolError("The connection parameters are too long")
            return answer.body

        return await self._at_first_target(address, get)

    async def _at_first_target(self, address: str, exchange: Callable[[Target], Awaitable[T]]) -> T:
        """Return what ``exchange`` yields at the first target that can be reached (RFC 2782)."""
        targets = await self._resolver.locate(address, Service.PARCEL_DELIVERY)
        problem: UnreachableError | AddressError = UnreachableError("No target to try")
        try:
            async with asyncio.timeout(self._total_timeout):
                for target in targets[:MAX_TARGETS]:
                    try:
                        return await exchange(target)
                    except (UnreachableError, AddressError) as error:
                        problem = error
        except TimeoutError as error:
            raise UnreachableError("The peer did not finish in time") from error
        raise problem

    async def _exchange(self, method: str, url: httpx2.URL, content: bytes | None, limit: int) -> _Answer:
        """Return the last answer after redirects, each of which has to lead to https."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._request(method, url, content, limit)
            if answer.status not in REDIRECTS:
                return answer
            url = _redirected(url, answer)
        raise ServerError("The peer redirects too often", status=answer.status)

    async def _request(self, method: str, url: httpx2.URL, content: bytes | None, limit: int) -> _Answer:
        headers = {"Accept": CONNECTION_PARAMS} if content is None else _parcel_headers(content)
        body = None if content is None else pieces(content)
        try:
            async with self._http.stream(method, url, headers=headers, content=body) as response:
                octets, complete = await read_at_most(response, limit)
                return _Answer(
                    response.status_code,
                    response.headers.get("retry-after"),
                    response.headers.get("location"),
                    octets,
                    complete,
                )
        except httpx2.RemoteProtocolError as error:
            raise UnreachableError("The peer broke off, or does not speak HTTP") from error
        except httpx2.TimeoutException as error:
            raise UnreachableError("The peer does not answer in time") from error
        except httpx2.HTTPError as error:
            raise UnreachableError("The connection to the peer failed") from error


def _url(target: Target, path: str) -> httpx2.URL:
    # The port is left out where it is the scheme's own, so that the Host header is the bare name.
    port = None if target.port == _DEFAULT_PORT else target.port
    return httpx2.URL(scheme="https", host=target.host, port=port, path=path)


def _redirected(url: httpx2.URL, answer: _Answer) -> httpx2.URL:
    """Return where a redirect leads; the addresses of its host are checked when it is dialled."""
    if not answer.location:
        raise ServerError("The peer redirects to nowhere", status=answer.status)
    try:
        location = url.join(answer.location)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ServerError("The peer redirects to no URL", status=answer.status) from error
    if location.scheme != "https" or location.userinfo or not is_host(location.raw_host.decode("ascii")):
        raise ServerError("The peer redirects to something else than https", status=answer.status)
    return location


def _parcel_headers(parcel: bytes) -> dict[str, str]:
    return {"Content-Type": PARCEL, "Content-Length": str(len(parcel))}
