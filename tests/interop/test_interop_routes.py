# SPDX-License-Identifier: MIT
"""Whole journeys between apps and gateways of ours and of the peers, on-line and by our courier."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from interop_routes import (
    MovedClock,
    PeerApp,
    PeerGateway,
    by_courier,
    converse,
    introduce,
    on_line,
    our_app,
    peer_app,
    session_moves_on,
)

from awala.pki import Certificate
from helpers.kotlin_peer import KotlinPeer
from helpers.node_peer import ROUTES_DRIVER, NodePeer
from helpers.nodes_network import village

pytestmark = pytest.mark.timeout(240)

ROUNDS = 3
PEERS = {"js": "js-core-production", "kotlin": "kotlin-awala"}
NEEDS = {"js": pytest.mark.requires("node"), "kotlin": pytest.mark.requires("java")}

LONG_AGO = timedelta(days=95)
"""When gateways registered whose certificates, of 180 days, are due to be renewed now."""


class World:
    """A network of ours with one Internet gateway, and peers as they are asked for."""

    def __init__(self, net, stack, clock) -> None:
        self.net = net
        self.clock = clock
        self._stack = stack
        self._peers = {}

    async def peer(self, kind):
        if kind not in self._peers:
            made = self._node_peer() if kind == "js" else KotlinPeer()
            self._peers[kind] = await self._stack.enter_async_context(made)
        return self._peers[kind]

    def _node_peer(self):
        trusted = {"NODE_EXTRA_CA_CERTS": str(self.net.directory / "ca.pem")}
        return NodePeer(driver=ROUTES_DRIVER, environment=trusted, ahead=self.clock.ahead)

    async def app(self, kind, side):
        return await (our_app(self.net, side) if kind == "ours" else peer_app(await self.peer(kind), side))


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture
async def world(tmp_path, clock):
    async with village(tmp_path, clock) as net, AsyncExitStack() as stack:
        yield World(net, stack, clock)


def pairs(way, *long):
    """Return who writes to whom, with the cells that it stands for; only the first pair is quick."""
    several = (
        ("js", "ours", "ours", long),
        ("js", "js", "same", [pytest.mark.thorough]),
        ("kotlin", "ours", "ours", [pytest.mark.thorough]),
        ("kotlin", "kotlin", "same", [pytest.mark.thorough]),
        ("js", "kotlin", "other", [pytest.mark.thorough]),
    )
    parameters = []
    for one, other, whose, marks in several:
        peers = sorted({one, other} - {"ours"})
        cells = [pytest.mark.cell(f"route-{whose}-{way}", peer=PEERS[kind]) for kind in peers]
        parameters.append(pytest.param(one, other, marks=[*cells, *(NEEDS[kind] for kind in peers), *marks]))
    return parameters


async def talk(one, other, carry):
    await introduce(one, other, carry)
    await converse(one, other, carry, ROUNDS)
    assert all(session_moves_on(app, ROUNDS) for app in (one, other) if isinstance(app, PeerApp))


@pytest.mark.parametrize(("one", "other"), pairs("on-line"))
async def test_two_apps_write_to_each_other_on_line(world, one, other):
    here = await world.net.side("here")
    there = await world.net.side("there", beside=here)
    apps = [await world.app(one, here), await world.app(other, there)]

    await talk(*apps, on_line(apps))


@pytest.mark.parametrize(("one", "other"), pairs("courier", pytest.mark.thorough))
async def test_two_apps_write_to_each_other_by_courier(world, one, other):
    here = await world.net.side("here")
    there = await world.net.side("there", beside=here)
    apps = [await world.app(one, here), await world.app(other, there)]
    courier = await world.net.courier()
    await here.link.cut()

    await talk(*apps, by_courier(world.net, courier, here, there))


GATEWAYS = [pytest.param("js", marks=[NEEDS["js"], pytest.mark.cell(peer=PEERS["js"])])]


@pytest.fixture(params=GATEWAYS)
async def peer(request, world):
    return await world.peer(request.param)


async def behind(gateway, peer):
    """Return an app of a peer behind a private gateway of that peer."""
    app = await PeerApp.open(peer)
    await app.register_at(gateway)
    return app


@pytest.mark.cell("route-gateway-on-line")
@pytest.mark.thorough
async def test_a_private_gateway_of_the_peer_passes_parcels_on_line(world, peer):
    side = await world.net.side("ours")
    gateway = await PeerGateway.open(peer, side)
    apps = [await behind(gateway, peer), await our_app(world.net, side)]

    await talk(*apps, on_line(apps, gateway))

    assert (await gateway.status())["leftOver"] == 0


@pytest.mark.cell("route-gateway-courier")
@pytest.mark.thorough
async def test_a_private_gateway_of_the_peer_passes_parcels_by_courier(world, peer):
    side = await world.net.side("ours")
    gateway = await PeerGateway.open(peer, side)
    apps = [await behind(gateway, peer), await our_app(world.net, side)]
    courier = await world.net.courier()
    await side.link.cut()

    await talk(*apps, by_courier(world.net, courier, gateway, side))

    assert (await gateway.status())["leftOver"] == 0


@pytest.mark.cell("route-gateway-rotation")
@pytest.mark.thorough
@pytest.mark.parametrize("clock", [MovedClock(-LONG_AGO)])
async def test_a_private_gateway_of_the_peer_goes_on_with_a_certificate_that_a_courier_brings(world, peer):
    net = world.net
    side = await net.side("ours")
    gateway = await PeerGateway.open(peer, side)
    one, other = apps = [await behind(gateway, peer), await our_app(net, side)]
    await introduce(one, other, on_line(apps, gateway))
    await converse(one, other, on_line(apps, gateway), rounds=1)
    old = Certificate.parse((await gateway.status())["certificate"])

    await side.link.cut()
    await pass_time(world, peer, side, LONG_AGO)
    courier = await net.courier()
    carry = by_courier(net, courier, gateway, side)
    await converse(one, other, carry, rounds=1)

    status = await gateway.status()
    new = Certificate.parse(status["certificate"])
    assert status["rotations"] == [new.encoding]
    assert (new.node_id, new.issuer_id) == (gateway.id, old.issuer_id)
    assert new.not_after - old.not_after > timedelta(days=60)
    await one.register_at(gateway)
    await one.send_authorization(other)
    await converse(one, other, carry, rounds=2)
    assert new in (await other.given_by(one.id)).authorities

    await side.link.mend()
    await converse(one, other, on_line(apps, gateway), rounds=2)
    await pass_time(world, peer, side, old.not_after - world.clock.now() + timedelta(days=1))
    await converse(one, other, on_line(apps, gateway), rounds=1)


async def pass_time(world, peer, side, span):
    """Let a time pass in which no node of ours runs."""
    processes = [side.app, side.gateway, side.internet_gateway]
    for process in processes:
        await process.stop()
    world.clock.ahead += span
    world.net.zones.resign(world.clock.now())
    await peer.ask("passTime", seconds=span.total_seconds())
    for process in reversed(processes):
        await process.start()
