# SPDX-License-Identifier: MIT
"""Peers whose clocks are an hour fast or slow: what the libraries make of ours, and we of theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from interop_cast import EXAMPLES, a_message, example, made_by_peer, opened, read_by_peer, seal
from interop_cogrpc import (
    client_of_internet_gateway,
    cogrpc_peer,
    collect,
    collect_ours,
    deliver,
    deliver_ours,
    open_peer_courier,
    port_in,
    serving_internet_gateway,
)
from interop_gateways import (
    ADDRESS,
    Household,
    acknowledgements,
    one_each,
    open_peer_gateway,
    open_peer_internet_gateway,
    to_the_internet,
)
from interop_nodes import our_courier, our_internet_gateway, our_private_gateway

from awala.base.clock import SystemClock
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.crypto import IdentityPrivateKey
from awala.messages import InvalidMessageError, RegistrationAuthorization
from awala.pki import Certificate
from helpers.node_peer import NEWEST, PRODUCTION, NodePeer, PeerError
from helpers.nodes_network import HastyClock

pytestmark = pytest.mark.requires("node")

HOUR = timedelta(hours=1)
CLOCKS = (pytest.param(HOUR, id="fast"), pytest.param(-HOUR, id="slow", marks=pytest.mark.thorough))
APP_BACKDATING = timedelta(minutes=5)
"""By which deployed apps date their parcels back."""

CORES = (
    pytest.param(PRODUCTION, marks=pytest.mark.cell(peer="js-core-production")),
    pytest.param(NEWEST, marks=pytest.mark.cell(peer="js-core-newest")),
)


def of_both(test):
    """Run a test with both sets of packages, each with both clocks."""
    return pytest.mark.parametrize("name", CORES)(pytest.mark.parametrize("ahead", CLOCKS)(test))


# ---- messages --------------------------------------------------------------------------------------------


@of_both
@pytest.mark.rule("2.4")
@pytest.mark.cell("clock-our-messages")
async def test_the_library_takes_our_fresh_messages(cast, name, ahead):
    async with NodePeer(name, ahead=ahead) as peer:
        for kind in EXAMPLES:
            given = example(kind, cast)
            payload, _ = seal(given.plaintext.serialize(), cast.session.session_key)
            octets = a_message(given, cast, payload=payload).serialize(given.key)

            assert (await read_by_peer(peer, given, octets, cast))["payload"] == given.description


@of_both
@pytest.mark.rule("2.1")
@pytest.mark.cell("clock-messages-of-apps")
async def test_we_take_what_apps_date_by_such_clocks_though_the_library_refuses_what_is_ahead(
    cast, name, ahead
):
    given, now = example("parcel", cast), datetime.now(UTC)
    created = (now + ahead - APP_BACKDATING).replace(microsecond=0)
    async with NodePeer(name) as peer:
        made = await made_by_peer(peer, given, cast, creationDate=created.isoformat())

        message = given.message_class.parse(made["octets"])
        message.authorise((given.anchor,), now)
        assert opened(message, cast) == given.plaintext.serialize()
        if ahead > timedelta(0):
            with pytest.raises(PeerError, match="in the future"):
                await read_by_peer(peer, given, made["octets"], cast)
        else:
            assert await read_by_peer(peer, given, made["octets"], cast)


@of_both
@pytest.mark.rule("3.10")
@pytest.mark.cell("clock-registration-authorisation")
async def test_an_authorisation_to_register_of_ten_seconds_is_judged_by_the_clock_of_its_reader(
    cast, name, ahead
):
    now = datetime.now(UTC)
    octets = RegistrationAuthorization(now + timedelta(seconds=10), b"data").serialize(cast.igw_key)
    async with NodePeer(name, ahead=ahead) as peer:
        reading = peer.ask(
            "read",
            kind="registrationAuthorization",
            octets=octets,
            publicKey=cast.igw_key.public_key.spki,
        )
        if ahead > timedelta(0):
            with pytest.raises(PeerError, match="expired"):
                await reading
        else:
            assert (await reading)["gatewayData"] == b"data"

        made = await peer.ask(
            "make",
            kind="registrationAuthorization",
            expiry=(now + ahead + timedelta(seconds=10)).isoformat(),
            gatewayData=b"data",
            privateKey=cast.igw_key.serialize(),
        )
    authorization = RegistrationAuthorization.parse(made["octets"])
    if ahead > timedelta(0):
        authorization.verify(cast.igw_key.public_key, now)
    else:
        with pytest.raises(InvalidMessageError):
            authorization.verify(cast.igw_key.public_key, now)


# ---- PoWeb -----------------------------------------------------------------------------------------------


async def register_app(peer, port):
    """Register an app of the peer; return its key, and how it signs."""
    key = await peer.ask("makeIdentityKey")
    registered = await peer.ask("register", door={"port": port}, privateKey=key["privateKey"])
    assert registered["internetAddress"] == ADDRESS
    own = IdentityPrivateKey.load(key["privateKey"])
    chain = [Certificate.parse(registered[name]) for name in ("nodeCertificate", "gatewayCertificate")]
    signer = {"privateKey": key["privateKey"], "certificate": registered["nodeCertificate"]}
    return Household(own, *chain), signer


@pytest.mark.cell("clock-poweb", peer="js-poweb")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_the_poweb_client_registers_delivers_and_collects_whatever_its_clock_says(
    tmp_path, authority, ahead
):
    async with (
        cogrpc_peer(tmp_path, authority) as registrar,
        our_private_gateway(
            tmp_path / "ours", SystemClock(), await open_peer_internet_gateway(registrar)
        ) as ours,
        serve_poweb(poweb_app(ours.node.local), "127.0.0.1:0") as server,
        NodePeer(ahead=ahead) as peer,
    ):
        port = port_in(server.address)
        (sender, by_sender), (recipient, by_recipient) = [await register_app(peer, port) for _ in range(2)]
        (parcel,) = recipient.parcels(1, sender=sender.key)

        await peer.ask("deliverParcel", door={"port": port}, parcel=parcel, **by_sender)
        collected = await peer.ask("collectParcels", door={"port": port}, signers=[by_recipient])

    assert [each["parcel"] for each in collected["parcels"]] == [parcel]


# ---- CogRPC ----------------------------------------------------------------------------------------------


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_at_our_internet_gateway(tmp_path, authority, ahead):
    async with (
        our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway,
        cogrpc_peer(tmp_path, authority, ahead=ahead) as peer,
    ):
        gateway = await open_peer_gateway(peer, internet_gateway.node.gateway_door)
        parcels = (await gateway.household()).parcels(2)

        delivered = await deliver(peer, internet_gateway.way, await gateway.fill(*one_each(parcels)))
        assert delivered == {"acknowledged": [0, 1], "error": None}
        assert await internet_gateway.mailbox(gateway) == sorted(parcels)

        collected = await collect(peer, internet_gateway.way, await gateway.authorize())
        assert collected["error"] is None
        assert set(parcels) < set(await gateway.unpack(collected["cargoes"]))


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_with_our_courier(tmp_path, authority, ahead):
    async with (
        our_courier(tmp_path / "courier") as courier,
        cogrpc_peer(tmp_path, authority, ahead=ahead) as peer,
    ):
        distant = await open_peer_internet_gateway(peer)
        gateway = await open_peer_gateway(peer, distant)
        await courier.load(await distant.cargoes_for(gateway, [b"item"]))

        collected = await collect(peer, courier.way, await gateway.authorize())
        delivered = await deliver(peer, courier.way, await gateway.fill([b"item"]))

        assert collected["error"] is None
        assert await gateway.unpack(collected["cargoes"]) == [b"item"]
        assert delivered == {"acknowledged": [0], "error": None}


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_our_private_gateway_lives_behind_an_internet_gateway_with_such_a_clock(
    tmp_path, authority, ahead
):
    async with cogrpc_peer(tmp_path, authority, ahead=ahead) as peer:
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


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_our_client_is_served_by_an_internet_gateway_with_such_a_clock(tmp_path, authority, ahead):
    async with cogrpc_peer(tmp_path, authority, ahead=ahead) as peer:
        internet_gateway = await open_peer_internet_gateway(peer)
        gateway = await open_peer_gateway(peer, internet_gateway)
        await internet_gateway.keep(gateway.id, [b"item"])
        cargoes, safe, got = await gateway.fill([b"item"]), [], []
        async with serving_internet_gateway(internet_gateway, authority) as server:
            await deliver_ours(client_of_internet_gateway(server.port, authority), cargoes, safe)
            client = client_of_internet_gateway(server.port, authority)
            await collect_ours(client, await gateway.authorize(), got)

        assert safe == cargoes
        assert await gateway.unpack(got) == [b"item"]
