# SPDX-License-Identifier: MIT
"""The PoWeb client over HTTP, against good servers and bad ones (rules §9)."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import asynccontextmanager

import pytest

from awala.base.errors import AwalaError, ConfigurationError
from awala.bindings.errors import (
    Forbidden,
    Full,
    MalformedError,
    MalformedRequest,
    ProtocolError,
    RefusedError,
    ServerError,
    TemporarilyUnavailable,
    UnauthenticatedError,
    Unprocessable,
    UnreachableError,
)
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import PoWebClient, client, poweb_app, serve_poweb
from awala.messages.limits import MAX_PARCEL_SIZE
from helpers.poweb import GOOD_COUNTERSIGNATURE, LoopbackDialler, MemoryGateway, tls_contexts

DIGEST = bytes(range(32))
PNRA = "application/vnd.awala.node-registration.authorization"


@pytest.fixture
def gateway():
    return MemoryGateway()


@pytest.fixture
async def poweb(gateway):
    app = poweb_app(gateway, withdrawals=gateway)
    async with (
        serve_poweb(app, "127.0.0.1:0", grace=1) as server,
        PoWebClient.local(f"http://{server.address}") as local,
    ):
        yield local


@asynccontextmanager
async def answering(answer: bytes, *, then_wait=False):
    """Serve the same octets to every request; yield a client and the requests' heads."""
    requests: list[bytes] = []
    end = asyncio.Event()

    async def serve(reader, writer):
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if then_wait:
                await end.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with PoWebClient.local(f"http://127.0.0.1:{port}") as local:
        yield local, requests
    end.set()
    server.close()
    await server.wait_closed()


def http(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_preregisters(poweb, gateway):
    assert await poweb.preregister(DIGEST) == b"authorization of \x00\x01"
    assert gateway.calls == [("preregister", DIGEST)]


async def test_registers(poweb, gateway):
    assert await poweb.register(b"request") == b"registration"
    assert gateway.calls == [("register", b"request")]


async def test_delivers(poweb, gateway):
    await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)

    assert gateway.calls == [("recognise", GOOD_COUNTERSIGNATURE), ("deliver", b"parcel")]


async def test_delivers_the_largest_parcel(poweb, gateway):
    parcel = bytes(MAX_PARCEL_SIZE)

    await poweb.deliver(parcel, GOOD_COUNTERSIGNATURE)

    assert gateway.calls[-1] == ("deliver", parcel)


async def test_fetches_connection_params(poweb):
    assert await poweb.fetch_connection_params() == b"params"


async def test_hands_over_a_withdrawal(poweb, gateway):
    assert await poweb.withdraw(b"withdrawal", GOOD_COUNTERSIGNATURE) is True
    assert gateway.calls[-1] == ("withdraw", b"withdrawal")


@pytest.mark.parametrize("status", [404, 405])
async def test_says_when_the_gateway_does_not_know_withdrawals(status):
    async with answering(http(status)) as (poweb, _):
        assert await poweb.withdraw(b"withdrawal", GOOD_COUNTERSIGNATURE) is False


async def test_reports_a_refused_withdrawal():
    async with answering(http(422)) as (poweb, _):
        with pytest.raises(RefusedError):
            await poweb.withdraw(b"withdrawal", GOOD_COUNTERSIGNATURE)


async def test_speaks_the_deployed_names():
    async with answering(http(202)) as (poweb, requests):
        await poweb.deliver(b"parcel", b"\x00\xff")

    head = requests[0].lower()
    assert head.startswith(b"post /v1/parcels http/1.1\r\n")
    assert b"content-type: application/vnd.awala.parcel\r\n" in head
    assert b"authorization: relaynet-countersignature " + base64.b64encode(b"\x00\xff").lower() in head
    assert b"accept-encoding: identity" in head
    assert b"cookie" not in head


