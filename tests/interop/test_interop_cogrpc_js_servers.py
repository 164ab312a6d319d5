# SPDX-License-Identifier: MIT
"""Our CogRPC client against servers over the reference library's definition of the service."""

from __future__ import annotations

import pytest
from interop_cogrpc import (
    COUNTS,
    client_of_courier,
    client_of_internet_gateway,
    collect_ours,
    deliver_ours,
    open_peer_courier,
    serving_internet_gateway,
)
from interop_cogrpc_peers import JsCogRpc
from interop_gateways import items, one_each, open_peer_gateway, open_peer_internet_gateway

from awala.bindings.cogrpc import Fulfilled, PeerFullError
from awala.bindings.errors import MalformedError, UnauthenticatedError, UnreachableError
from awala.messages.limits import CARGO_TARGET_INTERNET

pytestmark = [pytest.mark.requires("node"), pytest.mark.cell(peer="js-cogrpc")]

CUT_AFTER = 12
"""The message at which a server cuts everything."""

LARGEST_ITEM = CARGO_TARGET_INTERNET - 20
"""Octets of an item for which the library finds room in a cargo."""


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
async def courier(peer):
    return await open_peer_courier(peer)


# ---- the Internet gateway --------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-internet-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_deliver_cargo_to_an_internet_gateway(internet_gateway, gateway, authority, count):
    cargoes = await gateway.fill(*one_each(items(count)))
    async with serving_internet_gateway(internet_gateway, authority) as server:
        safe = await deliver_ours(client_of_internet_gateway(server.port, authority), cargoes)
        report = await server.report()

    assert safe == cargoes == report["cargoes"]
    assert report["ignored"] == 0


@pytest.mark.cell("cogrpc-serve-internet-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_collect_cargo_from_an_internet_gateway_that_ignores_acknowledgements(
    internet_gateway, gateway, authority, count
):
    await internet_gateway.keep(gateway.id, *one_each(items(count)))
    async with serving_internet_gateway(internet_gateway, authority) as server:
        got = await collect_ours(
            client_of_internet_gateway(server.port, authority), await gateway.authorize()
        )

    assert await gateway.unpack(got) == items(count)


@pytest.mark.cell("cogrpc-serve-internet-largest")
async def test_we_exchange_the_largest_cargo_with_an_internet_gateway(internet_gateway, gateway, authority):
    (item,) = items(1, LARGEST_ITEM)
    cargoes = await gateway.fill([item])
    await internet_gateway.keep(gateway.id, [item])
    async with serving_internet_gateway(internet_gateway, authority) as server:
        safe = await deliver_ours(client_of_internet_gateway(server.port, authority), cargoes)
        got = await collect_ours(
            client_of_internet_gateway(server.port, authority), await gateway.authorize()
        )
        taken = (await server.report())["cargoes"]

    assert safe == cargoes == taken
    assert await gateway.unpack(got) == [item]


@pytest.mark.cell("cogrpc-serve-internet-refusals")
async def test_bad_cargo_is_acknowledged_by_an_internet_gateway_as_if_it_were_good(
    internet_gateway, gateway, authority
):
    first, last = await gateway.fill(*one_each(items(2)))
    async with serving_internet_gateway(internet_gateway, authority) as server:
        safe = await deliver_ours(
            client_of_internet_gateway(server.port, authority), [first, b"rubbish", last]
        )
        report = await server.report()

    assert safe == [first, b"rubbish", last]
    assert (report["cargoes"], report["ignored"]) == ([first, last], 1)


@pytest.mark.cell("cogrpc-serve-internet-refusals")
async def test_we_learn_from_an_internet_gateway_why_it_refuses_an_authorisation(
    peer, internet_gateway, gateway, authority
):
    elsewhere = await open_peer_gateway(peer, await open_peer_internet_gateway(peer))
    authorization = await gateway.authorize()
    async with serving_internet_gateway(internet_gateway, authority) as server:

        async def collect(octets):
            return await collect_ours(client_of_internet_gateway(server.port, authority), octets)

        with pytest.raises(UnauthenticatedError):
            await collect(b"rubbish")
        with pytest.raises(UnauthenticatedError):  # it looks for an issuer before it looks at the recipient
            await collect(await elsewhere.authorize())
        assert await collect(authorization) == []
        with pytest.raises(Fulfilled):
            await collect(authorization)


@pytest.mark.cell("cogrpc-serve-internet-cut")
async def test_a_delivery_that_an_internet_gateway_cut_is_completed_by_another(
    internet_gateway, gateway, authority
):
    cargoes = await gateway.fill(*one_each(items(30)))
    safe = []
    async with serving_internet_gateway(internet_gateway, authority, cutAfter=CUT_AFTER) as server:
        with pytest.raises(UnreachableError):
            await deliver_ours(client_of_internet_gateway(server.port, authority), cargoes, safe)
        before = (await server.report())["cargoes"]
    assert before == cargoes[: CUT_AFTER - 1]
    assert set(safe) <= set(before)

    rest = [cargo for cargo in cargoes if cargo not in safe]
    async with serving_internet_gateway(internet_gateway, authority) as server:
        await deliver_ours(client_of_internet_gateway(server.port, authority), rest, safe)
        after = (await server.report())["cargoes"]

    assert sorted(safe) == sorted(cargoes)
    assert set(before + after) == set(cargoes)


