# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from awala.bindings.addressing import DohResolver, ForbiddenAddressError, NotFound, TrustAnchors, Validation
from awala.bindings.asgi import MAX_BODY_SIZE, HttpApp, LargeBodies, Response
from awala.bindings.errors import (
    Forbidden,
    Full,
    MalformedError,
    MalformedRequest,
    ProtocolError,
    RefusedError,
    ServerError,
    TemporarilyUnavailable,
    UnreachableError,
)
from awala.bindings.pohttp import PoHttpClient, pohttp_app
from awala.bindings.pohttp.client import MAX_CONNECTION_PARAMS
from awala.bindings.serving import serve
from awala.testing import Authority, FakeClock
from helpers.network import StaticResolver, network

ADDRESS = "igw.demo.test"
SERVICE = f"_awala-pdc._tcp.{ADDRESS}"
HOST = "pohttp.igw.demo.test"
AUTHORITY = Authority.create()
SERVER_TLS = AUTHORITY.server_context(HOST, "second.test", "127.0.0.1")
CLIENT_TLS = AUTHORITY.client_context()


class Inbox:
    def __init__(self, error=None):
        self.error = error
        self.parcels = []

    async def deliver(self, parcel):
        if self.error is not None:
            raise self.error
        self.parcels.append(parcel)


def client_for(*ports, host=HOST, **settings):
    resolver = StaticResolver(
        {ADDRESS: [(host, port) for port in ports]}, {HOST: ["127.0.0.1"]}, NotFound("none")
    )
    return PoHttpClient(resolver=resolver, tls=CLIENT_TLS, **settings)


@asynccontextmanager
async def peer(app, **settings):
    """Serve ``app`` and yield it with a client that finds it."""
    async with (
        serve(app, "127.0.0.1:0", tls=SERVER_TLS) as server,
        client_for(server.port, **settings) as client,
    ):
        yield client, server


def answering(response):
    async def answer(request):
        await request.body()
        return response

    return HttpApp({"/": {"POST": answer}})


