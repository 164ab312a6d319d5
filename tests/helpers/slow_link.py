# SPDX-License-Identifier: MIT
"""A link that carries so many octets a second in each direction, keeps few of them, and can stall."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE = 2048
RECEIVE_BUFFER = 8192
"""Octets, which the kernel doubles: what the link has taken and not brought yet."""


class SlowLink:
    """A relay to a port of this machine."""

    def __init__(self, target: int, rate: float) -> None:
        self._target = target
        self._rate = rate
        self.port = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.carried = 0

    def stall(self) -> None:
        """Carry nothing more, as when a phone left the Wi-Fi; connections stay."""
        self.flowing.clear()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = _small_socket()
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._target))
        back, forth = await asyncio.open_connection(sock=sock, limit=PIECE)
        try:
            with suppress(OSError):
                await asyncio.gather(self._carry(reader, forth), self._carry(back, writer))
        finally:
            forth.transport.abort()
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while data := await reader.read(PIECE):
            due = max(due, loop.time()) + len(data) / self._rate
            await asyncio.sleep(due - loop.time())
            await self.flowing.wait()
            writer.write(data)
            self.carried += len(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def slow_link(target: int, rate: float) -> AsyncIterator[SlowLink]:
    """Run a link to ``target`` that carries ``rate`` octets a second each way."""
    link = SlowLink(target, rate)
    listener = _small_socket()
    listener.bind(("127.0.0.1", 0))
    relays: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(asyncio.ensure_future(link.relay(reader, writer)))

    server = await asyncio.start_server(begin, sock=listener, limit=PIECE)
    link.port = listener.getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)


def _small_socket() -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setblocking(False)
    return sock
