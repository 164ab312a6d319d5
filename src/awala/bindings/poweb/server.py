# SPDX-License-Identifier: MIT
"""The PoWeb server: an ASGI application over a ``PoWebService`` (RS-016, rules §8)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from awala.bindings.asgi import (
    Handler,
    Headers,
    HttpApp,
    LargeBodies,
    Receive,
    Request,
    Response,
    Scope,
    Send,
)
from awala.bindings.errors import MalformedRequest, Unauthenticated
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import names
from awala.bindings.poweb.collection import CollectionConversation, parse_mode, parse_window
from awala.bindings.poweb.names import CloseCode
from awala.bindings.poweb.service import PoWebService, WithdrawalService
from awala.bindings.poweb.session import CollectionSession
from awala.messages import media_types
from awala.messages.limits import MAX_PARCEL_SIZE

if TYPE_CHECKING:
    from awala.messages.detached import DetachedSignature

MAX_COLLECTIONS: Final = 4096
"""Collections that are open at once; further ones are told to try later."""

MAX_WITHDRAWAL: Final = 1024 * 1024
"""Octets of a withdrawal: twice what the largest one has."""

_DIGEST = re.compile(rb"[0-9a-fA-F]{64}")
_SCHEMES = frozenset(scheme.lower() for scheme in (names.COUNTERSIGNATURE, names.COUNTERSIGNATURE_OF_SPEC))


def poweb_app(
    service: PoWebService,
    *,
    withdrawals: WithdrawalService | None = None,
    hosts: Hosts | None = None,
    large_bodies: LargeBodies | None = None,
    max_collections: int = MAX_COLLECTIONS,
    nonces: Callable[[], bytes] = lambda: secrets.token_bytes(names.NONCE_SIZE),
) -> PoWebApp:
    """Return the ASGI application that serves ``service``.

    Args:
        service: the gateway behind.
        withdrawals: what takes withdrawals on-line; without it their path is unknown here (rules §3).
        hosts: what the Host header may name; None takes any (rules §8).
        large_bodies: the bound on large bodies in memory, to share with other doors; None makes one.
        max_collections: open collections at most.
        nonces: where the nonces of handshakes come from.

    """
    return PoWebApp(
        service,
        withdrawals=withdrawals,
        hosts=hosts,
        large_bodies=LargeBodies() if large_bodies is None else large_bodies,
        max_collections=max_collections,
        nonces=nonces,
    )


class PoWebApp:
    """The application; ``poweb_app`` makes it."""

    def __init__(
        self,
        service: PoWebService,
        *,
        withdrawals: WithdrawalService | None,
        hosts: Hosts | None,
        large_bodies: LargeBodies,
        max_collections: int,
        nonces: Callable[[], bytes],
    ) -> None:
        self._service = service
        self._hosts = hosts
        self._large_bodies = large_bodies
        self._max_collections = max_collections
        self._nonces = nonces
        self._sessions: set[CollectionSession] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._draining = False
        routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._greet},
            names.CONNECTION_PARAMS_PATH: {"GET": self._connection_params},
            names.PRE_REGISTRATION_PATH: {"POST": self._preregister},
            names.PRE_REGISTRATION_PATH_OF_SPEC: {"POST": self._preregister},
            names.NODES_PATH: {"POST": self._register},
            names.PARCELS_PATH: {"POST": self._deliver},
            names.COLLECTION_PATH: {"GET": self._want_upgrade},
        }
        if withdrawals is not None:
            routes[names.WITHDRAWALS_PATH] = {"POST": partial(self._withdraw, withdrawals)}
        self._http = HttpApp(routes, hosts=hosts, refuse_origin=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one collection."""
        if scope["type"] == "websocket" and scope["path"] == names.COLLECTION_PATH:
            await self._collect(Headers(scope), receive, send)
        else:
            await self._http(scope, receive, send)

    @property
    def live_collections(self) -> int:
        """How many collections are open."""
        return len(self._sessions)

    async def drain(self) -> None:
        """Close every collection with 4000, those still to come included; returns when all have ended."""
        self._draining = True
        for session in tuple(self._sessions):
            session.drain()
        await self._none_left.wait()

    async def _greet(self, _request: Request) -> Response:
        return Response.text("This is an Awala gateway; see https://awala.network\n")

    async def _connection_params(self, _request: Request) -> Response:
        params = self._service.connection_params()
        if params is None:
            return Response.error(HTTPStatus.NOT_FOUND, "There are no connection parameters here")
        return Response(HTTPStatus.OK, params, media_types.CONNECTION_PARAMS)

    async def _want_upgrade(self, _request: Request) -> Response:
        return Response.error(HTTPStatus.UPGRADE_REQUIRED, "This is a WebSocket", Upgrade="websocket")

    async def _preregister(self, request: Request) -> Response:
        request.require_content_type(names.DIGEST)
        digest = await request.body(names.MAX_DIGEST_BODY)
        if not _DIGEST.fullmatch(digest):
            raise MalformedRequest(f"The key digest must be {names.DIGEST_LENGTH} hexadecimal digits")
        authorization = await self._service.preregister(bytes.fromhex(digest.decode("ascii")))
        return Response(HTTPStatus.OK, authorization, media_types.REGISTRATION_AUTHORIZATION)

    async def _register(self, request: Request) -> Response:
        request.require_content_type(media_types.REGISTRATION_REQUEST)
        async with self._large_bodies.room_for(request):
            body = await request.body(names.MAX_REGISTRATION_REQUEST)
            registration = await self._service.register(body)
        return Response(HTTPStatus.OK, registration, media_types.REGISTRATION)

    async def _deliver(self, request: Request) -> Response:
        return await self._countersigned(request, media_types.PARCEL, MAX_PARCEL_SIZE, self._service.deliver)

    async def _withdraw(self, withdrawals: WithdrawalService, request: Request) -> Response:
        return await self._countersigned(
            request, media_types.PARCEL_DEAUTHORIZATION, MAX_WITHDRAWAL, withdrawals.withdraw
        )

    async def _countersigned(
        self,
        request: Request,
        content_type: str,
        limit: int,
        accept: Callable[[bytes, DetachedSignature], Awaitable[None]],
    ) -> Response:
        try:
            # The countersigner is judged before the body is read (rules §8).
            countersignature = await self._service.recognise(_countersignature(request.headers))
            request.require_content_type(content_type)
            async with self._large_bodies.room_for(request):
                await accept(await request.body(limit), countersignature)
        except Unauthenticated as error:
            return Response.error(
                HTTPStatus.UNAUTHORIZED, str(error), WWW_Authenticate=names.COUNTERSIGNATURE
            )
        return Response.json({}, HTTPStatus.ACCEPTED)

    async def _collect(self, headers: Headers, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        # Close codes reach the peer only after the connection was accepted.
        await send({"type": "websocket.accept"})
        refusal = self._refusal(headers)
        if refusal is not None:
            code, reason = refusal
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        nonce = self._nonces()
        session = CollectionSession(
            self._service,
            CollectionConversation(
                nonce=nonce,
                id_prefix=secrets.token_hex(8),
                mode=parse_mode(
                    [
                        *headers.all(names.STREAMING_MODE.lower()),
                        *headers.all(names.STREAMING_MODE_OF_SPEC.lower()),
                    ]
                ),
                window=parse_window(headers.get(names.WINDOW.lower())),
            ),
            nonce,
            receive,
            send,
            clock=time.monotonic,
        )
        self._sessions.add(session)
        self._none_left.clear()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._none_left.set()

    def _refusal(self, headers: Headers) -> tuple[CloseCode, str] | None:
        if "origin" in headers:
            return CloseCode.POLICY, "Requests from web pages are not accepted"
        if self._hosts is not None and not self._hosts.serve(headers.get("host")):
            return CloseCode.POLICY, "This host is not served here"
        if self._draining:
            return CloseCode.DRAINED, "The server is stopping"
        if len(self._sessions) >= self._max_collections:
            return CloseCode.TRY_LATER, "Try again later"
        return None


def _countersignature(headers: Headers) -> bytes:
    """Return the octets of the one countersignature in the Authorization header.

    Raises:
        Unauthenticated: there is none, several, of another scheme, or one that is no base64.

    """
    scheme, _, credential = (headers.get("authorization") or "").strip().partition(" ")
    if scheme.lower() not in _SCHEMES:
        raise Unauthenticated("The parcel has to be countersigned")
    try:
        countersignature = base64.b64decode(credential.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Unauthenticated("The countersignature is not in base64") from None
    if not countersignature:
        raise Unauthenticated("The countersignature is empty")
    return countersignature
