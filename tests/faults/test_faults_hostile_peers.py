# SPDX-License-Identifier: MIT
"""Peers that send too much, too long, too slowly, again, or what is not theirs, at every door."""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from contextlib import AsyncExitStack, suppress

import grpc
import pytest
from websockets.exceptions import ConnectionClosed

from awala.bindings.cogrpc.messages import CargoDelivery
from awala.messages import (
    Cargo,
    HandshakeChallenge,
    Parcel,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
)
from awala.messages.media_types import PARCEL, REGISTRATION_REQUEST
from awala.pki import Role
from helpers.hostile import STATUS, connection, request, send, status
from helpers.nodes import HOUR, OTHER_ENDPOINT, STRANGER
from helpers.siege import (
    COGRPC_DOORS,
    HTTP_DOORS,
    MIB,
    calling,
    close_code,
    collecting,
    delivered,
    ending,
    kept_since,
    resident,
    signed,
)

pytestmark = pytest.mark.timeout(90)

TYPE = PARCEL.encode()
POWEB_DOORS = ("gateway", "internet-poweb")


class Attack:
    """What a node of this network may ask for, at each door."""

    def __init__(self, siege) -> None:
        self._siege = siege
        self.app = siege.app._endpoint
        self.gateway = siege.side.gateway.node.credentials

    def own(self, door):
        """Return key and certificate of a client that the door knows."""
        if door == "gateway":
            return self.app.identity.key, self.app.own_path().leaf
        return self.gateway.key, self.gateway.uplink_path(self._siege.now()).leaf

    async def another(self, door):
        """Register somebody else at a door; return key and certificate."""
        _, authorization = await _answer(self._siege, door, _preregister(OTHER_ENDPOINT))
        _, registration = await _answer(self._siege, door, _register(OTHER_ENDPOINT, authorization))
        return OTHER_ENDPOINT, Registration.parse(registration).node_certificate

    def head(self, door, *lines, signer=None):
        """Return the head of a delivery that is countersigned, where that is due."""
        path = b"/v1/parcels" if door in POWEB_DOORS else b"/"
        head = [b"POST %s HTTP/1.1" % path, b"Host: 127.0.0.1", b"Content-Type: " + TYPE, *lines]
        if door in POWEB_DOORS:
            header = self._siege.counter(b"x", *(signer or self.own(door)))
            head.append(b"Authorization: " + header.encode())
        return b"\r\n".join([*head, b"", b""])


@pytest.fixture
def attack(siege):
    return Attack(siege)


async def test_an_oversized_body_is_refused_before_it_is_read(siege, attack):
    for door in HTTP_DOORS:
        address, tls = siege.doors[door]
        head = attack.head(door, b"Content-Length: %d" % (1 << 40))
        assert await status(address, head, tls=tls) == 413, door


async def test_a_body_without_end_is_cut_off_and_fills_no_memory(siege, attack):
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    before = None
    for number in range(4):
        for door in HTTP_DOORS:
            address, tls = siege.doors[door]
            octets = attack.head(door, b"Transfer-Encoding: chunked") + 12 * chunk
            assert await status(address, octets, tls=tls) in {413, None}, door
        before = before or (resident() if number else None)  # by now there are buffers that are kept
    assert await kept_since(before) < 40 * MIB


async def test_a_body_without_end_from_nobody_is_not_read_at_all(siege, attack):
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    stranger = (STRANGER, siege.certify(STRANGER, STRANGER, None, Role.ENDPOINT))
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        octets = attack.head(door, b"Transfer-Encoding: chunked", signer=stranger) + 12 * chunk
        assert await status(address, octets, tls=tls) in {401, None}, door


def log_nothing(caplog):
    """Quieten every logger, whatever its own level: the records of pytest keep each error and its frames."""
    known = logging.root.manager.loggerDict.items()
    caplog.set_level(logging.CRITICAL)
    for name in [name for name, each in known if isinstance(each, logging.Logger) and each.level]:
        caplog.set_level(logging.CRITICAL, name)


