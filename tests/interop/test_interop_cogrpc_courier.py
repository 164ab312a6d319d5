# SPDX-License-Identifier: MIT
"""The CogRPC clients of the reference libraries against our courier.

The Kotlin one takes self-signed certificates from site-local addresses alone, so loopback will not do: both
it and our courier are in a network namespace that stands for a local network.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from courier_in_namespace import courier_in_namespace
from interop_clocks import CLOCKS
from interop_cogrpc import LARGE_PARCEL, LOADS, PARCEL, SOME, way_to_internet_gateway
from interop_cogrpc_peers import JS, JsCogRpc, KotlinCogRpc, everything, not_acknowledged
from interop_gateways import items, one_each
from interop_nodes import our_courier
from interop_peers import peer_param

from awala.messages import Cargo, Recipient
from awala.messages.limits import EMITTED_PAYLOAD_MAX
from awala.pki import Role, issue_now
from helpers.cast import identity_key
from helpers.namespaces import local_network
from helpers.node_peer import PeerError

pytestmark = pytest.mark.asyncio(loop_scope="session")

KOTLIN_IN_LAN = peer_param("kotlin-cogrpc", KotlinCogRpc, "java", "namespaces")


@pytest.fixture(scope="module", params=[JS, KOTLIN_IN_LAN])
def client(request):
    """Whose client it is."""
    return request.param


def with_client(param):
    """Run a test with this client alone."""
    return pytest.mark.parametrize("client", [param], indirect=True)


@pytest.fixture(scope="module")
def lan(client):
    """The command that runs another one where client and courier meet; empty for this machine."""
    if client is JsCogRpc:
        yield ()
    else:
        with local_network("awala-lan") as prefix:
            yield prefix


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer(client, lan, tmp_path_factory, authority):
    options = {"prefix": lan} if lan else {}
    async with client(tmp_path_factory.mktemp("peer"), authority, **options) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def distant(peer):
    """An Internet gateway of the peer, for which our courier carries."""
    return await peer.open_internet_gateway()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(peer, distant):
    """A private gateway of the peer behind its own Internet gateway."""
    return await peer.open_gateway(distant)


def a_courier(lan, directory, quota=None):
    """Run a courier of ours where the client can meet it."""
    return courier_in_namespace(lan, directory, quota) if lan else our_courier(directory, quota=quota)


@pytest_asyncio.fixture(loop_scope="session")
async def courier(lan, tmp_path):
    async with a_courier(lan, tmp_path / "courier") as running:
        yield running


# ---- any number ------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-courier-deliver")
@pytest.mark.parametrize(("count", "size"), LOADS)
async def test_the_client_gives_cargo_to_our_courier(peer, gateway, courier, count, size):
    cargoes = await gateway.fill(*one_each(items(count, size)))

    assert await peer.deliver(courier.way, cargoes) == everything(count)

    assert await courier.outgoing() == sorted(cargoes)


@pytest.mark.cell("cogrpc-courier-collect")
@pytest.mark.parametrize(("count", "size"), LOADS)
async def test_the_client_takes_cargo_from_our_courier_which_lets_go_of_it(
    peer, distant, gateway, courier, count, size
):
    await courier.load(await distant.cargoes_for(gateway, *one_each(items(count, size))))
    authorization = await gateway.authorize()

    collected = await peer.collect(courier.way, authorization)

    assert collected["error"] is None
    assert sorted(await gateway.unpack(collected["cargoes"])) == items(count, size)
    assert await courier.incoming(gateway.id) == []
    assert await courier.requests(gateway.id) == [authorization]


@with_client(JS)
@pytest.mark.cell("cogrpc-courier-deliver")
async def test_the_client_gives_all_its_cargo_although_it_makes_each_while_nothing_is_pending(
    peer, gateway, courier
):
    cargoes = await gateway.fill(*one_each(items(5)))

    assert await peer.deliver(courier.way, cargoes, pause=50) == everything(5)


# ---- the largest -----------------------------------------------------------------------------------------


@with_client(JS)
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

    collected = await peer.collect(courier.way, await gateway.authorize())

    assert collected == {"cargoes": [cargo], "error": None}
    assert await courier.incoming(gateway.id) == []


@with_client(KOTLIN_IN_LAN)
@pytest.mark.cell("cogrpc-largest")
async def test_the_kotlin_client_gives_our_courier_the_largest_cargo(peer, gateway, courier):
    cargoes = await gateway.fill([bytes(8_300_000)])

    assert await peer.deliver(courier.way, cargoes) == everything(1)

    assert await courier.outgoing() == cargoes


@with_client(KOTLIN_IN_LAN)
async def test_trap_22_the_kotlin_client_takes_from_our_courier_all_but_what_exceeds_four_mebioctets(
    peer, distant, gateway, courier
):
    loads = [[bytes(size)] for size in (LARGE_PARCEL, 5 * LARGE_PARCEL, LARGE_PARCEL)]
    first, large, last = await distant.cargoes_for(gateway, *loads)
    await courier.load([first, large, last])

    collected = await peer.collect(courier.way, await gateway.authorize())

    assert "RESOURCE_EXHAUSTED" in collected["error"]["message"]
    assert sorted(collected["cargoes"]) == sorted([first, last])
    while await courier.incoming(gateway.id) != [large]:  # an acknowledgement was lost with the call
        again = await peer.collect(courier.way, await gateway.authorize())
        assert set(again["cargoes"]) <= {first, last}


# ---- trust -----------------------------------------------------------------------------------------------


@with_client(JS)
@pytest.mark.cell("cogrpc-courier-trust")
@pytest.mark.parametrize("address", ["localhost:1", "8.8.8.8:1"])
async def test_the_client_takes_nobody_for_a_courier_who_is_elsewhere(peer, address):
    with pytest.raises(PeerError, match="outside the current LAN"):
        await peer.deliver({"way": "courier", "address": address}, [])


@with_client(JS)
@pytest.mark.cell("cogrpc-courier-trust")
async def test_the_client_trusts_the_certificate_that_our_courier_makes_itself(peer, gateway, courier):
    assert await peer.deliver(courier.way, await gateway.fill([b"item"])) == everything(1)

    as_internet_gateway = await peer.deliver(way_to_internet_gateway(courier.port), [b""])
    assert "self-signed certificate" in as_internet_gateway["error"]["message"]


@with_client(KOTLIN_IN_LAN)
@pytest.mark.cell("cogrpc-courier-trust")
async def test_the_kotlin_client_trusts_the_certificate_that_our_courier_makes_itself_in_its_network_alone(
    peer, gateway, courier
):
    cargoes = await gateway.fill([b"item"])

    distrusted = await peer.deliver(courier.by_loopback, cargoes)

    assert "UNAVAILABLE" in distrusted["error"]["message"]
    assert await courier.outgoing() == []
    assert await peer.deliver(courier.way, cargoes) == everything(1)


@with_client(KOTLIN_IN_LAN)
@pytest.mark.requires("faketime")
@pytest.mark.cell("clock-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_the_kotlin_client_exchanges_cargo_with_our_courier_whatever_its_clock_says(
    tmp_path, lan, client, courier, authority, ahead
):
    async with client(tmp_path, authority, prefix=lan, ahead=ahead) as peer:
        distant = await peer.open_internet_gateway()
        gateway = await peer.open_gateway(distant)
        (incoming,) = await distant.cargoes_for(gateway, [b"in"])
        await courier.load([incoming])

        collected = await peer.collect(courier.way, await gateway.authorize())
        outgoing = await gateway.fill([b"out"])

        assert collected == {"cargoes": [incoming], "error": None}
        assert await gateway.unpack(collected["cargoes"]) == [b"in"]
        assert await peer.deliver(courier.way, outgoing) == everything(1)
        assert await courier.outgoing() == outgoing


# ---- refusals --------------------------------------------------------------------------------------------


@with_client(JS)
@pytest.mark.cell("cogrpc-courier-refusals")
async def test_cargo_that_our_courier_will_never_take_ends_the_delivery(peer, gateway, courier):
    (cargo,) = await gateway.fill([b"item"])

    delivered = await peer.deliver(courier.way, [cargo, b"rubbish"], pause=500)

    assert delivered["acknowledged"] == [0]
    assert await courier.outgoing() == [cargo]


@with_client(KOTLIN_IN_LAN)
@pytest.mark.cell("cogrpc-courier-refusals")
async def test_cargo_that_our_courier_will_never_take_ends_the_delivery_of_the_kotlin_client(
    peer, gateway, courier
):
    (cargo,) = await gateway.fill([b"item"])

    refused = await peer.deliver(courier.way, [b"rubbish"])
    await peer.deliver(courier.way, [cargo])

    assert "INVALID_ARGUMENT" in refused["error"]["message"]
    assert await courier.outgoing() == [cargo]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_the_client_learns_that_our_courier_has_no_room_for_more_of_it(peer, lan, gateway, tmp_path):
    cargoes = await gateway.fill(*one_each(items(4, PARCEL)))
    room = 4 * 3 * PARCEL  # of which a quarter is for one connection
    async with a_courier(lan, tmp_path / "small", room) as courier:
        delivered = await peer.deliver(courier.way, cargoes)

        assert "RESOURCE_EXHAUSTED" in delivered["error"]["message"]
        taken = [cargoes[number] for number in delivered["acknowledged"]]
        assert len(taken) == 2
        assert await courier.outgoing() == sorted(taken)


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_an_authorisation_that_cannot_be_read_is_refused_by_our_courier(peer, courier):
    refused = await peer.collect(courier.way, b"rubbish")

    assert "UNAUTHENTICATED" in refused["error"]["message"]


@pytest.mark.cell("cogrpc-courier-refusals")
async def test_an_authorisation_by_one_gateway_brings_nothing_that_is_for_another(
    peer, distant, gateway, courier
):
    cargoes = await distant.cargoes_for(gateway, [b"item"])
    await courier.load(cargoes)
    other = await peer.open_gateway(distant)

    collected = await peer.collect(courier.way, await other.authorize())

    assert collected == {"cargoes": [], "error": None}
    assert await courier.incoming(gateway.id) == cargoes


# ---- cuts and deadlines ----------------------------------------------------------------------------------


async def left_after_a_cut(courier, gateway_id):
    """Return what rests for a gateway once the acknowledgements have come that were on their way."""
    left, before = await courier.incoming(gateway_id), None
    while left != before:
        await asyncio.sleep(0.5)
        left, before = await courier.incoming(gateway_id), left
    return left


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_delivery_to_our_courier_that_was_cut_is_completed_by_another(peer, gateway, courier):
    cargoes = await gateway.fill(*one_each(items(30, PARCEL)))
    await courier.weather(to_target={"rate": 20 * PARCEL})
    async with asyncio.TaskGroup() as meanwhile:
        meanwhile.create_task(courier.cut_when(SOME))
        cut = await peer.deliver(courier.by_link, cargoes)
    assert cut["error"] is not None
    assert 0 < len(await courier.outgoing()) < len(cargoes)

    rest = not_acknowledged(cargoes, cut)
    assert await peer.deliver(courier.way, rest) == everything(len(rest))
    assert await courier.outgoing() == sorted(cargoes)


@pytest.mark.cell("cogrpc-courier-cut")
async def test_a_collection_from_our_courier_that_was_cut_is_completed_by_another(
    peer, distant, gateway, courier
):
    cargoes = await distant.cargoes_for(gateway, *one_each(items(30, PARCEL)))
    await courier.load(cargoes)
    await courier.weather(from_target={"resets_after": 15 * PARCEL})

    cut = await peer.collect(courier.by_link, await gateway.authorize())
    assert cut["error"] is not None
    left = await left_after_a_cut(courier, gateway.id)
    assert 0 < len(left) < len(cargoes)

    again = await peer.collect(courier.way, await gateway.authorize())
    assert again["error"] is None
    assert sorted(again["cargoes"]) == left
    assert {*cut["cargoes"], *again["cargoes"]} == set(cargoes)
    assert await courier.incoming(gateway.id) == []


@with_client(JS)
@pytest.mark.cell("cogrpc-courier-cut")
async def test_cargo_stays_with_our_courier_until_the_client_has_acknowledged_it(
    peer, distant, gateway, courier
):
    await courier.load(await distant.cargoes_for(gateway, *one_each(items(3))))

    left_early = await peer.collect(courier.way, await gateway.authorize(), leaveAfter=2)
    again = await peer.collect(courier.way, await gateway.authorize())

    assert [len(left_early["cargoes"]), len(again["cargoes"])] == [2, 2]
    assert left_early["cargoes"][1] in again["cargoes"]
    assert {*await gateway.unpack(left_early["cargoes"] + again["cargoes"])} == set(items(3))


@pytest.mark.cell("cogrpc-deadline")
@pytest.mark.thorough
async def test_our_courier_keeps_what_does_not_fit_in_three_or_five_seconds(peer, distant, gateway, courier):
    cargoes = await distant.cargoes_for(gateway, *one_each(items(30, LARGE_PARCEL)))
    await courier.load(cargoes)
    narrow = {"rate": 3_000_000}
    await courier.weather(to_target=narrow, from_target=narrow)

    slowly = await peer.collect(courier.by_link, await gateway.authorize())
    left = await courier.incoming(gateway.id)
    assert 0 < len(left) < len(cargoes)

    again = await peer.collect(courier.way, await gateway.authorize())
    assert again["error"] is None
    assert sorted(again["cargoes"]) == left
    assert {*slowly["cargoes"], *again["cargoes"]} == set(cargoes)
    assert await courier.incoming(gateway.id) == []
