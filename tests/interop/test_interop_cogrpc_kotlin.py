# SPDX-License-Identifier: MIT
"""The Kotlin CogRPC client against our Internet gateway."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from interop_kotlin_gateways import (
    HOST,
    acknowledgements,
    address_at,
    open_distant_gateway,
    open_gateway,
    our_internet_gateway,
    parcels_for,
)

from awala.testing import ChaosProxy, Weather
from helpers.kotlin_peer import KotlinPeer, PeerError, world

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-cogrpc"),
]

COUNTS = (0, 1, 30)
PARCEL = 100_000
SOME = 5
"""Cargoes that get through before a link is cut."""

LARGE_PARCEL = 1_000_000
"""Octets of a parcel of which four are put into one cargo for a private gateway."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer(tmp_path_factory, authority):
    options = world(tmp_path_factory.mktemp("world"), authority, HOST)
    async with KotlinPeer(options=options) as kotlin_peer:
        yield kotlin_peer


@pytest_asyncio.fixture(loop_scope="session")
async def internet_gateway(tmp_path, authority):
    async with our_internet_gateway(tmp_path / "internet-gateway", authority) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def gateways(peer, internet_gateway):
    """Two private gateways of the peer behind our Internet gateway."""
    return [await open_gateway(peer, internet_gateway.node.gateway_door) for _ in range(2)]


async def deliver(peer, address, cargoes):
    """Let the peer deliver; return the numbers of the cargoes that were acknowledged, and its error."""
    named = [{"id": str(number), "cargo": cargo} for number, cargo in enumerate(cargoes)]
    return await peer.ask("deliverCargo", address=address, cargoes=named)


async def collect(peer, address, authorization):
    return await peer.ask("collectCargo", address=address, cca=authorization)


def one_each(items):
    return [[item] for item in items]


def everything(count):
    return {"acknowledged": [str(number) for number in range(count)], "error": None}


@pytest.mark.cell("cogrpc-internet-deliver", "cogrpc-internet-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_kotlin_client_brings_cargo_to_our_internet_gateway_and_fetches_it_there(
    peer, internet_gateway, gateways, count
):
    sender, recipient = gateways
    parcels = parcels_for(recipient, count, PARCEL)

    delivered = await deliver(peer, internet_gateway.address, await sender.fill(*one_each(parcels)))

    assert delivered == everything(count)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)
    collected = await collect(peer, internet_gateway.address, await recipient.authorize())
    assert collected["error"] is None
    assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)


# ---- the largest -----------------------------------------------------------------------------------------

EMITTED = 8_300_000
COLLECTED = 4_000_000
"""Octets of payload with which a cargo stays below the 4 MiB that this client takes."""


