# SPDX-License-Identifier: MIT
"""The PoWeb client: how a node registers with, delivers to and collects from its gateway (RS-016)."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2

from awala.base.errors import ConfigurationError
from awala.bindings.closing import Closing
from awala.bindings.dialling import Dialler, DiallingTransport, DirectDialler
from awala.bindings.errors import BindingError, ProtocolError, UnreachableError
from awala.bindings.host_port import join_address
from awala.bindings.http_client import pieces, plain_client, read_at_most
from awala.bindings.poweb import names
from awala.bindings.poweb.answers import error_for
from awala.bindings.poweb.collector import AckPacing, ParcelCollection, WatchedConnection, open_websocket
from awala.bindings.poweb.names import CONNECT_TIMEOUT
from awala.bindings.poweb.service import StreamingMode
from awala.bindings.statuses import is_success
from awala.messages import media_types

__all__ = ["DEFAULT_LOCAL_GATEWAY", "Dialler", "PoWebClient"]

DEFAULT_LOCAL_GATEWAY: Final = "http://127.0.0.1:13276"
"""Where the gateway of this machine listens."""

LOCAL_PORT: Final = 13276

EXCHANGE_TIMEOUT: Final = 5.0
"""Seconds for a request and its answer."""

IDLE_TIMEOUT: Final = 30.0
"""Seconds without any progress, over the Internet, after which a parcel is given up."""

SLOWEST_LINK: Final = 4 * 1024
"""Octets per second that a link to an Internet gateway carries at least: what servers insist on."""

MAX_ANSWER: Final = 1024 * 1024
"""Octets that are read of an answer."""

MAX_CONNECTIONS: Final = 8
"""Connections of one client, all to its gateway."""

IDLE_EXPIRY: Final = 3.0
"""Seconds that an idle connection is kept: less than deployed servers keep theirs."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def expect(self, content_type: str) -> bytes:
        """Return the body of a 200 of this type; raises what else it means."""
        if self.status != HTTPStatus.OK:
            raise self.error()
        found = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if found != content_type:
            raise ProtocolError(f"The gateway answered with something else than {content_type}")
        return self.body

    def expect_success(self) -> None:
        """Take any 2xx; raises what else it means."""
        if not is_success(self.status):
            raise self.error()

    def error(self) -> BindingError:
        """Return the error that the status stands for."""
        return error_for(self.status, self.headers.get("retry-after"), datetime.now(UTC))


