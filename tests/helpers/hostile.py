# SPDX-License-Identifier: MIT
"""Clients that keep to no protocol: octets as they come, over plain connections and TLS."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


def careless() -> ssl.SSLContext:
    """Return a context that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def connection(address: str, *, tls: bool) -> AsyncIterator[tuple]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=careless() if tls else None)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def send(address: str, octets: bytes, *, tls: bool, wait: float = 10.0) -> bytes:
    """Send octets, and return what the server answers until it is done or silent for long."""
    answer = b""
    async with connection(address, tls=tls) as (reader, writer):
        with suppress(OSError, TimeoutError):
            writer.write(octets)
            async with asyncio.timeout(wait):
                await writer.drain()
                while not STATUS.match(answer):
                    piece = await reader.read(65_536)
                    if not piece:
                        break
                    answer += piece
    return answer


def request(
    method: str = "POST", path: str = "/", body: bytes = b"", *, content_type: str = "", **headers: str
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def status(address: str, octets: bytes, *, tls: bool) -> int | None:
    """Return the HTTP status that octets get; None if the server just hung up."""
    found = STATUS.match(await send(address, octets, tls=tls))
    return int(found[1]) if found else None
