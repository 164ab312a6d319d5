# SPDX-License-Identifier: MIT
"""What our HTTP clients have in common: they tell little, follow nothing, and read no more than they want."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2


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
