# SPDX-License-Identifier: MIT
"""Accepts connections within bounds: so many in all, so many of one peer, so much time for TLS.

The bounds hold from the first packet on, before TLS and HTTP: who only opens connections gets no further.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from awala.bindings.peers import is_near, peer_of

MAX_CONNECTIONS: Final = 4096
"""Connections of one port, as far as the system gives files for them."""

MAX_PEER_CONNECTIONS: Final = 256
"""Connections of one peer at one port: a village behind one address, but not the whole port."""

TLS_TIMEOUT: Final = 10.0
"""Seconds for the TLS handshake of a new connection."""

ACCEPT_PAUSE: Final = 1.0
"""Seconds without accepting after the system had no more files."""

_PORTS: Final = 4
"""Ports of one process among which its files are divided; a port gets no more than its part."""

_BURST: Final = 64  # connections accepted before others get their turn


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections a port has at once.

    ``spare_near``: do not count by peer those of this machine and its network, which a proxy may send.
    """

    total: int = MAX_CONNECTIONS
    per_peer: int = MAX_PEER_CONNECTIONS
    spare_near: bool = True


class Acceptor:
    """Accepts on one listening socket, which it owns, and makes a protocol of each connection."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        limits: ConnectionLimits,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._limits = limits
        self._total = min(limits.total, _files_per_port())
        self._loop = asyncio.get_running_loop()
        self._by_peer: dict[str, list[socket.socket]] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept nothing more, and end the handshakes in progress; connections stay. May be called again."""
        if self._pause is not None:
            self._pause.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        for task in self._starting:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return when the handshakes in progress have ended."""
        if self._starting:
            await asyncio.wait(self._starting)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        for _ in range(_BURST):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # there are no files left: asking again at once would not help
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(ACCEPT_PAUSE, self._listen)
                return
            self._take(connection, address)

    def _take(self, connection: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if not self._has_room(connection, host):
            connection.close()
            return
        connection.setblocking(False)  # noqa: FBT003 - the method takes it so
        task = self._loop.create_task(self._start(connection))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _has_room(self, connection: socket.socket, host: str | None) -> bool:
        """Count the connection, unless there are enough; those that have ended are forgotten here."""
        if sum(map(len, self._by_peer.values())) >= self._total:
            self._by_peer = {peer: alive for peer, held in self._by_peer.items() if (alive := _open(held))}
            if sum(map(len, self._by_peer.values())) >= self._total:
                return False
        peer = peer_of(host)
        held = _open(self._by_peer.get(peer, []))
        self._by_peer[peer] = held
        spared = self._limits.spare_near and is_near(host)
        if not spared and len(held) >= self._limits.per_peer:
            return False
        held.append(connection)
        return True

    async def _start(self, connection: socket.socket) -> None:
        timeout = None if self._tls is None else TLS_TIMEOUT
        try:
            with suppress(OSError):  # the peer has gone, or does not speak TLS
                await self._loop.connect_accepted_socket(
                    self._make_protocol, connection, ssl=self._tls, ssl_handshake_timeout=timeout
                )
                return
        except asyncio.CancelledError:
            connection.close()
            raise
        connection.close()


def _open(connections: list[socket.socket]) -> list[socket.socket]:
    """Return those that have not been closed."""
    return [connection for connection in connections if connection.fileno() >= 0]


def _files_per_port() -> int:
    """Return a port's part of the files that this process may open, after raising that limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _PORTS * MAX_CONNECTIONS  # half of all files are for everything else
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(soft // (2 * _PORTS), 1)
