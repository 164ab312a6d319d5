# SPDX-License-Identifier: MIT
"""What our HTTP clients have in common: they tell little, follow nothing, and read no more than they want."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx2

_PIECE: Final = 64 * 1024  # octets of a body between two looks at the clock


def plain_client(
    transport: httpx2.AsyncBaseTransport, *, timeout: httpx2.Timeout, base_url: str = ""
) -> httpx2.AsyncClient:
    """Return a client that names no software version, takes neither cookies nor compressed bodies.

    It follows no redirects and ignores the environment; its connections are the transport's.
    """
    return httpx2.AsyncClient(
        transport=transport,
        base_url=base_url,
        timeout=timeout,
        headers={"User-Agent": "awala", "Accept-Encoding": "identity"},
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        follow_redirects=False,
    )


async def read_at_most(response: httpx2.Response, limit: int) -> tuple[bytes, bool]:
    """Return the body as it was sent, at most ``limit`` octets of it, and whether that is all."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            return bytes(body[:limit]), False
    return bytes(body), True


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """Yield a body so that a time-out counts for each piece: all of it may take long, silence may not."""
    view = memoryview(body)
    for start in range(0, len(body), _PIECE):
        yield bytes(view[start : start + _PIECE])