@pytest.mark.rule("1.11")
async def test_tries_the_path_of_the_spec_after_a_404():
    async with answering(http(404)) as (poweb, requests):
        with pytest.raises(ServerError) as raised:
            await poweb.preregister(DIGEST)

    assert raised.value.status == 404
    assert [head.split()[1] for head in requests] == [b"/v1/pre-registrations", b"/v1/pre-registration"]
    assert b"text/plain\r\n" in requests[0]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_takes_any_success_for_a_parcel(status):
    async with answering(http(status)) as (poweb, _):
        await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)


@pytest.mark.rule("9.2")
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, ServerError),
        (307, ServerError),
        (400, MalformedError),
        (401, UnauthenticatedError),
        (403, ServerError),
        (404, ServerError),
        (408, ServerError),
        (413, MalformedError),
        (415, MalformedError),
        (422, RefusedError),
        (429, ServerError),
        (500, ServerError),
        (503, ServerError),
        (507, ServerError),
    ],
)
async def test_maps_the_statuses_of_deliveries(status, error):
    async with answering(http(status, Location="http://elsewhere.example/")) as (poweb, requests):
        with pytest.raises(AwalaError) as raised:
            await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)

    assert type(raised.value) is error
    assert raised.value.status == status
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (MalformedRequest("bad"), MalformedError),
        (Forbidden("no"), ServerError),
        (Unprocessable("no"), RefusedError),
        (Full("full"), ServerError),
        (TemporarilyUnavailable(retry_after=7), ServerError),
    ],
)
async def test_understands_our_own_server(poweb, gateway, problem, error):
    gateway.problems["deliver"] = problem

    with pytest.raises(AwalaError) as raised:
        await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)

    assert type(raised.value) is error


async def test_passes_on_when_to_come_back():
    async with answering(http(503, Retry_After="17")) as (poweb, _):
        with pytest.raises(ServerError) as raised:
            await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)

    assert raised.value.retry_after == 17.0


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/9.9 what\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        http(200, b"x" * (client.MAX_ANSWER + 1), Content_Type=PNRA),
        http(200, b"x", Content_Type=PNRA, Content_Encoding="gzip"),
        http(200, b"x", Content_Type="text/html"),
        http(200, b"x"),
    ],
    ids=["no http", "version", "length", "chunk", "too long", "compressed", "other type", "no type"],
)
async def test_takes_no_answer_that_breaks_the_protocol(answer):
    async with answering(answer) as (poweb, _):
        with pytest.raises(ProtocolError):
            await poweb.preregister(DIGEST)


@pytest.mark.parametrize("content_type", [PNRA, PNRA.upper(), f"{PNRA}; charset=binary"])
async def test_is_not_strict_about_the_spelling_of_a_type(content_type):
    async with answering(http(200, b"x", Content_Type=content_type)) as (poweb, _):
        assert await poweb.preregister(DIGEST) == b"x"


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_takes_only_200_for_an_authorization(status):
    async with answering(http(status, b"" if status == 204 else b"x", Content_Type=PNRA)) as (poweb, _):
        with pytest.raises(ServerError):
            await poweb.preregister(DIGEST)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
async def test_a_peer_that_hangs_up_is_unreachable(answer):
    async with answering(answer) as (poweb, _):
        with pytest.raises(UnreachableError):
            await poweb.register(b"request")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_a_peer_that_never_answers_is_unreachable(monkeypatch, answer):
    monkeypatch.setattr(client, "EXCHANGE_TIMEOUT", 0.1)
    async with answering(answer, then_wait=True) as (poweb, _):
        with pytest.raises(UnreachableError):
            await poweb.fetch_connection_params()


async def test_a_peer_that_does_not_read_is_unreachable(monkeypatch):
    monkeypatch.setattr(client, "EXCHANGE_TIMEOUT", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    async with PoWebClient.local(f"http://127.0.0.1:{listener.getsockname()[1]}") as poweb:
        with pytest.raises(UnreachableError):
            await poweb.deliver(bytes(MAX_PARCEL_SIZE), GOOD_COUNTERSIGNATURE)
    listener.close()


async def test_a_closed_port_is_unreachable():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    async with PoWebClient.local(f"http://127.0.0.1:{port}") as poweb:
        with pytest.raises(UnreachableError) as raised:
            await poweb.preregister(DIGEST)

    assert "127.0.0.1" not in str(raised.value)


async def test_reads_the_answer_that_came_before_the_parcel_was_sent():
    async with answering(http(401), then_wait=True) as (poweb, _):
        with pytest.raises(UnauthenticatedError):
            await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)


