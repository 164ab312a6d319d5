# SPDX-License-Identifier: MIT
"""The CogRPC clients of the reference libraries against our Internet gateway."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from interop_cogrpc import LARGE_PARCEL, LOADS, PARCEL, cut_when, way_to_internet_gateway
from interop_cogrpc_peers import JS, KOTLIN, everything, not_acknowledged
from interop_gateways import acknowledgements, one_each
from interop_nodes import our_internet_gateway

from awala.testing import ChaosProxy, Weather
from helpers.node_peer import PeerError

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[JS, KOTLIN])
async def peer(request, tmp_path_factory, authority):
    async with request.param(tmp_path_factory.mktemp("peer"), authority) as started:
        yield started


def with_peer(param):
    """Run a test with this peer alone."""
    return pytest.mark.parametrize("peer", [param], indirect=True)


@pytest_asyncio.fixture(loop_scope="session")
async def internet_gateway(tmp_path, authority):
    async with our_internet_gateway(tmp_path / "internet-gateway", authority) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def gateways(peer, internet_gateway):
    """Two private gateways of the peer behind our Internet gateway."""
    return [await peer.open_gateway(internet_gateway.node.gateway_door) for _ in range(2)]


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(peer):
    """A private gateway of the peer behind another Internet gateway."""
    return await peer.open_gateway(await peer.open_internet_gateway())


@pytest.mark.cell("cogrpc-internet-deliver", "cogrpc-internet-collect")
@pytest.mark.parametrize(("count", "size"), LOADS)
async def test_the_client_brings_cargo_to_our_internet_gateway_and_fetches_it_there(
    peer, internet_gateway, gateways, count, size
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(count, size)

    delivered = await peer.deliver(internet_gateway.way, await sender.fill(*one_each(parcels)))

    assert delivered == everything(count)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)
    collected = await peer.collect(internet_gateway.way, await recipient.authorize())
    assert collected["error"] is None
    assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)


@with_peer(KOTLIN)
@pytest.mark.cell("cogrpc-internet-deliver")
async def test_the_kotlin_client_speaks_to_an_internet_gateway_over_tls_alone(peer, internet_gateway):
    plain = f"http://{internet_gateway.way['address']}"

    with pytest.raises(PeerError, match="TLS required"):
        await peer.ask("deliverCargo", address=plain, cargoes=[{"id": "0", "cargo": b"cargo"}])


# ---- the largest -----------------------------------------------------------------------------------------

EMITTED = 8_300_000
COLLECTED = 4_000_000
"""Octets of payload with which a cargo stays below the 4 MiB that the Kotlin client takes."""


@with_peer(JS)
@pytest.mark.cell("cogrpc-largest")
async def test_the_client_brings_and_fetches_the_largest_parcel(peer, internet_gateway, gateways):
    sender, recipient = gateways
    parcel = (await recipient.household()).largest_parcel()

    delivered = await peer.deliver(internet_gateway.way, await sender.fill([parcel]))

    assert delivered == everything(1)
    assert await internet_gateway.mailbox(recipient) == [parcel]
    collected = await peer.collect(internet_gateway.way, await recipient.authorize())
    assert collected["error"] is None
    assert await recipient.unpack(collected["cargoes"]) == [parcel]


@with_peer(KOTLIN)
@pytest.mark.cell("cogrpc-largest")
async def test_the_kotlin_client_brings_the_largest_parcel_and_fetches_the_largest_that_it_can_take(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    (largest,) = (await recipient.household()).parcels(1, EMITTED)
    delivered = await peer.deliver(internet_gateway.way, await sender.fill([largest]))
    assert delivered == everything(1)
    assert await internet_gateway.mailbox(recipient) == [largest]

    parcels = (await sender.household()).parcels(1, COLLECTED)
    await internet_gateway.put(sender, parcels)
    collected = await peer.collect(internet_gateway.way, await sender.authorize())

    assert collected["error"] is None
    assert await sender.unpack(collected["cargoes"]) == [*acknowledgements([largest]), *parcels]


@with_peer(KOTLIN)
async def test_trap_22_the_kotlin_client_cannot_collect_a_cargo_of_more_than_four_mebioctets(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    household = await recipient.household()
    first, *rest = household.parcels(5, LARGE_PARCEL)
    (large,) = household.parcels(1, 5 * LARGE_PARCEL)
    await internet_gateway.put(recipient, [first, large, *rest])

    collected = await peer.collect(internet_gateway.way, await recipient.authorize())

    assert "RESOURCE_EXHAUSTED" in collected["error"]["message"]
    assert sorted(await recipient.unpack(collected["cargoes"])) == sorted([first, *rest])


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_cargo_that_our_internet_gateway_will_never_take_is_acknowledged_and_dropped(
    peer, internet_gateway, gateways, stranger
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(2)
    first, last = await sender.fill(*one_each(parcels))
    (by_a_stranger,) = await stranger.fill([b"whatever"])

    delivered = await peer.deliver(internet_gateway.way, [first, b"rubbish", by_a_stranger, last])

    assert delivered == everything(4)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_collects_once_and_the_client_learns_that(peer, internet_gateway, gateways):
    authorization = await gateways[0].authorize()

    assert (await peer.collect(internet_gateway.way, authorization))["error"] is None
    again = await peer.collect(internet_gateway.way, authorization)

    assert "PERMISSION_DENIED" in again["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_for_another_gateway_is_refused_as_such(peer, internet_gateway, stranger):
    refused = await peer.collect(internet_gateway.way, await stranger.authorize())

    assert "INVALID_ARGUMENT" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_that_cannot_be_read_is_refused_by_our_internet_gateway(
    peer, internet_gateway
):
    refused = await peer.collect(internet_gateway.way, b"rubbish")

    assert "UNAUTHENTICATED" in refused["error"]["message"]


# ---- cuts and deadlines ----------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-internet-cut")
async def test_a_delivery_to_our_internet_gateway_that_was_cut_is_completed_by_another(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(30, PARCEL)
    cargoes = await sender.fill(*one_each(parcels))
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.to_target.rate = 20 * PARCEL
        async with asyncio.TaskGroup() as meanwhile:
            meanwhile.create_task(cut_when(link, lambda: internet_gateway.arrived(recipient)))
            cut = await peer.deliver(way_to_internet_gateway(link.port), cargoes)
        assert cut["error"] is not None
        assert 0 < len(await internet_gateway.mailbox(recipient)) < len(parcels)

        link.clear()
        rest = not_acknowledged(cargoes, cut)
        again = await peer.deliver(way_to_internet_gateway(link.port), rest)

    assert again == everything(len(rest))
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)


@pytest.mark.cell("cogrpc-internet-cut")
async def test_a_collection_at_our_internet_gateway_that_was_cut_is_completed_with_the_same_authorisation(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    parcels = (await recipient.household()).parcels(12, LARGE_PARCEL)
    await internet_gateway.put(recipient, parcels)
    authorization = await recipient.authorize()
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.from_target.resets_after = 5 * LARGE_PARCEL
        cut = await peer.collect(way_to_internet_gateway(link.port), authorization)
        assert cut["error"] is not None
        assert len(cut["cargoes"]) == 1

        link.clear()
        again = await peer.collect(way_to_internet_gateway(link.port), authorization)

    assert (again["error"], len(again["cargoes"])) == (None, 3)
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)
    assert set(await recipient.unpack(cut["cargoes"])) < set(parcels)
    await peer.deliver(internet_gateway.way, await recipient.fill(acknowledgements(parcels)))
    assert await internet_gateway.mailbox(recipient) == []


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_what_does_not_fit_in_three_or_five_seconds_is_collected_later_with_the_same_authorisation(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    parcels = (await recipient.household()).parcels(30, LARGE_PARCEL)
    await internet_gateway.put(recipient, parcels)
    authorization = await recipient.authorize()
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.set_weather(Weather(rate=3_000_000))
        slowly = await peer.collect(way_to_internet_gateway(link.port), authorization)
        assert slowly["error"] is not None
        assert 0 < len(slowly["cargoes"]) < 10

        link.clear()
        again = await peer.collect(way_to_internet_gateway(link.port), authorization)

    assert again["error"] is None
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)
