# SPDX-License-Identifier: MIT
"""HTTP over a dialler: who is spoken to, what errors become, and when a connection is used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import sys
from contextlib import asynccontextmanager

import httpcore2
import httpx2
import pytest

from awala.base.errors import AwalaError
from awala.bindings.addressing import Dialler, NotFound
from awala.bindings.asgi import HttpApp, Response
from awala.bindings.dialling import DiallingTransport, DirectDialler
from awala.bindings.errors import UnreachableError
from awala.bindings.serving import serve
from awala.testing import Authority
from helpers.network import StaticResolver
from helpers.poweb import LoopbackDialler

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LIMITS = {"max_connections": 2, "max_idle_connections": 2, "idle_expiry": 60.0}


def checked(*addresses):
    return Dialler(StaticResolver(hosts={"host.test": addresses}, error=NotFound("none")))


def client_over(dialler, tls=None, **changes):
    transport = DiallingTransport(dialler, tls=tls, **{**LIMITS, **changes})
    return httpx2.AsyncClient(transport=transport, timeout=httpx2.Timeout(5))


async def hello(request):
    return Response.text(request.headers.get("host"))


class RawServer:
    """A server that answers every request alike and does to the connection what a test wants done."""

    def __init__(self):
        self.writers = []
        self.answer = ANSWER
        self.then = None

    async def __call__(self, reader, writer):
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if self.then is not None:
                    self.then(writer)
                writer.write(self.answer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(tls=None):
    handler = RawServer()
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield handler, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def pair(*, secure):
    """Yield a raw server, a client of it, and the URL to ask for."""
    authority = Authority.create()
    server_tls = authority.server_context("host.test") if secure else None
    client_tls = authority.client_context() if secure else None
    async with (
        raw_server(server_tls) as (server, port),
        client_over(LoopbackDialler(port), client_tls) as client,
    ):
        yield server, client, "https://host.test/" if secure else "http://host.test/"


async def until_heard(check):
    """Let the loop run until what the peer did has arrived; the test's time-out ends it otherwise."""
    while not check():  # noqa: ASYNC110 - nothing tells from outside
        await asyncio.sleep(0.001)


def idle_stream(client):
    [connection] = client._transport._pool.connections
    return connection._connection._network_stream


async def test_httpx_speaks_to_the_name_over_the_checked_address():
    authority = Authority.create()
    tls = authority.server_context("host.test")
    names = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    async with (
        serve(HttpApp({"/": {"GET": hello}}), "127.0.0.1:0", tls=tls) as server,
        client_over(checked("127.0.0.1"), authority.client_context()) as client,
    ):
        answer = await client.get(f"https://host.test:{server.port}/")

    assert answer.text == f"host.test:{server.port}"
    assert names == ["host.test"]


async def test_the_errors_of_the_dialler_pass_unchanged():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with client_over(checked("127.0.0.1"), Authority.create().client_context()) as client:
        with pytest.raises(UnreachableError, match="refused"):
            await client.get(f"https://host.test:{port}/")
        with pytest.raises(NotFound):
            await client.get("https://elsewhere.test/")


@pytest.mark.parametrize("error", [AwalaError("not this way"), ConnectionRefusedError("127.0.0.1")])
async def test_of_foreign_errors_only_those_of_the_system_are_translated(error):
    class Failing:
        async def connect(self, _host, _port):
            raise error

    expected = httpx2.ConnectError if isinstance(error, OSError) else AwalaError
    async with client_over(Failing()) as client:
        with pytest.raises(expected) as raised:
            await client.get("http://host.test/")
    assert "127.0.0.1" not in str(raised.value)


async def test_dialling_has_a_bound():
    class Hanging:
        async def connect(self, _host, _port):
            await asyncio.Event().wait()

    async with client_over(Hanging()) as client:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.get("http://host.test/", timeout=httpx2.Timeout(None, connect=0.01))


