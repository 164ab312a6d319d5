# SPDX-License-Identifier: MIT
"""Parcel collections over real WebSockets, against peers of every kind (rules §8)."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from awala.bindings.errors import MalformedRequest, TemporarilyUnavailable, Unprocessable
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import collection as core
from awala.bindings.poweb import poweb_app, serve_poweb, session
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from helpers.poweb import MemoryGateway, sign

COMPLETION = {"X-Relaynet-Streaming-Mode": "close-upon-completion"}


@pytest.fixture
def gateway():
    return MemoryGateway()


@pytest.fixture
def app(gateway):
    return poweb_app(gateway)


@pytest.fixture
async def server(app):
    async with serve_poweb(app, "127.0.0.1:0", grace=3) as running:
        yield running


@asynccontextmanager
async def connected(server, headers=None, *, path="/v1/parcel-collection"):
    async with asyncio.timeout(20):
        async with connect(
            f"ws://{server.address}{path}",
            additional_headers=headers or {},
            compression=None,
            proxy=None,
            ping_interval=None,
            max_size=None,
            close_timeout=1,
        ) as socket:
            yield socket


async def shake_hands(socket):
    nonce = HandshakeChallenge.parse(await socket.recv()).nonce
    await socket.send(HandshakeResponse(tuple(sign(nonce))).serialize())
    return nonce


async def next_delivery(socket):
    return ParcelDelivery.parse(await socket.recv())


async def close_code(socket):
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


@pytest.mark.rule("8.5")
async def test_compression_is_not_agreed_to(server):
    url = f"ws://{server.address}/v1/parcel-collection"
    async with asyncio.timeout(20), connect(url, compression="deflate", proxy=None) as socket:
        assert "Sec-WebSocket-Extensions" in socket.request.headers
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_challenges_each_connection_with_another_nonce(server):
    nonces = set()
    for _ in range(2):
        async with connected(server) as socket:
            nonces.add(await shake_hands(socket))

    assert len(nonces) == 2
    assert {len(nonce) for nonce in nonces} == {16}


async def test_hands_out_a_parcel_and_forgets_it_when_it_is_acknowledged(server, gateway):
    gateway.put(b"parcel")
    async with connected(server, COMPLETION) as socket:
        await shake_hands(socket)
        delivery = await next_delivery(socket)
        assert gateway.acknowledged == []
        await socket.send(delivery.delivery_id)

        assert await close_code(socket) == 1000
    assert delivery.parcel == b"parcel"
    assert gateway.acknowledged == [b"parcel"]


@pytest.mark.rule("1.11")
@pytest.mark.parametrize("header", ["X-Relaynet-Streaming-Mode", "X-Awala-Streaming-Mode"])
async def test_completes_at_once_when_nothing_is_queued(server, header):
    async with connected(server, {header: "close-upon-completion"}) as socket:
        await shake_hands(socket)

        assert await close_code(socket) == 1000


async def test_keeps_alive_when_no_mode_is_given(server, gateway):
    async with connected(server) as socket:
        await shake_hands(socket)
        await gateway.until(lambda: gateway.count("next") == 1)
        gateway.put(b"late")

        assert (await next_delivery(socket)).parcel == b"late"


async def test_hands_out_what_is_queued_and_what_arrives_meanwhile_once_and_in_order(server, gateway):
    for number in range(200):
        gateway.put(b"%d" % number)
    received = []
    async with connected(server) as socket:
        await shake_hands(socket)
        while len(received) < 250:
            delivery = await next_delivery(socket)
            received.append(delivery.parcel)
            if len(received) % 4 == 0 and len(received) <= 200:
                gateway.put(b"%d" % (199 + len(received) // 4))
            await socket.send(delivery.delivery_id)
        await gateway.until(lambda: len(gateway.acknowledged) == 250)

    assert received == [b"%d" % number for number in range(250)]
    assert gateway.acknowledged == received
    assert gateway.parcels == {}


@pytest.mark.rule("8.1")
async def test_leaves_one_delivery_unacknowledged_at_a_time(server, gateway):
    gateway.put(b"1")
    gateway.put(b"2")
    async with connected(server) as socket:
        await shake_hands(socket)
        first = await next_delivery(socket)
        await (await socket.ping())

        assert gateway.count("next") == 1
        await socket.send(first.delivery_id)
        assert (await next_delivery(socket)).parcel == b"2"


@pytest.mark.rule("8.1")
async def test_leaves_as_many_unacknowledged_as_the_collector_asks_for(server, gateway):
    for number in range(6):
        gateway.put(b"%d" % number)
    async with connected(server, {"X-Awala-Collection-Window": "9", **COMPLETION}) as socket:
        await shake_hands(socket)
        first = [await next_delivery(socket) for _ in range(5)]
        await (await socket.ping())
        assert gateway.count("next") == 5

        for delivery in reversed(first):
            await socket.send(delivery.delivery_id)
        await socket.send((await next_delivery(socket)).delivery_id)
        assert await close_code(socket) == 1000
    assert sorted(gateway.acknowledged) == [b"%d" % number for number in range(6)]


@pytest.mark.rule("8.2")
async def test_takes_binary_and_late_acknowledgements(server, gateway):
    gateway.put(b"1")
    gateway.put(b"2")
    async with connected(server, COMPLETION) as socket:
        await shake_hands(socket)
        first = await next_delivery(socket)
        await socket.send(first.delivery_id.encode())
        second = await next_delivery(socket)
        await socket.send(first.delivery_id)
        await socket.send(second.delivery_id)

        assert await close_code(socket) == 1000
    assert gateway.acknowledged == [b"1", b"2"]


async def test_completes_only_after_the_commit(server, gateway):
    gateway.commit_gate = asyncio.Event()
    gateway.put(b"parcel")
    async with connected(server, COMPLETION) as socket:
        await shake_hands(socket)
        await socket.send((await next_delivery(socket)).delivery_id)
        await gateway.until(lambda: gateway.count("acknowledge") == 1)
        await (await socket.ping())
        assert socket.close_code is None

        gateway.commit_gate.set()
        assert await close_code(socket) == 1000


async def test_does_not_take_an_id_of_another_connection(server, gateway):
    gateway.put(b"parcel")
    async with connected(server) as first, connected(server) as second:
        await shake_hands(first)
        delivery = await next_delivery(first)
        await shake_hands(second)
        await next_delivery(second)
        await second.send(delivery.delivery_id)

        assert await close_code(second) == 1003
    assert gateway.acknowledged == []


@pytest.mark.parametrize(
    "hostile", ["unknown", b"\xff\xff", "", b"", "x" * 6000], ids=["text", "binary", "empty", "none", "long"]
)
async def test_closes_with_1003_for_what_is_no_acknowledgement(server, gateway, hostile):
    gateway.put(b"parcel")
    async with connected(server) as socket:
        await shake_hands(socket)
        await next_delivery(socket)
        await socket.send(hostile)

        assert await close_code(socket) == 1003


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"junk",
        HandshakeResponse((b"of a stranger",)).serialize(),
        bytes.fromhex("3002a000"),
        "text",
    ],
    ids=["empty", "junk", "stranger", "no signature", "text"],
)
async def test_closes_with_1003_for_a_bad_handshake(server, gateway, response):
    async with connected(server) as socket:
        await socket.recv()
        await socket.send(response)

        assert await close_code(socket) == 1003
    assert gateway.count("next") == 0


async def test_closes_with_1009_for_a_message_that_is_too_big_and_disturbs_nobody(server, gateway):
    async with connected(server) as hostile, connected(server) as peaceful:
        await shake_hands(peaceful)
        await hostile.recv()
        await hostile.send(b"x" * 6145)
        assert await close_code(hostile) == 1009

        gateway.put(b"parcel")
        assert (await next_delivery(peaceful)).parcel == b"parcel"


@pytest.mark.rule("8.6")
async def test_closes_with_1008_for_a_web_page(server, gateway):
    async with connected(server, {"Origin": "https://page.example"}) as socket:
        assert await close_code(socket) == 1008
    assert gateway.calls == []


@pytest.mark.rule("8.6")
@pytest.mark.parametrize(("host", "code"), [("gw.example", None), ("evil.example", 1008)])
async def test_closes_with_1008_for_a_host_that_is_not_ours(gateway, host, code):
    app = poweb_app(gateway, hosts=Hosts(["gw.example"]))
    async with serve_poweb(app, "127.0.0.1:0", grace=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"GET /v1/parcel-collection HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in (await reader.readuntil(b"\r\n\r\n"))
        opcode, length = await reader.readexactly(2)
        payload = await reader.readexactly(length)
        writer.close()

    assert (opcode & 0xF == 8) == (code is not None)
    assert code is None or int.from_bytes(payload[:2], "big") == code


async def test_refuses_other_websockets(server):
    with pytest.raises(InvalidStatus):
        async with connected(server, path="/v1/other"):
            pass


async def test_closes_when_the_challenge_is_not_answered(server, monkeypatch):
    monkeypatch.setattr(core, "HANDSHAKE_TIMEOUT", 0.05)
    async with connected(server) as socket:
        assert await close_code(socket) == 1008


@pytest.mark.parametrize(
    ("call", "problem", "code"),
    [
        ("collect", RuntimeError("a fault"), 1011),
        ("collect", Unprocessable("odd"), 1011),
        ("collect", TemporarilyUnavailable(), 1013),
        ("next", RuntimeError("a fault"), 1011),
        ("next", MalformedRequest("odd"), 1011),
        ("acknowledge", RuntimeError("a fault"), 1011),
        ("acknowledge", TemporarilyUnavailable(), 1011),
    ],
)
async def test_a_fault_of_the_gateway_ends_that_collection_alone(server, gateway, call, problem, code):
    gateway.put(b"parcel")
    gateway.problems[call] = problem
    async with connected(server) as socket:
        await shake_hands(socket)
        if call == "acknowledge":
            await socket.send((await next_delivery(socket)).delivery_id)
        assert await close_code(socket) == code

    gateway.problems.clear()
    async with connected(server) as socket:
        await shake_hands(socket)
        assert (await next_delivery(socket)).parcel == b"parcel"


async def test_hands_a_parcel_out_again_after_a_connection_was_lost(server, gateway):
    gateway.put(b"parcel")
    async with connected(server) as socket:
        await shake_hands(socket)
        await next_delivery(socket)
        socket.transport.abort()
    await gateway.until(lambda: gateway.open_collections == 0 and gateway.modes != [])

    async with connected(server) as socket:
        await shake_hands(socket)
        assert (await next_delivery(socket)).parcel == b"parcel"


async def test_commits_what_was_acknowledged_just_before_the_connection_ended(server, gateway):
    gateway.commit_gate = asyncio.Event()
    gateway.put(b"parcel")
    async with connected(server) as socket:
        await shake_hands(socket)
        await socket.send((await next_delivery(socket)).delivery_id)
        await gateway.until(lambda: gateway.count("acknowledge") == 1)
    gateway.commit_gate.set()
    await gateway.until(lambda: gateway.open_collections == 0)

    assert gateway.acknowledged == [b"parcel"]


async def test_does_not_wait_for_ever_for_a_commit_after_the_end(server, gateway, monkeypatch):
    monkeypatch.setattr(session, "COMMIT_PATIENCE", 0.05)
    gateway.commit_gate = asyncio.Event()
    gateway.put(b"parcel")
    async with connected(server) as socket:
        await shake_hands(socket)
        await socket.send((await next_delivery(socket)).delivery_id)
        await gateway.until(lambda: gateway.count("acknowledge") == 1)

    await gateway.until(lambda: gateway.open_collections == 0)
    assert gateway.acknowledged == []


async def test_stops_judging_a_response_when_the_collector_hangs_up(server, gateway, app):
    gateway.collect_gate = asyncio.Event()
    async with connected(server) as socket:
        await shake_hands(socket)
        await gateway.until(lambda: gateway.count("collect") == 1)
        assert app.live_collections == 1
    async with asyncio.timeout(5):
        await server.drain()

    assert app.live_collections == 0


@pytest.mark.rule("8.4")
@pytest.mark.parametrize("headers", [{}, COMPLETION], ids=["keep-alive", "completion"])
async def test_drains_with_4000(server, gateway, headers):
    gateway.put(b"parcel")
    async with connected(server, headers) as collecting, connected(server) as shaking:
        await shake_hands(collecting)
        delivery = await next_delivery(collecting)
        await shaking.recv()
        draining = asyncio.create_task(server.drain())
        assert await close_code(shaking) == 4000

        await collecting.send(delivery.delivery_id)
        assert await close_code(collecting) == 4000
        await draining
    assert gateway.acknowledged == [b"parcel"]


async def test_drains_without_the_acknowledgement_of_a_collector_that_sends_none(
    server, gateway, monkeypatch
):
    monkeypatch.setattr(core, "DRAIN_GRACE", 0.05)
    gateway.put(b"parcel")
    async with connected(server) as socket:
        await shake_hands(socket)
        await next_delivery(socket)
        draining = asyncio.create_task(server.drain())

        assert await close_code(socket) == 4000
        await draining


async def test_closes_what_comes_while_it_drains(server, app):
    await app.drain()
    async with connected(server) as socket:
        assert await close_code(socket) == 4000


async def test_bounds_the_number_of_collections(gateway):
    app = poweb_app(gateway, max_collections=1)
    async with serve_poweb(app, "127.0.0.1:0", grace=1) as server:
        async with connected(server) as first:
            await first.recv()
            async with connected(server) as second:
                assert await close_code(second) == 1013
        assert app.live_collections <= 1


async def test_survives_frames_that_break_websocket(server):
    async with connected(server) as socket:
        await socket.recv()
        socket.transport.write(b"\xff\xff\xff\xff\xff\xff")
        assert await close_code(socket) == 1002

    async with connected(server) as socket:
        await shake_hands(socket)


async def test_survives_a_flood_of_late_acknowledgements(server, gateway):
    gateway.put(b"1")
    async with connected(server) as socket:
        await shake_hands(socket)
        first = await next_delivery(socket)
        for _ in range(2000):
            await socket.send(first.delivery_id)
        gateway.put(b"2")
        assert (await next_delivery(socket)).parcel == b"2"
    assert gateway.acknowledged == [b"1"]