async def test_a_call_without_end_is_taken_piece_by_piece_and_keeps_nothing(siege, caplog):
    log_nothing(caplog)
    rubbish = CargoDelivery("id", bytes(MIB)).serialize()
    for door in COGRPC_DOORS:
        before = None
        for _ in range(3):
            async with calling(siege, door, "DeliverCargo") as call:
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
                    for _ in range(60):
                        await call.write(rubbish)
            before = before or resident()  # by now there are buffers that are kept
        assert await kept_since(before) < 40 * MIB, door
    assert (await siege.side.internet_gateway.node.status()).cargo.items == 0
    assert (await siege.courier.node.status()).to_internet_gateways.items == 0


async def test_a_collector_without_end_of_words_is_closed(siege, attack):
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        async with collecting(address, tls=tls) as socket:
            nonce = HandshakeChallenge.parse(await socket.recv()).nonce
            await socket.send(signed(nonce, attack.own(door)))
            with suppress(ConnectionClosed):
                for _ in range(1000):
                    await socket.send("an id that was never given")
            assert await close_code(socket) in {1003, 1009}, door


async def test_slow_senders_at_every_door_keep_nobody_waiting(siege, attack):
    async with AsyncExitStack() as stack:
        for door in HTTP_DOORS:
            address, tls = siege.doors[door]
            for _ in range(15):  # one less than there is room for large bodies
                _, writer = await stack.enter_async_context(connection(address, tls=tls))
                writer.write(attack.head(door, b"Content-Length: %d" % MIB) + b"x")
        for door in COGRPC_DOORS:
            for method in ("DeliverCargo", "CollectCargo"):
                for _ in range(3):  # fewer than one address may have at once
                    await stack.enter_async_context(calling(siege, door, method))
        await siege.still_works()
        async with asyncio.timeout(20):
            went = await siege.net.visit(siege.side, siege.courier)
        assert went.stage.value == "done"


async def test_collectors_that_take_nothing_keep_nobody_waiting(siege, attack):
    async with AsyncExitStack() as stack:
        for door in POWEB_DOORS:
            address, tls = siege.doors[door]
            other = await attack.another(door)
            for _ in range(10):
                socket = await stack.enter_async_context(collecting(address, tls=tls))
                nonce = HandshakeChallenge.parse(await socket.recv()).nonce
                await socket.send(signed(nonce, other))
        await siege.still_works()


async def test_what_is_delivered_again_is_acknowledged_and_kept_once(siege):
    gateway = siege.side.internet_gateway.node
    cargo = siege.message(Cargo, Recipient(STRANGER.node_id, "elsewhere.demo.test"))
    for _ in range(5):
        code = await delivered(siege, "courier", CargoDelivery("id", cargo).serialize())
        assert code is grpc.StatusCode.OK
    assert (await siege.courier.node.status()).to_internet_gateways.items == 1

    key, own = siege.app._endpoint.identity.key, siege.app._endpoint.own_path().leaf
    self_issued = siege.certify(key, key, None, Role.ENDPOINT)
    later = siege.message(
        Parcel,
        Recipient(siege.pong.node.node_id, "pong.demo.test"),
        key=key,
        certificate=self_issued,
        created=HOUR,
    )
    address, tls = siege.doors["gateway"]
    octets = request(
        "POST", "/v1/parcels", later, content_type=PARCEL, Authorization=siege.counter(later, key, own)
    )
    assert {await status(address, octets, tls=tls) for _ in range(5)} == {202}
    assert (await siege.side.gateway.node.status()).outgoing.items == 1

    gateway_key, gateway_certificate = siege.side.gateway.node.credentials.key, None
    gateway_certificate = siege.side.gateway.node.credentials.uplink_path(siege.now()).leaf
    address, tls = siege.doors["internet-poweb"]
    header = siege.counter(later, gateway_key, gateway_certificate)
    octets = request("POST", "/v1/parcels", later, content_type=PARCEL, Authorization=header)
    assert {await status(address, octets, tls=tls) for _ in range(5)} <= {202, 422}
    assert (await gateway.status()).to_internet.items <= 1


async def test_a_handshake_that_was_overheard_opens_no_mailbox(siege, attack):
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        async with collecting(address, tls=tls) as socket:
            overheard = signed(HandshakeChallenge.parse(await socket.recv()).nonce, attack.own(door))
            await socket.send(overheard)
        async with collecting(address, tls=tls) as socket:
            await socket.recv()
            await socket.send(overheard)
            assert await close_code(socket) == 1003, door


