# SPDX-License-Identifier: MIT
"""The client's side of a collection, against our server and against servers that misbehave (rules §8)."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed

from awala.base.errors import AwalaError
from awala.bindings.errors import (
    MalformedError,
    ProtocolError,
    ServerError,
    UnauthenticatedError,
    UnreachableError,
)
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import AckPacing, PoWebClient, StreamingMode, collector, poweb_app, serve_poweb
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from helpers.poweb import LoopbackDialler, MemoryGateway, sign, tls_contexts

COMPLETION = StreamingMode.CLOSE_UPON_COMPLETION


@pytest.fixture
def gateway():
    return MemoryGateway()


@pytest.fixture
async def server(gateway):
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=2) as running:
        yield running


@pytest.fixture
async def poweb(server):
    async with PoWebClient.local(f"http://{server.address}") as client:
        yield client


@asynccontextmanager
async def playing(script, **options):
    """Serve WebSockets that follow ``script``; yield a client of them."""

    end = asyncio.Event()

    async def play(socket):
        playing = asyncio.create_task(script(socket))
        ending = asyncio.create_task(end.wait())
        await asyncio.wait((playing, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        playing.cancel()
        with contextlib.suppress(ConnectionClosed, asyncio.CancelledError):
            await playing
        if end.is_set():
            socket.transport.abort()

    options = {"compression": None, "ping_interval": None, "close_timeout": 0.1} | options
    async with serve_websocket(play, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        async with PoWebClient.local(f"http://127.0.0.1:{port}") as client:
            try:
                yield client
            finally:
                end.set()


async def challenge(socket):
    await socket.send(HandshakeChallenge(b"nonce").serialize())
    return HandshakeResponse.parse(await socket.recv())


async def deliver(socket, delivery_id, parcel=b"parcel"):
    await socket.send(ParcelDelivery(delivery_id, parcel).serialize())


async def collect_all(client, mode=StreamingMode.KEEP_ALIVE, *, acknowledge=True):
    """Return the parcels and the close code of one whole collection."""
    parcels = []
    async with asyncio.timeout(20), client.collect(sign, mode) as collection:
        async for delivery in collection:
            parcels.append(delivery.parcel)
            if acknowledge:
                await delivery.acknowledge()
    return parcels, collection.close_code


async def failing(client, error, mode=StreamingMode.KEEP_ALIVE, *, acknowledge=True):
    """Return the close code of a collection that has to end with ``error``."""
    collection = client.collect(sign, mode)

    async def collect():
        async for delivery in collection:
            if acknowledge:
                await delivery.acknowledge()

    with pytest.raises(AwalaError) as raised:
        await asyncio.wait_for(collect(), 20)
    assert type(raised.value) is error, raised.value
    assert [delivery async for delivery in collection] == []
    return collection.close_code


async def test_collects_what_is_queued_until_completion(poweb, gateway):
    for number in range(20):
        gateway.put(b"%d" % number)

    parcels, code = await collect_all(poweb, COMPLETION)

    assert parcels == gateway.acknowledged == [b"%d" % number for number in range(20)]
    assert code == 1000
    assert gateway.modes == [COMPLETION]


async def test_collects_what_arrives_while_it_is_connected(poweb, gateway):
    async with asyncio.timeout(20), poweb.collect(sign) as collection:
        for number in range(3):
            gateway.put(b"%d" % number)
            delivery = await anext(collection)
            await delivery.acknowledge()
            assert delivery.parcel == b"%d" % number
    await gateway.until(lambda: gateway.open_collections == 0)

    assert gateway.modes == [StreamingMode.KEEP_ALIVE]
    assert collection.close_code == 1000


async def test_collects_with_a_window(poweb, gateway):
    for number in range(5):
        gateway.put(b"%d" % number)
    async with asyncio.timeout(20), poweb.collect(sign, COMPLETION, window=7) as collection:
        deliveries = [await anext(collection) for _ in range(5)]
        for delivery in reversed(deliveries):
            await delivery.acknowledge()
        assert [delivery async for delivery in collection] == []

    assert len(gateway.acknowledged) == 5


async def test_leaves_unacknowledged_parcels_for_the_next_time(poweb, gateway):
    gateway.put(b"parcel")
    async with poweb.collect(sign) as collection:
        await anext(collection)

    assert (await collect_all(poweb, COMPLETION))[0] == [b"parcel"]


async def test_an_acknowledgement_after_the_end_fails_and_may_be_tried_again(poweb, gateway):
    gateway.put(b"parcel")
    async with poweb.collect(sign) as collection:
        delivery = await anext(collection)

    for _ in range(2):
        with pytest.raises(UnreachableError):
            await delivery.acknowledge()


async def test_acknowledging_twice_does_no_harm(poweb, gateway):
    gateway.put(b"parcel")
    async with poweb.collect(sign, COMPLETION) as collection:
        delivery = await anext(collection)
        await delivery.acknowledge()
        await delivery.acknowledge()
        assert [delivery async for delivery in collection] == []

    assert collection.close_code == 1000


async def test_survives_being_cancelled_while_it_waits(poweb, gateway):
    async with asyncio.timeout(20), poweb.collect(sign) as collection:
        waiting = asyncio.create_task(anext(collection))
        await gateway.until(lambda: gateway.count("next") == 1)
        waiting.cancel()
        await asyncio.wait((waiting,))
        gateway.put(b"parcel")

        assert (await anext(collection)).parcel == b"parcel"


async def test_starts_afresh_after_it_was_cancelled_during_the_handshake():
    connections = []

    async def script(socket):
        connections.append(socket)
        if len(connections) == 1:
            await socket.wait_closed()
        await challenge(socket)
        await deliver(socket, "id")
        await socket.wait_closed()

    async with playing(script) as client, client.collect(sign) as collection:
        waiting = asyncio.create_task(anext(collection))
        while collection._connection is None:  # noqa: ASYNC110 - nothing tells from outside
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))

        assert (await anext(collection)).parcel == b"parcel"
    assert len(connections) == 2


async def test_passes_on_what_the_signer_raises_and_starts_afresh(poweb, gateway):
    gateway.put(b"parcel")
    divisors = [0, 1]

    def signer(nonce):
        assert 1 // divisors.pop(0)
        return sign(nonce)

    async with poweb.collect(signer) as collection:
        with pytest.raises(ZeroDivisionError):
            await anext(collection)

        assert (await anext(collection)).parcel == b"parcel"


async def test_is_told_of_signatures_that_are_not_accepted(poweb):
    collection = poweb.collect(lambda _: [b"of a stranger"])

    with pytest.raises(UnauthenticatedError):
        await anext(collection)
    assert collection.close_code == 1003


async def test_does_not_start_without_a_signature(poweb, gateway):
    with pytest.raises(UnauthenticatedError):
        await anext(poweb.collect(lambda _: []))

    assert gateway.count("collect") == 0


async def test_ends_normally_when_the_server_drains(server, poweb, gateway):
    collecting = asyncio.create_task(collect_all(poweb))
    await gateway.until(lambda: gateway.count("next") == 1)
    await server.drain()

    assert await collecting == ([], 4000)


async def test_does_not_take_a_drain_for_completion(server, poweb, gateway):
    gateway.put(b"parcel")
    async with asyncio.timeout(20), poweb.collect(sign, COMPLETION) as collection:
        await anext(collection)
        await server.drain()

        with pytest.raises(ServerError):
            await anext(collection)
    assert collection.close_code == 4000


async def test_collects_over_tls_without_asking_dns(gateway, tmp_path):
    server_tls, client_tls = tls_contexts("gw.example", tmp_path)
    parcel = bytes(range(256)) * 8000
    gateway.put(parcel)
    app = poweb_app(gateway, hosts=Hosts(["gw.example"]))
    async with serve_poweb(app, "127.0.0.1:0", tls=server_tls, grace=1) as server:
        dialler = LoopbackDialler(server.port)
        async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as client:
            assert await collect_all(client, COMPLETION) == ([parcel], 1000)

    assert dialler.asked == [("gw.example", 443)]


async def test_does_not_collect_from_a_server_with_another_certificate(gateway, tmp_path):
    server_tls, _ = tls_contexts("other.example", tmp_path)
    _, client_tls = tls_contexts("gw.example", tmp_path)
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", tls=server_tls, grace=1) as server:
        dialler = LoopbackDialler(server.port)
        async with PoWebClient.remote("gw.example", 443, client_tls, dialler=dialler) as client:
            assert await failing(client, UnreachableError) is None


@pytest.mark.rule("8.5", "1.11")
async def test_sends_the_deployed_names_and_text_acknowledgements():
    seen = []

    async def script(socket):
        seen.append(socket.request.headers)
        seen.append(await challenge(socket))
        await deliver(socket, "an id")
        seen.append(await socket.recv())

    async with playing(script) as client:
        await collect_all(client, COMPLETION)

    headers, response, acknowledgement = seen
    assert headers["X-Relaynet-Streaming-Mode"] == "close-upon-completion"
    assert "X-Awala-Collection-Window" not in headers
    assert "Sec-WebSocket-Extensions" not in headers
    assert "Origin" not in headers
    assert "Sec-WebSocket-Extensions" not in headers
    assert list(response.signatures) == sign(b"nonce")
    assert acknowledgement == "an id"


@pytest.mark.rule("8.2")
async def test_spaces_acknowledgements():
    times = []

    async def script(socket):
        await challenge(socket)
        for number in range(4):
            await deliver(socket, f"id {number}")
        for number in range(4):
            assert await socket.recv() == f"id {number}"
            times.append(asyncio.get_running_loop().time())

    async with playing(script) as client:
        parcels, code = await collect_all(client, COMPLETION)

    assert (len(parcels), code) == (4, 1000)
    assert times[-1] - times[0] >= 3 * 0.020 * 0.9


@pytest.mark.rule("8.2")
async def test_acknowledges_more_slowly_after_it_was_not_understood():
    async def script(socket):
        await challenge(socket)
        await deliver(socket, "id")
        await socket.recv()
        await socket.close(1003)

    async with playing(script) as client:
        for interval in (0.04, 0.08, 0.16, 0.32, 0.5, 0.5):
            assert await failing(client, ServerError) == 1003
            assert client.pacing.interval == interval


async def test_a_refusal_after_a_delivery_is_not_about_signatures():
    async def script(socket):
        await challenge(socket)
        await deliver(socket, "id")
        await socket.close(1003)

    async with playing(script) as client:
        assert await failing(client, ServerError, acknowledge=False) == 1003
        assert client.pacing.interval == AckPacing().interval


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1001, ServerError),
        (1008, ServerError),
        (1011, ServerError),
        (1012, ServerError),
        (1013, ServerError),
        (4321, ServerError),
        (1003, UnauthenticatedError),
    ],
)
async def test_tells_the_close_code(code, error):
    async def script(socket):
        await challenge(socket)
        await socket.close(code)

    async with playing(script) as client:
        assert await failing(client, error) == code


async def test_takes_a_close_without_a_code_for_normal():
    async def script(socket):
        await challenge(socket)
        socket.protocol.send_close()
        socket.send_data()
        await socket.wait_closed()

    async with playing(script) as client:
        assert await collect_all(client) == ([], 1005)


async def test_a_connection_that_breaks_is_unreachable():
    async def script(socket):
        await challenge(socket)
        socket.transport.abort()

    async with playing(script) as client:
        assert await failing(client, UnreachableError) == 1006


@pytest.mark.parametrize("junk", [b"", b"junk", "text", b"\x30\x80\x00\x00"])
async def test_closes_with_1003_for_a_malformed_challenge(junk):
    codes = []

    async def script(socket):
        await socket.send(junk)
        await socket.wait_closed()
        codes.append(socket.close_code)

    async with playing(script) as client:
        assert await failing(client, ProtocolError) == 1003
    assert codes == [1003]


@pytest.mark.parametrize("junk", [b"", b"junk", "text", HandshakeChallenge(b"nonce").serialize()])
async def test_closes_with_1003_for_a_malformed_delivery(junk):
    codes = []

    async def script(socket):
        await challenge(socket)
        await socket.send(junk)
        await socket.wait_closed()
        codes.append(socket.close_code)

    async with playing(script) as client:
        assert await failing(client, ProtocolError) == 1003
    assert codes == [1003]


async def test_refuses_a_delivery_without_bounds(monkeypatch):
    monkeypatch.setattr(collector, "MAX_DELIVERY", 1000)

    async def script(socket):
        await challenge(socket)
        await deliver(socket, "id", bytes(2000))
        await socket.wait_closed()

    async with playing(script) as client:
        assert await failing(client, ProtocolError) == 1009


async def test_refuses_frames_that_break_websocket():
    async def script(socket):
        await challenge(socket)
        socket.transport.write(b"\xff\xff\xff\xff")
        await socket.wait_closed()

    async with playing(script) as client:
        assert await failing(client, ProtocolError) == 1002


@pytest.mark.rule("8.3")
async def test_gives_a_silent_server_up():
    async def script(socket):
        await challenge(socket)
        socket.transport.pause_reading()
        await asyncio.Event().wait()

    async with playing(script) as client:
        client.silence, client.ping_interval = 0.2, 0.05
        assert await failing(client, UnreachableError) == 1006


@pytest.mark.parametrize("sign_of_life", ["pongs", "pings"])
async def test_stays_with_a_server_that_shows_any_sign_of_life(sign_of_life):
    async def script(socket):
        await challenge(socket)
        for _ in range(20):
            if sign_of_life == "pings":
                await socket.ping()
            await asyncio.sleep(0.025)
        await deliver(socket, "id")
        await socket.recv()

    async with playing(script) as client:
        client.silence = 0.2
        client.ping_interval = 0.05 if sign_of_life == "pongs" else 60.0
        assert await collect_all(client) == ([b"parcel"], 1000)


async def test_does_not_take_its_own_slowness_for_silence():
    async def script(socket):
        await challenge(socket)
        for number in range(10):
            await deliver(socket, f"id {number}", bytes(200_000))
        for _ in range(10):
            await socket.recv()

    async with playing(script) as client:
        client.silence, client.ping_interval = 0.1, 0.03
        count = 0
        async with asyncio.timeout(20), client.collect(sign) as collection:
            async for delivery in collection:
                count += 1
                if count == 1:
                    await asyncio.sleep(0.4)
                await delivery.acknowledge()

    assert (count, collection.close_code) == (10, 1000)


async def test_does_not_wait_for_ever_for_the_end(monkeypatch):
    monkeypatch.setattr(collector, "CLOSE_TIMEOUT", 0.05)

    async def script(socket):
        await challenge(socket)
        await deliver(socket, "id")
        socket.transport.pause_reading()
        await asyncio.Event().wait()

    async with playing(script) as client:
        collection = client.collect(sign)
        await anext(collection)
        collection._connection.pause_writing()
        async with asyncio.timeout(5):
            await collection.aclose()

    assert collection.close_code == 1006


async def test_does_not_wait_for_ever_for_the_challenge(monkeypatch):
    monkeypatch.setattr(collector, "HANDSHAKE_TIMEOUT", 0.05)

    async def script(socket):
        await socket.wait_closed()

    async with playing(script) as client:
        assert await failing(client, UnreachableError) == 1000


async def test_does_not_wait_for_ever_for_an_acknowledgement_to_leave(monkeypatch):
    monkeypatch.setattr(collector, "SEND_TIMEOUT", 0.05)

    async def script(socket):
        await challenge(socket)
        await deliver(socket, "id")
        socket.transport.pause_reading()
        await asyncio.Event().wait()

    async with playing(script) as client:
        collection = client.collect(sign)
        delivery = await anext(collection)
        collection._connection.pause_writing()
        with pytest.raises(UnreachableError):
            await delivery.acknowledge()
        await collection.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, UnauthenticatedError),
        (400, MalformedError),
        (403, ServerError),
        (404, ServerError),
        (301, ServerError),
        (503, ServerError),
    ],
)
async def test_maps_the_status_of_a_refused_upgrade(status, error):
    async def refuse(connection, _request):
        response = connection.respond(status, "no")
        response.headers["Retry-After"] = "11"
        response.headers["Location"] = "ws://elsewhere.example/"
        return response

    async def script(socket):
        await socket.wait_closed()

    async with playing(script, process_request=refuse) as client:
        collection = client.collect(sign)
        with pytest.raises(AwalaError) as raised:
            await anext(collection)

    assert type(raised.value) is error
    assert raised.value.status == status
    assert getattr(raised.value, "retry_after", 11.0) == 11.0
    assert collection.close_code is None


@asynccontextmanager
async def raw_server(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with PoWebClient.local(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        yield client
    server.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", UnreachableError),
        (b"SSH-2.0-x\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ServerError),
        (None, UnreachableError),
    ],
    ids=["nothing", "no http", "no websocket", "no upgrade", "no answer"],
)
async def test_names_what_is_wrong_with_an_answer_to_the_upgrade(monkeypatch, answer, error):
    monkeypatch.setattr(collector, "CONNECT_TIMEOUT", 0.3)
    async with raw_server(answer) as client:
        assert await failing(client, error) is None


async def test_a_closed_port_is_unreachable():
    async with raw_server(b"") as client:
        pass
    async with PoWebClient.local(f"http://127.0.0.1:{client._port}") as other:
        assert await failing(other, UnreachableError) is None


async def test_passes_on_what_the_dialler_says():
    class EgressError(AwalaError):
        pass

    class Dialler:
        async def connect(self, host, port):
            raise EgressError(f"not to {host}:{port}")

    async with PoWebClient.local(dialler=Dialler()) as client:
        assert await failing(client, EgressError) is None
