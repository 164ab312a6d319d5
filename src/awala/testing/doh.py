# SPDX-License-Identifier: MIT
"""A DoH server over TLS for tests and demonstrations (RFC 8484)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import dns.exception
import dns.message

from awala.bindings.asgi import HttpApp, Request, Response
from awala.bindings.errors import MalformedRequest
from awala.bindings.serving import Server, serve

MEDIA_TYPE: Final = "application/dns-message"
PATH: Final = "/dns-query"
MAX_QUERY: Final = 4096

Respond = Callable[[dns.message.Message], dns.message.Message]


@dataclass(slots=True)
class DohServer:
    """A running DoH server.

    Attributes:
        url: what goes into ``[resolver] url``.
        server: the server below.
        queries: the questions that came, as ``"name. TYPE"``, in order.

    """

    url: str
    server: Server
    queries: list[str] = field(default_factory=list)


@asynccontextmanager
async def serve_doh(
    respond: Respond, *, tls: ssl.SSLContext, listen: str = "127.0.0.1:0", host: str | None = None
) -> AsyncIterator[DohServer]:
    """Answer DNS questions with ``respond``, such as ``SignedZones.respond``.

    Args:
        respond: from question to answer.
        tls: with a certificate for the host of the URL.
        listen: where.
        host: host and port of the URL, when a proxy stands in front; by default the server's own.

    """
    queries: list[str] = []

    async def answer(request: Request) -> Response:
        request.require_content_type(MEDIA_TYPE)
        body = await request.body(MAX_QUERY)
        try:
            query = dns.message.from_wire(body)
            queries.append(query.question[0].to_text().replace(" IN ", " "))
        except (dns.exception.DNSException, IndexError) as error:
            raise MalformedRequest("Not a DNS question") from error
        return Response(body=respond(query).to_wire(), content_type=MEDIA_TYPE)

    async with serve(HttpApp({PATH: {"POST": answer}}), listen, tls=tls) as server:
        yield DohServer(f"https://{host or server.address}{PATH}", server, queries)
