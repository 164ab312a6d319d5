# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import contextlib

import pytest

from awala.testing import TcpProxy


async def _echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def target():
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[:2]


async def say(proxy, octets):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(octets)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def test_passes_everything_on_and_counts_it(target):
    octets = bytes(range(256)) * 20_000
    async with TcpProxy(*target) as proxy:
        assert proxy.address == f"127.0.0.1:{proxy.port}"
        assert await say(proxy, octets) == octets
        assert await say(proxy, b"") == b""
        assert proxy.octets_to_target == proxy.octets_from_target == len(octets)
        assert proxy.connections == proxy.passed_on == 2


async def test_cut_it_drops_connections_and_refuses_new_ones(target):
    async with TcpProxy(*target) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await proxy.cut()
        await proxy.cut()
        assert proxy.is_cut
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
        assert proxy.octets_to_target == 5


async def test_mended_it_works_under_the_same_address(target):
    async with TcpProxy(*target) as proxy:
        address = proxy.address
        for _ in range(3):
            await proxy.cut()
            await proxy.mend()
            await proxy.mend()
            assert proxy.address == address
            assert await say(proxy, b"again") == b"again"


async def test_whoever_mends_it_may_give_up_and_others_may_mend_it_too(target):
    async with TcpProxy(*target) as proxy:
        await proxy.cut()
        mending = asyncio.ensure_future(proxy.mend())
        await asyncio.sleep(0)
        mending.cancel()
        await asyncio.gather(mending, return_exceptions=True)
        await asyncio.gather(proxy.mend(), proxy.mend())
        assert await say(proxy, b"again") == b"again"

        await proxy.cut()
        await asyncio.gather(proxy.mend(), proxy.mend())
        assert await say(proxy, b"and again") == b"and again"


async def test_can_be_pointed_elsewhere_while_it_runs(target):
    async def shout(reader, writer):
        writer.write((await reader.read()).upper())
        writer.close()

    other = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with other, TcpProxy(*target) as proxy:
        assert await say(proxy, b"quiet") == b"quiet"
        proxy.retarget(*other.sockets[0].getsockname()[:2])
        assert await say(proxy, b"quiet") == b"QUIET"


async def test_a_target_that_is_gone_resets_the_connection(target):
    async with TcpProxy(*target) as proxy:
        proxy.retarget("127.0.0.1", 1)
        with pytest.raises(ConnectionResetError):
            await say(proxy, b"hello")
        assert (proxy.connections, proxy.passed_on) == (1, 0)


async def test_a_target_that_breaks_off_breaks_the_connection():
    async def hang_up(reader, writer):
        await reader.readexactly(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, TcpProxy(*server.sockets[0].getsockname()[:2]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x" * 1_000_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_ends_with_open_connections(target):
    async with TcpProxy(*target) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x")
        await reader.readexactly(1)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.close()
