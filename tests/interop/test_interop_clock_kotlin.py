# SPDX-License-Identifier: MIT
"""Nodes made with the Kotlin libraries whose clocks are an hour fast or slow, at our doors."""

from __future__ import annotations

import pytest
from interop_clocks import CLOCKS
from interop_cogrpc_peers import KotlinCogRpc, everything
from interop_gateways import one_each
from interop_nodes import our_internet_gateway
from interop_poweb import Recipients, private_gateway, uplink

from awala.crypto import IdentityPrivateKey
from helpers.kotlin_peer import KotlinPeer

pytestmark = pytest.mark.requires("java", "faketime")


async def register_app(peer, gateway):
    """Register an app of the peer; return it as a recipient, and how it signs."""
    key = IdentityPrivateKey.generate().serialize()
    registered = await peer.ask("register", door=gateway.door, privateKey=key)
    certificate, issuer = registered["nodeCertificate"], registered["gatewayCertificate"]
    signer = {"privateKey": key, "certificate": certificate}
    return Recipients.of(gateway, key, certificate, issuer), signer


@pytest.mark.cell("clock-poweb", peer="kotlin-poweb")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_the_poweb_client_registers_delivers_and_collects_whatever_its_clock_says(tmp_path, ahead):
    async with (
        uplink(tmp_path / "uplink") as above,
        private_gateway(tmp_path / "ours", above) as gateway,
        KotlinPeer(ahead=ahead) as peer,
    ):
        (_, sender), (recipients, recipient) = [await register_app(peer, gateway) for _ in range(2)]
        parcel = recipients.parcel(IdentityPrivateKey.load(sender["privateKey"]))

        await peer.ask("deliverParcel", door=gateway.door, parcel=parcel, **sender)
        collected = await peer.ask("collectParcels", door=gateway.door, signers=[recipient])

    assert collected["parcels"] == [{"parcel": parcel, "refusal": None}]


@pytest.mark.cell("clock-cogrpc", peer="kotlin-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_at_our_internet_gateway(tmp_path, authority, ahead):
    async with (
        our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway,
        KotlinCogRpc(tmp_path, authority, ahead=ahead) as peer,
    ):
        sender, recipient = [await peer.open_gateway(internet_gateway.node.gateway_door) for _ in range(2)]
        parcels = (await recipient.household()).parcels(2)

        delivered = await peer.deliver(internet_gateway.way, await sender.fill(*one_each(parcels)))
        assert delivered == everything(2)
        assert await internet_gateway.mailbox(recipient) == sorted(parcels)

        collected = await peer.collect(internet_gateway.way, await recipient.authorize())
        assert collected["error"] is None
        assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)
