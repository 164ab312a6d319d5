# SPDX-License-Identifier: MIT
"""Hostile input at every door of running nodes: a clear answer, and a good message passes right after."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from contextlib import AsyncExitStack

import grpc
import pytest

from awala.bindings.cogrpc.messages import CargoDelivery
from awala.cli.control import ControlServer
from awala.cli.gateway_node import _handlers
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    HandshakeChallenge,
    Parcel,
    Recipient,
)
from awala.messages.media_types import PARCEL
from awala.pki import Role
from helpers.hostile import connection, request, status
from helpers.nodes import DAY, EMPTY_HANDSHAKE, HOUR, STRANGER
from helpers.siege import (
    MIB,
    bearer,
    close_code,
    collected,
    collecting,
    delivered,
    kept_since,
    resident,
    signed,
)

pytestmark = pytest.mark.timeout(90)

RANDOM = secrets.token_bytes(3000)


OCTETS = {
    "random": RANDOM,
    "nothing": b"",
    "half a request": b"POST /v1/parcels HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le",
    "half a body": request(body=b"x" * 100)[:-50],
    "a huge header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "a wrong length": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "bad chunks": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\xff\4\0\0\0\0\0" * 50,
    "zeros": bytes(100_000),
}


async def test_octets_that_are_no_request_at_any_door(siege):
    async def throw(address, octets, *, tls):
        async with connection(address, tls=tls) as (reader, writer):
            writer.write(octets)
            try:
                async with asyncio.timeout(0.3):  # most doors wait for more, and may do so
                    await reader.read(1000)
            except (TimeoutError, OSError):
                return

    for octets in OCTETS.values():
        await asyncio.gather(
            *(
                throw(address, octets, tls=inner)
                for address, tls in siege.doors.values()
                for inner in {tls, False}
            )
        )
    await siege.still_works()


async def test_a_header_without_end_is_cut_short(siege):
    for door in ("gateway", "internet-poweb", "internet-pohttp", "pong"):
        address, tls = siege.doors[door]
        assert await status(address, OCTETS["a huge header"], tls=tls) in {400, 431, None}, door
        assert await status(address, OCTETS["many headers"], tls=tls) in {400, 431, None}, door


@pytest.mark.rule("8.6")
async def test_requests_that_name_another_host_are_refused(siege):
    for door in ("gateway", "internet-poweb", "internet-pohttp", "pong"):
        address, tls = siege.doors[door]
        octets = request("GET", "/")
        assert await status(address, octets, tls=tls) == 200, door
        elsewhere = octets.replace(b"127.0.0.1", b"rebound.test")
        assert await status(address, elsewhere, tls=tls) == 400, door


async def test_requests_of_the_wrong_kind_are_answered_with_what_is_wrong(siege):
    parcel, scheme = RANDOM, "Relaynet-Countersignature "
    cases = [
        (request("GET", "/nothing"), 404),
        (request("DELETE", "/v1/parcels"), 405),
        (request("POST", "/v1/parcels", parcel, content_type=PARCEL), 401),
        (request("POST", "/v1/parcels", parcel, content_type=PARCEL, Authorization="Basic eA=="), 401),
        (
            request(
                "POST",
                "/v1/parcels",
                parcel,
                content_type=PARCEL,
                Authorization=scheme + "%%",
            ),
            401,
        ),
        (
            request(
                "POST",
                "/v1/parcels",
                parcel,
                content_type=PARCEL,
                Authorization=scheme + base64.b64encode(RANDOM).decode(),
            ),
            401,
        ),
        (request("POST", "/v1/pre-registrations", b"0" * 63, content_type="text/plain"), 400),
        (request("POST", "/v1/pre-registrations", b"0" * 5000, content_type="text/plain"), 413),
        (request("POST", "/v1/pre-registrations", b"0" * 64, content_type="text/html"), 415),
        (
            request(
                "POST",
                "/v1/nodes",
                RANDOM,
                content_type="application/vnd.awala.node-registration.request",
            ),
            {400, 415},
        ),
        (request("GET", "/v1/parcel-collection"), 426),
    ]
    for door in ("gateway", "internet-poweb"):
        address, tls = siege.doors[door]
        for octets, due in cases:
            got = await status(address, octets, tls=tls)
            assert got in (due if isinstance(due, set) else {due}), (door, octets[:60], got)


async def test_parcels_that_no_endpoint_of_this_machine_may_send(siege):
    address, tls = siege.doors["gateway"]
    endpoint = siege.app._endpoint
    key, own = endpoint.identity.key, endpoint.own_path().leaf
    peer = Recipient(siege.pong.node.node_id, "pong.demo.test")
    self_issued = siege.certify(key, key, None, Role.ENDPOINT)

    async def deliver(parcel, signer=key, certificate=own):
        headers = {"Authorization": siege.counter(parcel, signer, certificate)}
        octets = request("POST", "/v1/parcels", parcel, content_type=PARCEL, **headers)
        return await status(address, octets, tls=tls)

    good = siege.message(Parcel, peer, key=key, certificate=self_issued)
    stranger = siege.certify(STRANGER, STRANGER, None, Role.ENDPOINT)
    assert await deliver(good) == 202
    assert await deliver(good) == 202  # a repetition is acknowledged, and dropped
    assert await deliver(good, STRANGER, stranger) == 401
    assert await deliver(RANDOM) == 400
    assert await deliver(good[:-100]) == 400
    assert await deliver(siege.message(Parcel, peer)) == 422
    for changes in ({"created": 3 * HOUR}, {"created": -10 * DAY}, {"ttl": 0, "created": -3 * HOUR}):
        assert await deliver(siege.message(Parcel, peer, key=key, certificate=self_issued, **changes)) == 422
    for bad in ("0abc", "0" + "f" * 63, "0" + "f" * 66):
        unroutable = Recipient(bad, "pong.demo.test")
        assert await deliver(siege.message(Parcel, unroutable, key=key, certificate=self_issued)) == 422
    ahead = siege.message(Parcel, peer, key=key, certificate=self_issued, created=HOUR)
    assert await deliver(ahead) == 202  # kept, and handed on when its time has come
    cargo = siege.message(Cargo, Recipient(siege.pong.node.node_id, "pong.demo.test"))
    assert await deliver(cargo) == 400


async def test_parcels_that_no_internet_host_may_send(siege):
    own_path = siege.app._endpoint.own_path()
    recipient = Recipient(siege.app.id, "igw-a.demo.test")
    forged = siege.certify(STRANGER, STRANGER, None)

    async def deliver(door, parcel, content_type=PARCEL):
        address, tls = siege.doors[door]
        return await status(address, request("POST", "/", parcel, content_type=content_type), tls=tls)

    for door in ("internet-pohttp", "pong"):
        assert await deliver(door, RANDOM) == 400
        assert await deliver(door, b"") == 400
        assert await deliver(door, RANDOM, "text/plain") == 415
        assert await deliver(door, siege.message(Parcel, recipient)) == 403
        assert await deliver(door, siege.message(Parcel, Recipient("0abc", "igw-a.demo.test"))) == 403
    chained = siege.message(Parcel, recipient, certificate=forged, chain=own_path.chain)
    assert await deliver("internet-pohttp", chained) == 403
    service = Recipient(siege.pong.node.node_id, "pong.demo.test")
    assert await deliver("pong", siege.message(Parcel, service, created=3 * HOUR)) == 403
    assert await deliver("pong", siege.message(Parcel, service, created=-5 * DAY)) == 403
    assert await deliver("pong", siege.message(Parcel, service)) == 202  # anybody may; it goes to quarantine


async def test_bodies_that_are_too_large_are_refused_and_kept_nowhere(siege):
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    announced = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    chunked = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
    content_type = PARCEL.encode()
    address, tls = siege.doors["pong"]
    before = None
    for number in range(8):
        assert await status(address, announced % (content_type, 1 << 40), tls=tls) == 413
        assert await status(address, chunked % content_type + chunk * 11, tls=tls) in {413, None}
        if number == 1:
            before = resident()  # buffers that are kept for re-use have been made by now
    assert await kept_since(before) < 40 * MIB
    total = await siege.pong.running.node._spool.usage()
    assert total.octets < MIB


async def test_collectors_that_are_not_who_they_say(siege):
    endpoint = siege.app._endpoint
    key, own = endpoint.identity.key, endpoint.own_path().leaf
    stranger = siege.certify(STRANGER, STRANGER, None, Role.ENDPOINT)

    answers = {
        "random": lambda _nonce: RANDOM,
        "text": lambda _nonce: "hello",
        "empty": lambda _nonce: b"",
        "nobody": lambda _nonce: EMPTY_HANDSHAKE,
        "a stranger": lambda nonce: signed(nonce, (STRANGER, stranger)),
        "another nonce": lambda _nonce: signed(b"0" * 16, (key, own)),
        "a stranger beside": lambda nonce: signed(nonce, (key, own), (STRANGER, stranger)),
        "too long": lambda _nonce: bytes(MIB),
    }
    for door in ("gateway", "internet-poweb"):
        address, tls = siege.doors[door]
        for name, answer in answers.items():
            async with collecting(address, tls=tls) as socket:
                nonce = HandshakeChallenge.parse(await socket.recv()).nonce
                await socket.send(answer(nonce))
                assert await close_code(socket) in {1003, 1009}, (door, name)
    address, tls = siege.doors["gateway"]
    for wrong in ("an id that was never given", b"octets", "x" * 100_000):
        async with collecting(address, tls=tls) as socket:
            nonce = HandshakeChallenge.parse(await socket.recv()).nonce
            await socket.send(signed(nonce, (key, own)))
            await socket.send(wrong)
            assert await close_code(socket) in {1003, 1009}


async def test_cargo_that_nobody_sent(siege):
    code = grpc.StatusCode
    gateway = siege.side.internet_gateway.node.credentials
    for_gateway = Recipient(gateway.node_id, "igw-a.demo.test")
    forged = siege.message(Cargo, for_gateway)
    for cargo in (RANDOM, b"", forged, forged[:-50]):
        # A gateway says that it has it, so that nobody carries it again, and drops it (rules §6).
        assert await delivered(siege, "internet-cogrpc", CargoDelivery("id", cargo).serialize()) is code.OK
    for cargo in (RANDOM, b"", forged[:-50], siege.message(Cargo, Recipient("0abc", "igw-a.demo.test"))):
        assert (
            await delivered(siege, "courier", CargoDelivery("id", cargo).serialize()) is code.INVALID_ARGUMENT
        )
    for door in ("internet-cogrpc", "courier"):
        assert await delivered(siege, door, RANDOM) is code.INVALID_ARGUMENT
        assert await delivered(siege, door, bytes(10 * MIB)) is code.RESOURCE_EXHAUSTED
    assert (await siege.side.internet_gateway.node.status()).cargo.items == 0
    assert (await siege.courier.node.status()).to_internet_gateways.items == 0


async def test_collections_of_cargo_without_right(siege):
    code = grpc.StatusCode
    credentials = siege.side.internet_gateway.node.credentials
    recipient = Recipient(credentials.node_id, "igw-a.demo.test")
    private = siege.side.gateway.node.credentials
    own = private.uplink_path(siege.now()).leaf
    mine = {"key": private.key, "certificate": own}
    rubbish_inside = siege.message(CargoCollectionAuthorization, recipient, **mine)
    strangers = siege.message(CargoCollectionAuthorization, recipient)
    elsewhere = siege.message(
        CargoCollectionAuthorization,
        Recipient(STRANGER.node_id, "x.demo.test"),
        key=private.key,
        certificate=own,
    )
    expired = siege.message(CargoCollectionAuthorization, recipient, **mine, created=-10 * DAY)
    for door in ("internet-cogrpc", "courier"):
        for metadata in ((), bearer(RANDOM), bearer(b""), bearer(expired), (("authorization", "Basic eA"),)):
            assert await collected(siege, door, metadata) is code.UNAUTHENTICATED, (door, metadata)
        huge = (("authorization", "Relaynet-CCA " + "A" * 20_000),)
        assert await collected(siege, door, huge) in {
            code.RESOURCE_EXHAUSTED,
            code.UNAVAILABLE,
            code.INTERNAL,
        }
    for cca in (strangers, rubbish_inside):
        assert await collected(siege, "internet-cogrpc", bearer(cca)) is code.UNAUTHENTICATED
    assert await collected(siege, "internet-cogrpc", bearer(elsewhere)) is code.INVALID_ARGUMENT


async def test_an_authorisation_that_is_used_twice_at_once_counts_once(siege):
    code = grpc.StatusCode
    cca = await siege.side.gateway.node.freight.authorization()

    codes = await asyncio.gather(*(collected(siege, "internet-cogrpc", bearer(cca)) for _ in range(6)))

    assert codes.count(code.OK) == 1, codes
    assert set(codes) <= {code.OK, code.UNAVAILABLE, code.PERMISSION_DENIED}
    assert await collected(siege, "internet-cogrpc", bearer(cca)) is code.PERMISSION_DENIED


async def test_hundreds_of_idle_connections_keep_nobody_out(siege):
    async with AsyncExitStack() as stack:
        for door in ("gateway", "internet-poweb", "internet-pohttp", "internet-cogrpc", "pong"):
            address, _ = siege.doors[door]
            for _ in range(60):
                _, writer = await stack.enter_async_context(connection(address, tls=False))
                if door != "internet-cogrpc":
                    writer.write(b"G")
        await siege.still_works()
        async with asyncio.timeout(20):
            went = await siege.net.visit(siege.side, siege.courier)
        assert went.stage.value == "done"


async def test_collectors_that_say_nothing_keep_nobody_out(siege):
    async with AsyncExitStack() as stack:
        for door in ("gateway", "internet-poweb"):
            address, tls = siege.doors[door]
            for _ in range(30):
                await stack.enter_async_context(collecting(address, tls=tls))
        await siege.still_works()


async def test_a_slow_sender_keeps_nobody_waiting(siege):
    address, tls = siege.doors["pong"]
    head = request("POST", "/", bytes(MIB), content_type=PARCEL)
    async with AsyncExitStack() as stack:
        for _ in range(15):  # one less than there is room for large bodies
            _, writer = await stack.enter_async_context(connection(address, tls=tls))
            writer.write(head[:1000])
        await siege.still_works()


async def test_what_a_stranger_sends_again_and_again_is_kept_once(siege):
    address, tls = siege.doors["pong"]
    parcel = siege.message(Parcel, Recipient(siege.pong.node.node_id, "pong.demo.test"), created=HOUR)
    octets = request("POST", "/", parcel, content_type=PARCEL)

    answers = await asyncio.gather(*(status(address, octets, tls=tls) for _ in range(20)))

    assert set(answers) == {202}
    assert (await siege.pong.running.node._spool.usage()).items == 1


REQUESTS = {
    "octets": (RANDOM.replace(b"\n", b"") + b"\n", "no JSON"),
    "no object": (b"[]\n", "no JSON object"),
    "deep": (b"[" * 100_000 + b"\n", "no JSON"),
    "no command": (b"{}\n", "a request has a command"),
    "arguments in a list": (b'{"command": "pair", "args": []}\n', "a request has a command"),
    "unknown": (b'{"command": "explode"}\n', "knows no command"),
    "pair with nothing": (b'{"command": "pair"}\n', "needs an address"),
    "pair with a number": (
        b'{"command": "pair", "args": {"address": 7}}\n',
        "address is not of",
    ),
    "pair with a sentence": (b'{"command": "pair", "args": {"address": "a b"}}\n', "cannot pair with a b"),
    "pair with no hex": (b'{"command": "pair", "args": {"params": "zz"}}\n', "not in hexadecimal"),
    "pair with junk": (b'{"command": "pair", "args": {"params": "00ff"}}\n', "Malformed"),
    "sync with a list": (b'{"command": "sync", "args": {"host": [], "port": 1}}\n', "host is not of"),
    "sync with a text": (
        b'{"command": "sync", "args": {"host": "::1", "port": "x"}}\n',
        "port is not of",
    ),
    "sync with a flag": (
        b'{"command": "sync", "args": {"host": "::1", "port": true}}\n',
        "port is not of",
    ),
    "sync far away": (b'{"command": "sync", "args": {"host": "example.com", "port": 1}}\n', "courier"),
    "sync beyond": (b'{"command": "sync", "args": {"host": "127.0.0.1", "port": 70000}}\n', "port"),
    "sync with nobody": (b'{"command": "sync", "args": {"host": "127.0.0.1", "port": 1}}\n', "failed"),
}


async def test_whatever_comes_on_the_control_socket_gets_an_answer(siege, tmp_path):
    path = tmp_path / "control.sock"
    async with ControlServer(path, _handlers(siege.side.gateway.node)):
        for name, (octets, text) in REQUESTS.items():
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(octets)
            async with asyncio.timeout(20):
                lines = [json.loads(line) async for line in reader]
            writer.close()
            assert text in lines[-1]["error"]["message"], (name, lines)
            assert "unexpected" not in lines[-1]["error"]["message"]
        _, endless = await asyncio.open_unix_connection(path)
        endless.write(b"x" * (2 * MIB))  # it is cut off, and may be before it can read why
        half, leaver = [await asyncio.open_unix_connection(path) for _ in range(2)]
        half[1].write(b'{"command"')
        leaver[1].write(b'{"command": "status"}\n')
        leaver[1].transport.abort()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command": "status"}\n')
        async with asyncio.timeout(5):
            assert json.loads(await reader.readline())["item"]["online"] is True
        for each in (half[1], endless, writer):
            each.transport.abort()
