# SPDX-License-Identifier: MIT
"""Large parcels, slow links and dead peers: the server's WebSocket transport (rules §8)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from awala.bindings import poweb as package
from awala.bindings.poweb import PacedWebSocketProtocol, poweb_app, transport
from awala.bindings.serving import serve
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from helpers.poweb import MemoryGateway, sign

PATH = "/v1/parcel-collection"


class SlowCollector:
    """A collector on a socket with small buffers, which reads only when it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{PATH}"), max_size=None)
        self.frames: list[Frame] = []
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self.sock.settimeout(0)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.sock, ("127.0.0.1", self._port))
        self.protocol.send_request(self.protocol.connect())
        await self._flush()
        while not self.frames:
            await self.read()
        nonce = HandshakeChallenge.parse(self.frames.pop().data).nonce
        self.protocol.send_binary(HandshakeResponse(tuple(sign(nonce))).serialize())
        await self._flush()

    async def read(self, size: int = 16 * 1024, *, pong: bool = True) -> bool:
        """Read once; return whether the server is still there."""
        data = await asyncio.get_running_loop().sock_recv(self.sock, size)
        if not data:
            return False
        self.protocol.receive_data(data)
        self.frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        if pong:
            await self._flush()
        return True

    async def acknowledge(self, delivery_id: str) -> None:
        self.protocol.send_text(delivery_id.encode())
        await self._flush()

    async def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    def opcodes(self) -> list[Opcode]:
        return [frame.opcode for frame in self.frames]


@pytest.fixture
def gateway():
    return MemoryGateway()


@pytest.fixture
def app(gateway):
    return poweb_app(gateway)


@asynccontextmanager
async def collecting(app, *, interval=0.05, patience=5.0):
    async with (
        asyncio.timeout(30),
        serve(
            app,
            "127.0.0.1:0",
            grace=1,
            on_drain=app.drain,
            ws=PacedWebSocketProtocol,
            ws_ping_interval=interval,
            ws_ping_timeout=patience,
        ) as server,
    ):
        collector = SlowCollector(server.port)
        try:
            await collector.open()
            yield collector, server
        finally:
            collector.sock.close()


@pytest.mark.rule("8.3")
async def test_pings_pass_between_the_fragments_of_a_large_parcel(app, gateway):
    parcel = bytes(range(256)) * 4096
    gateway.put(parcel)
    async with collecting(app) as (collector, _):
        while not any(frame.fin for frame in collector.frames if frame.opcode is Opcode.CONT):
            await collector.read()
            await asyncio.sleep(0.01)

        opcodes = collector.opcodes()
        begin = opcodes.index(Opcode.BINARY)
        pings = [index for index, opcode in enumerate(opcodes) if opcode is Opcode.PING and index > begin]
        data = b"".join(frame.data for frame in collector.frames if frame.opcode is not Opcode.PING)
        delivery = ParcelDelivery.parse(data)
        await collector.acknowledge(delivery.delivery_id)
        await gateway.until(lambda: gateway.acknowledged != [])

    assert len(pings) >= 2
    assert delivery.parcel == parcel
    largest = max(len(frame.data) for frame in collector.frames)
    assert largest <= transport.FRAGMENT_SIZE


async def test_little_waits_ahead_of_a_ping(app, gateway):
    gateway.put(bytes(4 << 20))
    async with collecting(app, interval=0.05, patience=20) as (collector, _):
        while Opcode.BINARY not in collector.opcodes():
            await collector.read()
        # While nothing is read, what fits fills the buffers; then a ping is due behind it.
        await asyncio.sleep(0.2)
        waiting = 0
        before = collector.opcodes().count(Opcode.PING)
        while collector.opcodes().count(Opcode.PING) == before:
            await collector.read()
            waiting += 16 * 1024

    assert waiting < 1 << 20


async def test_small_messages_leave_in_one_frame(app, gateway):
    gateway.put(b"parcel")
    async with collecting(app) as (collector, _):
        while Opcode.BINARY not in collector.opcodes():
            await collector.read()

    (frame,) = [frame for frame in collector.frames if frame.opcode is Opcode.BINARY]
    assert frame.fin


async def test_cuts_a_peer_that_stopped_reading(app, gateway):
    gateway.put(bytes(4 << 20))
    async with collecting(app, patience=0.2):
        await gateway.until(lambda: gateway.open_collections == 1)
        async with asyncio.timeout(4):  # the kernel by itself would take nine seconds
            await gateway.until(lambda: gateway.open_collections == 0)


@pytest.mark.rule("8.3")
async def test_cuts_a_peer_that_sends_no_pongs(app, gateway):
    async with collecting(app, patience=0.2) as (collector, _):
        while await collector.read(pong=False):
            pass

        assert collector.frames[-1].opcode is Opcode.CLOSE
        await gateway.until(lambda: gateway.open_collections == 0)


async def test_a_peer_that_reads_nothing_does_not_hold_up_the_end(app, gateway, monkeypatch):
    monkeypatch.setattr(transport, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr(package.session, "CLOSE_PATIENCE", 0.1)
    monkeypatch.setattr(package.collection, "DRAIN_GRACE", 0.1)
    gateway.put(bytes(4 << 20))
    async with collecting(app, interval=60) as (collector, server):
        while Opcode.BINARY not in collector.opcodes():
            await collector.read()
        started = asyncio.get_running_loop().time()
        await server.drain()
        elapsed = asyncio.get_running_loop().time() - started

    assert elapsed < 1.5
    assert app.live_collections == 0


async def test_a_connection_that_breaks_while_a_parcel_leaves_ends_its_collection(app, gateway):
    gateway.put(bytes(4 << 20))
    async with collecting(app) as (collector, _):
        while Opcode.BINARY not in collector.opcodes():
            await collector.read()
        collector.sock.close()
        await gateway.until(lambda: gateway.open_collections == 0)

    assert gateway.acknowledged == []


def test_is_found_in_the_package_when_it_is_asked_for():
    assert package.serve_poweb.__module__ == "awala.bindings.poweb.running"
    with pytest.raises(AttributeError):
        _ = package.nothing_of_the_kind


async def test_a_connection_that_is_closing_already_does_not_keep_the_server_from_stopping():
    gateway = MemoryGateway()
    app = poweb_app(gateway)
    protocols = []

    class Spied(PacedWebSocketProtocol):
        def connection_made(self, connection):
            super().connection_made(connection)
            protocols.append(self)

    async with serve(app, "127.0.0.1:0", ws=Spied) as server:
        collector = SlowCollector(server.port)
        await collector.open()
        [protocol] = protocols
        protocol.conn.send_close(1000)

        protocol.shutdown()

        assert protocol.transport.is_closing()
    collector.sock.close()
