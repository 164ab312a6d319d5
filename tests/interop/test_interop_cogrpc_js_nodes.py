# SPDX-License-Identifier: MIT
"""Our private gateway and our courier as whole nodes, between what the reference library makes."""

from __future__ import annotations

import pytest
from interop_cogrpc import (
    client_of_internet_gateway,
    open_peer_courier,
    serving_internet_gateway,
    way_to_internet_gateway,
)
from interop_cogrpc_peers import JsCogRpc
from interop_gateways import (
    acknowledgements,
    items,
    one_each,
    open_peer_gateway,
    open_peer_internet_gateway,
    to_the_internet,
)
from interop_nodes import our_private_gateway, our_travelling_courier

from awala.bindings.errors import UnreachableError
from helpers.nodes_network import HastyClock

pytestmark = [pytest.mark.requires("node"), pytest.mark.cell(peer="js-cogrpc")]

CUT_AFTER = 3


@pytest.fixture
async def peer(tmp_path, authority):
    async with JsCogRpc(tmp_path, authority) as node_peer:
        yield node_peer


@pytest.fixture
async def internet_gateway(peer):
    return await open_peer_internet_gateway(peer)


@pytest.fixture
async def gateway(peer, internet_gateway):
    return await open_peer_gateway(peer, internet_gateway)


@pytest.fixture
async def ours(tmp_path, internet_gateway):
    """A private gateway of ours behind the Internet gateway of the peer."""
    async with our_private_gateway(tmp_path / "ours", HastyClock(), internet_gateway) as running:
        yield running


class Road:
    """The way of our courier to the Internet gateway, whose server comes and goes."""

    def __init__(self, authority):
        self._authority = authority
        self.port = 1

    async def connect(self, _address):
        return client_of_internet_gateway(self.port, self._authority)


@pytest.fixture
def road(authority):
    return Road(authority)


@pytest.fixture
async def courier(tmp_path, road):
    async with our_travelling_courier(tmp_path / "courier", HastyClock(), road.connect) as running:
        yield running


async def trip(courier):
    return [step async for step in courier.node.trip.run()][-1]


@pytest.mark.cell("cogrpc-visit")
async def test_our_private_gateway_exchanges_parcels_and_acknowledgements_by_a_courier_of_the_peer(
    peer, internet_gateway, ours
):
    outgoing = to_the_internet(ours.endpoint, 3)
    incoming = ours.household.parcels(2)
    for parcel in outgoing:
        await ours.send(parcel)
    courier = await open_peer_courier(peer)

    async with courier.serving() as server:
        assert await ours.visited(server.port) == (0, 1)
        cargoes = (await server.report())["cargoes"]
    assert sorted(await internet_gateway.unpack(cargoes)) == sorted(outgoing)
    assert await ours.leaving(internet_gateway.id) == sorted(outgoing)

    load = [*acknowledgements(outgoing), *incoming]
    authorization = (await courier.authorizations())[-1]
    await internet_gateway.keep(ours.node.credentials.node_id, load)
    back = await internet_gateway.cargoes_of(authorization)
    await courier.board(ours.node.credentials.node_id, back)
    async with courier.serving() as server:
        assert await ours.visited(server.port) == (1, 1)
        cargoes = (await server.report())["cargoes"]
        assert await ours.visited(server.port) == (0, 0)
    assert await ours.arrived() == sorted(incoming)
    assert await ours.leaving(internet_gateway.id) == []
    assert sorted(await internet_gateway.unpack(cargoes)) == sorted(acknowledgements(incoming))
    assert await courier.cargoes() == []


@pytest.mark.cell("cogrpc-visit")
async def test_a_visit_that_the_courier_cut_is_completed_by_the_next_one(peer, internet_gateway, ours):
    courier = await open_peer_courier(peer)
    async with courier.serving() as server:
        await ours.visited(server.port)
    parcels = ours.household.parcels(4)
    await internet_gateway.keep(ours.node.credentials.node_id, *one_each(parcels))
    authorization = (await courier.authorizations())[-1]
    await courier.board(ours.node.credentials.node_id, await internet_gateway.cargoes_of(authorization))

    async with courier.serving(cutAfter=CUT_AFTER) as server:
        with pytest.raises(UnreachableError):
            await ours.visited(server.port)
    async with courier.serving() as server:
        await ours.visited(server.port)

    assert await ours.arrived() == sorted(parcels)
    assert await courier.cargoes() == []


@pytest.mark.cell("cogrpc-trip")
async def test_our_courier_carries_between_a_private_gateway_and_an_internet_gateway_of_the_peer(
    peer, internet_gateway, gateway, courier, road, authority
):
    cargoes = await gateway.fill(*one_each(items(3)))
    await peer.deliver(courier.way, cargoes)
    await peer.collect(courier.way, await gateway.authorize())
    await internet_gateway.keep(gateway.id, *one_each(items(2)))

    async with serving_internet_gateway(internet_gateway, authority) as server:
        road.port = server.port
        first, second = await trip(courier), await trip(courier)
        report = await server.report()

    assert (first.delivered, first.collected, first.failures) == (3, 2, ())
    assert (second.delivered, second.collected, second.failures) == (0, 0, ())
    assert sorted(report["cargoes"]) == sorted(cargoes)
    assert await courier.outgoing() == []
    assert await courier.requests(gateway.id) == []
    brought = await peer.collect(courier.way, await gateway.authorize())
    assert sorted(await gateway.unpack(brought["cargoes"])) == items(2)


@pytest.mark.cell("cogrpc-trip")
async def test_what_an_internet_gateway_cut_is_carried_there_and_back_by_the_next_trip(
    peer, internet_gateway, gateway, courier, road, authority
):
    cargoes = await gateway.fill(*one_each(items(5)))
    await peer.deliver(courier.way, cargoes)
    await peer.collect(courier.way, await gateway.authorize())
    await internet_gateway.keep(gateway.id, *one_each(items(5)))

    taken = []
    for cut_after in (CUT_AFTER, 5 + CUT_AFTER, 1000):
        plan = {"cutAfter": cut_after}
        async with serving_internet_gateway(internet_gateway, authority, **plan) as server:
            road.port = server.port
            last = await trip(courier)
            taken += (await server.report())["cargoes"]

    assert last.failures == ()
    assert set(taken) == set(cargoes)
    assert await courier.outgoing() == []
    assert await courier.requests(gateway.id) == []
    brought = await peer.collect(courier.way, await gateway.authorize())
    assert set(await gateway.unpack(brought["cargoes"])) == set(items(5))


@pytest.mark.cell("cogrpc-trip")
async def test_our_courier_drops_an_authorisation_that_another_courier_has_used(
    peer, internet_gateway, gateway, courier, road, authority
):
    authorization = await gateway.authorize()
    await peer.collect(courier.way, authorization)

    async with serving_internet_gateway(internet_gateway, authority) as server:
        road.port = server.port
        way = way_to_internet_gateway(server.port)
        assert (await peer.collect(way, authorization))["error"] is None
        last = await trip(courier)

    assert (last.collected, last.failures) == (0, ())
    assert await courier.requests(gateway.id) == []
