# SPDX-License-Identifier: MIT
"""Nodes made with the Kotlin libraries whose clocks are an hour fast or slow, at our doors."""

from __future__ import annotations

import pytest
from interop_clocks import CLOCKS
from interop_kotlin_gateways import HOST, open_gateway, our_internet_gateway, parcels_for

from helpers.kotlin_peer import KotlinPeer, world

pytestmark = pytest.mark.requires("java", "faketime")


@pytest.mark.cell("clock-cogrpc", peer="kotlin-cogrpc")
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_gateways_with_such_clocks_exchange_cargo_at_our_internet_gateway(tmp_path, authority, ahead):
    async with (
        our_internet_gateway(tmp_path / "internet-gateway", authority) as internet_gateway,
        KotlinPeer(options=world(tmp_path, authority, HOST), ahead=ahead) as peer,
    ):
        sender, recipient = [await open_gateway(peer, internet_gateway.node.gateway_door) for _ in range(2)]
        parcels = parcels_for(recipient, 2)
        cargoes = [
            {"id": str(number), "cargo": cargo}
            for number, cargo in enumerate(await sender.fill(*([parcel] for parcel in parcels)))
        ]

        delivered = await peer.ask("deliverCargo", address=internet_gateway.address, cargoes=cargoes)
        assert delivered == {"acknowledged": ["0", "1"], "error": None}
        assert await internet_gateway.mailbox(recipient) == sorted(parcels)

        authorization = await recipient.authorize()
        collected = await peer.ask("collectCargo", address=internet_gateway.address, cca=authorization)
        assert collected["error"] is None
        assert sorted(await recipient.unpack(collected["cargoes"])) == sorted(parcels)
