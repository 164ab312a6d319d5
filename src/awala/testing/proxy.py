# SPDX-License-Identifier: MIT
"""A TCP proxy that stands for a link: it can be cut and mended, and counts what crosses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Final, Self

from awala.bindings.host_port import join_address

PIECE: Final = 64 * 1024
"""Octets that are passed on at once."""


class TcpProxy:
    """Passes connections on to a target, while the link is whole.

    Cut, it drops its connections with a reset and refuses new ones; its port stays reserved, so that
    the link can be mended under the same address.

    Attributes:
        octets_to_target: octets that crossed towards the target since the start.
        octets_from_target: octets that crossed back.
        connections: connections that were accepted since the start.
        passed_on: those of them for which the target was there.

    """

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1") -> None:
        self._target = (target_host, target_port)
        self._host = host
        self._port = 0
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.octets_to_target = 0
        self.octets_from_target = 0
        self.connections = 0
        self.passed_on = 0

    async def __aenter__(self) -> Self:
        self._reserve()
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        self._release()

    @property
    def address(self) -> str:
        """Where it accepts connections, as ``host:port``; the same for its whole life."""
        return join_address(self._host, self._port)

    @property
    def port(self) -> int:
        """The port alone."""
        return self._port

    @property
    def is_cut(self) -> bool:
        """Whether the link is cut."""
        return self._server is None

    @property
    def target(self) -> tuple[str, int]:
        """Host and port that new connections are passed on to."""
        return self._target

    def retarget(self, host: str, port: int) -> None:
        """Pass new connections on to another target; open ones stay."""
        self._target = (host, port)

    async def cut(self) -> None:
        """Drop all connections and refuse new ones."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._reserve()
        await self.drop_connections()

    async def mend(self) -> None:
        """Accept connections again."""
        if self._server is not None:
            return
        # Nothing is waited for until both are noted, so a caller may be cancelled here.
        server = await asyncio.start_server(self._accept, sock=self._reserved, start_serving=False)
        self._server, self._reserved = server, None
        await server.start_serving()

    async def drop_connections(self) -> None:
        """Reset the open connections, but keep the link."""
        tasks = set(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _reserve(self) -> None:
        """Hold the port without listening: whoever connects is refused."""
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self._host, self._port))
        self._port = sock.getsockname()[1]
        self._reserved = sock

    def _release(self) -> None:
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls this in a task of its own
        self._open.add(task)
        self.connections += 1
        try:
            await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            # The link was cut; asyncio would report a cancelled handler as an error.
            _reset(writer)
        finally:
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        self.passed_on += 1
        whole = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, towards_target=True))
                group.create_task(self._pump(far_reader, writer, towards_target=False))
            whole = True
        except* OSError:
            pass  # one side broke off, so the other is dropped too
        finally:
            if not whole:
                _reset(writer)
                _reset(far_writer)
        await _close(writer)
        await _close(far_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_target: bool
    ) -> None:
        while piece := await reader.read(PIECE):
            if towards_target:
                self.octets_to_target += len(piece)
            else:
                self.octets_from_target += len(piece)
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close in order: what was passed on still arrives."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once; what is unsent is lost, and the peer sees a reset if anything was."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
