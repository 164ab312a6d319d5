# SPDX-License-Identifier: MIT
"""A message dated ahead of our clock is kept by every node, and handed on in its time (rules §2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.bindings.errors import Forbidden, Unprocessable
from awala.messages import ServiceMessage
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.spool import MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ENDPOINT,
    HOUR,
    NOW,
    OTHER_ENDPOINT,
    DirectPoWeb,
    authorised_parcel,
    cargo,
    countersign,
    drive,
    endpoint_path,
    internet_side,
    private_side,
    running,
    to_internet,
)

AHEAD = 1.9 * HOUR
"""A clock that is wrong by less than the two hours that are tolerated."""

BEYOND = HOUR * 2 + timedelta(seconds=1)


@pytest.fixture
async def internet():
    return await internet_side()


@pytest.fixture
async def gateway(internet):
    return await private_side(internet)


async def hand_over(gateway, octets):
    signature = countersign(octets, ENDPOINT, endpoint_path(gateway).leaf)
    await gateway.node.local.deliver(octets, await gateway.node.local.recognise(signature))


@pytest.mark.rule("2.1", "2.3")
async def test_outwards_through_both_gateways(internet, gateway):
    with pytest.raises(Unprocessable, match="future"):
        await hand_over(gateway, to_internet(created=BEYOND)[1])
    octets = to_internet(created=AHEAD)[1]
    await hand_over(gateway, octets)
    async with running(gateway.node.run(), internet.node.run()):
        await drive(internet.clock, lambda: internet.clock.now() > NOW + HOUR, step=300)
        assert not internet.pohttp.sent
        await drive(internet.clock, lambda: internet.pohttp.sent, step=300)
    assert internet.pohttp.sent == [("pong.demo.test", octets)]
    assert internet.clock.now() >= NOW + AHEAD


@pytest.mark.rule("2.1", "2.3")
async def test_inwards_into_an_app(internet, gateway):
    """The app's own clock is right, and so is its gateway's; the sender's is not."""
    vault = MemoryVault()
    await vault.save_identity(IDENTITY_LABEL, ENDPOINT)
    app = await PrivateEndpoint.open(
        vault=vault, spool=MemorySpool(), clock=gateway.clock, client=DirectPoWeb(gateway.node.local)
    )
    await app.register()
    sender_vault = MemoryVault()
    await sender_vault.save_identity(IDENTITY_LABEL, OTHER_ENDPOINT)
    sender = await PrivateEndpoint.open(
        vault=sender_vault,
        spool=MemorySpool(),
        clock=FakeClock(NOW + AHEAD + 3 * HOUR),  # what it sends is dated three hours back
        client=DirectPoWeb(None),
    )
    peer = Peer(OTHER_ENDPOINT.node_id, PeerKind.PRIVATE, OTHER_ENDPOINT.public_key, None)
    await sender.identity.take_authorization(await app.authorise(peer), sender_id=ENDPOINT.node_id)
    await sender.identity.send(ENDPOINT.node_id, ServiceMessage("text", b"from the future"))
    [hop] = await sender._spool.totals()
    [item] = await sender._spool.lease(hop, now=sender.clock.now(), duration=HOUR)
    await internet.node.internet_door.deliver(await sender._spool.body(item))
    with pytest.raises(Forbidden, match="future"):
        await internet.node.internet_door.deliver(authorised_parcel(gateway, created=BEYOND)[1])

    heard = []

    async def hear(attempt):
        heard.append(attempt.message.content)

    async with running(gateway.node.run(), internet.node.run(), app.run(hear)):
        await drive(internet.clock, lambda: internet.clock.now() > NOW + HOUR, step=300)
        assert not heard
        await drive(internet.clock, lambda: heard, step=300)
    assert heard == [b"from the future"]


@pytest.mark.rule("2.3")
async def test_cargo_waits_to_be_unpacked(internet, gateway):
    await internet.node.courier_door.deliver(cargo(certificate=gateway.own_certificate(), created=AHEAD))
    async with running(internet.node.run()):
        await drive(internet.clock, lambda: internet.clock.now() > NOW + HOUR, step=300)
        assert internet.events.actions == ["stored"]
        await drive(internet.clock, lambda: len(internet.events.actions) > 1, step=300)
    assert internet.events.actions == ["stored", "dropped"], "it was no more than octets"
