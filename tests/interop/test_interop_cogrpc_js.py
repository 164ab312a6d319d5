# SPDX-License-Identifier: MIT
"""The CogRPC client of the reference library against our courier and our Internet gateway."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from interop_cogrpc import cogrpc_peer, collect, deliver, way_to_courier, way_to_internet_gateway
from interop_gateways import acknowledgements, one_each, open_peer_gateway, open_peer_internet_gateway
from interop_nodes import A_MOMENT, our_courier, our_internet_gateway

from awala.messages import Cargo, Recipient
from awala.messages.limits import EMITTED_PAYLOAD_MAX
from awala.pki import Role, issue_now
from awala.testing import ChaosProxy, Weather
from helpers.cast import identity_key
from helpers.node_peer import PeerError

pytestmark = [pytest.mark.requires("node"), pytest.mark.cell(peer="js-cogrpc")]

COUNTS = (0, pytest.param(1, marks=pytest.mark.thorough), 30)
PARCEL = 100_000
SOME = 5
"""Cargoes that get through before a link is cut."""

LARGE_PARCEL = 1_000_000
"""Octets of a parcel of which four are put into one cargo for a private gateway."""


@pytest.fixture
async def peer(tmp_path, authority):
    async with cogrpc_peer(tmp_path, authority) as node_peer:
        yield node_peer


@pytest.fixture
async def internet_gateway(tmp_path, authority):
    async with our_internet_gateway(tmp_path / "internet-gateway", authority) as running:
        yield running


@pytest.fixture
async def gateways(peer, internet_gateway):
    """Two private gateways of the peer behind our Internet gateway."""
    return [await open_peer_gateway(peer, internet_gateway.node.gateway_door) for _ in range(2)]


@pytest.fixture
async def courier(tmp_path):
    async with our_courier(tmp_path / "courier") as running:
        yield running


@pytest.fixture
async def distant(peer):
    """An Internet gateway of the peer, for which our courier carries."""
    return await open_peer_internet_gateway(peer)


@pytest.fixture
async def gateway(peer, distant):
    """A private gateway of the peer behind its own Internet gateway."""
    return await open_peer_gateway(peer, distant)


def everything(count):
    return {"acknowledged": list(range(count)), "error": None}


def items(count, size=100):
    return [number.to_bytes(4) + bytes(size - 4) for number in range(count)]


# ---- any number ------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-internet-deliver", "cogrpc-internet-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_client_brings_cargo_to_our_internet_gateway_and_fetches_it_there(
    peer, internet_gateway, gateways, count
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(count)

    delivered = await deliver(peer, internet_gateway.way, await sender.fill(*one_each(parcels)))

    assert delivered == everything(count)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)
    collected = await collect(peer, internet_gateway.way, await recipient.authorize())
    assert collected["error"] is None
    assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)


@pytest.mark.cell("cogrpc-courier-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_client_gives_cargo_to_our_courier(peer, gateway, courier, count):
    cargoes = await gateway.fill(*one_each(items(count)))

    assert await deliver(peer, courier.way, cargoes) == everything(count)

    assert await courier.outgoing() == sorted(cargoes)


@pytest.mark.cell("cogrpc-courier-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_client_takes_cargo_from_our_courier_which_lets_go_of_it(
    peer, distant, gateway, courier, count
):
    await courier.load(await distant.cargoes_for(gateway, *one_each(items(count))))
    authorization = await gateway.authorize()

    collected = await collect(peer, courier.way, authorization)

    assert collected["error"] is None
    assert sorted(await gateway.unpack(collected["cargoes"])) == items(count)
    assert await courier.incoming(gateway.id) == []
    assert await courier.requests(gateway.id) == [authorization]


@pytest.mark.cell("cogrpc-courier-deliver")
async def test_the_client_gives_all_its_cargo_although_it_makes_each_while_nothing_is_pending(
    peer, gateway, courier
):
    cargoes = await gateway.fill(*one_each(items(5)))

    assert await deliver(peer, courier.way, cargoes, pause=50) == everything(5)


# ---- the largest -----------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-largest")
async def test_the_client_brings_and_fetches_the_largest_parcel(peer, internet_gateway, gateways):
    sender, recipient = gateways
    parcel = (await recipient.household()).largest_parcel()

    delivered = await deliver(peer, internet_gateway.way, await sender.fill([parcel]))

    assert delivered == everything(1)
    assert await internet_gateway.mailbox(recipient) == [parcel]
    collected = await collect(peer, internet_gateway.way, await recipient.authorize())
    assert collected["error"] is None
    assert await recipient.unpack(collected["cargoes"]) == [parcel]


@pytest.mark.cell("cogrpc-largest")
async def test_the_client_takes_the_largest_cargo_from_our_courier(peer, gateway, courier):
    key, now = identity_key("js", "igw"), datetime.now(UTC)
    cargo = Cargo(
        recipient=Recipient(gateway.id),
        message_id="the-largest",
        creation_date=(now - timedelta(hours=3)).replace(microsecond=0),
        ttl=24 * 3600,
        payload=bytes(EMITTED_PAYLOAD_MAX),
        sender_certificate=issue_now(
            subject_key=key.public_key, issuer_key=key, issuer=None, role=Role.SELF_ISSUED_GATEWAY, now=now
        ),
    ).serialize(key)
    await courier.load([cargo])

    collected = await collect(peer, courier.way, await gateway.authorize())

    assert collected == {"cargoes": [cargo], "error": None}
    assert await courier.incoming(gateway.id) == []


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_cargo_that_our_internet_gateway_will_never_take_is_acknowledged_and_dropped(
    peer, internet_gateway, gateways, gateway
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(2)
    first, last = await sender.fill(*one_each(parcels))
    (by_a_stranger,) = await gateway.fill([b"whatever"])

    delivered = await deliver(peer, internet_gateway.way, [first, b"rubbish", by_a_stranger, last])

    assert delivered == everything(4)
    assert await internet_gateway.mailbox(recipient) == sorted(parcels)


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_collects_once_and_the_client_learns_that(peer, internet_gateway, gateways):
    authorization = await gateways[0].authorize()

    assert (await collect(peer, internet_gateway.way, authorization))["error"] is None
    again = await collect(peer, internet_gateway.way, authorization)

    assert "PERMISSION_DENIED" in again["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals")
async def test_an_authorisation_for_another_gateway_is_refused_as_such(peer, internet_gateway, gateway):
    refused = await collect(peer, internet_gateway.way, await gateway.authorize())

    assert "INVALID_ARGUMENT" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-internet-refusals", "cogrpc-courier-refusals")
async def test_an_authorisation_that_cannot_be_read_is_refused(peer, internet_gateway, courier):
    for node in (internet_gateway, courier):
        refused = await collect(peer, node.way, b"rubbish")
        assert "UNAUTHENTICATED" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_cargo_that_our_courier_will_never_take_ends_the_delivery(peer, gateway, courier):
    (cargo,) = await gateway.fill([b"item"])

    delivered = await deliver(peer, courier.way, [cargo, b"rubbish"], pause=500)

    assert delivered["acknowledged"] == [0]
    assert await courier.outgoing() == [cargo]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_a_client_learns_that_our_courier_has_no_room_for_more_of_it(peer, gateway, tmp_path):
    cargoes = await gateway.fill(*one_each(items(4, PARCEL)))
    room = 4 * 3 * PARCEL  # of which a quarter is for one connection
    async with our_courier(tmp_path / "small", quota=room) as courier:
        delivered = await deliver(peer, courier.way, cargoes)

        assert "RESOURCE_EXHAUSTED" in delivered["error"]["message"]
        taken = [cargoes[number] for number in delivered["acknowledged"]]
        assert len(taken) == 2
        assert await courier.outgoing() == sorted(taken)


@pytest.mark.cell("cogrpc-courier-trust")
@pytest.mark.parametrize("address", ["localhost:1", "8.8.8.8:1"])
async def test_the_client_takes_nobody_for_a_courier_who_is_elsewhere(peer, address):
    with pytest.raises(PeerError, match="outside the current LAN"):
        await deliver(peer, {"way": "courier", "address": address}, [])


@pytest.mark.cell("cogrpc-courier-trust")
async def test_the_client_trusts_the_certificate_that_our_courier_makes_itself(peer, gateway, courier):
    assert await deliver(peer, courier.way, await gateway.fill([b"item"])) == everything(1)

    as_internet_gateway = await deliver(peer, way_to_internet_gateway(courier.port), [b""])
    assert "self-signed certificate" in as_internet_gateway["error"]["message"]


# ---- cuts ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def cutting(link, arrived):
    """Let some cargo arrive over a link, then break it once."""
    link.to_target.rate = 20 * PARCEL

    async def cut():
        while len(await arrived()) < SOME:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(A_MOMENT)
        await link.drop_connections()

    task = asyncio.create_task(cut())
    yield
    await task


@pytest.mark.cell("cogrpc-internet-cut")
async def test_a_delivery_to_our_internet_gateway_that_was_cut_is_completed_by_another(
    peer, internet_gateway, gateways
):
    sender, recipient = gateways
    parcels = (await recipient.household()).parcels(30, PARCEL)
    cargoes = await sender.fill(*one_each(parcels))
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        async with cutting(link, lambda: internet_gateway.mailbox(recipient)):
            cut = await deliver(peer, way_to_internet_gateway(link.port), cargoes)
        assert cut["error"] is not None
        assert 0 < len(await internet_gateway.mailbox(recipient)) < len(parcels)

        link.clear()
        rest = [cargo for number, cargo in enumerate(cargoes) if number not in cut["acknowledged"]]
        again = await deliver(peer, way_to_internet_gateway(link.port), rest)

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
        cut = await collect(peer, way_to_internet_gateway(link.port), authorization)
        assert cut["error"] is not None
        assert len(cut["cargoes"]) == 1

        link.clear()
        again = await collect(peer, way_to_internet_gateway(link.port), authorization)

    assert (again["error"], len(again["cargoes"])) == (None, 3)
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)
    assert set(await recipient.unpack(cut["cargoes"])) < set(parcels)
    await deliver(peer, internet_gateway.way, await recipient.fill(acknowledgements(parcels)))
    assert await internet_gateway.mailbox(recipient) == []


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_delivery_to_our_courier_that_was_cut_is_completed_by_another(peer, gateway, courier):
    cargoes = await gateway.fill(*one_each(items(30, PARCEL)))
    async with ChaosProxy("127.0.0.1", courier.port) as link:
        async with cutting(link, courier.outgoing):
            cut = await deliver(peer, way_to_courier(link.port), cargoes)
        assert cut["error"] is not None
        assert 0 < len(await courier.outgoing()) < len(cargoes)

        link.clear()
        rest = [cargo for number, cargo in enumerate(cargoes) if number not in cut["acknowledged"]]
        again = await deliver(peer, way_to_courier(link.port), rest)

    assert again == everything(len(rest))
    assert await courier.outgoing() == sorted(cargoes)


async def left_after_a_cut(courier, gateway_id):
    """Return what rests for a gateway once the acknowledgements have come that were on their way."""
    left, before = await courier.incoming(gateway_id), None
    while left != before:
        await asyncio.sleep(0.5)
        left, before = await courier.incoming(gateway_id), left
    return left


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_collection_from_our_courier_that_was_cut_is_completed_by_another(
    peer, distant, gateway, courier
):
    cargoes = await distant.cargoes_for(gateway, *one_each(items(30, PARCEL)))
    await courier.load(cargoes)
    async with ChaosProxy("127.0.0.1", courier.port) as link:
        link.from_target.resets_after = 15 * PARCEL
        cut = await collect(peer, way_to_courier(link.port), await gateway.authorize())
        assert cut["error"] is not None
        left = await left_after_a_cut(courier, gateway.id)
        assert 0 < len(left) < len(cargoes)

        link.clear()
        again = await collect(peer, way_to_courier(link.port), await gateway.authorize())

    assert again["error"] is None
    assert sorted(again["cargoes"]) == left
    assert {*cut["cargoes"], *again["cargoes"]} == set(cargoes)
    assert await courier.incoming(gateway.id) == []


@pytest.mark.cell("cogrpc-courier-cut")
async def test_cargo_stays_with_our_courier_until_the_client_has_acknowledged_it(
    peer, distant, gateway, courier
):
    await courier.load(await distant.cargoes_for(gateway, *one_each(items(3))))

    left_early = await collect(peer, courier.way, await gateway.authorize(), leaveAfter=2)
    again = await collect(peer, courier.way, await gateway.authorize())

    assert [len(left_early["cargoes"]), len(again["cargoes"])] == [2, 2]
    assert left_early["cargoes"][1] in again["cargoes"]
    assert {*await gateway.unpack(left_early["cargoes"] + again["cargoes"])} == set(items(3))


# ---- deadlines -------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_what_does_not_fit_in_three_seconds_is_collected_later_with_the_same_authorisation(
    peer, internet_gateway, gateways
):
    recipient = gateways[1]
    parcels = (await recipient.household()).parcels(30, LARGE_PARCEL)
    await internet_gateway.put(recipient, parcels)
    authorization = await recipient.authorize()
    async with ChaosProxy("127.0.0.1", internet_gateway.port) as link:
        link.set_weather(Weather(rate=3_000_000))
        slowly = await collect(peer, way_to_internet_gateway(link.port), authorization)
        assert slowly["error"] is not None
        assert 0 < len(slowly["cargoes"]) < 10

        link.clear()
        again = await collect(peer, way_to_internet_gateway(link.port), authorization)

    assert again["error"] is None
    assert sorted(await recipient.unpack(again["cargoes"])) == sorted(parcels)


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_our_courier_keeps_what_does_not_fit_in_three_seconds(peer, distant, gateway, courier):
    cargoes = await distant.cargoes_for(gateway, *one_each(items(30, LARGE_PARCEL)))
    await courier.load(cargoes)
    async with ChaosProxy("127.0.0.1", courier.port) as link:
        link.set_weather(Weather(rate=3_000_000))
        slowly = await collect(peer, way_to_courier(link.port), await gateway.authorize())
        left = await courier.incoming(gateway.id)
        assert 0 < len(left) < len(cargoes)

        link.clear()
        again = await collect(peer, way_to_courier(link.port), await gateway.authorize())

    assert sorted(again["cargoes"]) == left
    assert {*slowly["cargoes"], *again["cargoes"]} == set(cargoes)
    assert await courier.incoming(gateway.id) == []
