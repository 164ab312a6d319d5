# SPDX-License-Identifier: MIT
"""No loop runs faster than its back-off, whatever its peer does: attempts in a simulated hour (rules §9)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from awala.bindings.errors import ServerError
from awala.bindings.poweb import PoWebClient
from awala.messages import HandshakeChallenge, Registration
from awala.nodes.backoff import LOCAL_WAIT, LONGEST_LOCAL_WAIT, Attempts, Backoff
from awala.nodes.endpoint import private
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.lanes import UPLINK
from awala.pki import Role
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    HOUR,
    IGW,
    NOW,
    PGW,
    certify,
    internet_side,
    private_side,
    running,
    until,
)
from helpers.poweb import LoopbackDialler
from helpers.spool_items import NOW as SPOOL_NOW
from helpers.spool_items import SECOND, arrival

pytestmark = pytest.mark.rule("9.3", "9.5")

CHALLENGE = HandshakeChallenge(bytes(16)).serialize()
NO_JITTER = Backoff(jitter=lambda: 1.0)

IN_AN_HOUR = 10
"""Attempts that waits of 5, 10, 20… seconds leave room for."""

LOCALLY_IN_AN_HOUR = 125
"""The same for 1, 2, 4… seconds up to 30."""


async def hang_up(_reader, writer) -> None:
    writer.close()


async def talk_nonsense(_reader, writer) -> None:
    writer.write(b"SSH-2.0-nonsense\r\n" * 10)
    writer.close()


def answering(status: str, *headers: str):
    async def answer(reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write("\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 0", *headers, "", ""]).encode())
        writer.close()

    return answer


def closing(code: int, *, after_handshake: bool):
    async def close(websocket) -> None:
        if after_handshake:
            await websocket.send(CHALLENGE)
            await websocket.recv()
        await websocket.close(code)

    return close


async def deliver_nonsense(websocket) -> None:
    await websocket.send(CHALLENGE)
    await websocket.recv()
    await websocket.send(b"nonsense")
    with pytest.raises(ConnectionClosed):
        await websocket.recv()


async def accept_and_vanish(websocket) -> None:
    await websocket.send(CHALLENGE)
    await websocket.recv()
    websocket.transport.abort()


PLAIN = {
    "accepts and closes at once": hang_up,
    "sends garbage": talk_nonsense,
    "answers 200 to everything": answering("200 OK"),
    "answers 401 to everything": answering("401 Unauthorized"),
    "redirects to itself": answering("307 Temporary Redirect", "Location: /v1/parcel-collection"),
}
WEBSOCKETS = {
    "closes 1000 at once": closing(1000, after_handshake=False),
    "closes 1000 after the handshake": closing(1000, after_handshake=True),
    "closes 1003 after the handshake": closing(1003, after_handshake=True),
    "closes 4000 after the handshake": closing(4000, after_handshake=True),
    "closes 1011 after the handshake": closing(1011, after_handshake=True),
    "delivers nonsense": deliver_nonsense,
    "vanishes after the handshake": accept_and_vanish,
}
BEHAVIOURS = ["refuses", *PLAIN, *WEBSOCKETS]


@asynccontextmanager
async def hostile(behaviour: str):
    """Run a gateway that behaves so; gives its port."""
    if behaviour in PLAIN:
        server = await asyncio.start_server(PLAIN[behaviour], "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
    elif behaviour in WEBSOCKETS:
        async with serve_websockets(WEBSOCKETS[behaviour], "127.0.0.1", 0) as server:
            yield next(iter(server.sockets)).getsockname()[1]
    else:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            yield closed.getsockname()[1]


async def simulate(clock: FakeClock, loop, *, duration: timedelta = HOUR) -> None:
    """Run a loop for so long; each attempt ends in its own time, before it sleeps."""
    end = clock.now() + duration
    async with running(loop):
        while clock.now() < end:
            async with asyncio.timeout(20):
                await clock.wait_for_sleepers()
            due = min(deadline for deadline, _, future in clock._sleepers if not future.done())
            await clock.advance((min(due, end) - clock.now()).total_seconds())


async def uplink_to(port: int):
    """Return a private gateway whose Internet gateway is at ``port``, and who counts its connections."""
    side = await private_side(await internet_side())
    dialler = LoopbackDialler(port)

    async def connect(_address):
        return PoWebClient.local(f"http://127.0.0.1:{port}", dialler=dialler)

    side.node.uplink._connect = side.node.pairing._connect = connect
    link_of(side)._attempts = Attempts(NO_JITTER)
    return side, dialler


def link_of(side):
    """Return the link to the Internet gateway that the private gateway is paired with."""
    return side.node.uplink._link(side.node.credentials.peer)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_a_private_gateway_comes_back_ever_less_often(behaviour):
    async with hostile(behaviour) as port:
        side, dialler = await uplink_to(port)
        await simulate(side.clock, link_of(side).run())

    # After a refused handshake it registers again too, on connections of its own.
    per_attempt = 3 if "1003" in behaviour or "401" in behaviour else 1
    assert IN_AN_HOUR - 2 <= len(dialler.asked) <= IN_AN_HOUR * per_attempt


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_an_app_comes_back_to_its_gateway_at_most_every_half_minute(behaviour, monkeypatch):
    backoff = Backoff(LOCAL_WAIT, LONGEST_LOCAL_WAIT, jitter=lambda: 1.0)
    monkeypatch.setattr(private, "local_backoff", lambda: backoff)
    async with hostile(behaviour) as port:
        dialler = LoopbackDialler(port)
        client = PoWebClient.local(f"http://127.0.0.1:{port}", dialler=dialler)
        endpoint = await PrivateEndpoint.open(
            vault=MemoryVault(), spool=MemorySpool(), clock=FakeClock(), client=client
        )
        endpoint._sign_nonce = lambda nonce: [nonce]
        await simulate(endpoint.clock, endpoint._keep_collecting(), duration=HOUR / 4)
        await client.aclose()

    # Without a certificate it tries to register before each attempt, and after one that was refused.
    assert 20 <= len(dialler.asked) <= LOCALLY_IN_AN_HOUR / 4 * 5


async def test_a_collection_that_held_or_brought_something_is_begun_again_soon():
    attempts = Attempts(NO_JITTER)
    waits = []
    for held, brought in [(0, False), (4, False), (5, False), (0, False), (0, True), (0, False)]:
        attempts.begin()
        attempts.opened(NOW)
        if brought:
            attempts.succeeded()
        waits.append(attempts.wait(NOW + timedelta(seconds=held)).total_seconds())
        attempts.begin()

    assert waits == [5, 10, 5, 10, 5, 10]


async def test_time_spent_before_the_peer_let_us_in_does_not_count():
    attempts = Attempts(NO_JITTER)
    attempts.begin()
    attempts.wait(NOW)
    attempts.begin()

    assert attempts.wait(NOW + timedelta(minutes=1)).total_seconds() == 10


async def test_the_pause_that_a_gateway_asks_for_is_made_before_the_next_collection():
    async with hostile("refuses") as port:
        side, dialler = await uplink_to(port)
        server = await asyncio.start_server(
            answering("503 Service Unavailable", "Retry-After: 1200"), "127.0.0.1", 0
        )
        dialler.port = server.sockets[0].getsockname()[1]
        async with server:
            await simulate(side.clock, link_of(side).run(), duration=HOUR - SECOND)

    assert len(dialler.asked) == 3


async def test_parcels_that_get_through_do_not_make_collections_run_faster_than_the_first_wait():
    async with hostile("answers 200 to everything") as port:
        side, dialler = await uplink_to(port)
        link = link_of(side)

        async def keep_saying_that_it_is_reachable():
            while True:
                link._reachable.set()
                link._reachable = _Set()
                await asyncio.Event().wait()

        async with running(keep_saying_that_it_is_reachable()):
            await simulate(side.clock, link.run(), duration=timedelta(minutes=10))

    assert 50 <= len(dialler.asked) <= 121


class _Set(asyncio.Event):
    """An event that is always set."""

    def clear(self) -> None:
        """Stay set."""

    async def wait(self) -> bool:
        return True


async def test_a_delivered_parcel_only_hints_that_the_gateway_can_be_reached():
    async with hostile("refuses") as port:
        side, dialler = await uplink_to(port)
        delivered = Counter()

        class Taker(PoWebClient):
            async def deliver(self, *_parcel):
                delivered["parcels"] += 1

        async def connect(_address):
            return Taker.local(f"http://127.0.0.1:{port}", dialler=dialler)

        link_of(side)._connect = connect
        hop = Hop(UPLINK, IGW.node_id)
        created = NOW - SPOOL_NOW
        parcels = [arrival(str(n), hop=hop, created=created, expiry=created + HOUR) for n in range(50)]
        await side.spool.accept(parcels, now=NOW)
        async with running(side.node.uplink.run()):
            await until(lambda: delivered["parcels"] == 50)
            await until(lambda: side.node.uplink.last_error)

        assert len(dialler.asked) == 1


async def test_a_kick_does_not_overrule_the_pause_that_a_peer_asked_for():
    clock, spool, tried = FakeClock(SPOOL_NOW), MemorySpool(), []

    async def deliver(item, _body):
        tried.append(item.identity.message_id)
        raise ServerError("busy", status=503, retry_after=600)

    handover = Handover(spool, UPLINK, deliver, clock=clock, events=EventHub(), way=Way.POWEB)
    await spool.accept([arrival(str(n), b"x", hop=Hop(UPLINK, "a")) for n in range(20)], now=clock.now())
    async with running(handover.run()):
        for _ in range(19):
            await clock.advance(30)
            handover.kick()
        assert len(tried) == 1
        await clock.advance(60)
        await until(lambda: len(tried) == 2)


async def test_a_gateway_that_certifies_for_too_short_is_not_asked_again_and_again():
    clock, registrations = FakeClock(), []

    class Gateway:
        async def preregister(self, _digest):
            return b"authorisation"

        async def register(self, _request):
            registrations.append(clock.now())
            gateway = certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY, life=30 * DAY, since=-100 * DAY)
            own = certify(endpoint.identity.key, PGW, gateway, Role.ENDPOINT, life=20 * DAY, since=-99 * DAY)
            return Registration(own, gateway, ADDRESS).serialize()

    endpoint = await PrivateEndpoint.open(
        vault=MemoryVault(), spool=MemorySpool(), clock=clock, client=Gateway()
    )
    async with asyncio.timeout(10):
        await endpoint._ensure_registered()

    assert len(registrations) == 1
