# SPDX-License-Identifier: MIT
"""Apps whose clocks are an hour fast or slow, made with the PoWeb clients, at our private gateway."""

from __future__ import annotations

import pytest
from interop_clocks import CLOCKS
from interop_peers import peer_param
from interop_poweb import private_gateway, uplink
from interop_poweb_clients import JsClient, KotlinClient, once, recipients_of, register

CLIENTS = (
    peer_param("js-poweb", JsClient, "node"),
    peer_param("kotlin-poweb", KotlinClient, "java", "faketime"),
)


@pytest.mark.cell("clock-poweb")
@pytest.mark.parametrize("start", CLIENTS)
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_apps_register_deliver_and_collect_whatever_their_clock_says(tmp_path, authority, start, ahead):
    async with (
        uplink(tmp_path / "uplink") as above,
        private_gateway(tmp_path / "ours", above) as gateway,
        start(tmp_path, authority, ahead=ahead) as peer,
    ):
        sender, recipient = [await register(peer, gateway) for _ in range(2)]
        parcel = recipients_of(gateway, recipient).parcel(sender.private_key)

        await sender.deliver(parcel)

        assert await recipient.collect() == once([parcel])
