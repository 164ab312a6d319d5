# SPDX-License-Identifier: MIT
"""Connects to hosts of the Internet: to exactly an address that the egress policy has checked.

Whatever connects by name would resolve it once more, past the policy; so everything that dials an
Internet name goes through here.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Final, Generic, TypeVar

from awala.bindings.addressing.model import Resolver
from awala.bindings.errors import UnreachableError

ATTEMPT_TIMEOUT: Final = 10.0
"""Seconds for one connection."""

STAGGER: Final = 0.25
"""Seconds after which the next address is tried beside a slow one (RFC 8305 §5)."""

MAX_ATTEMPTS: Final = 6
"""Addresses tried for one connection."""

T = TypeVar("T")


class Dialler:
    """Dials hosts by the addresses that ``resolver`` gives, IPv6 and IPv4 in turn."""

    def __init__(
        self, resolver: Resolver, *, timeout: float = ATTEMPT_TIMEOUT, stagger: float = STAGGER
    ) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._stagger = stagger

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses to try, alternating between the families, IPv6 first (RFC 8305 §4).

        Raises:
            AddressError: the host has none, or none that may be dialled.

        """
        return interleave(await self._resolver.addresses(host))[:MAX_ATTEMPTS]

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket with TCP_NODELAY, for ``sock=`` arguments.

        Raises:
            AddressError: the host has no address that may be dialled.
            UnreachableError: none of them answers.

        """
        return await self.attempt(host, port, _connect, discard=_close)

    async def attempt(
        self,
        host: str,
        port: int,
        dial: Callable[[str, int], Awaitable[T]],
        *,
        discard: Callable[[T], Awaitable[None]],
    ) -> T:
        """Return what ``dial`` makes of the first address with which it succeeds.

        Args:
            host: the name to dial.
            port: the port.
            dial: opens a connection to an IP address and port; an OSError means to try the next.
            discard: closes a connection that lost the race against another.

        Raises:
            AddressError: the host has no address that may be dialled.
            UnreachableError: none of them answers.

        """
        race = _Race(dial, discard, self._timeout)
        return await race.run(await self.addresses(host), port, self._stagger)

    async def grpc_target(self, host: str, port: int) -> str:
        """Return the checked addresses as gRPC names them: ``ipv4:203.0.113.1:443,…`` or ``ipv6:…``.

        gRPC takes one family at a time; IPv4 is preferred for being reachable from more networks.

        Raises:
            AddressError: the host has no address that may be dialled.

        """
        addresses = await self.addresses(host)
        ipv4 = [address for address in addresses if ip_address(address).version == 4]  # noqa: PLR2004 - IPv4
        if ipv4:
            return "ipv4:" + ",".join(f"{address}:{port}" for address in ipv4)
        return "ipv6:" + ",".join(f"[{address}]:{port}" for address in addresses)


def interleave(addresses: Iterable[str]) -> list[str]:
    """Return the addresses with the families in turn, IPv6 first, otherwise in their order."""
    by_version: dict[int, list[str]] = {6: [], 4: []}
    for address in addresses:
        by_version[ip_address(address).version].append(address)
    pairs = zip_longest(by_version[6], by_version[4])
    return [address for address in chain.from_iterable(pairs) if address is not None]


class _Race(Generic[T]):
    """Attempts that start one after another and may overlap; the first connection wins."""

    def __init__(
        self,
        dial: Callable[[str, int], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
        timeout: float,
    ) -> None:
        self._dial = dial
        self._discard = discard
        self._timeout = timeout

    async def run(self, addresses: list[str], port: int, stagger: float) -> T:
        running: set[asyncio.Task[T]] = set()
        waiting = list(addresses)
        problem: OSError | None = None
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(self._dial_in_time(waiting.pop(0), port)))
                done, running = await asyncio.wait(
                    running, timeout=stagger if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if isinstance(error, OSError):
                        problem = error
                        continue
                    running |= done - {task}
                    return task.result()
        finally:
            await self._end(running)
        raise UnreachableError(f"The host cannot be reached: {_reason(problem)}") from problem

    async def _dial_in_time(self, address: str, port: int) -> T:
        async with asyncio.timeout(self._timeout):
            return await self._dial(address, port)

    async def _end(self, losers: set[asyncio.Task[T]]) -> None:
        for task in losers:
            task.cancel()
        if losers:
            await asyncio.wait(losers)
        for task in losers:
            if not task.cancelled() and task.exception() is None:
                with suppress(OSError):
                    await self._discard(task.result())


def _reason(problem: OSError | None) -> str:
    """Say what went wrong without the address, which asyncio puts into its messages."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    return os.strerror(problem.errno) if problem is not None and problem.errno else "no connection"


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the method takes it so
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _close(sock: socket.socket) -> None:
    sock.close()
