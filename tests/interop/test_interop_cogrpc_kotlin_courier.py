# SPDX-License-Identifier: MIT
"""The Kotlin CogRPC client against our courier, both in a network namespace that stands for a local network.

The client takes self-signed certificates from site-local addresses alone, so loopback will not do.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from interop_clocks import CLOCKS
from interop_kotlin_gateways import HOST, open_distant_gateway

from awala.testing import Authority
from helpers.json_peer import JsonPeer
from helpers.kotlin_peer import KotlinPeer, world
from helpers.namespaces import LAN_ADDRESS, local_network

pytestmark = [
    pytest.mark.requires("java", "namespaces"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-cogrpc"),
]

COUNTS = (0, 1, 30)
PARCEL = 100_000
LARGE = 1_000_000
SOME = 5
"""Cargoes that get through before a link is cut."""

PROGRAM = Path(__file__).with_name("courier_in_namespace.py")


@pytest.fixture(scope="module")
def lan():
    with local_network("awala-lan") as prefix:
        yield prefix


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer(tmp_path_factory, lan):
    options = world(tmp_path_factory.mktemp("world"), Authority.create(), HOST)
    async with KotlinPeer(options=options, prefix=lan) as kotlin_peer:
        yield kotlin_peer


@pytest.fixture
def distant(peer):
    return open_distant_gateway(peer)


@pytest.fixture
def gateway(distant):
    return distant.gateway


@dataclass(frozen=True)
class Courier:
    """A courier of ours in the namespace, and how the peer deals with it."""

    peer: KotlinPeer
    process: JsonPeer
    ports: dict[str, int]

    def address(self, way="courier"):
        return f"https://{LAN_ADDRESS}:{self.ports[way]}"

    async def ask(self, operation, **arguments):
        return await self.process.ask(operation, **arguments)

    async def take(self, cargoes, way="courier"):
        """Have the peer deliver; return the numbers of cargoes that were acknowledged, and its error."""
        named = [{"id": str(number), "cargo": cargo} for number, cargo in enumerate(cargoes)]
        return await self.peer.ask("deliverCargo", address=self.address(way), cargoes=named)

    async def give(self, authorization, way="courier"):
        """Have the peer collect."""
        return await self.peer.ask("collectCargo", address=self.address(way), cca=authorization)


@pytest_asyncio.fixture(loop_scope="session")
async def make_courier(tmp_path, lan, peer):
    running = []

    async def make(*options):
        environment = {"PYTHONPATH": os.pathsep.join(map(str, (PROGRAM.parent, PROGRAM.parent.parent)))}
        command = (*lan, sys.executable, PROGRAM, tmp_path / f"courier-{len(running)}", LAN_ADDRESS, *options)
        process = await JsonPeer(*command, environment=environment).__aenter__()
        running.append(process)
        return Courier(peer, process, await process.ask("ports"))

    yield make
    for process in running:
        await process.__aexit__()


@pytest_asyncio.fixture(loop_scope="session")
async def courier(make_courier):
    return await make_courier()


def one_each(items):
    return [[item] for item in items]


def items(count, size=100):
    return [number.to_bytes(4) + bytes(size - 4) for number in range(count)]


def everything(count):
    return {"acknowledged": [str(number) for number in range(count)], "error": None}


# ---- any number ------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-courier-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_kotlin_client_gives_cargo_to_our_courier(gateway, courier, count):
    cargoes = await gateway.fill(*one_each(items(count, PARCEL)))

    assert await courier.take(cargoes) == everything(count)

    assert await courier.ask("outgoing") == sorted(cargoes)


@pytest.mark.cell("cogrpc-courier-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_the_kotlin_client_takes_cargo_from_our_courier_which_lets_go_of_it(
    distant, gateway, courier, count
):
    await courier.ask("load", cargoes=await distant.cargoes(*one_each(items(count, PARCEL))))
    authorization = await gateway.authorize()

    collected = await courier.give(authorization)

    assert collected["error"] is None
    assert sorted(await gateway.unpack(collected["cargoes"])) == items(count, PARCEL)
    assert await courier.ask("incoming", gateway=gateway.id) == []
    assert await courier.ask("requests", gateway=gateway.id) == [authorization]


@pytest.mark.cell("cogrpc-largest")
async def test_the_kotlin_client_gives_our_courier_the_largest_cargo(gateway, courier):
    cargoes = await gateway.fill([bytes(8_300_000)])

    assert await courier.take(cargoes) == everything(1)

    assert await courier.ask("outgoing") == cargoes


async def test_trap_22_the_kotlin_client_takes_from_our_courier_all_but_what_exceeds_four_mebioctets(
    distant, gateway, courier
):
    first, large, last = await distant.cargoes([bytes(LARGE)], [bytes(5 * LARGE)], [bytes(LARGE)])
    await courier.ask("load", cargoes=[first, large, last])

    collected = await courier.give(await gateway.authorize())

    assert "RESOURCE_EXHAUSTED" in collected["error"]["message"]
    assert sorted(collected["cargoes"]) == sorted([first, last])
    assert await courier.ask("incoming", gateway=gateway.id) == [large]


# ---- trust -----------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-courier-trust")
async def test_the_kotlin_client_trusts_the_certificate_that_our_courier_makes_itself_in_its_network_alone(
    peer, gateway, courier
):
    cargoes = await gateway.fill([b"item"])
    named = [{"id": "0", "cargo": cargo} for cargo in cargoes]

    by_loopback = f"https://127.0.0.1:{courier.ports['loopback']}"
    distrusted = await peer.ask("deliverCargo", address=by_loopback, cargoes=named)

    assert "UNAVAILABLE" in distrusted["error"]["message"]
    assert await courier.ask("outgoing") == []
    assert await courier.take(cargoes) == everything(1)


@pytest.mark.requires("faketime")
@pytest.mark.cell("clock-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_the_kotlin_client_exchanges_cargo_with_our_courier_whatever_its_clock_says(
    tmp_path, lan, courier, ahead
):
    options = world(tmp_path, Authority.create(), HOST)
    async with KotlinPeer(options=options, prefix=lan, ahead=ahead) as peer:
        distant, courier = open_distant_gateway(peer), replace(courier, peer=peer)
        (incoming,) = await distant.cargoes([b"in"])
        await courier.ask("load", cargoes=[incoming])

        collected = await courier.give(await distant.gateway.authorize())
        outgoing = await distant.gateway.fill([b"out"])

        assert collected == {"cargoes": [incoming], "error": None}
        assert await distant.gateway.unpack(collected["cargoes"]) == [b"in"]
        assert await courier.take(outgoing) == everything(1)
        assert await courier.ask("outgoing") == outgoing


# ---- refusals --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_cargo_that_our_courier_will_never_take_ends_the_delivery_of_the_kotlin_client(
    gateway, courier
):
    (cargo,) = await gateway.fill([b"item"])

    refused = await courier.take([b"rubbish"])
    await courier.take([cargo])

    assert "INVALID_ARGUMENT" in refused["error"]["message"]
    assert await courier.ask("outgoing") == [cargo]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_the_kotlin_client_learns_that_our_courier_has_no_room_for_more_of_it(gateway, make_courier):
    cargoes = await gateway.fill(*one_each(items(4, PARCEL)))
    courier = await make_courier(str(4 * 3 * PARCEL))  # of which a quarter is for one connection

    delivered = await courier.take(cargoes)

    assert "RESOURCE_EXHAUSTED" in delivered["error"]["message"]
    taken = [cargoes[int(number)] for number in delivered["acknowledged"]]
    assert len(taken) == 2
    assert await courier.ask("outgoing") == sorted(taken)


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_an_authorisation_that_cannot_be_read_is_refused_by_our_courier(courier):
    refused = await courier.give(b"rubbish")

    assert "UNAUTHENTICATED" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_an_authorisation_by_one_gateway_brings_nothing_that_is_for_another(distant, gateway, courier):
    cargoes = await distant.cargoes([b"item"])
    await courier.ask("load", cargoes=cargoes)
    other = distant.of_somebody_else()

    collected = await courier.give(await other.authorize())

    assert collected == {"cargoes": [], "error": None}
    assert await courier.ask("incoming", gateway=gateway.id) == cargoes


# ---- cuts and deadlines ----------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_delivery_of_the_kotlin_client_to_our_courier_that_was_cut_is_completed_by_another(
    gateway, courier
):
    cargoes = await gateway.fill(*one_each(items(30, PARCEL)))
    await courier.ask("weather", to_target={"rate": 20 * PARCEL})
    await courier.ask("cut_when", on_board=SOME)

    cut = await courier.take(cargoes, "link")

    assert cut["error"] is not None
    assert 0 < len(await courier.ask("outgoing")) < len(cargoes)
    rest = [cargo for number, cargo in enumerate(cargoes) if str(number) not in cut["acknowledged"]]
    assert await courier.take(rest) == everything(len(rest))
    assert await courier.ask("outgoing") == sorted(cargoes)


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_collection_of_the_kotlin_client_from_our_courier_that_was_cut_is_completed_by_another(
    distant, gateway, courier
):
    cargoes = await distant.cargoes(*one_each(items(30, PARCEL)))
    await courier.ask("load", cargoes=cargoes)
    await courier.ask("weather", from_target={"resets_after": 15 * PARCEL})

    cut = await courier.give(await gateway.authorize(), "link")

    assert cut["error"] is not None
    left = await courier.ask("incoming", gateway=gateway.id)
    assert 0 < len(left) < len(cargoes)
    again = await courier.give(await gateway.authorize())
    assert again["error"] is None
    assert sorted(again["cargoes"]) == left
    assert {*cut["cargoes"], *again["cargoes"]} == set(cargoes)
    assert await courier.ask("incoming", gateway=gateway.id) == []


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_our_courier_keeps_what_does_not_fit_in_five_seconds(distant, gateway, courier):
    cargoes = await distant.cargoes(*one_each(items(30, LARGE)))
    await courier.ask("load", cargoes=cargoes)
    await courier.ask("weather", from_target={"rate": 3 * LARGE})

    slowly = await courier.give(await gateway.authorize(), "link")
    left = await courier.ask("incoming", gateway=gateway.id)
    assert 0 < len(left) < len(cargoes)

    again = await courier.give(await gateway.authorize())
    assert again["error"] is None
    assert sorted(again["cargoes"]) == left
    assert {*slowly["cargoes"], *again["cargoes"]} == set(cargoes)
