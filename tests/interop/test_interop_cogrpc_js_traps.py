# SPDX-License-Identifier: MIT
"""The traps of wire.md §9 that lie on the way of cargo, each by its number."""

from __future__ import annotations

import base64

import pytest
from interop_cogrpc import (
    open_peer_courier,
    serving_internet_gateway,
    way_to_internet_gateway,
)
from interop_cogrpc_peers import JsCogRpc, everything
from interop_gateways import one_each, open_peer_gateway, open_peer_internet_gateway, to_the_internet
from interop_nodes import our_courier, our_internet_gateway, our_private_gateway

from awala.messages import Cargo, CargoCollectionAuthorization
from helpers.nodes_network import HastyClock

pytestmark = [pytest.mark.requires("node"), pytest.mark.cell(peer="js-cogrpc")]

COURIER_LIMIT = 8_397_056
"""Octets of a message that the Android courier takes."""

PHONE_LIMIT = 4 * 1024 * 1024
"""Octets of a message that an Android private gateway takes."""

METADATA_LIMIT = 6000
"""Octets of metadata that deployed servers take."""


@pytest.fixture
async def peer(tmp_path, authority):
    async with JsCogRpc(tmp_path, authority) as node_peer:
        yield node_peer


@pytest.fixture
async def ours(peer, tmp_path):
    """A private gateway of ours behind an Internet gateway of the peer."""
    internet_gateway = await open_peer_internet_gateway(peer)
    async with our_private_gateway(tmp_path / "ours", HastyClock(), internet_gateway) as running:
        yield running


async def visit(peer, ours):
    """Have a courier of the peer visit our private gateway; return what it saw."""
    courier = await open_peer_courier(peer)
    async with courier.serving() as server:
        await ours.visited(server.port)
        return await server.report()


@pytest.mark.rule("1.11")
@pytest.mark.cell("cogrpc-names")
async def test_trap_01_our_client_uses_the_deployed_names_of_the_service_and_of_the_scheme(peer, ours):
    await ours.send(to_the_internet(ours.endpoint, 1)[0])

    collection, delivery = (await visit(peer, ours))["calls"]

    assert collection["path"] == "/relaynet.cogrpc.CargoRelay/CollectCargo"
    assert collection["metadata"]["authorization"].startswith("Relaynet-CCA ")
    assert delivery["path"] == "/relaynet.cogrpc.CargoRelay/DeliverCargo"
    assert "authorization" not in delivery["metadata"]


@pytest.mark.rule("1.15")
@pytest.mark.cell("cogrpc-cargo-sizes")
async def test_trap_22_cargo_by_our_private_gateway_is_small_enough_for_couriers(peer, ours):
    parcels = to_the_internet(ours.endpoint, 9, 2_000_000)
    for parcel in parcels:
        await ours.send(parcel)

    cargoes = (await visit(peer, ours))["cargoes"]

    assert len(cargoes) == 3
    assert max(map(len, cargoes)) < COURIER_LIMIT - 256


@pytest.mark.rule("1.15")
@pytest.mark.cell("cogrpc-cargo-sizes")
async def test_trap_22_cargo_by_our_internet_gateway_is_small_enough_for_phones(peer, authority, tmp_path):
    async with our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway:
        gateway = await open_peer_gateway(peer, internet_gateway.node.gateway_door)
        parcels = (await gateway.household()).parcels(9, 1_300_000)
        await internet_gateway.put(gateway, parcels)
        collected = await peer.collect(internet_gateway.way, await gateway.authorize())

    assert sorted(await gateway.unpack(collected["cargoes"])) == sorted(parcels)
    assert len(collected["cargoes"]) == 3
    assert max(map(len, collected["cargoes"])) < PHONE_LIMIT - 256


@pytest.mark.rule("6.10")
@pytest.mark.cell("cogrpc-metadata")
async def test_trap_23_our_authorisation_fits_in_the_metadata_and_has_no_chain(peer, ours):
    metadata = (await visit(peer, ours))["calls"][0]["metadata"]

    octets = sum(len(name) + len(value) + 32 for name, value in metadata.items())  # as HTTP/2 counts
    assert octets < METADATA_LIMIT
    authorization = base64.b64decode(metadata["authorization"].removeprefix("Relaynet-CCA "))
    assert CargoCollectionAuthorization.parse(authorization).sender_chain == ()


@pytest.mark.rule("6.4")
@pytest.mark.cell("cogrpc-embedded-issuer")
async def test_trap_24_cargo_by_our_internet_gateway_embeds_the_certificate_of_its_recipient(
    peer, authority, tmp_path
):
    async with our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway:
        gateway = await open_peer_gateway(peer, internet_gateway.node.gateway_door)
        await internet_gateway.put(gateway, (await gateway.household()).parcels(1))
        (octets,) = (await peer.collect(internet_gateway.way, await gateway.authorize()))["cargoes"]

    cargo = Cargo.parse(octets)
    assert [certificate.encoding for certificate in cargo.sender_chain] == [gateway.certificate.encoding]
    assert cargo.sender_chain[0].node_id == cargo.recipient.id == gateway.id
    assert cargo.sender_chain[0].subject == cargo.sender_certificate.issuer
    assert len(await gateway.unpack([octets])) == 1


@pytest.mark.rule("6.5")
@pytest.mark.cell("cogrpc-pacing")
async def test_trap_29_the_client_stops_when_nothing_is_pending_so_we_hold_acknowledgements_back(
    peer, authority, tmp_path
):
    distant = await open_peer_internet_gateway(peer)
    gateway = await open_peer_gateway(peer, distant)
    cargoes = await gateway.fill(*one_each([b"one", b"two", b"three"]))

    async with serving_internet_gateway(distant, authority) as server:
        way = way_to_internet_gateway(server.port)
        assert await peer.deliver(way, cargoes, pause=1000) == everything(1)
    async with our_courier(tmp_path / "courier") as courier:
        assert await peer.deliver(courier.way, cargoes, pause=50) == everything(3)


async def test_the_client_leaves_without_an_error_when_its_own_cargo_is_long_in_coming(peer, tmp_path):
    gateway = await open_peer_gateway(peer, await open_peer_internet_gateway(peer))
    cargoes = await gateway.fill([b"one"], [b"two"])

    async with our_courier(tmp_path / "courier") as courier:
        delivered = await peer.deliver(courier.way, cargoes, pause=1000)

        assert delivered == everything(1)
        assert await courier.outgoing() == cargoes[:1]
