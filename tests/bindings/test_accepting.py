# SPDX-License-Identifier: MIT
"""Hostile connections: those that say nothing, little, or come in masses."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager, suppress

import pytest

from awala.bindings import accepting, asgi, serving
from awala.bindings.accepting import ConnectionLimits
from awala.bindings.asgi import HttpApp, LargeBodies, Request, Response
from awala.bindings.errors import TemporarilyUnavailable, Unauthenticated
from awala.bindings.serving import serve
from awala.testing import Authority

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(_request: Request) -> Response:
    return Response.text("hello")


async def take(request: Request) -> Response:
    return Response(body=str(len(await request.body())).encode())


async def send_away(_request: Request) -> Response:
    raise Unauthenticated("Nobody knows you")


APP = HttpApp({"/": {"GET": hello, "POST": take}, "/closed": {"POST": send_away}})


@asynccontextmanager
async def connection(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def trickle(writer: asyncio.StreamWriter, octets: int) -> None:
    for _ in range(octets):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def is_cut(reader: asyncio.StreamReader) -> bool:
    """Say whether the server ends the connection within a second, in whatever way."""
    async with asyncio.timeout(1):
        with suppress(ConnectionResetError):
            while await reader.read(4096):
                pass
        return True


async def test_a_second_request_has_no_more_time_for_its_headers_than_the_first(monkeypatch):
    monkeypatch.setattr(serving, "HEADER_TIMEOUT", 0.05)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert await is_cut(reader)


async def test_headers_that_trickle_have_no_more_time(monkeypatch):
    monkeypatch.setattr(serving, "HEADER_TIMEOUT", 0.1)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        with pytest.raises(ConnectionError):
            await trickle(writer, 50)


async def test_an_idle_connection_is_kept_for_its_next_request(monkeypatch):
    monkeypatch.setattr(serving, "HEADER_TIMEOUT", 0.05)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"hello")
        await asyncio.sleep(0.15)
        writer.write(GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def test_a_body_that_nobody_wants_any_more_may_not_trickle_for_ever(monkeypatch):
    monkeypatch.setattr(serving, "UNWANTED_TIMEOUT", 0.05)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(b"POST /closed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401")
        writer.write(b"more")
        assert await is_cut(reader)


async def test_the_rest_of_an_unwanted_body_may_come_and_the_connection_goes_on():
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(b"POST /closed HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401")
        writer.write(b"def" + GET)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")


async def test_a_body_that_trickles_is_given_up_and_may_be_sent_again(monkeypatch):
    monkeypatch.setattr(asgi, "BODY_PATIENCE", 0.1)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        trickling = asyncio.create_task(trickle(writer, 100))
        async with asyncio.timeout(1):
            # Deployed senders drop a parcel for good after any 4xx, but send it again after 503.
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 503")
        trickling.cancel()


async def test_a_slow_body_is_waited_for_while_it_keeps_its_pace(monkeypatch):
    monkeypatch.setattr(asgi, "BODY_PATIENCE", 0.1)
    monkeypatch.setattr(asgi, "SLOWEST_BODY", 1000)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n")
        for _ in range(20):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.02)
        assert b"\r\n\r\n2000" in await reader.readuntil(b"2000")


async def test_there_are_only_so_many_connections():
    async with serve(APP, "127.0.0.1:0", limits=ConnectionLimits(total=2)) as server:
        async with connection(server.port), connection(server.port):
            await asyncio.sleep(0.05)
            async with connection(server.port) as (reader, _):
                assert await is_cut(reader)
        await asyncio.sleep(0.05)
        async with connection(server.port) as (reader, writer):
            writer.write(GET)
            assert await reader.readuntil(b"hello")


async def test_one_peer_has_only_so_many_connections():
    limits = ConnectionLimits(per_peer=2, spare_near=False)
    async with (
        serve(APP, "127.0.0.1:0", limits=limits) as server,
        connection(server.port),
        connection(server.port),
    ):
        await asyncio.sleep(0.05)
        async with connection(server.port) as (reader, _):
            assert await is_cut(reader)


async def test_a_proxy_near_by_may_bring_many():
    limits = ConnectionLimits(per_peer=1)
    async with (
        serve(APP, "127.0.0.1:0", limits=limits) as server,
        connection(server.port),
        connection(server.port) as (reader, writer),
    ):
        writer.write(GET)
        assert await reader.readuntil(b"hello")


async def test_connections_before_tls_count_and_have_their_time(monkeypatch):
    monkeypatch.setattr(accepting, "TLS_TIMEOUT", 0.3)
    tls = Authority.create().server_context("127.0.0.1")
    async with (
        serve(APP, "127.0.0.1:0", tls=tls, limits=ConnectionLimits(total=1)) as server,
        connection(server.port) as (mute, _),
    ):
        await asyncio.sleep(0.05)
        async with connection(server.port) as (reader, _):
            assert await is_cut(reader)
        assert await is_cut(mute)


async def test_a_server_stops_although_a_tls_handshake_is_in_progress():
    tls = Authority.create().server_context("127.0.0.1")
    async with asyncio.timeout(3):
        async with serve(APP, "127.0.0.1:0", tls=tls) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.sleep(0.05)
        assert await is_cut(reader)
        writer.close()


async def test_a_system_without_files_is_asked_again_after_a_pause(monkeypatch):
    monkeypatch.setattr(accepting, "ACCEPT_PAUSE", 0.05)

    class Exhausted(socket.socket):
        asked = 0

        def accept(self):
            Exhausted.asked += 1
            if Exhausted.asked <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    monkeypatch.setattr(serving.socket, "socket", Exhausted)
    async with serve(APP, "127.0.0.1:0") as server, connection(server.port) as (reader, writer):
        writer.write(GET)
        assert await reader.readuntil(b"hello")
    assert 3 <= Exhausted.asked <= 6


async def test_one_peer_does_not_hold_all_room_for_large_bodies():
    bodies = LargeBodies(slots=2, peer_slots=1, patience=1)
    large = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("8.8.8.8", 1)}
    async with bodies.room_for(Request(large, None)):
        with pytest.raises(TemporarilyUnavailable):
            async with bodies.room_for(Request(large, None)):
                pass
        async with bodies.room_for(Request({**large, "client": ("9.9.9.9", 1)}, None)):
            pass
    async with bodies.room_for(Request(large, None)):
        pass
