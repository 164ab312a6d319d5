# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from awala.testing import ChaosProxy, Weather

MANY = bytes(range(256)) * 1000


class CountingClock:
    """Sleeps no longer than a turn of the loop, and adds up what it was asked for."""

    def __init__(self) -> None:
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


@pytest.fixture
async def target():
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


@asynccontextmanager
async def connected(proxy):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def say(proxy, octets):
    async with connected(proxy) as (reader, writer):
        writer.write(octets)
        writer.write_eof()
        return await reader.read()


async def is_silent(reader, *, seconds=0.1):
    try:
        async with asyncio.timeout(seconds):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_in_fine_weather_everything_passes_and_is_counted(target):
    async with ChaosProxy(*target) as proxy:
        assert await say(proxy, MANY) == MANY
        assert proxy.octets_to_target == proxy.octets_from_target == len(MANY)
        assert 1 <= proxy.pieces <= len(MANY)


async def test_latency_holds_each_direction_for_its_time(target):
    clock = CountingClock()
    async with ChaosProxy(*target, clock=clock) as proxy:
        proxy.to_target.latency, proxy.from_target.latency = 7.0, 5.0
        assert await say(proxy, b"hello") == b"hello"
        assert 11.9 < clock.slept <= 12.0


async def test_latency_delays_what_follows_no_further(target):
    async with ChaosProxy(*target) as proxy:
        proxy.to_target.latency = 0.1
        async with connected(proxy) as (reader, writer):
            began = asyncio.get_running_loop().time()
            for _ in range(20):
                writer.write(b"x")
                await asyncio.sleep(0.005)
            await reader.readexactly(20)
            assert asyncio.get_running_loop().time() - began < 1.0  # one after the other they took 2 s


@pytest.mark.parametrize("rate", [10_000, 3_000_000])
async def test_a_narrow_link_takes_its_time_for_the_octets_however_they_come(target, rate):
    clock = CountingClock()
    async with ChaosProxy(*target, clock=clock) as proxy:
        proxy.to_target.rate = rate
        assert await say(proxy, MANY) == MANY
        assert clock.slept == pytest.approx(len(MANY) / rate)


async def test_stalled_nothing_passes_until_it_clears(target):
    async with ChaosProxy(*target) as proxy, connected(proxy) as (reader, writer):
        proxy.to_target.stalled = True
        writer.write(b"hello")
        assert await is_silent(reader)
        proxy.clear()
        assert await reader.readexactly(5) == b"hello"


async def test_a_half_open_link_takes_everything_and_answers_nothing(target):
    async with ChaosProxy(*target) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.set_weather(Weather(swallows=True))
        for _ in range(100):
            writer.write(MANY)
            await writer.drain()
        assert await is_silent(reader)
        proxy.clear()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        assert proxy.octets_from_target == 10


async def test_a_reset_reaches_both_sides(target):
    async with ChaosProxy(*target) as proxy:
        proxy.to_target.resets_after = 1000
        async with connected(proxy) as (reader, writer):
            writer.write(bytes(1000))
            assert await reader.readexactly(1000) == bytes(1000)
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()
        proxy.clear()
        assert await say(proxy, bytes(2000)) == bytes(2000)


@pytest.mark.parametrize("every", [1, 7, 1000, 100_000])
async def test_one_bit_in_so_many_octets_is_flipped_whatever_the_pieces(target, every):
    async with ChaosProxy(*target) as proxy:
        proxy.from_target.flips_every = every
        answer = await say(proxy, MANY)
        changed = [place for place, (a, b) in enumerate(zip(MANY, answer, strict=True)) if a != b]
        assert changed == list(range(every // 2, len(MANY), every))
        assert all((MANY[place] ^ answer[place]).bit_count() == 1 for place in changed)


async def test_it_is_cut_and_mended_like_any_link_also_while_stalled(target):
    async with ChaosProxy(*target) as proxy, connected(proxy) as (reader, writer):
        proxy.set_weather(Weather(stalled=True))
        writer.write(b"hello")
        await asyncio.sleep(0.01)
        await proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.clear()
        await proxy.mend()
        assert await say(proxy, b"hello") == b"hello"
