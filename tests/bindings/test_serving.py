# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import signal
import socket
from asyncio import selector_events

import pytest

from awala.base.errors import ConfigurationError, StorageFullError
from awala.bindings import asgi, serving
from awala.bindings.asgi import HttpApp, LargeBodies, Request, Response, error_response
from awala.bindings.errors import (
    Forbidden,
    MalformedRequest,
    TemporarilyUnavailable,
    Unauthenticated,
    Unprocessable,
)
from awala.bindings.host_port import join_address, split_address
from awala.bindings.hosts import Hosts
from awala.bindings.serving import serve
from awala.testing import Authority


async def echo(request: Request) -> Response:
    request.require_content_type("application/x-test")
    return Response(body=await request.body(1000), content_type="application/x-test")


async def hello(_request: Request) -> Response:
    return Response.text("hello")


APP = HttpApp({"/": {"GET": hello, "POST": echo}})


async def talk(server, octets: bytes, *, until: bytes | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(octets)
        return await (reader.readuntil(until) if until else reader.read())
    finally:
        writer.close()


def post(body: bytes, content_type="application/x-test", *extra: str) -> bytes:
    head = ["POST / HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    head += [f"Content-Type: {content_type}", *extra]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def bare(method="GET", path="/", *extra: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Connection: close", *(extra or ("Host: x",))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_reads_and_writes_addresses(text, parts):
    assert split_address(text) == parts
    assert join_address(*parts) == text


def test_a_port_may_have_a_default():
    assert split_address("host", default_port=5) == ("host", 5)
    assert split_address("[::1]", default_port=5) == ("::1", 5)
    assert split_address("host:6", default_port=5) == ("host", 6)


@pytest.mark.parametrize(
    "text", ["", "host", ":80", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:²"]
)
def test_refuses_what_is_no_address(text):
    with pytest.raises(ConfigurationError, match="host and a port"):
        split_address(text)


async def test_serves_on_a_free_port_and_says_which():
    async with serve(APP, "127.0.0.1:0") as server:
        assert server.address == f"127.0.0.1:{server.port}"
        assert server.port > 0
        answer = await talk(server, bare())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nhello")
        assert b"\r\nserver:" not in answer.lower()
        assert b"\r\ndate:" in answer.lower()


async def test_serves_over_tls():
    authority = Authority.create()
    async with serve(APP, "127.0.0.1:0", tls=authority.server_context("127.0.0.1")) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=authority.client_context(), server_hostname="127.0.0.1"
        )
        writer.write(bare())
        assert (await reader.read()).endswith(b"hello")
        writer.close()


async def test_a_port_in_use_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"{address}: Address already in use"):
            async with serve(APP, address):
                pass


@pytest.mark.parametrize("address", ["192.0.2.1:0", "host.invalid:0"])
async def test_an_address_that_is_not_ours_is_a_clear_error(address, monkeypatch):
    async def getaddrinfo(_host, _port, **_settings):
        raise socket.gaierror

    if "invalid" in address:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(ConfigurationError, match=address):
        async with serve(APP, address):
            pass


async def test_leaves_signals_alone():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serve(APP, "127.0.0.1:0"):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_an_error_inside_the_context_passes_through_and_the_server_ends():
    with pytest.raises(ZeroDivisionError):
        async with serve(APP, "127.0.0.1:0") as server:
            raise ZeroDivisionError
    with pytest.raises(ConnectionRefusedError):
        await talk(server, bare())


async def test_draining_lets_a_request_end_and_takes_no_new_one():
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        entered.set()
        await leave.wait()
        return Response.text("done")

    async def before_stop():
        leave.set()

    async with serve(HttpApp({"/": {"GET": slow}}), "127.0.0.1:0", on_drain=before_stop) as server:
        answer = asyncio.create_task(talk(server, bare()))
        await entered.wait()
        await server.drain()
        assert (await answer).endswith(b"done")
        with pytest.raises(ConnectionRefusedError):
            await talk(server, bare())
        await server.drain()


async def test_draining_ends_within_the_grace_whatever_the_requests_do():
    entered = asyncio.Event()

    async def stuck(_request):
        entered.set()
        await asyncio.Event().wait()

    async def also_stuck():
        await asyncio.Event().wait()

    app = HttpApp({"/": {"GET": stuck}})
    async with asyncio.timeout(10), serve(app, "127.0.0.1:0", grace=0, on_drain=also_stuck) as server:
        answer = asyncio.create_task(talk(server, bare()))
        await entered.wait()
        await server.drain()
        await asyncio.wait((answer,))


async def test_a_failing_hook_does_not_stop_the_drain(caplog):
    async def failing():
        raise ZeroDivisionError

    async with serve(APP, "127.0.0.1:0", on_drain=failing) as server:
        await server.drain()
    assert "Closing open conversations failed" in caplog.text


async def test_cancellation_ends_the_server():
    started = asyncio.Event()

    async def run():
        async with serve(APP, "127.0.0.1:0"):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [other for other in asyncio.all_tasks() if other.get_name().startswith("serve ")]


async def test_refuses_headers_beyond_the_limit():
    async with serve(APP, "127.0.0.1:0") as server:
        answer = await talk(server, bare("GET", "/", "Host: x", "X-Long: " + "a" * serving.MAX_HEADER_SIZE))
        assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("spare", "status"), [(2048, b"200"), (0, b"400")])
