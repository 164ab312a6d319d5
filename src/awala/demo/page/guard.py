# SPDX-License-Identifier: MIT
"""Lets only the person who started the demonstration use its page (rules §11)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from awala.bindings.asgi import (
    Headers,
    Message,
    Receive,
    Response,
    Scope,
    Send,
)
from awala.bindings.hosts import Hosts

HOSTS = ("127.0.0.1", "localhost")
SAFE_METHODS = frozenset({"GET", "HEAD"})
SECRET_SIZE = 32

App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application around another one.

    Attributes:
        token: opens the page once, in the query ``?token=``; it becomes a cookie then.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._hosts = Hosts(HOSTS)
        self._session = secrets.token_urlsafe(SECRET_SIZE)
        self._used = False
        self.token = secrets.token_urlsafe(SECRET_SIZE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it may pass."""
        if scope["type"] != "http":
            return
        headers = Headers(scope)
        cookie = f"awala-demo-{scope['server'][1]}"
        added = dict(HEADERS)
        refusal = self._judge(scope, headers)
        if refusal is None and not self._knows(headers, cookie):
            if self._use_token(scope):
                added["set-cookie"] = f"{cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"
            else:
                refusal = Response.text(
                    "Open the address that the program printed; it works once.", HTTPStatus.FORBIDDEN
                )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in added.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        if refusal is not None:
            await refusal.send(send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _judge(self, scope: Scope, headers: Headers) -> Response | None:
        """Return why a request cannot pass whoever makes it, or None."""
        if not self._hosts.serve(headers.get("host")):
            return Response.text("This host is not served here.", HTTPStatus.BAD_REQUEST)
        if scope["method"] not in SAFE_METHODS and headers.get("origin") != f"http://{headers.get('host')}":
            return Response.text("Only this page may do that.", HTTPStatus.FORBIDDEN)
        return None

    def _knows(self, headers: Headers, name: str) -> bool:
        try:
            cookies = SimpleCookie("; ".join(headers.all("cookie")))
        except CookieError:
            return False
        found = cookies.get(name)
        return found is not None and secrets.compare_digest(found.value.encode(), self._session.encode())

    def _use_token(self, scope: Scope) -> bool:
        """Say whether a request brings the token, for the first time."""
        if self._used or scope["path"] != "/":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        self._used = secrets.compare_digest(given.encode(), self.token.encode())
        return self._used
