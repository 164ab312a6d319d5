# SPDX-License-Identifier: MIT
"""Gateways whose clocks are an hour fast or slow, made with the CogRPC libraries, and ours."""

from __future__ import annotations

import pytest
from interop_clocks import CLOCKS
from interop_cogrpc import (
    client_of_internet_gateway,
    collect_ours,
    deliver_ours,
    open_peer_courier,
    serving_internet_gateway,
)
from interop_cogrpc_peers import JsCogRpc, KotlinCogRpc, everything
from interop_gateways import (
    acknowledgements,
    one_each,
    open_peer_gateway,
    open_peer_internet_gateway,
    to_the_internet,
)
from interop_nodes import our_courier, our_internet_gateway, our_private_gateway
from interop_peers import peer_param

from helpers.nodes_network import HastyClock

JS = peer_param("js-cogrpc", JsCogRpc, "node")
KOTLIN = peer_param("kotlin-cogrpc", KotlinCogRpc, "java", "faketime")


def of_js(test):
    """Run a test with the npm packages, with both clocks."""
    marked = pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")(pytest.mark.requires("node")(test))
    return pytest.mark.parametrize("ahead", CLOCKS)(marked)


@pytest.mark.cell("clock-cogrpc")
@pytest.mark.parametrize("start", [JS, KOTLIN])
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_at_our_internet_gateway(
    tmp_path, authority, start, ahead
):
    async with (
        our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway,
        start(tmp_path, authority, ahead=ahead) as peer,
    ):
        sender, recipient = [await peer.open_gateway(internet_gateway.node.gateway_door) for _ in range(2)]
        parcels = (await recipient.household()).parcels(2)

        delivered = await peer.deliver(internet_gateway.way, await sender.fill(*one_each(parcels)))
        assert delivered == everything(2)
        assert await internet_gateway.mailbox(recipient) == sorted(parcels)

        collected = await peer.collect(internet_gateway.way, await recipient.authorize())
        assert collected["error"] is None
        assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)


@of_js
async def test_gateways_with_such_clocks_exchange_cargo_with_our_courier(tmp_path, authority, ahead):
    async with (
        our_courier(tmp_path / "courier") as courier,
        JsCogRpc(tmp_path, authority, ahead=ahead) as peer,
    ):
        distant = await open_peer_internet_gateway(peer)
        gateway = await open_peer_gateway(peer, distant)
        await courier.load(await distant.cargoes_for(gateway, [b"item"]))

        collected = await peer.collect(courier.way, await gateway.authorize())
        delivered = await peer.deliver(courier.way, await gateway.fill([b"item"]))

        assert collected["error"] is None
        assert await gateway.unpack(collected["cargoes"]) == [b"item"]
        assert delivered == everything(1)


@of_js
async def test_our_private_gateway_lives_behind_an_internet_gateway_with_such_a_clock(
    tmp_path, authority, ahead
):
    async with JsCogRpc(tmp_path, authority, ahead=ahead) as peer:
        internet_gateway = await open_peer_internet_gateway(peer)
        courier = await open_peer_courier(peer)
        async with our_private_gateway(tmp_path / "ours", HastyClock(), internet_gateway) as ours:
            (outgoing,) = to_the_internet(ours.endpoint, 1)
            (incoming,) = ours.household.parcels(1)
            await ours.send(outgoing)
            own_id = ours.node.credentials.node_id
            async with courier.serving() as server:
                await ours.visited(server.port)
                cargoes = (await server.report())["cargoes"]
            assert await internet_gateway.unpack(cargoes) == [outgoing]

            await internet_gateway.keep(own_id, [*acknowledgements([outgoing]), incoming])
            back = await internet_gateway.cargoes_of((await courier.authorizations())[-1])
            await courier.board(own_id, back)
            async with courier.serving() as server:
                await ours.visited(server.port)
            assert await ours.arrived() == [incoming]
            assert await ours.leaving(internet_gateway.id) == []


@of_js
async def test_our_client_is_served_by_an_internet_gateway_with_such_a_clock(tmp_path, authority, ahead):
    async with JsCogRpc(tmp_path, authority, ahead=ahead) as peer:
        internet_gateway = await open_peer_internet_gateway(peer)
        gateway = await open_peer_gateway(peer, internet_gateway)
        await internet_gateway.keep(gateway.id, [b"item"])
        cargoes = await gateway.fill([b"item"])
        async with serving_internet_gateway(internet_gateway, authority) as server:
            safe = await deliver_ours(client_of_internet_gateway(server.port, authority), cargoes)
            client = client_of_internet_gateway(server.port, authority)
            got = await collect_ours(client, await gateway.authorize())

        assert safe == cargoes
        assert await gateway.unpack(got) == [b"item"]