async def test_headers_that_come_all_at_once_may_be_as_long_as_others(spare, status):
    request = bare("GET", "/", "Host: x", "X-Long: " + "a" * (serving.MAX_HEADER_SIZE - spare))
    async with serve(APP, "127.0.0.1:0") as server:
        assert (await talk(server, request)).startswith(b"HTTP/1.1 " + status)


async def test_an_answer_leaves_in_one_piece(monkeypatch):
    written = []
    write = selector_events._SelectorSocketTransport.write

    def note(transport, data):
        written.append(bytes(data))
        write(transport, data)

    monkeypatch.setattr(selector_events._SelectorSocketTransport, "write", note)
    async with serve(APP, "127.0.0.1:0") as server:
        await talk(server, bare())
    (answer,) = [octets for octets in written if octets.startswith(b"HTTP/1.1")]
    assert answer.endswith(b"\r\n\r\nhello")


async def test_the_head_of_an_answer_does_not_wait_for_a_body_that_comes_late():
    more = asyncio.Event()

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await more.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async with serve(app, "127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(bare())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        more.set()
        assert b"late" in await reader.read()
        writer.close()


async def test_the_head_of_an_answer_that_fails_at_once_leaves_before_the_connection_ends():
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async with serve(app, "127.0.0.1:0") as server:
        assert (await talk(server, bare())).startswith(b"HTTP/1.1 200")


async def test_cuts_a_connection_that_brings_no_request(monkeypatch):
    monkeypatch.setattr(serving, "HEADER_TIMEOUT", 0.05)
    async with serve(APP, "127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert await reader.read() == b""
        writer.close()


async def test_gives_up_on_a_body_that_stops_half_way(monkeypatch):
    monkeypatch.setattr(asgi, "BODY_PATIENCE", 0.05)
    async with serve(APP, "127.0.0.1:0") as server:
        request = post(b"x" * 100)[:-50]
        assert (await talk(server, request)).startswith(b"HTTP/1.1 503")


async def test_a_client_that_hangs_up_gets_no_answer_and_makes_no_noise(caplog):
    gone = asyncio.Event()

    async def watch(request):
        try:
            return Response(body=await request.body())
        finally:
            gone.set()

    async with serve(HttpApp({"/": {"POST": watch}}), "127.0.0.1:0") as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(b"x" * 100)[:-50])
        await writer.drain()
        writer.close()
        await gone.wait()
    assert caplog.text == ""


async def test_echoes_a_body():
    async with serve(APP, "127.0.0.1:0") as server:
        assert (await talk(server, post(b"x" * 1000))).endswith(b"\r\n\r\n" + b"x" * 1000)


@pytest.mark.parametrize("announced", [True, False])
async def test_refuses_a_body_beyond_the_limit(announced):
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-test\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3E9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
    octets = post(b"x" * 1001) if announced else chunked
    async with serve(APP, "127.0.0.1:0") as server:
        answer = await talk(server, octets, until=b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "content_type",
    ["application/x-test; charset=utf-8", "application/x-test;", "Application/X-Test", "text/plain", ""],
)
async def test_compares_content_types_exactly(content_type):
    async with serve(APP, "127.0.0.1:0") as server:
        answer = await talk(server, post(b"x", content_type))
        assert answer.startswith(b"HTTP/1.1 415")
        assert b'{"message":"Content-Type must be application/x-test"}' in answer


async def test_two_content_types_are_none():
    async with serve(APP, "127.0.0.1:0") as server:
        answer = await talk(server, post(b"x", "application/x-test", "Content-Type: application/x-test"))
        assert answer.startswith(b"HTTP/1.1 415")


async def test_answers_other_methods_and_paths():
    async with serve(APP, "127.0.0.1:0") as server:
        refused = await talk(server, bare("DELETE"))
        assert refused.startswith(b"HTTP/1.1 405")
        assert b"\r\nallow: GET, HEAD, OPTIONS, POST\r\n" in refused
        options = await talk(server, bare("OPTIONS"))
        assert options.startswith(b"HTTP/1.1 204")
        assert b"\r\nallow: GET, HEAD, OPTIONS, POST\r\n" in options
        assert (await talk(server, bare("GET", "/none"))).startswith(b"HTTP/1.1 404")
        head = await talk(server, bare("HEAD"))
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("ours.test", b"200"),
        ("OURS.test:8080", b"200"),
        ("ours.test.", b"200"),
        ("[::1]:80", b"200"),
        ("evil.test", b"400"),
        ("ours.test.evil.test", b"400"),
        ("", b"400"),
        ("[::2]", b"400"),
    ],
)
async def test_serves_its_own_hosts_only_by_rules_8(host, status):
    app = HttpApp({"/": {"GET": hello}}, hosts=Hosts(["Ours.test", "[::1]"]))
    async with serve(app, "127.0.0.1:0") as server:
        answer = await talk(server, bare("GET", "/", f"Host: {host}"))
        assert answer.startswith(b"HTTP/1.1 " + status)