async def test_uses_a_connection_again_and_replaces_one_that_was_closed(gateway):
    dialler = LoopbackDialler(0)
    async with PoWebClient.local("http://localhost", dialler=dialler) as poweb:
        for _ in range(2):
            async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=1) as server:
                dialler.port = server.port
                await poweb.preregister(DIGEST)
                await poweb.register(b"request")

    assert dialler.asked == [("localhost", 13276)] * 2


@pytest.mark.rule("10.3")
async def test_speaks_tls_with_the_name_of_the_target_and_dials_where_it_is_told_to(gateway, tmp_path):
    server_tls, client_tls = tls_contexts("gw.example", tmp_path)
    app = poweb_app(gateway, hosts=Hosts(["gw.example"]))
    async with serve_poweb(app, "127.0.0.1:0", tls=server_tls, grace=1) as server:
        dialler = LoopbackDialler(server.port)
        async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as poweb:
            await poweb.deliver(bytes(1 << 20), GOOD_COUNTERSIGNATURE)

    assert dialler.asked == [("gw.example", 443)]
    assert gateway.count("deliver") == 1


@pytest.mark.parametrize("name", ["other.example", "gw.example"])
async def test_does_not_talk_to_a_server_with_another_certificate(gateway, tmp_path, name):
    server_tls, _ = tls_contexts(name, tmp_path)
    _, client_tls = tls_contexts("gw.example", tmp_path)
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", tls=server_tls, grace=1) as server:
        dialler = LoopbackDialler(server.port)
        async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as poweb:
            with pytest.raises(UnreachableError, match="certificate"):
                await poweb.deliver(b"parcel", GOOD_COUNTERSIGNATURE)

    assert gateway.calls == []


async def test_a_server_without_tls_is_unreachable_by_tls(gateway, tmp_path):
    _, client_tls = tls_contexts("gw.example", tmp_path)
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=1) as server:
        dialler = LoopbackDialler(server.port)
        async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as poweb:
            with pytest.raises(UnreachableError):
                await poweb.preregister(DIGEST)


async def test_gives_up_a_tls_handshake_that_does_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.1)
    _, client_tls = tls_contexts("gw.example", tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    dialler = LoopbackDialler(listener.getsockname()[1])
    async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as poweb:
        with pytest.raises(UnreachableError):
            await poweb.preregister(DIGEST)
    listener.close()


class _StubbornDialler:
    def __init__(self, error=None):
        self.error = error

    async def connect(self, host, port):  # noqa: ARG002 - the port's signature
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()


async def test_passes_on_what_the_dialler_says():
    class EgressError(AwalaError):
        pass

    async with PoWebClient.local(dialler=_StubbornDialler(EgressError("not this way"))) as poweb:
        with pytest.raises(EgressError):
            await poweb.preregister(DIGEST)


@pytest.mark.parametrize("error", [None, TimeoutError(), ConnectionRefusedError()])
async def test_a_dialler_that_fails_or_never_ends_means_unreachable(monkeypatch, error):
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.1)
    async with PoWebClient.local(dialler=_StubbornDialler(error)) as poweb:
        with pytest.raises(UnreachableError):
            await poweb.preregister(DIGEST)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1",
        "http://gw.example",
        "http://192.168.0.1:13276",
        "127.0.0.1:13276",
        "http://",
        "http://127.0.0.1:99999",
        "http://user@127.0.0.1",
        "http://127.0.0.1/path",
        "http://[::1",
    ],
)
def test_takes_plain_http_for_this_machine_alone(url):
    with pytest.raises(ConfigurationError):
        PoWebClient.local(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "http://[::1]:8080", "http://localhost:1", "http://127.8.9.1/"]
)
async def test_takes_any_loopback_address(url):
    await PoWebClient.local(url).aclose()
