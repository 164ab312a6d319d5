# SPDX-License-Identifier: MIT
"""Hostile peers at every door of a network, and what its other peers notice of them."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import ssl
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from awala.nodes.background import in_background
from awala.testing.forks import ForkServer
from awala.testing.networks import Network

IDLE: Final = 30
"""Connections to each door that say nothing, or half of a request."""

SLOW: Final = 10
"""Bodies that are announced to each HTTP door, and come one octet a second."""

PAUSE: Final = 0.2
"""Seconds between two bad requests of one attacker; each waits for its answer first."""

SETTLING: Final = 3.0
"""Seconds in which the attackers take their places before anything is measured."""

LARGE: Final = 1024 * 1024
"""Octets of a large body: refused for what is in it once it was read."""

TARGET: Final = "awala.testing.sieges:main"
"""What the attackers' process runs."""

HTTP_DOORS: Final = ("internet poweb", "internet pohttp", "service pohttp", "gateway poweb")
TLS_DOORS: Final = (
    "internet poweb",
    "internet pohttp",
    "service pohttp",
    "internet cogrpc",
    "courier cogrpc",
)


CARELESS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts everybody."""
CARELESS.check_hostname = False
CARELESS.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True, slots=True)
class Siege:
    """Median seconds from question to answer, in peace and under attack, and what was wrong."""

    calm: float
    attacked: float
    attempts: int
    problems: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """How many times as long an answer takes under attack."""
        return self.attacked / self.calm


class SiegeTest:
    """One network, measured in peace, then under attack."""

    def __init__(self, network: Network, server: ForkServer) -> None:
        self._network = network
        self._server = server

    async def run(self, questions: int) -> Siege:
        """Ask so many questions, one after the other, in peace and again under attack."""
        network = self._network
        async with network.running():
            await network.meet()
            await self._ask("warm", questions // 4 + 1)
            calm = await self._ask("calm", questions)
            doors = {name: link.target for name, link in network.links.items()}
            attacker = await self._server.spawn(TARGET, [json.dumps(doors)], directory=network.directory)
            try:
                await asyncio.sleep(SETTLING)
                attacked = await self._ask("attacked", questions)
            finally:
                attacker.kill(signal.SIGTERM)
                output, _ = await attacker.communicate()
            await network.settle()
        return Siege(calm, attacked, int(output or 0), tuple(network.problems()))

    async def _ask(self, name: str, questions: int) -> float:
        """Return the median of the seconds that answers took."""
        loop = asyncio.get_running_loop()
        times = []
        for number in range(questions):
            began = loop.time()
            await self._network.ask(f"{name}-{number}", 1000)
            await self._network.wait_for(f"{name}-{number}")
            times.append(loop.time() - began)
        return statistics.median(times)


def main() -> None:
    """Attack the doors in the first argument until SIGTERM; then print how many bad requests there were."""
    asyncio.run(Attack(json.loads(sys.argv[1])).run())


class Attack:
    """All attackers, in a process of their own, which takes no time from the network's other peers."""

    def __init__(self, doors: Mapping[str, tuple[str, int]]) -> None:
        self._doors = doors
        self._attempts = 0

    async def run(self) -> None:
        """Attack until SIGTERM."""
        attackers: list[Coroutine[Any, Any, None]] = []
        for door in self._doors:
            attackers += [self._idle(door, number) for number in range(IDLE)]
            attackers.append(self._again(door, lambda: secrets.token_bytes(2000)))
            if door in HTTP_DOORS:
                attackers += [self._slow(door) for _ in range(SLOW)]
                attackers.append(self._again(door, lambda: _request(b"rubbish")))
                attackers.append(self._again(door, lambda: _request(bytes(LARGE))))
                attackers.append(self._again(door, lambda: _head(1 << 40)))
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        async with in_background(*attackers):
            await ended.wait()
        sys.stdout.write(f"{self._attempts}\n")

    async def _idle(self, door: str, number: int) -> None:
        while True:
            async with self._connection(door) as (reader, writer):
                if number % 2:
                    writer.write(b"POST / HTTP/1.1\r\nHost: 127")
                await reader.read()
            await asyncio.sleep(PAUSE)

    async def _slow(self, door: str) -> None:
        while True:
            async with self._connection(door) as (_, writer):
                writer.write(_head(LARGE))
                for _ in range(60):
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(1.0)
            await asyncio.sleep(PAUSE)

    async def _again(self, door: str, octets: Callable[[], bytes]) -> None:
        while True:
            async with self._connection(door) as (reader, writer):
                writer.write(octets())
                async with asyncio.timeout(1.0):
                    await reader.read(1000)
            self._attempts += 1
            await asyncio.sleep(PAUSE)

    @asynccontextmanager
    async def _connection(
        self, door: str
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect as somebody who trusts everybody; what goes wrong ends the block, no more."""
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(
                *self._doors[door], ssl=CARELESS if door in TLS_DOORS else None
            )
            try:
                yield reader, writer
            finally:
                writer.transport.abort()


def _head(length: int) -> bytes:
    lines = ("POST / HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/vnd.awala.parcel")
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def _request(body: bytes) -> bytes:
    return _head(len(body)) + body