async def test_refuses_web_pages_where_they_have_no_business():
    app = HttpApp({"/": {"GET": hello}}, refuse_origin=True)
    async with serve(app, "127.0.0.1:0") as server:
        assert (await talk(server, bare("GET", "/", "Host: x", "Origin: null"))).startswith(b"HTTP/1.1 400")
        assert (await talk(server, bare())).startswith(b"HTTP/1.1 200")


async def test_closes_websockets_and_ignores_the_lifespan():
    sent = []

    async def send(message):
        sent.append(message)

    await APP({"type": "websocket"}, None, send)
    await APP({"type": "lifespan"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedRequest("m"), 400),
        (Unauthenticated("m"), 401),
        (Forbidden("m"), 403),
        (Unprocessable("m"), 422),
        (TemporarilyUnavailable("m"), 503),
    ],
)
def test_turns_the_errors_of_services_into_answers(error, status):
    response = error_response(error)
    assert response.status == status
    assert response.body == b'{"message":"m"}'


def test_says_when_to_come_back():
    assert error_response(TemporarilyUnavailable("m", retry_after=1.2)).headers == {"Retry-After": "2"}


def test_a_full_store_is_507():
    assert error_response(StorageFullError("details")).status == 507


def test_an_unforeseen_error_tells_the_peer_nothing_and_the_log_all(caplog):
    response = error_response(ZeroDivisionError("secret"))
    assert response.status == 500
    assert b"secret" not in response.body
    assert "secret" in caplog.text


def request(length=None):
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return Request({"method": "POST", "path": "/", "headers": headers}, None)


async def test_bounds_large_bodies_but_not_small_ones():
    bodies = LargeBodies(slots=1, threshold=100, patience=0.01)
    async with bodies.room_for(request(100)):
        async with bodies.room_for(request(99)):
            pass
        for length in (100, None):
            with pytest.raises(TemporarilyUnavailable):
                async with bodies.room_for(request(length)):
                    pass
    async with bodies.room_for(request()):
        pass