@pytest.mark.cell("cogrpc-serve-internet-cut")
async def test_a_collection_that_an_internet_gateway_cut_is_completed_with_the_same_authorisation(
    internet_gateway, gateway, authority
):
    await internet_gateway.keep(gateway.id, *one_each(items(30)))
    authorization = await gateway.authorize()
    before, after = [], []
    async with serving_internet_gateway(internet_gateway, authority, cutAfter=CUT_AFTER) as server:
        client = client_of_internet_gateway(server.port, authority)
        with pytest.raises(UnreachableError):
            await collect_ours(client, authorization, before)
    async with serving_internet_gateway(internet_gateway, authority) as server:
        await collect_ours(client_of_internet_gateway(server.port, authority), authorization, after)

    assert len(before) < CUT_AFTER
    assert await gateway.unpack(after) == items(30)


# ---- the courier -----------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-courier-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_deliver_cargo_to_a_courier(gateway, courier, count):
    cargoes = await gateway.fill(*one_each(items(count)))
    async with courier.serving() as server:
        safe = await deliver_ours(await client_of_courier(server.port), cargoes)
        assert (await server.report())["cargoes"] == cargoes

    assert safe == cargoes


@pytest.mark.cell("cogrpc-serve-courier-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_collect_cargo_from_a_courier_which_lets_go_of_what_we_acknowledge(
    internet_gateway, gateway, courier, count
):
    await courier.board(gateway, await internet_gateway.cargoes_for(gateway, *one_each(items(count))))
    authorization = await gateway.authorize()
    async with courier.serving() as server:
        got = await collect_ours(await client_of_courier(server.port), authorization)

    assert await gateway.unpack(got) == items(count)
    assert await courier.cargoes() == []
    assert await courier.authorizations() == [authorization]


@pytest.mark.cell("cogrpc-serve-courier-largest")
async def test_we_exchange_the_largest_cargo_with_a_courier(internet_gateway, gateway, courier):
    (item,) = items(1, LARGEST_ITEM)
    cargoes = await gateway.fill([item])
    await courier.board(gateway, await internet_gateway.cargoes_for(gateway, [item]))
    async with courier.serving() as server:
        safe = await deliver_ours(await client_of_courier(server.port), cargoes)
        got = await collect_ours(await client_of_courier(server.port), await gateway.authorize())

    assert safe == cargoes
    assert await gateway.unpack(got) == [item]
    assert await courier.cargoes() == []


@pytest.mark.cell("cogrpc-serve-courier-refusals")
async def test_we_learn_that_a_courier_refuses_a_cargo(gateway, courier):
    cargoes, safe = await gateway.fill([b"item"]), []
    async with courier.serving() as server:
        with pytest.raises(MalformedError):
            await deliver_ours(await client_of_courier(server.port), [*cargoes, b"rubbish"], safe)

    assert safe == cargoes


@pytest.mark.cell("cogrpc-serve-courier-refusals")
async def test_we_learn_that_a_courier_has_no_room(peer, gateway):
    cargoes, safe = await gateway.fill(*one_each(items(4, 10_000))), []
    courier = await open_peer_courier(peer, room=25_000)
    async with courier.serving() as server:
        with pytest.raises(PeerFullError):
            await deliver_ours(await client_of_courier(server.port), cargoes, safe)

    assert safe == cargoes[:2]


@pytest.mark.cell("cogrpc-serve-courier-refusals")
async def test_a_courier_gives_nothing_for_a_bad_authorisation_and_says_nothing(
    internet_gateway, gateway, courier
):
    await courier.board(gateway, await internet_gateway.cargoes_for(gateway, [b"item"]))
    async with courier.serving() as server:
        got = await collect_ours(await client_of_courier(server.port), b"rubbish")

    assert got == []
    assert len(await courier.cargoes()) == 1


@pytest.mark.cell("cogrpc-serve-courier-cut")
async def test_a_delivery_that_a_courier_cut_is_completed_by_another(gateway, courier):
    cargoes, safe = await gateway.fill(*one_each(items(30))), []
    async with courier.serving(cutAfter=CUT_AFTER) as server:
        with pytest.raises(UnreachableError):
            await deliver_ours(await client_of_courier(server.port), cargoes, safe)
        before = (await server.report())["cargoes"]
    assert set(safe) <= set(before)

    rest = [cargo for cargo in cargoes if cargo not in safe]
    async with courier.serving() as server:
        await deliver_ours(await client_of_courier(server.port), rest, safe)
        after = (await server.report())["cargoes"]

    assert sorted(safe) == sorted(cargoes)
    assert set(before + after) == set(cargoes)


@pytest.mark.cell("cogrpc-serve-courier-cut")
async def test_a_collection_that_a_courier_cut_is_completed_by_another(internet_gateway, gateway, courier):
    await courier.board(gateway, await internet_gateway.cargoes_for(gateway, *one_each(items(30))))
    before, after = [], []
    async with courier.serving(cutAfter=CUT_AFTER) as server:
        with pytest.raises(UnreachableError):
            await collect_ours(await client_of_courier(server.port), await gateway.authorize(), before)
    left = await courier.cargoes()
    async with courier.serving() as server:
        await collect_ours(await client_of_courier(server.port), await gateway.authorize(), after)

    assert sorted(after) == left
    assert set(await gateway.unpack([*before, *after])) == set(items(30))
    assert await courier.cargoes() == []
