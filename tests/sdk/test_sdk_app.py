# SPDX-License-Identifier: MIT
"""Apps through their public API, with a gateway of this machine behind real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from awala.sdk import (
    InvalidAuthorizationError,
    MessageTooLargeError,
    NotAuthorisedError,
    NotRegisteredError,
    PairingRefusedError,
    PeerKind,
    PrivateApp,
    RateLimit,
    TicketState,
    UnknownPeerError,
)
from awala.sdk.app import OFFER_LIFE
from helpers.nodes import DAY, PEER, until
from helpers.nodes_network import village

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
async def app(tmp_path):
    async with PrivateApp.open(tmp_path / "alone", gateway=NOBODY) as app:
        yield app


@pytest.fixture
async def net(tmp_path):
    async with village(tmp_path) as net:
        yield net


@pytest.fixture
async def side(net):
    return await net.side("a")


class TestWithoutAGateway:
    async def test_an_app_has_an_id_that_stays(self, tmp_path):
        async with PrivateApp.open(tmp_path / "x", gateway=NOBODY) as app:
            first = app.id
        async with PrivateApp.open(tmp_path / "x", gateway=NOBODY) as app:
            assert app.id == first
            assert await app.peers() == []

    async def test_cannot_make_an_offer_that_nobody_could_answer(self, app):
        with pytest.raises(NotRegisteredError):
            await app.offer()

    async def test_cannot_write_to_strangers(self, app):
        with pytest.raises(UnknownPeerError):
            await app.send(PEER.node_id, "t", b"")


async def test_sends_without_a_gateway_once_it_knows_a_peer(net, side, tmp_path):
    pong = await net.pong()
    params = pong.node.connection_params()
    async with PrivateApp.open(tmp_path / "x", gateway=NOBODY, clock=net.clock) as app:
        peer = await app.add_internet_peer(params, allow_replies=False)
        ticket = await app.send(peer, "t", b"later")
        with pytest.raises(NotRegisteredError):
            await app.add_internet_peer(params)
        with pytest.raises(MessageTooLargeError):
            await app.send(peer, "t", bytes(9_000_000))
        assert (ticket.state, peer.kind) == (TicketState.QUEUED, PeerKind.INTERNET)
    assert side.name == "a"


async def test_a_message_goes_out_and_its_ticket_tells(net, side):
    heard = []

    def setup(service):
        @service.on()
        async def hear(message):
            heard.append((message.type, message.content, message.attempt))

    pong = await net.pong(setup)
    app = await net.app(side)
    peer = await app.add_internet_peer(pong.node.connection_params())
    ticket = await app.send(peer.id, "text", b"hello", expires_in=timedelta(days=1))

    async with asyncio.timeout(20):
        assert await ticket.wait() is TicketState.SENT
    await until(lambda: heard, seconds=20)
    assert heard == [("text", b"hello", 1)]
    granted = (await app.peers())[0].granted_until
    assert (await app.add_internet_peer(pong.node.connection_params())).granted_until == granted


async def test_pairing_by_texts_works_once_and_only_for_who_was_meant(net, side):
    one = await net.app(side)
    other_dir = net.directory / "other"
    async with PrivateApp.open(other_dir, gateway=f"http://{net._ports['pgw-a']}", clock=net.clock) as other:
        async with asyncio.timeout(20):
            await other.registered()
        with pytest.raises(PairingRefusedError):
            await one.complete(await other.accept(await other.offer()))
        offer = await one.offer()
        invitation = await other.accept(offer, name="One")
        for_another = await other.accept(replace(offer, key=PEER.public_key))
        with pytest.raises(InvalidAuthorizationError):
            await one.complete(for_another)

        peer = await one.complete(invitation, name="Other")
        with pytest.raises(PairingRefusedError):
            await one.complete(invitation)

        assert (peer.id, peer.name) == (other.id, "Other")
        ticket = await until_authorised(other, one)
        async with asyncio.timeout(20):
            assert await ticket.wait() is TicketState.SENT


@pytest.mark.rule("3.1")
async def test_a_peer_can_be_limited_when_it_is_accepted_and_later(net, side):
    one = await net.app(side)
    other_dir = net.directory / "other"
    async with PrivateApp.open(other_dir, gateway=f"http://{net._ports['pgw-a']}", clock=net.clock) as other:
        async with asyncio.timeout(20):
            await other.registered()
        invitation = await other.accept(await one.offer(), rate_limit=RateLimit(9, timedelta(hours=1)))
        assert invitation.params.authorization.leaf.rate_limit == RateLimit(9, timedelta(hours=1))
        peer = await one.complete(invitation)

        await until_authorised(other, one)
        await one.limit(peer, RateLimit(1, timedelta(days=1)))
        assert (await one.peers())[0].rate_limit == RateLimit(1, timedelta(days=1))
        with pytest.raises(UnknownPeerError):
            await one.limit(PEER.node_id, None)


async def until_authorised(app, by):
    """Return once an app may write to another one."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await app.send(by.id, "t", b"now")
            except NotAuthorisedError:
                await asyncio.sleep(0.02)


async def test_an_offer_ends(net, side, monkeypatch):
    one = await net.app(side)
    offer = await one.offer()
    invitation = await one.accept(offer)
    later = net.clock.now() + OFFER_LIFE + DAY
    monkeypatch.setattr(one._endpoint.identity, "now", lambda: later)
    with pytest.raises(PairingRefusedError):
        await one.complete(invitation)