class PoWebClient(Closing):
    """A client of one gateway.

    Every method raises UnreachableError, ServerError, RefusedError (422), MalformedError
    (400, 413, 415), UnauthenticatedError (401) or ProtocolError as rules §9 has it, besides
    what the dialler raises. Use it as a context, or call ``aclose``.

    Attributes:
        pacing: the spacing of acknowledgements, kept over all collections of this client.

    """

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, dialler: Dialler | None) -> None:
        """Take the target as it is; ``local`` and ``remote`` say what they mean."""
        self._host = host
        self._port = port
        self._tls = tls
        self._dialler = DirectDialler() if dialler is None else dialler
        self._authority = join_address(host, port)
        transport = DiallingTransport(
            self._dialler,
            tls=tls,
            max_connections=MAX_CONNECTIONS,
            max_idle_connections=MAX_CONNECTIONS,
            idle_expiry=IDLE_EXPIRY,
        )
        self._http = plain_client(
            transport,
            timeout=httpx2.Timeout(IDLE_TIMEOUT, connect=CONNECT_TIMEOUT),
            base_url=f"{'http' if tls is None else 'https'}://{self._authority}",
        )
        self.pacing = AckPacing()
        self.silence = names.SILENCE
        self.ping_interval = names.PING_INTERVAL

    @classmethod
    def local(cls, url: str = DEFAULT_LOCAL_GATEWAY, *, dialler: Dialler | None = None) -> Self:
        """Return a client for a gateway on this machine, over plain HTTP.

        Raises:
            ConfigurationError: the URL is not ``http://`` and a loopback address, optionally with a port.

        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ConfigurationError(f"Not a URL: {url!r}") from None
        if (
            parts.scheme != "http"
            or host is None
            or parts.path not in ("", "/")
            or parts.username is not None
        ):
            raise ConfigurationError(f"Not the URL of a local gateway: {url!r}")
        if not _is_loopback(host):
            raise ConfigurationError("Plain HTTP is for gateways on this machine; others need TLS")
        return cls(host, LOCAL_PORT if port is None else port, tls=None, dialler=dialler)

    @classmethod
    def remote(cls, host: str, port: int, tls: ssl.SSLContext, *, dialler: Dialler | None = None) -> Self:
        """Return a client for the gateway at ``host`` and ``port``, as an SRV record names it, over TLS.

        The host is what the certificate has to name (SNI, Host header); the dialler
        decides which address is connected to. Without a dialler the system's resolver is asked.
        """
        return cls(host, port, tls=tls, dialler=dialler)

    async def aclose(self) -> None:
        """Close idle connections; collections are closed by themselves."""
        await self._http.aclose()

    async def preregister(self, key_digest: bytes) -> bytes:
        """Ask for leave to register the key with this SHA-256 digest: returns a PNRA, good for seconds."""
        body = key_digest.hex().encode("ascii")
        answer = await self._post(names.PRE_REGISTRATION_PATH, body, names.DIGEST)
        if answer.status == HTTPStatus.NOT_FOUND:
            answer = await self._post(names.PRE_REGISTRATION_PATH_OF_SPEC, body, names.DIGEST)
        return answer.expect(media_types.REGISTRATION_AUTHORIZATION)

    async def register(self, request: bytes) -> bytes:
        """Register with a PNRR: returns a PNR."""
        answer = await self._post(names.NODES_PATH, request, media_types.REGISTRATION_REQUEST)
        return answer.expect(media_types.REGISTRATION)

    async def deliver(self, parcel: bytes, countersignature: bytes) -> None:
        """Hand a parcel over with its detached countersignature; the gateway has it when this returns."""
        answer = await self._countersigned(names.PARCELS_PATH, parcel, media_types.PARCEL, countersignature)
        answer.expect_success()

    async def withdraw(self, deauthorization: bytes, countersignature: bytes) -> bool:
        """Hand over a parcel delivery deauthorization, an extension of ours (rules §3).

        Returns False if the gateway does not know the extension.
        """
        answer = await self._countersigned(
            names.WITHDRAWALS_PATH, deauthorization, media_types.PARCEL_DEAUTHORIZATION, countersignature
        )
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return False
        answer.expect_success()
        return True

    async def fetch_connection_params(self) -> bytes:
        """Return the gateway's connection parameters, serialised."""
        answer = await self._exchange("GET", names.CONNECTION_PARAMS_PATH, None, {}, EXCHANGE_TIMEOUT)
        return answer.expect(media_types.CONNECTION_PARAMS)

    def collect(
        self,
        sign: Callable[[bytes], Sequence[bytes]],
        mode: StreamingMode = StreamingMode.KEEP_ALIVE,
        *,
        window: int = 1,
        on_open: Callable[[], None] | None = None,
    ) -> ParcelCollection:
        """Collect parcels: iterate over the result, best inside ``async with``.

        Args:
            sign: returns the detached signatures of the nonce, one for each certificate to collect
                for; Internet gateways take exactly one.
            mode: what happens once the queue is empty.
            window: deliveries that may be unacknowledged at once, 1 to 5 (rules §8).
            on_open: called once our signatures were sent: the gateway can be reached.

        """
        return ParcelCollection(lambda: self._open_collection(mode, window), sign, mode, self.pacing, on_open)

    async def _open_collection(self, mode: StreamingMode, window: int) -> WatchedConnection:
        headers = {names.STREAMING_MODE: mode.value}
        if window > 1:
            headers[names.WINDOW] = str(min(window, names.MAX_WINDOW))
        return await open_websocket(
            uri=f"{'ws' if self._tls is None else 'wss'}://{self._authority}{names.COLLECTION_PATH}",
            host=self._host,
            port=self._port,
            tls=self._tls,
            dialler=self._dialler,
            headers=headers,
            now=lambda: datetime.now(UTC),
            silence=self.silence,
            ping_interval=self.ping_interval,
        )

    async def _countersigned(
        self, path: str, body: bytes, content_type: str, countersignature: bytes
    ) -> _Answer:
        credential = base64.b64encode(countersignature).decode("ascii")
        headers = {"Authorization": f"{names.COUNTERSIGNATURE} {credential}"}
        timeout = EXCHANGE_TIMEOUT
        if self._tls is not None:
            timeout = 2 * IDLE_TIMEOUT + len(body) / SLOWEST_LINK
        return await self._post(path, body, content_type, headers=headers, timeout=timeout)

    async def _post(
        self,
        path: str,
        body: bytes,
        content_type: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = EXCHANGE_TIMEOUT,  # noqa: ASYNC109 - the whole exchange is bounded in one place
    ) -> _Answer:
        return await self._exchange(
            "POST", path, body, {"Content-Type": content_type, **(headers or {})}, timeout
        )

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - the one place
    ) -> _Answer:
        content = None
        if body is not None:
            content, headers = pieces(body), {**headers, "Content-Length": str(len(body))}
        try:
            async with (
                asyncio.timeout(timeout),
                self._http.stream(method, path, content=content, headers=headers) as response,
            ):
                answer = await _read(response)
                return _Answer(response.status_code, dict(response.headers), answer)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise UnreachableError("The gateway did not answer in time") from error
        except httpx2.RemoteProtocolError as error:
            raise _protocol_error(error) from error
        except httpx2.ConnectError as error:
            raise UnreachableError(str(error) or "The gateway cannot be reached") from error
        except httpx2.HTTPError as error:
            raise UnreachableError("The connection to the gateway broke") from error


async def _read(response: httpx2.Response) -> bytes:
    """Return the body, as long as it stays within bounds; of errors, and of nothing, none is read."""
    if not response.is_success:
        return b""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProtocolError("The gateway compressed its answer without being asked to")
    body, complete = await read_at_most(response, MAX_ANSWER)
    if not complete:
        raise ProtocolError("The gateway's answer is too long")
    return body


def _protocol_error(error: httpx2.RemoteProtocolError) -> BindingError:
    """Tell a peer that hung up from one that doesn't speak HTTP; httpx2 has one class for both."""
    message = str(error)
    if "disconnected" in message or "closed connection" in message:
        return UnreachableError("The gateway hung up before its answer was complete")
    return ProtocolError("The gateway's answer is not HTTP")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost"
