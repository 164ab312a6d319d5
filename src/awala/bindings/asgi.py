# SPDX-License-Identifier: MIT
"""The little HTTP that our servers need, straight on ASGI: routes, bounded bodies, errors as JSON.

Deployed clients compare content types as whole strings, and so do we: a parameter such as a charset
is another type (protocol rule of PoWeb and PoHTTP alike).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any, Final

from awala.base.errors import StorageFullError
from awala.base.files import StorageError
from awala.bindings.errors import RequestError, TemporarilyUnavailable
from awala.bindings.hosts import Hosts
from awala.bindings.peers import PeerBound

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY_SIZE: Final = 9 * 1024 * 1024
"""Octets of a request body that deployed servers take (rules §1)."""

BODY_PATIENCE: Final = 30.0
"""Seconds without any octet after which a half-sent body is given up."""

SLOWEST_BODY: Final = 4 * 1024
"""Octets per second that a body must bring on the whole, after that patience: a trickle is given up."""

LARGE_BODY: Final = 256 * 1024
"""Octets from which a body counts as large."""

LARGE_BODY_SLOTS: Final = 16
"""Large bodies that are held in memory at once."""

LARGE_BODY_PEER_SLOTS: Final = 4
"""Those of one peer among them, so that nobody's slow bodies keep all others waiting."""

SLOT_PATIENCE: Final = 10.0
"""Seconds that a large body waits for a slot before it is sent away."""

_log = logging.getLogger(__name__)