async def _answer(siege, door, octets):
    """Return status and body of an answer."""
    address, tls = siege.doors[door]
    answer = b""
    async with connection(address, tls=tls) as (reader, writer):
        writer.write(octets)
        async with asyncio.timeout(10):
            while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < _length(answer):
                piece = await reader.read(65_536)
                if not piece:
                    break
                answer += piece
    return int(STATUS.match(answer)[1]), answer.partition(b"\r\n\r\n")[2]


def _length(answer: bytes) -> int:
    lines = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))


def _preregister(key):
    digest = key.public_key.digest.hex().encode()
    return request("POST", "/v1/pre-registrations", digest, content_type="text/plain")


def _register(key, authorization):
    body = RegistrationRequest(key.public_key, authorization).serialize(key)
    return request("POST", "/v1/nodes", body, content_type=REGISTRATION_REQUEST)


async def test_an_authorisation_to_register_works_once_for_its_own_key_alone(siege):
    for door in POWEB_DOORS:
        code, authorization = await _answer(siege, door, _preregister(OTHER_ENDPOINT))
        assert code == 200
        stolen, _ = await _answer(siege, door, _register(STRANGER, authorization))
        assert stolen == 403, door
        forged = RegistrationAuthorization.parse(authorization).serialize(STRANGER)
        assert (await _answer(siege, door, _register(OTHER_ENDPOINT, forged)))[0] == 400, door
        assert (await _answer(siege, door, _register(OTHER_ENDPOINT, authorization)))[0] == 200, door
        assert (await _answer(siege, door, _register(OTHER_ENDPOINT, authorization)))[0] == 400, door


async def test_a_countersignature_and_an_authorisation_are_of_no_use_to_a_thief(siege, attack):
    service = Recipient(siege.pong.node.node_id, "pong.demo.test")
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        key, own = attack.own(door)
        self_issued = siege.certify(key, key, None, Role.ENDPOINT)
        theirs = siege.message(Parcel, service, key=key, certificate=self_issued)
        header = siege.counter(theirs, key, own)
        mine = siege.message(Parcel, service)
        octets = request("POST", "/v1/parcels", mine, content_type=PARCEL, Authorization=header)
        assert await status(address, octets, tls=tls) in {401, 422}, door

    path = await siege.pong.node.identity.authorizations.given_by(siege.app.id, siege.now())
    recipient = Recipient(siege.app.id, "igw-a.demo.test")
    mine = siege.certify(STRANGER, STRANGER, None, Role.ENDPOINT)
    stolen = siege.message(Parcel, recipient, certificate=mine, chain=(path.leaf, *path.authorities))
    address, tls = siege.doors["internet-pohttp"]
    assert await status(address, request("POST", "/", stolen, content_type=PARCEL), tls=tls) in {400, 403}
    assert (await siege.side.internet_gateway.node.status()).to_private_gateways.items == 0


async def test_messages_whose_signature_or_content_was_changed_are_refused_everywhere(siege, attack):
    service = Recipient(siege.pong.node.node_id, "pong.demo.test")
    for door in HTTP_DOORS:
        key = STRANGER if door not in POWEB_DOORS else attack.own(door)[0]
        good = siege.message(
            Parcel, service, key=key, certificate=siege.certify(key, key, None, Role.ENDPOINT)
        )
        for place in (good.index(b"pong.demo.test"), good.index(b"rubbish"), len(good) - 3):
            changed = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
            headers = {}
            if door in POWEB_DOORS:
                headers["Authorization"] = siege.counter(changed, *attack.own(door))
            path = "/v1/parcels" if door in POWEB_DOORS else "/"
            octets = request("POST", path, changed, content_type=PARCEL, **headers)
            address, tls = siege.doors[door]
            assert await status(address, octets, tls=tls) in {400, 403, 422}, (door, place)
    cargo = siege.message(Cargo, Recipient(STRANGER.node_id, "elsewhere.demo.test"))
    changed = cargo[:-3] + bytes([cargo[-3] ^ 1]) + cargo[-2:]
    code = await delivered(siege, "courier", CargoDelivery("id", changed).serialize())
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_hundreds_of_requests_at_once_are_all_answered(siege):
    digest = secrets.token_hex(32).encode()
    octets = request("POST", "/v1/pre-registrations", digest, content_type="text/plain")
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        answers = await asyncio.gather(*(send(address, octets, tls=tls) for _ in range(200)))
        assert all(STATUS.match(answer)[1] in {b"200", b"503"} for answer in answers), door
    for door in ("internet-pohttp", "pong"):
        address, tls = siege.doors[door]
        octets = request("POST", "/", b"rubbish", content_type=PARCEL)
        answers = await asyncio.gather(*(send(address, octets, tls=tls) for _ in range(200)))
        assert all(STATUS.match(answer)[1] in {b"400", b"503"} for answer in answers), door