async def test_names_are_checked_against_the_certificate():
    authority = Authority.create()
    async with (
        raw_server(authority.server_context("other.test")) as (_, port),
        client_over(LoopbackDialler(port), authority.client_context()) as client,
    ):
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            await client.get("https://host.test/")


@pytest.mark.parametrize("secure", [False, True])
async def test_an_idle_connection_is_used_again(secure):
    async with pair(secure=secure) as (server, client, url):
        for _ in range(2):
            assert (await client.get(url)).text == "hi"
    assert len(server.writers) == 1


async def test_no_connection_is_kept_longer_than_asked_for():
    async with raw_server() as (server, port), client_over(LoopbackDialler(port), idle_expiry=0.0) as client:
        for _ in range(2):
            await client.get("http://host.test/")
    assert len(server.writers) == 2


def hang_up(writer):
    writer.close()


def reset(writer):
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def speak_unasked(writer):
    writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("spoil", [hang_up, reset, speak_unasked])
async def test_a_connection_that_the_peer_spoilt_while_idle_is_not_used_again(spoil, secure):
    async with pair(secure=secure) as (server, client, url):
        await client.get(url)
        stream = idle_stream(client)
        assert not stream.get_extra_info("is_readable")
        spoil(server.writers[0])
        await until_heard(lambda: stream.get_extra_info("is_readable"))
        answer = await client.get(url)
    assert answer.status_code == 200
    assert len(server.writers) == 2


@pytest.mark.parametrize("secure", [False, True])
async def test_a_connection_that_breaks_under_a_request_is_a_read_error(secure):
    async with pair(secure=secure) as (server, client, url):
        server.then = reset
        with pytest.raises(httpx2.ReadError):
            await client.get(url)


async def test_a_peer_that_does_not_answer_is_given_up():
    async with raw_server() as (server, port), client_over(LoopbackDialler(port)) as client:
        server.answer = b""
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("http://host.test/", timeout=httpx2.Timeout(None, read=0.01))


async def test_a_peer_that_does_not_read_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with client_over(LoopbackDialler(listener.getsockname()[1])) as client:
            with pytest.raises(httpx2.WriteTimeout):
                await client.post(
                    "http://host.test/", content=bytes(16 << 20), timeout=httpx2.Timeout(None, write=0.01)
                )


async def test_a_stream_that_was_never_used_is_closed():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialler = LoopbackDialler(listener.getsockname()[1])
        pool = DiallingTransport(dialler, tls=None, **LIMITS)._pool
        stream = await pool._network_backend.connect_tcp("host.test", 1, timeout=5)
        assert isinstance(stream, httpcore2.AsyncNetworkStream)
        assert stream.get_extra_info("is_readable") is None
        await stream.aclose()
        assert stream._sock.fileno() == -1


async def test_tls_that_cannot_be_had_leaves_no_socket_open():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dialler = LoopbackDialler(listener.getsockname()[1])
        pool = DiallingTransport(dialler, tls=None, **LIMITS)._pool
        stream = await pool._network_backend.connect_tcp("host.test", 1)
        with pytest.raises(httpcore2.ConnectTimeout):
            await stream.start_tls(ssl.create_default_context(), "host.test", timeout=0.01)
        assert stream._sock.fileno() == -1


def test_importing_it_brings_neither_dns_nor_servers():
    code = (
        "import sys\nfor name in ('dns', 'uvicorn', 'grpc', 'awala.bindings.addressing'):"
        " sys.modules[name] = None\n"
        "import awala.bindings.dialling, awala.bindings.poweb"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_tries_every_address_of_a_name(monkeypatch):
    good = socket.create_server(("127.0.0.1", 0))
    closed = socket.create_server(("127.0.0.1", 0))
    addresses = [closed.getsockname(), good.getsockname()]
    closed.close()

    async def resolve(*_args, **_kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    connected = await DirectDialler().connect("gw.example", 1)

    assert connected.getpeername() == addresses[1]
    connected.close()
    good.close()