@pytest.mark.cell("cogrpc-largest")
async def test_the_kotlin_client_brings_the_largest_parcel_and_fetches_the_largest_that_it_can_take(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    (largest,) = parcels_for(recipient, 1, EMITTED)
    delivered = await deliver(peer, internet_gateway.address, await sender.fill([largest]))
    assert delivered == everything(1)
    assert await internet_gateway.mailbox(recipient) == [largest]

    other = gateways[0]
    parcels = parcels_for(other, 1, COLLECTED)
    await internet_gateway.put(other, parcels)
    collected = await collect(peer, internet_gateway.address, await other.authorize())

    assert collected["error"] is None
    assert await other.unpack(collected["cargoes"]) == [*acknowledgements([largest]), *parcels]


async def test_trap_22_the_kotlin_client_cannot_collect_a_cargo_of_more_than_four_mebioctets(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    first, *rest = parcels_for(recipient, 5, LARGE_PARCEL)
    (large,) = parcels_for(recipient, 6, 5 * LARGE_PARCEL)[5:]
    await internet_gateway.put(recipient, [first, large, *rest])

    collected = await collect(peer, internet_gateway.address, await recipient.authorize())

    assert "RESOURCE_EXHAUSTED" in collected["error"]["message"]
    assert sorted(await recipient.unpack(collected["cargoes"])) == sorted([first, *rest])


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_cargo_that_our_internet_gateway_will_never_take_is_acknowledged_to_the_kotlin_client(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    distant = open_distant_gateway(peer)
    parcels = parcels_for(recipient, 2)
    first, last = await sender.fill(*one_each(parcels))
    (by_a_stranger,) = await distant.gateway.fill([b"whatever"])

    delivered = await deliver(peer, internet_gateway.address, [first, b"rubbish", by_a_stranger, last])

    assert delivered == everything(4)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_of_the_kotlin_library_collects_once(peer, internet_gateway, gateways):
    authorization = await gateways[0].authorize()

    assert (await collect(peer, internet_gateway.address, authorization))["error"] is None
    again = await collect(peer, internet_gateway.address, authorization)

    assert "PERMISSION_DENIED" in again["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_for_another_gateway_is_refused_as_such(peer, internet_gateway):
    distant = open_distant_gateway(peer)

    refused = await collect(peer, internet_gateway.address, await distant.gateway.authorize())

    assert "INVALID_ARGUMENT" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_that_cannot_be_read_is_refused(peer, internet_gateway):
    refused = await collect(peer, internet_gateway.address, b"rubbish")

    assert "UNAUTHENTICATED" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-internet-deliver")
async def test_the_kotlin_client_speaks_to_an_internet_gateway_over_tls_alone(peer, internet_gateway):
    plain = internet_gateway.address.replace("https", "http")

    with pytest.raises(PeerError, match="TLS required"):
        await deliver(peer, plain, [b"cargo"])


# ---- cuts ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def cutting(link, arrived):
    """Let some cargo arrive over a link, then break it once."""
    link.to_target.rate = 20 * PARCEL

    async def cut():
        while len(await arrived()) < SOME:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)
        await link.drop_connections()

    task = asyncio.create_task(cut())
    yield
    await task


@pytest.mark.cell("cogrpc-internet-cut")
async def test_a_delivery_of_the_kotlin_client_that_was_cut_is_completed_by_another(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    parcels = parcels_for(recipient, 30, PARCEL)
    cargoes = await sender.fill(*one_each(parcels))
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        async with cutting(link, lambda: internet_gateway.arrived(recipient)):
            cut = await deliver(peer, address_at(link.port), cargoes)
        assert cut["error"] is not None
        assert 0 < len(await internet_gateway.mailbox(recipient)) < len(parcels)

        link.clear()
        rest = [cargo for number, cargo in enumerate(cargoes) if str(number) not in cut["acknowledged"]]
        again = await deliver(peer, address_at(link.port), rest)

    assert again == everything(len(rest))
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)


@pytest.mark.cell("cogrpc-internet-cut")
async def test_a_collection_of_the_kotlin_client_that_was_cut_is_completed_with_the_same_authorisation(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    parcels = parcels_for(recipient, 12, LARGE_PARCEL)
    await internet_gateway.put(recipient, parcels)
    authorization = await recipient.authorize()
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.from_target.resets_after = 5 * LARGE_PARCEL
        cut = await collect(peer, address_at(link.port), authorization)
        assert cut["error"] is not None
        assert len(cut["cargoes"]) == 1

        link.clear()
        again = await collect(peer, address_at(link.port), authorization)

    assert (again["error"], len(again["cargoes"])) == (None, 3)
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)
    assert set(await recipient.unpack(cut["cargoes"])) < set(parcels)
    await deliver(peer, internet_gateway.address, await recipient.fill(acknowledgements(parcels)))
    assert await internet_gateway.mailbox(recipient) == []


# ---- deadlines -------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_what_does_not_fit_in_five_seconds_is_collected_later_with_the_same_authorisation(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    parcels = parcels_for(recipient, 30, LARGE_PARCEL)
    await internet_gateway.put(recipient, parcels)
    authorization = await recipient.authorize()
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.set_weather(Weather(rate=3_000_000))
        slowly = await collect(peer, address_at(link.port), authorization)
        assert slowly["error"] is not None
        assert 0 < len(slowly["cargoes"]) < 10

        link.clear()
        again = await collect(peer, address_at(link.port), authorization)

    assert again["error"] is None
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)