async def test_dozens_of_calls_at_once_are_all_ended(siege):
    async def collect(door):
        async with calling(siege, door, "CollectCargo") as call:
            return await ending(call)

    for door in COGRPC_DOORS:
        codes = await asyncio.gather(*(collect(door) for _ in range(60)))
        assert set(codes) <= {
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.UNAVAILABLE,
        }, door


async def test_many_collections_of_one_collector_are_served_and_let_go(siege, attack):
    for door in POWEB_DOORS:
        address, tls = siege.doors[door]
        other = await attack.another(door)
        async with AsyncExitStack() as stack:
            for _ in range(60):
                socket = await stack.enter_async_context(collecting(address, tls=tls))
                nonce = HandshakeChallenge.parse(await socket.recv()).nonce
                await socket.send(signed(nonce, other))
            await siege.still_works()


HTTP = {"gateway", "internet-poweb", "internet-pohttp", "pong"}
POWEB = {"gateway", "internet-poweb"}
COGRPC = {"internet-cogrpc", "courier"}
ALL = HTTP | COGRPC

COVERED = {
    "oversized": {
        "test_an_oversized_body_is_refused_before_it_is_read": HTTP,
        "test_cargo_that_nobody_sent": COGRPC,
    },
    "endless": {
        "test_a_body_without_end_is_cut_off_and_fills_no_memory": HTTP,
        "test_a_header_without_end_is_cut_short": HTTP,
        "test_a_call_without_end_is_taken_piece_by_piece_and_keeps_nothing": COGRPC,
        "test_a_collector_without_end_of_words_is_closed": POWEB,
    },
    "slow": {
        "test_slow_senders_at_every_door_keep_nobody_waiting": ALL,
        "test_collectors_that_take_nothing_keep_nobody_waiting": POWEB,
    },
    "malformed": {"test_octets_that_are_no_request_at_any_door": ALL},
    "replayed": {
        "test_what_is_delivered_again_is_acknowledged_and_kept_once": {*POWEB, "courier"},
        "test_what_a_stranger_sends_again_and_again_is_kept_once": {"pong", "internet-pohttp"},
        "test_an_authorisation_that_is_used_twice_at_once_counts_once": {"internet-cogrpc"},
        "test_a_handshake_that_was_overheard_opens_no_mailbox": POWEB,
        "test_an_authorisation_to_register_works_once_for_its_own_key_alone": POWEB,
    },
    "stolen": {
        "test_a_countersignature_and_an_authorisation_are_of_no_use_to_a_thief": HTTP - {"pong"},
        "test_collections_of_cargo_without_right": COGRPC,
        "test_parcels_that_no_internet_host_may_send": {"pong"},
    },
    "forged": {
        "test_messages_whose_signature_or_content_was_changed_are_refused_everywhere": {*HTTP, "courier"},
        "test_cargo_that_nobody_sent": COGRPC,
    },
    "too many": {
        "test_hundreds_of_idle_connections_keep_nobody_out": HTTP | {"internet-cogrpc"},
        "test_hundreds_of_requests_at_once_are_all_answered": HTTP,
        "test_dozens_of_calls_at_once_are_all_ended": COGRPC,
        "test_many_collections_of_one_collector_are_served_and_let_go": POWEB,
    },
}
"""Which test shows what at which doors."""


@pytest.mark.parametrize("kind", COVERED)
def test_every_door_is_tried_with_every_kind_of_hostility(kind):
    known = {*vars(importlib.import_module("test_faults_hostile")), *globals()}
    assert set(COVERED[kind]) <= known
    assert set().union(*COVERED[kind].values()) == ALL