class PayloadTooLarge(RequestError):  # noqa: N818 - named as the answer it becomes, like its siblings
    """The body is longer than the server takes: 413."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaType(RequestError):  # noqa: N818 - named as the answer it becomes
    """The body has a type that the server doesn't take: 415."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ClientGoneError(Exception):
    """The client hung up before its request was complete: nobody is there to answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object, status: int = HTTPStatus.OK, **headers: str) -> Response:
        """Return ``value`` as JSON."""
        body = json.dumps(value, separators=(",", ":")).encode()
        return cls(status, body, "application/json", {k.replace("_", "-"): v for k, v in headers.items()})

    @classmethod
    def error(cls, status: int, message: str, **headers: str) -> Response:
        """Return the error body that all our servers use: ``{"message": …}``."""
        return cls.json({"message": message}, status, **headers)

    @classmethod
    def text(cls, text: str, status: int = HTTPStatus.OK) -> Response:
        """Return plain text."""
        return cls(status, text.encode(), "text/plain")

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = [
            (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in self.headers.items()
        ]
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode("ascii")))
        if self.status != HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": int(self.status), "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Headers:
    """The headers of a request, by lower-case name."""

    __slots__ = ("_values",)

    def __init__(self, scope: Scope) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str | None:
        """Return the only value of ``name``, or None if there is none or more than one."""
        values = self._values.get(name.encode("ascii"), [])
        return values[0].decode("latin-1") if len(values) == 1 else None

    def all(self, name: str) -> list[str]:
        """Return every value of ``name``, in order."""
        return [value.decode("latin-1") for value in self._values.get(name.encode("ascii"), [])]

    def __contains__(self, name: str) -> bool:
        return name.encode("ascii") in self._values


class Request:
    """A request whose body has not been read yet."""

    __slots__ = ("_receive", "client", "headers", "method", "path")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = Headers(scope)
        self.client: str | None = (scope.get("client") or (None,))[0]
        self._receive = receive

    @property
    def content_type(self) -> str | None:
        """The whole value of Content-Type, as sent."""
        return self.headers.get("content-type")

    @property
    def content_length(self) -> int | None:
        """The length that the client announced; None if it sends chunks."""
        announced = self.headers.get("content-length")
        return int(announced) if announced is not None and announced.isdecimal() else None

    def require_content_type(self, *accepted: str) -> None:
        """Refuse any other type; raises UnsupportedMediaType (415)."""
        if self.content_type not in accepted:
            raise UnsupportedMediaType(f"Content-Type must be {' or '.join(accepted)}")

    async def body(self, limit: int = MAX_BODY_SIZE) -> bytes:
        """Read the body piece by piece, never more than ``limit`` octets and one piece.

        Raises:
            PayloadTooLarge: it is longer, or says that it will be.
            TemporarilyUnavailable: no octet came for ``BODY_PATIENCE`` seconds, or too few all the while.
                Deployed senders would drop the message for good after 400 or 408, but not after this 503.
            ClientGoneError: the client hung up.

        """
        if (self.content_length or 0) > limit:
            raise PayloadTooLarge(f"The body must not exceed {limit} octets")
        pieces: list[bytes] = []
        size = 0
        more = True
        began = asyncio.get_running_loop().time()
        while more:
            piece, more = await self._next_piece(began + BODY_PATIENCE + size / SLOWEST_BODY)
            size += len(piece)
            if size > limit:
                raise PayloadTooLarge(f"The body must not exceed {limit} octets")
            pieces.append(piece)
        return b"".join(pieces)

    async def _next_piece(self, deadline: float) -> tuple[bytes, bool]:
        patience = asyncio.get_running_loop().time() + BODY_PATIENCE
        try:
            async with asyncio.timeout_at(min(patience, deadline)):
                message = await self._receive()
        except TimeoutError:
            raise TemporarilyUnavailable("The body did not arrive in time") from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        return message.get("body", b""), message.get("more_body", False)


Handler = Callable[[Request], Awaitable[Response]]


class HttpApp:
    """An ASGI application made of routes.

    It answers OPTIONS with 204, other methods with 405 (both with Allow), unknown paths with 404, hosts
    that are not ours with 400, and turns what handlers raise into the answer that it stands for.
    """

    def __init__(
        self,
        routes: Mapping[str, Mapping[str, Handler]],
        *,
        hosts: Hosts | None = None,
        refuse_origin: bool = False,
    ) -> None:
        """Take ``routes`` as path → method → handler; HEAD is served by GET's handler.

        Args:
            routes: see above.
            hosts: what the Host header may name; None takes any (rules §8).
            refuse_origin: whether requests with an Origin header, thus from a web page, get 400.

        """
        self._routes = {path: _with_head(methods) for path, methods in routes.items()}
        self._hosts = hosts
        self._refuse_origin = refuse_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientGoneError:
            return
        await response.send(send)

    async def _answer(self, request: Request) -> Response:
        if self._hosts is not None and not self._hosts.serve(request.headers.get("host")):
            return Response.error(HTTPStatus.BAD_REQUEST, "This host is not served here")
        if self._refuse_origin and "origin" in request.headers:
            return Response.error(HTTPStatus.BAD_REQUEST, "Requests from web pages are not accepted")
        methods = self._routes.get(request.path)
        if methods is None:
            return Response.error(HTTPStatus.NOT_FOUND, "There is nothing here")
        handler = methods.get(request.method)
        if handler is None:
            return _unserved_method(request.method, methods)
        try:
            return await handler(request)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary between services and the wire
            return error_response(error)


def _with_head(methods: Mapping[str, Handler]) -> dict[str, Handler]:
    return {**methods, "HEAD": methods["GET"]} if "GET" in methods else dict(methods)


def _unserved_method(method: str, methods: Mapping[str, Handler]) -> Response:
    allow = ", ".join(sorted({*methods, "OPTIONS"}))
    if method == "OPTIONS":
        return Response(HTTPStatus.NO_CONTENT, headers={"Allow": allow})
    return Response.error(HTTPStatus.METHOD_NOT_ALLOWED, "This method is not served here", Allow=allow)


def error_response(error: Exception) -> Response:
    """Return the answer that ``error`` stands for; what nobody foresaw is logged and answered with 500."""
    if isinstance(error, RequestError):
        retry_after = getattr(error, "retry_after", None)
        headers = {} if retry_after is None else {"Retry_After": str(max(0, ceil(retry_after)))}
        return Response.error(error.status, str(error), **headers)
    if isinstance(error, StorageFullError):
        return Response.error(HTTPStatus.INSUFFICIENT_STORAGE, "There is no room; try again later")
    if isinstance(error, StorageError):
        _log.warning("A request failed because the store did: %s", error)
        return Response.error(HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer; try again later")
    _log.error("A request failed unexpectedly", exc_info=error)
    return Response.error(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")


class LargeBodies:
    """Bounds how many large bodies are held at once; small ones pass freely."""

    def __init__(
        self,
        *,
        slots: int = LARGE_BODY_SLOTS,
        peer_slots: int = LARGE_BODY_PEER_SLOTS,
        spare_near: bool = True,
        threshold: int = LARGE_BODY,
        patience: float = SLOT_PATIENCE,
    ) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._peers = PeerBound(peer_slots, spare_near=spare_near)
        self._threshold = threshold
        self._patience = patience

    @asynccontextmanager
    async def room_for(self, request: Request) -> AsyncIterator[None]:
        """Hold room for the body of ``request``; one of unknown length counts as large.

        Raises:
            TemporarilyUnavailable: no room within the patience, or too much of this peer already (503).

        """
        length = request.content_length
        if length is not None and length < self._threshold:
            yield
            return
        with self._peers.one_more(request.client) as within_bounds:
            if not within_bounds:
                raise TemporarilyUnavailable("Too much at once", retry_after=self._patience)
            async with self._slot():
                yield

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError:
            raise TemporarilyUnavailable("Too busy", retry_after=self._patience) from None
        try:
            yield
        finally:
            self._slots.release()
