# SPDX-License-Identifier: MIT
"""A link with bad weather: slow, narrow, stalled, half-open or corrupting, as long as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from awala.base.clock import Clock, SystemClock
from awala.testing.proxy import PIECE, TcpProxy

MAX_IN_FLIGHT: Final = 64
"""Pieces that a direction holds at once; beyond that, whoever sends is held up."""

_TICK: Final = 0.02  # seconds' worth of octets that a narrow link passes on at once


@dataclass(slots=True)
class Weather:
    """What one direction of a link does to the octets that cross it; may be changed at any time.

    Attributes:
        latency: seconds that each octet takes.
        rate: octets that pass in a second; None for as many as come.
        stalled: nothing passes, and who sends is held up in the end; connections stay open.
        swallows: what comes is taken and passed on to nobody, as by a peer that vanished: half-open.
        flips_every: one bit is flipped in the middle of every so many octets; 0 for never.
        resets_after: octets after which a connection is reset; None for never.

    """

    latency: float = 0.0
    rate: float | None = None
    stalled: bool = False
    swallows: bool = False
    flips_every: int = 0
    resets_after: int | None = None


class LinkResetError(ConnectionError):
    """A connection that this proxy itself breaks off."""


class ChaosProxy(TcpProxy):
    """A `TcpProxy` with weather in each direction.

    Attributes:
        to_target: the weather towards the target.
        from_target: the weather on the way back.
        pieces: reads from clients so far: an upper bound for the requests that they made.

    """

    def __init__(
        self, target_host: str, target_port: int, *, host: str = "127.0.0.1", clock: Clock | None = None
    ) -> None:
        super().__init__(target_host, target_port, host=host)
        self._clock = clock or SystemClock()
        self.to_target = Weather()
        self.from_target = Weather()
        self.pieces = 0

    def set_weather(self, weather: Weather) -> None:
        """Have the same weather in both directions; open connections meet it too."""
        for each in (self.to_target, self.from_target):
            for name in Weather.__slots__:
                setattr(each, name, getattr(weather, name))

    def clear(self) -> None:
        """End all bad weather."""
        self.set_weather(Weather())

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_target: bool
    ) -> None:
        weather = self.to_target if towards_target else self.from_target
        flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_off(reader, flight, weather, towards_target=towards_target))
            group.create_task(self._land(flight, writer, weather))

    async def _take_off(
        self,
        reader: asyncio.StreamReader,
        flight: asyncio.Queue[tuple[float, bytes]],
        weather: Weather,
        *,
        towards_target: bool,
    ) -> None:
        """Read what comes until its end, each piece with the time at which it arrives."""
        loop = asyncio.get_running_loop()
        crossed = 0
        while piece := await reader.read(PIECE):
            if towards_target:
                self.octets_to_target += len(piece)
                self.pieces += 1
            else:
                self.octets_from_target += len(piece)
            before, crossed = crossed, crossed + len(piece)
            if weather.resets_after is not None and crossed > weather.resets_after:
                raise LinkResetError("this connection was chosen to be reset")
            if not weather.swallows:
                await flight.put(
                    (loop.time() + weather.latency, _flipped(piece, before, weather.flips_every))
                )
        await flight.put((0.0, b""))

    async def _land(
        self,
        flight: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        weather: Weather,
    ) -> None:
        """Write each piece when its time has come, as fast as the link is."""
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await flight.get()
            if (wait := due - loop.time()) > 0:
                await self._clock.sleep(wait)
            if not piece:
                break
            rest = memoryview(piece)
            while rest:
                while weather.stalled:
                    await self._clock.sleep(_TICK)
                share = len(rest) if weather.rate is None else max(1, int(weather.rate * _TICK))
                size = min(share, len(rest))
                writer.write(rest[:size])
                await writer.drain()
                rest = rest[size:]
                if weather.rate is not None:
                    await self._clock.sleep(size / weather.rate)
        if not weather.swallows:
            with contextlib.suppress(OSError):
                writer.write_eof()


def _flipped(piece: bytes, before: int, every: int) -> bytes:
    """Return a piece with a bit flipped in the middle of every ``every`` octets of its stream."""
    if not every:
        return piece
    changed = bytearray(piece)
    for place in range((every // 2 - before) % every, len(changed), every):
        changed[place] ^= 1
    return bytes(changed)
