# SPDX-License-Identifier: MIT
"""Whole journeys between apps and gateways of ours and of the peers, on-line and by our courier."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
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
    shown_certificate,
)

from awala.pki import Certificate
from helpers.json_peer import JsonPeer
from helpers.kotlin_peer import KotlinPeer, names, trust
from helpers.node_peer import ROUTES_DRIVER, NodePeer
from helpers.nodes_network import Side, village

pytestmark = pytest.mark.timeout(240)

ROUNDS = 3
PEERS = {"js": "js-core-production", "kotlin": "kotlin-awala"}
NEEDS = {"js": pytest.mark.requires("node"), "kotlin": pytest.mark.requires("java")}

LONG_AGO = timedelta(days=95)
"""When gateways registered whose certificates, of 180 days, are due to be renewed now."""


class World:
    """A network of ours with one Internet gateway and a courier, and peers as they are asked for."""

    def __init__(self, net, courier, stack) -> None:
        self.net = net
        self.courier = courier
        self._stack = stack
        self._peers = {}

    async def peer(self, kind):
        if kind not in self._peers:
            made = self._node_peer() if kind == "js" else await self._kotlin_peer()
            self._peers[kind] = await self._stack.enter_async_context(made)
        return self._peers[kind]

    def _node_peer(self):
        trusted = {"NODE_EXTRA_CA_CERTS": str(self.net.directory / "ca.pem")}
        return NodePeer(driver=ROUTES_DRIVER, environment=trusted)

    async def _kotlin_peer(self):
        """Return a peer that trusts our courier by its certificate: its own rule is not for loopback."""
        directory, authority = self.net.directory, self.net.authority
        trusted = trust(directory, authority.ca_pem, await shown_certificate(self.courier))
        return KotlinPeer(options=(*trusted, *names(directory)))

    async def app(self, kind, side):
        return await (our_app(self.net, side) if kind == "ours" else peer_app(await self.peer(kind), side))

    def by_courier(self, *stops):
        return by_courier(self.net, self.courier, *stops)

    async def pass_time(self, side, span, peer=None):
        """Let a time pass for all but the courier, for a ``peer`` as well; no node runs meanwhile."""
        processes = [side.app, side.gateway, side.internet_gateway]
        for process in processes:
            await process.stop()
        self.net.clock.ahead += span
        self.net.zones.resign(self.net.clock.now())
        if peer is not None:
            await peer.ask("passTime", seconds=span.total_seconds())
        for process in reversed(processes):
            await process.start()


@pytest.fixture
def ahead():
    return timedelta(0)


@pytest.fixture
async def world(tmp_path, ahead):
    async with village(tmp_path, MovedClock(ahead)) as net, AsyncExitStack() as stack:
        yield World(net, await net.courier(MovedClock()), stack)


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
    await here.link.cut()

    await talk(*apps, world.by_courier(here, there))


@dataclass(frozen=True)
class Home:
    """A private gateway of a peer with an app behind it, and one of ours beside with an app of ours."""

    peer: JsonPeer
    gateway: PeerGateway
    side: Side
    apps: list

    def on_line(self):
        return on_line(self.apps, self.gateway)


@pytest.fixture(
    params=[pytest.param(kind, marks=[NEEDS[kind], pytest.mark.cell(peer=PEERS[kind])]) for kind in PEERS]
)
async def home(request, world):
    side = await world.net.side("ours")
    peer = await world.peer(request.param)
    gateway = await PeerGateway.open(peer, side)
    app = await PeerApp.open(peer)
    await app.register_at(gateway)
    return Home(peer, gateway, side, [app, await our_app(world.net, side)])


@pytest.mark.cell("route-gateway-on-line")
@pytest.mark.thorough
async def test_a_private_gateway_of_the_peer_passes_parcels_on_line(home):
    await talk(*home.apps, home.on_line())

    assert (await home.gateway.status())["leftOver"] == 0


@pytest.mark.cell("route-gateway-courier")
@pytest.mark.thorough
async def test_a_private_gateway_of_the_peer_passes_parcels_by_courier(world, home):
    await home.side.link.cut()

    await talk(*home.apps, world.by_courier(home.gateway, home.side))

    assert (await home.gateway.status())["leftOver"] == 0


@pytest.mark.cell("route-gateway-rotation")
@pytest.mark.thorough
@pytest.mark.parametrize("ahead", [-LONG_AGO], ids=["long ago"])
async def test_a_private_gateway_of_the_peer_goes_on_with_a_certificate_that_a_courier_brings(world, home):
    gateway, side, (one, other) = home.gateway, home.side, home.apps
    old = Certificate.parse((await gateway.status())["certificate"])
    await world.pass_time(side, LONG_AGO)
    await introduce(one, other, home.on_line())
    await converse(one, other, home.on_line(), rounds=1)

    await side.link.cut()
    carry = world.by_courier(gateway, side)
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
    side.gateway.node.uplink.kick()  # as `awala gateway sync` does: its back-off may have grown
    await converse(one, other, home.on_line(), rounds=1)
    if isinstance(home.peer, NodePeer):  # Java's clock is set once, when it starts
        await world.pass_time(side, old.not_after - world.net.clock.now() + timedelta(days=1), home.peer)
        await converse(one, other, home.on_line(), rounds=1)
