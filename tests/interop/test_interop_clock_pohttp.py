# SPDX-License-Identifier: MIT
"""Senders whose clocks are an hour fast or slow, made with the PoHTTP client, at our nodes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from interop_clocks import CLOCKS
from interop_pohttp import ACCEPTED, STATIONS, values_of_parcel

from helpers.node_peer import NodePeer


@pytest.mark.requires("node")
@pytest.mark.rule("2.1")
@pytest.mark.cell("clock-pohttp", peer="js-pohttp")
@pytest.mark.parametrize("kind", STATIONS)
@pytest.mark.parametrize("ahead", CLOCKS)
async def test_what_is_delivered_is_kept_until_the_time_that_the_senders_clock_gave_it(
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