@asynccontextmanager
async def raw_peer(handle, **settings):
    """Serve TLS without any HTTP but what ``handle`` writes."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=SERVER_TLS)
    async with server, client_for(server.sockets[0].getsockname()[1], **settings) as client:
        yield client


@pytest.mark.parametrize("validation", Validation)
async def test_delivers_through_dns_dnssec_and_tls(validation):
    inbox = Inbox()
    async with (
        network() as net,
        serve(pohttp_app(inbox), "127.0.0.1:0", tls=SERVER_TLS) as server,
        net.resolver(validation) as resolver,
        PoHttpClient(resolver=resolver, tls=CLIENT_TLS) as client,
    ):
        net.zones.set(SERVICE, f"SRV 0 0 {server.port} {HOST}.")
        net.zones.set(HOST, "A 127.0.0.1")
        await client.deliver(ADDRESS, b"the parcel")
        assert inbox.parcels == [b"the parcel"]


@pytest.mark.parametrize("size", [0, 1, 65536, 8_322_037, MAX_BODY_SIZE])
async def test_delivers_parcels_of_any_permitted_size(size):
    inbox = Inbox()
    async with peer(pohttp_app(inbox)) as (client, _):
        await client.deliver(ADDRESS, b"x" * size)
        assert [len(parcel) for parcel in inbox.parcels] == [size]


async def test_a_parcel_beyond_the_limit_is_refused_for_good():
    inbox = Inbox()
    async with peer(pohttp_app(inbox)) as (client, _):
        with pytest.raises(MalformedError) as caught:
            await client.deliver(ADDRESS, b"x" * (MAX_BODY_SIZE + 1))
        assert caught.value.status == 413
        assert inbox.parcels == []


@pytest.mark.parametrize(
    ("raised", "kind", "status", "retry_after"),
    [
        (MalformedRequest("m"), MalformedError, 400, None),
        (Forbidden("m"), RefusedError, 403, None),
        (Full("m"), ServerError, 507, None),
        (TemporarilyUnavailable("m", retry_after=7), ServerError, 503, 7.0),
        (ZeroDivisionError("m"), ServerError, 500, None),
    ],
)
async def test_what_the_service_raises_reaches_the_other_side(raised, kind, status, retry_after):
    async with peer(pohttp_app(Inbox(raised))) as (client, _):
        with pytest.raises(kind) as caught:
            await client.deliver(ADDRESS, b"x")
        assert caught.value.status == status
        assert getattr(caught.value, "retry_after", None) == retry_after


async def test_a_server_with_too_many_large_parcels_asks_to_come_back():
    bodies = LargeBodies(slots=0, threshold=10, patience=0.01)
    async with peer(pohttp_app(Inbox(), large_bodies=bodies)) as (client, _):
        await client.deliver(ADDRESS, b"small")
        with pytest.raises(ServerError) as caught:
            await client.deliver(ADDRESS, b"x" * 10)
        assert caught.value.status == 503


@pytest.mark.rule("9.1", "9.3")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, MalformedError),
        (403, RefusedError),
        (404, ServerError),
        (415, MalformedError),
        (422, RefusedError),
    ]
    + [(status, ServerError) for status in (301, 302, 303, 304, 401, 408, 425, 429, 500, 502, 503, 507)],
)
async def test_maps_the_answers_of_peers(status, kind):
    async with peer(answering(Response(status, b"", headers={"Location": "https://x.test/"}))) as (client, _):
        with pytest.raises(kind) as caught:
            await client.deliver(ADDRESS, b"x")
        assert caught.value.status == status


@pytest.mark.rule("9.3")
async def test_honours_a_retry_after_date_by_its_clock():
    clock = FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    response = Response(503, b"", headers={"Retry-After": "Thu, 15 Jan 2026 12:05:00 GMT"})
    async with peer(answering(response), clock=clock) as (client, _):
        with pytest.raises(ServerError) as caught:
            await client.deliver(ADDRESS, b"x")
        assert caught.value.retry_after == 300.0


async def test_uses_one_connection_for_several_parcels():
    connections = set()
    app = pohttp_app(Inbox())

    async def recording(scope, receive, send):
        connections.add(scope["client"])
        await app(scope, receive, send)

    async with peer(recording) as (client, _):
        for _ in range(5):
            await client.deliver(ADDRESS, b"x")
        assert len(connections) == 1


@pytest.mark.rule("10.3")
async def test_sends_the_name_as_host_and_no_word_about_the_software():
    seen = {}

    async def look(request):
        await request.body()
        names = ("host", "content-type", "content-length", "user-agent", "cookie", "accept-encoding")
        seen.update({name: request.headers.get(name) for name in names})
        return Response(202, headers={"Set-Cookie": "id=1"})

    async with peer(HttpApp({"/": {"POST": look}})) as (client, server):
        await client.deliver(ADDRESS, b"1234")
        await client.deliver(ADDRESS, b"1234")
        assert seen == {
            "host": f"{HOST}:{server.port}",
            "content-type": "application/vnd.awala.parcel",
            "content-length": "4",
            "user-agent": "awala",
            "cookie": None,
            "accept-encoding": "identity",
        }


@pytest.mark.parametrize("status", [307, 308])
async def test_repeats_the_parcel_where_a_redirect_leads(status):
    inbox = Inbox()

    async def redirect(request):
        await request.body()
        return Response(status, b"", headers={"Location": "/there"})

    async def there(request):
        await inbox.deliver(await request.body())
        return Response(202)

    async with peer(HttpApp({"/": {"POST": redirect}, "/there": {"POST": there}})) as (client, _):
        await client.deliver(ADDRESS, b"x" * 100_000)
        assert inbox.parcels == [b"x" * 100_000]


@pytest.mark.rule("9.4")
@pytest.mark.parametrize(("redirects", "delivered"), [(3, True), (4, False)])
async def test_follows_three_redirects_and_no_more(redirects, delivered):
    inbox = Inbox()

    def step(number):
        async def answer(request):
            if number == redirects:
                await inbox.deliver(await request.body())
                return Response(202)
            return Response(307, b"", headers={"Location": f"/{number + 1}"})

        return answer

    routes = {f"/{number}" if number else "/": {"POST": step(number)} for number in range(redirects + 1)}
    async with peer(HttpApp(routes)) as (client, _):
        if delivered:
            await client.deliver(ADDRESS, b"x")
        else:
            with pytest.raises(ServerError, match="too often"):
                await client.deliver(ADDRESS, b"x")
        assert bool(inbox.parcels) == delivered


@pytest.mark.rule("9.4")
@pytest.mark.parametrize(
    "location",
    [
        "http://pohttp.igw.demo.test/",
        "ftp://x/",
        "https://user:secret@pohttp.igw.demo.test/",
        "https://",
        "https://[",
        "https://a:b/",
        "",
        None,
    ],
)
async def test_refuses_redirects_to_anything_but_https(location):
    headers = {} if location is None else {"Location": location}
    async with peer(answering(Response(307, b"", headers=headers))) as (client, _):
        with pytest.raises(ServerError, match="redirects"):
            await client.deliver(ADDRESS, b"x")


@pytest.mark.rule("10.4")
@pytest.mark.parametrize(
    "host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "inside.test", "169.254.169.254"]
)
async def test_checks_addresses_on_every_redirect_by_rules_10(host):
    inbox = Inbox()
    async with AsyncExitStack() as stack:
        inner = await stack.enter_async_context(serve(pohttp_app(inbox), "127.0.0.2:0", tls=SERVER_TLS))
        location = {"Location": f"https://{host}:{inner.port}/"}
        app = answering(Response(307, b"", headers=location))
        outer = await stack.enter_async_context(serve(app, "127.0.0.1:0", tls=SERVER_TLS))
        records = {
            SERVICE: [f"SRV 0 0 {outer.port} {HOST}."],
            HOST: ["A 127.0.0.1"],
            "inside.test": ["A 127.0.0.2"],
        }
        net = await stack.enter_async_context(network(records))
        resolver = await stack.enter_async_context(net.resolver(allow_networks=["127.0.0.1"]))
        client = await stack.enter_async_context(PoHttpClient(resolver=resolver, tls=CLIENT_TLS))
        with pytest.raises(ForbiddenAddressError):
            await client.deliver(ADDRESS, b"x")
        assert inbox.parcels == []


@pytest.mark.rule("10.4")
async def test_an_address_inside_our_network_is_not_contacted():
    inbox = Inbox()
    async with serve(pohttp_app(inbox), "127.0.0.1:0", tls=SERVER_TLS) as server:
        records = {SERVICE: [f"SRV 0 0 {server.port} {HOST}."], HOST: ["A 127.0.0.1"]}
        async with (
            network(records) as net,
            net.resolver(allow_networks=()) as resolver,
            PoHttpClient(resolver=resolver, tls=CLIENT_TLS) as client,
        ):
            with pytest.raises(ForbiddenAddressError):
                await client.deliver(ADDRESS, b"x")
    assert inbox.parcels == []


@pytest.mark.rule("10.1")
async def test_goes_to_the_next_target_when_one_cannot_be_reached():
    inbox = Inbox()
    async with serve(pohttp_app(inbox), "127.0.0.1:0", tls=SERVER_TLS) as server:
        services = {ADDRESS: [("gone.test", 443), (HOST, 1), (HOST, server.port)]}
        resolver = StaticResolver(services, {HOST: ["127.0.0.1"]}, NotFound("none"))
        async with PoHttpClient(resolver=resolver, tls=CLIENT_TLS) as client:
            await client.deliver(ADDRESS, b"x")
    assert inbox.parcels == [b"x"]


async def test_an_answer_settles_it_for_all_targets():
    inbox = Inbox()
    async with (
        serve(pohttp_app(Inbox(Forbidden("no"))), "127.0.0.1:0", tls=SERVER_TLS) as refusing,
        serve(pohttp_app(inbox), "127.0.0.1:0", tls=SERVER_TLS) as taking,
        client_for(refusing.port, taking.port) as client,
    ):
        with pytest.raises(RefusedError):
            await client.deliver(ADDRESS, b"x")
    assert inbox.parcels == []


async def test_says_that_an_address_is_not_found():
    async with client_for(443) as client:
        with pytest.raises(NotFound):
            await client.deliver("elsewhere.test", b"x")


@pytest.mark.parametrize("certificate", ["stranger", "other host"])
async def test_delivers_nothing_to_a_host_that_cannot_prove_its_name(certificate):
    inbox = Inbox()
    tls = (
        Authority.create().server_context(HOST)
        if certificate == "stranger"
        else AUTHORITY.server_context("x.test")
    )
    async with serve(pohttp_app(inbox), "127.0.0.1:0", tls=tls) as server, client_for(server.port) as client:
        with pytest.raises(UnreachableError):
            await client.deliver(ADDRESS, b"x")
    assert inbox.parcels == []


async def test_speaks_no_plain_http():
    inbox = Inbox()
    async with serve(pohttp_app(inbox), "127.0.0.1:0") as server, client_for(server.port) as client:
        with pytest.raises(UnreachableError):
            await client.deliver(ADDRESS, b"x")
    assert inbox.parcels == []


async def _silence(reader, _writer):
    await reader.read()


async def _hang_up(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _half_an_answer(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()


async def _nonsense(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    await reader.read()
    writer.close()


async def _half_and_silence(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 202 Acc")
    await reader.read()
    writer.close()


@pytest.mark.parametrize("handle", [_silence, _hang_up, _half_an_answer, _nonsense, _half_and_silence])
async def test_no_whole_answer_is_no_answer(handle):
    async with raw_peer(handle, idle_timeout=0.3) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.deliver(ADDRESS, b"x")
        assert caught.value.retryable


async def test_a_peer_that_trickles_is_given_up_in_time():
    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            writer.close()

    async with raw_peer(trickle, total_timeout=0.3) as client:
        with pytest.raises(UnreachableError, match="in time"):
            await client.deliver(ADDRESS, b"x")


async def test_an_endless_answer_is_not_read_to_its_end():
    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except OSError:
            writer.close()

    async with raw_peer(endless) as client:
        await client.deliver(ADDRESS, b"x")


@pytest.mark.rule("10.5")
async def test_fetches_connection_params():
    async with peer(pohttp_app(Inbox(), lambda: b"params")) as (client, _):
        assert await client.fetch_connection_params(ADDRESS) == b"params"


@pytest.mark.parametrize(
    ("size", "fits"), [(MAX_CONNECTION_PARAMS, True), (MAX_CONNECTION_PARAMS + 1, False)]
)
async def test_reads_connection_params_up_to_64_kib(size, fits):
    async with peer(pohttp_app(Inbox(), lambda: b"x" * size)) as (client, _):
        if fits:
            assert len(await client.fetch_connection_params(ADDRESS)) == size
        else:
            with pytest.raises(ProtocolError, match="too long"):
                await client.fetch_connection_params(ADDRESS)


async def test_a_node_without_connection_params_is_asked_again_later():
    async with peer(pohttp_app(Inbox())) as (client, _):
        with pytest.raises(ServerError) as caught:
            await client.fetch_connection_params(ADDRESS)
        assert caught.value.status == 404


async def test_finds_connection_params_behind_a_redirect():
    async def redirect(_request):
        return Response(307, headers={"Location": "/elsewhere"})

    async def elsewhere(_request):
        return Response(body=b"params")

    app = HttpApp({"/connection-params.der": {"GET": redirect}, "/elsewhere": {"GET": elsewhere}})
    async with peer(app) as (client, _):
        assert await client.fetch_connection_params(ADDRESS) == b"params"


async def test_an_absence_that_nobody_proves_leads_nowhere():
    async with network() as net:
        anchors = TrustAnchors.parse(net.zones.trust_anchor)
        tls = net.authority.client_context()
        async with (
            DohResolver(net.doh.url, validation=Validation.LOCAL, anchors=anchors, tls=tls) as resolver,
            PoHttpClient(resolver=resolver, tls=CLIENT_TLS) as client,
        ):
            with pytest.raises(Exception, match="not proven") as caught:
                await client.deliver(ADDRESS, b"x")
            assert caught.value.retryable
