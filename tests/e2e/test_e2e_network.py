# SPDX-License-Identifier: MIT
"""Whole journeys through real sockets, real stores and real cryptography."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from awala.nodes.events import Action, Way
from awala.pki import CertificationPath
from awala.sdk import Invitation, Offer, TicketState
from awala.services.chat import Chat
from awala.services.ping import Pinger
from helpers.nodes import until
from helpers.nodes_network import village

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def net(tmp_path):
    async with village(tmp_path) as net:
        yield net


class Ear:
    """Hears the texts of a chat."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self.chat: Chat | None = None

    def setup(self, app) -> None:
        self.chat = Chat(app, self._hear)

    async def _hear(self, text) -> None:
        self.heard[text.text] += 1


async def pair(one, other):
    """Pair two apps as two people would, with texts that they copy; return the peers of each."""
    offer = Offer.parse((await one.offer()).to_text())
    invitation = Invitation.parse((await other.accept(offer, name="one")).to_text())
    return await one.complete(invitation, name="other")


async def pair_chats(one: Chat, other: Chat):
    """The same through the chat."""
    return await one.complete(await other.accept(await one.offer(), name="one"), name="other")


async def eventually(condition) -> None:
    """Return once the condition, which must be awaited, holds."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - the nodes' stores tell nobody else
            await asyncio.sleep(0.01)


async def rests(process, where: str, items: int = 1) -> None:
    """Return once so many items rest at a place that the node's status names."""

    async def enough() -> bool:
        return getattr(await process.node.status(), where).items >= items

    await eventually(enough)


async def authorised(app, peer_id) -> bool:
    identity = app._endpoint.identity
    return await identity.authorizations.given_by(peer_id, identity.now()) is not None


async def wait_authorised(app, peer_id) -> None:
    await eventually(lambda: authorised(app, peer_id))


async def resting(*processes) -> int:
    """Count what rests on its way at these nodes."""
    total = 0
    for process in processes:
        totals = await process.node._spool.totals()
        total += sum(part.items for part in totals.values())
    return total


async def empty(*processes) -> None:
    async def nothing_rests() -> bool:
        return not await resting(*processes)

    await eventually(nothing_rests)


async def test_ping_on_line(net):
    side, pong = await net.side("a"), await net.pong()
    app = await net.app(side)
    pinger = Pinger(app)
    peer = await app.add_internet_peer(pong.node.connection_params())

    times = [await pinger.ping(peer, timeout=15) for _ in range(3)]

    assert all(seconds is not None and seconds < 5 for seconds in times)
    await empty(side.gateway, side.internet_gateway)
    status = await side.gateway.node.status()
    assert (status.online, status.last_error, status.endpoints) == (True, "", 1)
    assert (await side.internet_gateway.node.status()).private_gateways == 1


async def test_ping_by_courier_with_the_link_cut(net):
    side, pong, courier = await net.side("a"), await net.pong(), await net.courier()
    app = await net.app(side)
    pinger = Pinger(app)
    await side.link.cut()
    crossed = side.link.octets_to_target
    peer = await app.add_internet_peer(pong.node.connection_params())
    ping = asyncio.create_task(pinger.ping(peer, timeout=30))
    await rests(side.gateway, "outgoing", 2)

    went = await net.visit(side, courier)
    journey = await net.trip(courier)
    came = await net.visit(side, courier)

    assert await ping is not None
    assert (went.delivered, journey.delivered, journey.failures) == (1, 1, ())
    assert (journey.collected, came.collected) == (1, 1)
    assert side.link.octets_to_target == crossed
    assert (await courier.node.status()).to_private_gateways.items == 0
    await net.trip(courier)  # the acknowledgement for the answer goes with the next trip
    await net.visit(side, courier)
    await net.trip(courier)
    await empty(side.gateway, side.internet_gateway)


async def test_a_second_visit_brings_nothing_twice(net):
    side, pong, courier = await net.side("a"), await net.pong(), await net.courier()
    app = await net.app(side)
    answers = Counter()
    app.on()(lambda message: _count(answers, message.id))
    await side.link.cut()
    peer = await app.add_internet_peer(pong.node.connection_params())
    await app.send(peer, "application/vnd.awala.ping-v1.ping", b"x" * 36)
    await rests(side.gateway, "outgoing", 2)

    for _ in range(3):
        await net.visit(side, courier)
        await net.trip(courier)

    await until(lambda: answers)
    assert set(answers.values()) == {1}
    assert len(answers) == 1


async def _count(counter, key):
    counter[key] += 1


async def test_chat_across_two_internet_gateways(net):
    a, b = await asyncio.gather(net.side("a"), net.side("b"))
    ears = Ear(), Ear()
    alice, bob = await net.app(a, ears[0].setup), await net.app(b, ears[1].setup)
    peer = await pair_chats(ears[0].chat, ears[1].chat)
    assert (ears[0].chat.id, ears[1].chat.id) == (alice.id, bob.id)
    await wait_authorised(bob, alice.id)

    tickets = [await ears[0].chat.say(peer, f"hello {n}") for n in range(3)]
    tickets += [await ears[1].chat.say(alice.id, f"hi {n}") for n in range(3)]

    await until(lambda: len(ears[0].heard) == len(ears[1].heard) == 3, seconds=20)
    async with asyncio.timeout(10):
        assert {await ticket.wait() for ticket in tickets} == {TicketState.SENT}
    assert set((ears[0].heard + ears[1].heard).values()) == {1}
    await empty(a.gateway, b.gateway, a.internet_gateway, b.internet_gateway)


