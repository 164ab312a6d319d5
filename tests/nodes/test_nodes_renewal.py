# SPDX-License-Identifier: MIT
"""Certificates and authorisations are renewed in every node while it runs (rules §2, §7)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from awala.base.files import StorageError
from awala.bindings.errors import Unauthenticated, UnreachableError
from awala.bindings.poweb import StreamingMode
from awala.messages import NodeConnectionParams, Parcel
from awala.nodes.backoff import Backoff
from awala.nodes.endpoint.grants import REPEAT_AFTER
from awala.nodes.endpoint.internet import IDENTITY_LABEL as INTERNET_LABEL
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.errors import CertificateExpiredError
from awala.nodes.lanes import GATEWAY
from awala.nodes.renewal import CHECK_INTERVAL, UNHELPFUL_WAIT, Renewal
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    NOW,
    OTHER_ENDPOINT,
    OTHER_PGW,
    PEER,
    DirectPoWeb,
    PoHttp,
    drive,
    endpoint_path,
    handshake,
    internet_side,
    parcel,
    private_side,
    running,
    until,
)


@pytest.fixture
async def internet():
    return await internet_side()


@pytest.fixture
async def gateway(internet):
    return await private_side(internet)


async def open_endpoint(gateway, *, key=ENDPOINT, vault=None, spool=None):
    if vault is None:
        vault = MemoryVault()
        await vault.save_identity(IDENTITY_LABEL, key)
    endpoint = await PrivateEndpoint.open(
        vault=vault,
        spool=spool or MemorySpool(),
        clock=gateway.clock,
        client=DirectPoWeb(gateway.node.local),
    )
    endpoint.heard = []
    return endpoint


@pytest.fixture
async def endpoint(gateway):
    endpoint = await open_endpoint(gateway)
    await endpoint.register()
    return endpoint


def hearing(endpoint):
    async def hear(attempt) -> None:
        endpoint.heard.append(attempt.message)

    return endpoint.run(hear)


async def pair(one, other):
    """Let two endpoints write to each other."""
    for giver, taker in ((one, other), (other, one)):
        peer = Peer(taker.node_id, PeerKind.PRIVATE, taker.identity.key.public_key, None)
        known = await giver.identity.peers.get(taker.node_id)
        params = await giver.authorise(known or peer)
        await taker.identity.take_authorization(params, sender_id=giver.node_id)


async def know_pong(endpoint):
    """Learn an Internet peer."""
    vault = MemoryVault()
    await vault.save_identity(INTERNET_LABEL, PEER)
    await InternetEndpoint.create(vault, "pong.demo.test")
    pong = await InternetEndpoint.open(
        vault=vault, spool=MemorySpool(), clock=endpoint._clock, client=PoHttp()
    )
    return await endpoint.identity.add_internet_peer(NodeConnectionParams.parse(pong.connection_params()))


class TestRenewal:
    """The loop that all nodes have in common."""

    class Thing:
        def __init__(self, clock) -> None:
            self.clock = clock
            self.due = True
            self.helps = True
            self.error = None
            self.times = []
            self.renewal = Renewal(
                clock, is_due=lambda _: self.due, renew=self.renew, backoff=Backoff(jitter=lambda: 1.0)
            )

        async def renew(self) -> None:
            self.times.append(self.clock.now())
            if self.error is not None:
                raise self.error
            self.due = not self.helps

    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def thing(self, clock):
        return self.Thing(clock)

    async def test_renews_what_is_due_and_nothing_else(self, clock, thing):
        async with running(thing.renewal.run()):
            await clock.advance(10 * DAY.total_seconds())
            assert len(thing.times) == 1
            thing.due = True
            await clock.advance(CHECK_INTERVAL.total_seconds())
        assert len(thing.times) == 2

    @pytest.mark.rule("9.5")
    async def test_backs_off_when_it_fails_until_it_is_kicked(self, clock, thing):
        thing.error = UnreachableError("away")
        async with running(thing.renewal.run()):
            await clock.advance(DAY.total_seconds())
            assert 10 < len(thing.times) < 20
            thing.error = None
            thing.renewal.kick()
            await clock.advance(1)
        assert not thing.due

    @pytest.mark.rule("9.5")
    async def test_an_issuer_that_has_no_more_to_give_is_asked_once_a_day(self, clock, thing):
        thing.helps = False
        async with running(thing.renewal.run()):
            for _ in range(30):
                await clock.advance(HOUR.total_seconds() * 2)
                thing.renewal.kick()
        assert len(thing.times) == 3
        assert thing.times[1] - thing.times[0] >= UNHELPFUL_WAIT

    async def test_an_issuer_that_changed_is_asked_at_once(self, clock, thing):
        thing.helps = False
        async with running(thing.renewal.run()):
            await clock.advance(1)
            thing.helps = True
            thing.renewal.issuer_changed()
            await clock.advance(1)
        assert not thing.due

    async def test_an_issuer_that_changed_while_it_was_asked_is_asked_again(self, clock, thing):
        async def renew() -> None:
            thing.times.append(clock.now())
            if len(thing.times) == 1:
                thing.renewal.issuer_changed()
            else:
                thing.due = False

        thing.renewal = Renewal(clock, is_due=lambda _: thing.due, renew=renew, backoff=Backoff())
        async with running(thing.renewal.run()):
            await clock.advance(1)
        assert len(thing.times) == 2

    async def test_a_clock_that_was_set_back_holds_nothing_up(self, clock, thing):
        thing.helps = False
        async with running(thing.renewal.run()):
            await clock.advance(1)
            clock.jump(NOW - 100 * DAY)
            thing.helps = True
            await clock.advance(HOUR.total_seconds())
        assert not thing.due


class TestPrivateGateway:
    @pytest.mark.rule("2.6")
    async def test_renews_while_a_collection_stays_open(self, gateway, internet):
        before = gateway.own_certificate()
        async with running(gateway.node.run()):
            await until(lambda: gateway.node.uplink.online)
            for day in (30, 60, 88):
                gateway.clock.jump(NOW + day * DAY)
                await internet.node.credentials.renew_if_due()
                await gateway.clock.advance(HOUR.total_seconds())
                assert gateway.own_certificate() == before
            gateway.clock.jump(NOW + 91 * DAY)
            await internet.node.credentials.renew_if_due()
            await gateway.clock.advance(HOUR.total_seconds())
            await drive(gateway.clock, lambda: gateway.own_certificate() != before)
            assert gateway.node.uplink.online

        assert gateway.own_certificate().not_after > gateway.clock.now() + 179 * DAY
        assert before in gateway.node.credentials.own_certificates(gateway.clock.now())

    async def test_renews_as_soon_as_it_is_on_line_again(self, gateway):
        before = gateway.own_certificate()
        gateway.uplink.cut = True
        async with running(gateway.node.run()):
            gateway.clock.jump(NOW + 100 * DAY)
            await gateway.clock.advance(8 * HOUR.total_seconds())
            assert gateway.own_certificate() == before
            gateway.uplink.cut = False
            gateway.node.uplink.kick()
            await until(lambda: gateway.own_certificate() != before)

    @pytest.mark.rule("9.2")
    async def test_registers_again_by_itself_after_a_year(self, gateway, internet):
        gateway.clock.jump(NOW + 365 * DAY)
        with pytest.raises(CertificateExpiredError, match="expired") as caught:
            _ = [step async for step in gateway.node.visit.run("127.0.0.1", 1)]
        assert "courier cannot" in caught.value.advice

        again = await private_side(internet, vault=gateway.vault, spool=gateway.spool)
        async with running(again.node.run()):
            await until(lambda: again.node.uplink.online)
        assert again.own_certificate().not_after > gateway.clock.now() + 170 * DAY

    @pytest.mark.rule("9.2", "9.5")
    async def test_a_gateway_that_forgot_us_and_registers_nobody_is_asked_with_a_back_off(
        self, gateway, internet, monkeypatch
    ):
        def forgetful(*_):
            raise Unauthenticated("who?")

        async def broken(_request):
            return b"rubbish"

        door = internet.node.gateway_door
        with monkeypatch.context() as patch:
            patch.setattr(door, "collect", forgetful)
            patch.setattr(door, "register", broken)
            before = gateway.uplink.registrations
            async with running(gateway.node.run()):
                await gateway.clock.advance(DAY.total_seconds())
        assert 10 < gateway.uplink.registrations - before < 40
        async with running(gateway.node.run()):
            await until(lambda: gateway.node.uplink.online)

    async def test_another_internet_gateway_at_that_address_registers_nobody(self, gateway, monkeypatch):
        impostor = await internet_side(gateway.clock, key=OTHER_PGW)
        monkeypatch.setattr(gateway.uplink, "service", impostor.node.gateway_door)
        gateway.clock.jump(NOW + 365 * DAY)
        async with running(gateway.node.run()):
            await drive(gateway.clock, lambda: "identity" in gateway.node.uplink.last_error)
        assert gateway.node.credentials.own_certificates(gateway.clock.now()) == []

    @pytest.mark.rule("2.7")
    async def test_has_endpoints_come_back_once_it_has_another_certificate(self, gateway, internet):
        nonce = b"0123456789abcdef"
        response = handshake(nonce, (ENDPOINT, endpoint_path(gateway).leaf))
        async with gateway.node.local.collect(nonce, response, StreamingMode.KEEP_ALIVE) as box:
            waiting = asyncio.ensure_future(box.next())
            await asyncio.sleep(0)
            gateway.clock.jump(NOW + 40 * DAY)
            await internet.node.credentials.renew_if_due()
            await gateway.node.pairing.renew(gateway.uplink)
            async with asyncio.timeout(5):
                assert await waiting is None
            assert await box.next() is None


class TestInternetGateway:
    @pytest.mark.rule("2.5")
    async def test_after_200_days_off_it_serves_under_a_new_certificate(self, gateway, internet):
        gateway.clock.jump(NOW + 200 * DAY)
        again = await internet_side(gateway.clock, vault=internet.vault, spool=internet.spool)
        assert again.node.credentials.current(gateway.clock.now()).not_after > NOW + 370 * DAY

        gateway.uplink.service = again.node.gateway_door
        async with running(gateway.node.run()):
            await until(lambda: gateway.node.uplink.online)
        endpoint = await open_endpoint(gateway)
        await endpoint.register()
        peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
        path = (await endpoint.authorise(peer)).authorization
        message = parcel(certificate=path.leaf, chain=path.authorities, now=gateway.clock.now())
        await again.node.internet_door.deliver(message[1])
        assert (await again.node.status()).to_private_gateways.items == 1


class TestEndpoint:
    @pytest.fixture(autouse=True)
    def lasting_authorizations(self, monkeypatch):
        """Let authorizations to register outlive the leaps of the clock while threads sign certificates."""
        monkeypatch.setattr("awala.nodes.registrar.AUTHORIZATION_LIFETIME", DAY)

    @staticmethod
    async def let_days_pass(clock, days):
        """Let the endpoint run for an hour of each day; to it, it is as if the machine had slept."""
        for _ in range(days):
            clock.jump(clock.now() + DAY - HOUR)
            for _ in range(13):
                await clock.advance(HOUR.total_seconds() / 12)
                await asyncio.sleep(0.01)  # for threads that sign

    @pytest.mark.rule("2.7")
    async def test_a_new_certificate_of_its_gateway_reaches_an_endpoint_at_once(
        self, gateway, internet, endpoint
    ):
        before = endpoint.own_path()
        async with running(hearing(endpoint)):
            await endpoint._client.opened.wait()
            gateway.clock.jump(NOW + 91 * DAY)
            await internet.node.credentials.renew_if_due()
            await gateway.node.pairing.renew(gateway.uplink)
            await drive(gateway.clock, lambda: endpoint.own_path() != before)

        assert endpoint.own_path().authorities == (gateway.own_certificate(),)
        assert endpoint.own_path().leaf.not_after == gateway.own_certificate().not_after

    @pytest.mark.rule("2.7")
    async def test_a_new_certificate_reaches_at_once_an_endpoint_that_asked_too_early(
        self, gateway, internet, endpoint
    ):
        before, registrations = endpoint.own_path(), endpoint._client.registrations
        gateway.clock.jump(NOW + 100 * DAY)
        async with running(hearing(endpoint)):
            await endpoint._client.opened.wait()
            await until(lambda: endpoint._client.registrations > registrations)
            await until(lambda: endpoint._renewal._rest_until is not None)
            await internet.node.credentials.renew_if_due()
            await gateway.node.pairing.renew(gateway.uplink)
            renewed = gateway.clock.now()
            await drive(gateway.clock, lambda: endpoint.own_path() != before)

        assert gateway.clock.now() - renewed < HOUR
        assert endpoint.own_path().authorities == (gateway.own_certificate(),)

    @pytest.mark.rule("2.7")
    async def test_asks_once_a_day_and_keeps_nothing_that_is_no_news(self, gateway, endpoint):
        before, registrations = endpoint.own_path(), endpoint._client.registrations
        async with running(hearing(endpoint)):
            await self.let_days_pass(gateway.clock, 4)
        assert 4 <= endpoint._client.registrations - registrations <= 6
        assert endpoint._paths.unexpired(NOW) == [before]

    async def test_an_endpoint_of_a_gateway_that_cannot_renew_asks_once_a_day(self, gateway, endpoint):
        gateway.clock.jump(NOW + 100 * DAY)
        registrations = endpoint._client.registrations
        async with running(hearing(endpoint)):
            await self.let_days_pass(gateway.clock, 4)
        assert endpoint._client.registrations - registrations <= 6
        assert len(endpoint._paths.unexpired(gateway.clock.now())) == 1

    @pytest.mark.rule("9.2")
    async def test_registers_again_by_itself_after_a_year(self, gateway, endpoint):
        gateway.clock.jump(NOW + 365 * DAY)
        async with running(gateway.node.run()):
            await until(lambda: gateway.node.uplink.online)
            again = await open_endpoint(gateway, vault=endpoint._vault, spool=endpoint._spool)
            async with running(hearing(again)):
                await drive(gateway.clock, again._client.opened.is_set)
        assert again.own_path().leaf.not_after > gateway.clock.now() + 170 * DAY


class TestAuthorisations:
    @pytest.fixture
    async def other_gateway(self, internet):
        return await private_side(internet, key=OTHER_PGW)

    @pytest.fixture
    async def other(self, other_gateway):
        other = await open_endpoint(other_gateway, key=OTHER_ENDPOINT)
        await other.register()
        return other

    async def given(self, endpoint, by):
        return await endpoint.identity.authorizations.given_by(by.node_id, by._clock.now())

    async def renew(self, internet, *gateways):
        internet.clock.jump(NOW + 91 * DAY)
        await internet.node.credentials.renew_if_due()
        for gateway in gateways:
            await gateway.node.pairing.renew(gateway.uplink)

    @pytest.mark.rule("2.8")
    async def test_a_new_certificate_brings_every_allowed_peer_a_new_authorisation(
        self, gateway, internet, other_gateway, endpoint, other
    ):
        await pair(endpoint, other)
        old = await self.given(other, endpoint)
        loops = (hearing(endpoint), hearing(other), gateway.node.run(), other_gateway.node.run())
        async with running(*loops, internet.node.run()):
            await until(lambda: gateway.node.uplink.online and other_gateway.node.uplink.online)
            await self.renew(internet, gateway)
            async with asyncio.timeout(10):
                while (await self.given(other, endpoint)).chain == old.chain:
                    await internet.clock.advance(2)
                    await asyncio.sleep(0.002)

        new = await self.given(other, endpoint)
        assert new.authorities == endpoint.own_path().chain
        assert new.leaf.not_after == gateway.own_certificate().not_after
        old_way = parcel(
            key=OTHER_ENDPOINT, certificate=old.leaf, chain=old.authorities, now=internet.clock.now()
        )
        await internet.node.internet_door.deliver(old_way[1])  # which keeps working until it ends

    async def queued(self, endpoint):
        """Return the recipients of what is in the outbox."""
        hop = Hop(GATEWAY, endpoint.node_id)
        items = await endpoint._spool.lease(hop, now=endpoint._clock.now(), duration=HOUR, limit=100)
        await endpoint._spool.return_lease(items)
        return sorted(item.identity.recipient for item in items)

    @pytest.mark.rule("2.8")
    async def test_each_allowed_peer_gets_one_and_a_withdrawn_one_none(
        self, gateway, internet, endpoint, other
    ):
        await pair(endpoint, other)
        pong = await know_pong(endpoint)
        await endpoint.send_authorization(pong)
        await endpoint._grants.renew()
        assert await self.queued(endpoint) == [PEER.node_id]
        await self.renew(internet, gateway)
        await endpoint.register()
        await endpoint.withdraw(OTHER_ENDPOINT.node_id)
        for _ in range(3):
            await endpoint._grants.renew()

        # The first to PEER has expired; the other one is the withdrawal, for our gateways alone.
        assert await self.queued(endpoint) == [ENDPOINT.node_id, PEER.node_id]

    @pytest.mark.rule("2.8")
    @pytest.mark.parametrize("step", ["send", "note_grant"])
    async def test_a_stop_at_any_point_leaves_it_to_the_next_start(
        self, gateway, internet, endpoint, monkeypatch, step
    ):
        pong = await know_pong(endpoint)
        await endpoint.send_authorization(pong)
        await self.renew(internet, gateway)
        await endpoint.register()
        place = endpoint.identity if step == "send" else endpoint.identity.peers

        async def stopped(*_, **__):
            raise asyncio.CancelledError

        monkeypatch.setattr(place, step, stopped)
        with pytest.raises(asyncio.CancelledError):
            await endpoint._grants.renew()

        again = await open_endpoint(gateway, vault=endpoint._vault, spool=endpoint._spool)
        before = len(await self.queued(again))
        await again._grants.renew()
        await again._grants.renew()
        assert len(await self.queued(again)) == before + 1

    @pytest.mark.rule("2.8")
    async def test_a_peer_that_has_not_allowed_us_gets_its_own_once_it_has(
        self, gateway, internet, endpoint, other
    ):
        peer = Peer(OTHER_ENDPOINT.node_id, PeerKind.PRIVATE, OTHER_ENDPOINT.public_key, None)
        await other.identity.take_authorization(await endpoint.authorise(peer), sender_id=ENDPOINT.node_id)
        await self.renew(internet, gateway)
        async with running(hearing(endpoint)):
            await drive(
                gateway.clock, lambda: endpoint.own_path().authorities == (gateway.own_certificate(),)
            )
            await gateway.clock.advance(1)
            assert await gateway.spool.totals() == {}
            params = await other.authorise(await other.identity.peers.get(ENDPOINT.node_id))
            await endpoint.identity.take_authorization(params, sender_id=OTHER_ENDPOINT.node_id)
            endpoint._grants.kick()
            await drive(gateway.clock, lambda: endpoint._client.delivered)

        assert Parcel.parse(endpoint._client.delivered[0]).recipient.id == OTHER_ENDPOINT.node_id

    @pytest.mark.rule("7.6")
    async def test_internet_peers_get_theirs_again_every_25_days(self, gateway, endpoint, other):
        await pair(endpoint, other)
        await endpoint.send_authorization(await know_pong(endpoint))
        for expected, moment in ((1, REPEAT_AFTER - HOUR), (2, REPEAT_AFTER), (2, REPEAT_AFTER + DAY)):
            gateway.clock.jump(NOW + moment)
            await endpoint._grants.renew()
            assert await self.queued(endpoint) == [PEER.node_id] * expected

    async def test_a_store_that_fails_is_tried_again(self, gateway, endpoint, monkeypatch):
        pong = await know_pong(endpoint)
        get, failures = endpoint.identity.peers.all, [StorageError("the disk is gone")]

        async def failing():
            if failures:
                raise failures.pop()
            return await get()

        monkeypatch.setattr(endpoint.identity.peers, "all", failing)
        await endpoint.identity.peers.note_grant(pong, until=NOW + DAY, at=NOW, under="elsewhere")
        async with running(endpoint._grants.run()):
            await gateway.clock.advance(1)
            assert await self.queued(endpoint) == []
            await gateway.clock.advance(CHECK_INTERVAL.total_seconds())
            await until(lambda: not endpoint._grants._changing.locked())
        assert await self.queued(endpoint) == [PEER.node_id]

    async def test_without_a_certificate_nothing_is_promised(self, gateway, endpoint):
        await endpoint.send_authorization(await know_pong(endpoint))
        gateway.clock.jump(NOW + 200 * DAY)
        await endpoint._grants.renew()
        assert await self.queued(endpoint) == []

    async def test_a_change_of_the_address_alone_is_told_too(self, gateway, endpoint):
        await endpoint.send_authorization(await know_pong(endpoint))
        peer = gateway.node.credentials.peer
        await gateway.node.credentials.save_peer(replace(peer, address="new.demo.test"))
        await endpoint.register()
        await endpoint._grants.renew()
        assert await self.queued(endpoint) == [PEER.node_id] * 2
