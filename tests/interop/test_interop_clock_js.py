# SPDX-License-Identifier: MIT
"""Nodes made with the npm libraries whose clocks are an hour fast or slow, at our doors and as our peers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from interop_clocks import CLOCKS
from interop_cogrpc import (
    client_of_internet_gateway,
    collect_ours,
    deliver_ours,
    open_peer_courier,
    port_in,
    serving_internet_gateway,
)
from interop_cogrpc_peers import JsCogRpc, everything
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
from interop_pohttp import ACCEPTED, STATIONS, values_of_parcel

from awala.base.clock import SystemClock
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.crypto import IdentityPrivateKey
from awala.pki import Certificate
from helpers.node_peer import NodePeer
from helpers.nodes_network import HastyClock

pytestmark = pytest.mark.requires("node")


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
        JsCogRpc(tmp_path, authority) as registrar,
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


# ---- PoHTTP ----------------------------------------------------------------------------------------------


@pytest.mark.rule("2.1")
@pytest.mark.cell("clock-pohttp", peer="js-pohttp")
@pytest.mark.parametrize("kind", STATIONS)
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_the_pohttp_client_delivers_what_is_kept_until_the_time_that_its_clock_gave_it(
    tmp_path, authority, kind, ahead
):
    trusted = authority.write_ca(tmp_path / "ca.pem")
    async with (
        STATIONS[kind](tmp_path / kind, authority, None) as station,
        NodePeer(ahead=ahead, environment={"NODE_EXTRA_CA_CERTS": str(trusted)}) as peer,
    ):
        values = values_of_parcel(station, b"good morning")
        created = datetime.fromisoformat(values["creationDate"]) + ahead
        values |= {"creationDate": created.isoformat(), "ttl": 86_400}
        made = await peer.ask("make", **values)

        assert await peer.ask("deliverByPoHttp", url=station.url, parcel=made["octets"]) == ACCEPTED
        has_come = created <= datetime.now(UTC)
        assert await station.arrived(int(has_come)) == [b"good morning"] * has_come


# ---- CogRPC ----------------------------------------------------------------------------------------------


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_at_our_internet_gateway(tmp_path, authority, ahead):
    async with (
        our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway,
        JsCogRpc(tmp_path, authority, ahead=ahead) as peer,
    ):
        gateway = await open_peer_gateway(peer, internet_gateway.node.gateway_door)
        parcels = (await gateway.household()).parcels(2)

        delivered = await peer.deliver(internet_gateway.way, await gateway.fill(*one_each(parcels)))
        assert delivered == everything(2)
        assert await internet_gateway.mailbox(gateway) == sorted(parcels)

        collected = await peer.collect(internet_gateway.way, await gateway.authorize())
        assert collected["error"] is None
        assert set(parcels) < set(await gateway.unpack(collected["cargoes"]))


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
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


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
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


@pytest.mark.cell("clock-cogrpc", peer="js-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
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