@pytest.mark.rule("2.7", "2.8")
async def test_a_device_that_moves_to_another_internet_gateway_takes_its_chats_along(net):
    a, b = await asyncio.gather(net.side("a"), net.side("b"))
    ears = Ear(), Ear()
    alice, bob = await net.app(a, ears[0].setup), await net.app(b, ears[1].setup)
    await pair_chats(ears[0].chat, ears[1].chat)
    await wait_authorised(bob, alice.id)

    await a.gateway.node.pairing.pair("igw-b.demo.test")
    a.gateway.node.uplink.kick()
    await ears[1].chat.say(alice.id, "on the old path")
    await until(lambda: ears[0].heard["on the old path"], seconds=20)

    async def knows_the_new_path() -> bool:
        [peer] = [peer for peer in await bob.peers() if peer.id == alice.id]
        return peer.address == "igw-b.demo.test"

    await eventually(knows_the_new_path)
    await a.link.cut()  # the former gateway is gone
    await ears[1].chat.say(alice.id, "on the new path")
    await until(lambda: ears[0].heard["on the new path"], seconds=20)
    assert (await a.gateway.node.status()).online
    assert set(ears[0].heard.values()) == {1}


async def test_chat_by_courier_with_one_link_cut(net):
    a, b = await asyncio.gather(net.side("a"), net.side("b"))
    ears = Ear(), Ear()
    alice, bob = await net.app(a, ears[0].setup), await net.app(b, ears[1].setup)
    courier = await net.courier()
    peer = await pair(alice, bob)
    await wait_authorised(bob, alice.id)
    await empty(a.gateway, b.gateway, a.internet_gateway, b.internet_gateway)
    await b.link.cut()

    await ears[0].chat.say(peer, "are you there?")
    await ears[1].chat.say(alice.id, "I have no link")
    await rests(b.gateway, "outgoing")
    await rests(b.internet_gateway, "to_private_gateways")
    await net.visit(b, courier)
    await net.trip(courier)
    await net.visit(b, courier)

    await until(lambda: ears[0].heard and ears[1].heard, seconds=20)
    assert ears[0].heard == {"I have no link": 1}
    assert ears[1].heard == {"are you there?": 1}


async def test_nodes_that_are_restarted_lose_and_repeat_nothing(net):
    a, b = await asyncio.gather(net.side("a"), net.side("b"))
    ears = Ear(), Ear()
    alice, bob = await net.app(a, ears[0].setup), await net.app(b, ears[1].setup)
    peer = await pair(alice, bob)
    await wait_authorised(bob, alice.id)
    await empty(a.gateway, b.gateway, a.internet_gateway, b.internet_gateway)
    await b.link.cut()
    await a.link.cut()
    await ears[0].chat.say(peer, "while A is cut")
    await rests(a.gateway, "outgoing")
    await a.gateway.restart()
    assert (await a.gateway.node.status()).outgoing.items == 1
    await a.link.mend()
    a.gateway.node.uplink.kick()
    await rests(b.internet_gateway, "to_private_gateways")
    await b.internet_gateway.restart()
    await b.app.stop()
    await b.link.mend()
    b.gateway.node.uplink.kick()
    await rests(b.gateway, "incoming")
    await b.gateway.restart()
    await b.app.start()

    await until(lambda: ears[1].heard, seconds=20)
    await empty(a.gateway, b.gateway, a.internet_gateway, b.internet_gateway)
    assert ears[1].heard == {"while A is cut": 1}


async def test_a_parcel_that_the_recipient_did_not_allow_is_refused_by_its_internet_gateway(net):
    a, b = await asyncio.gather(net.side("a"), net.side("b"))
    ears = Ear(), Ear()
    alice, bob = await net.app(a, ears[0].setup), await net.app(b, ears[1].setup)
    peer = await pair(alice, bob)
    await wait_authorised(bob, alice.id)
    await empty(a.gateway, b.gateway, a.internet_gateway, b.internet_gateway)
    identity = alice._endpoint.identity
    own = await identity._sealer._self_issued_certificate(net.clock.now())

    async def forged(*_):
        return CertificationPath(own, ())

    identity.authorizations.given_by = forged
    hub = a.internet_gateway.node.events
    with hub.subscribe() as events:
        await ears[0].chat.say(peer, "let me in")
        async with asyncio.timeout(20):
            while (event := await anext(events)).action is not Action.REFUSED:
                pass

    assert event.way is Way.POHTTP
    assert await resting(a.internet_gateway, b.internet_gateway) == 0
    assert not ears[1].heard
