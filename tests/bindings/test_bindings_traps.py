# SPDX-License-Identifier: MIT
"""The traps that deployed implementations lay for the bindings, by the number that each has in our records.

Those of messages stand in ``tests/messages`` and ``tests/cms``, those that are shown with the libraries
themselves in ``tests/interop``; ``pytest -k trap_`` runs all.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from websockets.asyncio.client import connect

from awala.base.errors import AwalaError
from awala.bindings.cogrpc import CogRpcClient
from awala.bindings.cogrpc.limits import ACK_HOLD
from awala.bindings.cogrpc.messages import CargoDelivery
from awala.bindings.poweb import PoWebClient, StreamingMode, poweb_app, serve_poweb
from awala.messages.collection import HandshakeChallenge, HandshakeResponse
from helpers.cogrpc import Collection, Service, ack, delivery, gateway_server, outgoing, raw_call, raw_server
from helpers.poweb import GOOD_COUNTERSIGNATURE, MemoryGateway, sign

AUTHORIZED = (("authorization", "Relaynet-CCA " + base64.b64encode(b"CCA").decode()),)
NODE_REGISTRATION = "application/vnd.awala.node-registration"
ANSWERS = {
    "/v1/pre-registrations": (200, f"{NODE_REGISTRATION}.authorization"),
    "/v1/nodes": (200, f"{NODE_REGISTRATION}.registration"),
    "/v1/parcels": (202, "application/json"),
    "/v1/parcel-collection": (503, "application/json"),
}
"""What a deployed gateway answers on the paths that it has."""

SENT = {
    "/v1/pre-registrations": "text/plain",
    "/v1/nodes": f"{NODE_REGISTRATION}.request",
    "/v1/parcels": "application/vnd.awala.parcel",
}
"""The types that it compares as a whole."""


@dataclass(frozen=True)
class Head:
    """The start line and the headers of a request or an answer."""

    first: str
    headers: dict[str, str]

    @classmethod
    def read(cls, octets: bytes) -> Head:
        first, *lines = octets.decode("ascii").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines if line)
        return cls(first, {name.lower(): value for name, value in pairs})

    @property
    def path(self) -> str:
        return self.first.split()[1]


async def read_message(reader) -> Head:
    head = Head.read(await reader.readuntil(b"\r\n\r\n"))
    await reader.readexactly(int(head.headers.get("content-length", "0")))
    return head


@asynccontextmanager
async def deployed_gateway():
    """Serve what a deployed gateway answers; give a client of ours and the heads of what it sends."""
    heads: list[Head] = []

    async def serve(reader, writer):
        head = await read_message(reader)
        heads.append(head)
        status, content_type = ANSWERS[head.path]
        answer = f"HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
        writer.write(f"{answer}Content-Length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, PoWebClient.local(f"http://127.0.0.1:{port}") as client:
        yield client, heads


async def do_all(client) -> None:
    """Ask for everything that a gateway is asked for."""
    await client.preregister(bytes(32))
    await client.register(b"request")
    await client.deliver(b"parcel", b"signature")
    await try_to_collect(client)


async def try_to_collect(client, *mode) -> None:
    with pytest.raises(AwalaError, match="503"):
        await anext(client.collect(sign, *mode))


# ---- 1: names ------------------------------------------------------------------------------------------


async def test_trap_01_our_poweb_client_speaks_the_names_that_are_deployed():
    async with deployed_gateway() as (client, heads):
        await do_all(client)

    assert [head.path for head in heads] == list(ANSWERS)
    parcel, collection = heads[2:]
    assert (
        parcel.headers["authorization"]
        == "Relaynet-Countersignature " + base64.b64encode(b"signature").decode()
    )
    assert collection.headers["x-relaynet-streaming-mode"] == "keep-alive"


async def test_trap_01_our_cogrpc_client_speaks_the_names_that_are_deployed():
    seen = []

    async def refuse(context):  # under relaynet.cogrpc alone
        seen.append(dict(context.invocation_metadata()))

    async with raw_server(refuse) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        assert [cargo async for cargo in client.collect(b"CCA")] == []

    assert seen[0]["authorization"] == "Relaynet-CCA " + base64.b64encode(b"CCA").decode()


# ---- 27: content types -----------------------------------------------------------------------------------


async def test_trap_27_our_client_sends_types_without_any_parameter():
    async with deployed_gateway() as (client, heads):
        await do_all(client)

    assert {head.path: head.headers["content-type"] for head in heads[:3]} == SENT


BODIES = {"/v1/pre-registrations": b"0" * 64, "/v1/nodes": b"request", "/v1/parcels": b"parcel"}


@pytest.mark.parametrize("path", SENT)
async def test_trap_27_our_server_answers_with_types_without_any_parameter(path):
    async with serve_poweb(poweb_app(MemoryGateway()), "127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        signature = base64.b64encode(GOOD_COUNTERSIGNATURE).decode()
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {server.address}",
            f"Content-Type: {SENT[path]}",
            f"Content-Length: {len(BODIES[path])}",
            f"Authorization: Relaynet-Countersignature {signature}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + BODIES[path])
        head = await read_message(reader)
        writer.close()

    status, content_type = ANSWERS[path]
    assert head.first.split()[1] == str(status)
    assert head.headers["content-type"] == content_type


# ---- 28: streaming modes -----------------------------------------------------------------------------------


async def test_trap_28_our_client_never_leaves_the_mode_to_the_server():
    async with deployed_gateway() as (client, heads):
        await try_to_collect(client)
        for mode in StreamingMode:
            await try_to_collect(client, mode)

    modes = [head.headers["x-relaynet-streaming-mode"] for head in heads]
    assert sorted(modes[1:]) == ["close-upon-completion", "keep-alive"]
    assert modes[0] == "keep-alive"


@pytest.mark.parametrize("headers", [{}, {"X-Relaynet-Streaming-Mode": "whatever"}])
async def test_trap_28_our_server_stays_with_clients_that_name_no_mode(headers):
    gateway = MemoryGateway()
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=1) as server:
        url = f"ws://{server.address}/v1/parcel-collection"
        async with asyncio.timeout(20), connect(url, additional_headers=headers, proxy=None) as socket:
            nonce = HandshakeChallenge.parse(await socket.recv()).nonce
            await socket.send(HandshakeResponse(tuple(sign(nonce))).serialize())
            await gateway.until(lambda: gateway.open_collections == 1)

    assert gateway.modes == [StreamingMode.KEEP_ALIVE]


# ---- 29: short deadlines -----------------------------------------------------------------------------------

DEADLINE = 3.0
"""Seconds that the JavaScript client gives a whole call."""


async def test_trap_29_a_sender_that_stops_when_nothing_is_pending_gets_to_send_everything():
    service = Service()
    async with (
        gateway_server(service) as server,
        raw_call(server, "DeliverCargo", timeout=DEADLINE) as call,
    ):
        await call.write(delivery("one"))
        first = asyncio.ensure_future(call.read())
        await asyncio.sleep(ACK_HOLD / 3)
        assert not first.done(), "acknowledged at once, the sender would take itself for done"
        await call.write(delivery("two"))

        assert [await first, await call.read()] == [ack("one"), ack("two")]  # it has not ended its side


async def test_trap_29_a_collector_that_stays_for_three_seconds_is_sent_cargo_at_once():
    service = Service(Collection(outgoing(5)))
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED, timeout=DEADLINE) as call,
    ):
        ids = [CargoDelivery.parse(message).delivery_id async for message in call]

        assert ids == [cargo.delivery_id for cargo in outgoing(5)]
        assert await call.code() is grpc.StatusCode.OK
