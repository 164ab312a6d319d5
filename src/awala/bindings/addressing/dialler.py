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
from typing import Final, TypeAlias

from awala.bindings.addressing.model import Resolver
from awala.bindings.dialling import open_socket
from awala.bindings.errors import UnreachableError

ATTEMPT_TIMEOUT: Final = 10.0
"""Seconds for one connection."""

STAGGER: Final = 0.25
"""Seconds after which the next address is tried beside a slow one (RFC 8305 §5)."""

MAX_ATTEMPTS: Final = 6
"""Addresses tried for one connection."""

Dial: TypeAlias = Callable[[str, int], Awaitable[socket.socket]]
"""Opens a connection to an IP address and port; an OSError means to try the next."""


async def dial_address(address: str, port: int) -> socket.socket:
    """Return a socket connected to an IP address; raises OSError."""
    return await open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, (address, port))


class Dialler:
    """Dials hosts by the addresses that ``resolver`` gives, IPv6 and IPv4 in turn."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        timeout: float = ATTEMPT_TIMEOUT,
        stagger: float = STAGGER,
        dial: Dial = dial_address,
    ) -> None:
        self._resolver = resolver
        self._timeout = timeout
        self._stagger = stagger
        self._dial = dial

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses to try, alternating between the families, IPv6 first (RFC 8305 §4).

        Raises:
            AddressError: the host has none, or none that may be dialled.

        """
        return interleave(await self._resolver.addresses(host))[:MAX_ATTEMPTS]

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket with TCP_NODELAY: that of the first address to answer.

        Raises:
            AddressError: the host has no address that may be dialled.
            UnreachableError: none of them answers.

        """
        race = _Race(self._dial, self._timeout, self._stagger)
        return await race.run(await self.addresses(host), port)


def interleave(addresses: Iterable[str]) -> list[str]:
    """Return the addresses with the families in turn, IPv6 first, otherwise in their order."""
    by_version: dict[int, list[str]] = {6: [], 4: []}
    for address in addresses:
        by_version[ip_address(address).version].append(address)
    pairs = zip_longest(by_version[6], by_version[4])
    return [address for address in chain.from_iterable(pairs) if address is not None]


class _Race:
    """Attempts that start one after another and may overlap; the first connection wins."""

    def __init__(self, dial: Dial, timeout: float, stagger: float) -> None:
        self._dial = dial
        self._timeout = timeout
        self._stagger = stagger

    async def run(self, addresses: list[str], port: int) -> socket.socket:
        running: set[asyncio.Task[socket.socket]] = set()
        waiting = list(addresses)
        problem: OSError | None = None
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(self._dial_in_time(waiting.pop(0), port)))
                done, running = await asyncio.wait(
                    running,
                    timeout=self._stagger if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
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

    async def _dial_in_time(self, address: str, port: int) -> socket.socket:
        async with asyncio.timeout(self._timeout):
            return await self._dial(address, port)

    async def _end(self, losers: set[asyncio.Task[socket.socket]]) -> None:
        for task in losers:
            task.cancel()
        if losers:
            await asyncio.wait(losers)
        for task in losers:
            if not task.cancelled() and task.exception() is None:
                with suppress(OSError):
                    task.result().close()


def _reason(problem: OSError | None) -> str:
    """Say what went wrong without the address, which asyncio puts into its messages."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    return os.strerror(problem.errno) if problem is not None and problem.errno else "no connection"
