# SPDX-License-Identifier: MIT
"""A private gateway that moves to another Internet gateway loses nothing that is on its way (decision 46)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from awala.bindings.errors import Unauthenticated, UnreachableError
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoMessageSet,
    MessageType,
    Parcel,
    ParcelCollectionAck,
    recognise,
)
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.errors import PairingError
from awala.nodes.lanes import ENDPOINT as ENDPOINT_LANE
from awala.nodes.lanes import UPLINK
from awala.nodes.private_gateway.credentials import Credentials
from awala.spool import Hop, MemorySpool
from awala.spool.model import Debt
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    ENDPOINT,
    HOUR,
    IGW,
    NOW,
    OTHER_ENDPOINT,
    OTHER_IGW,
    PEER,
    PGW,
    DirectPoWeb,
    InternetSide,
    PrivateSide,
    authorised_parcel,
    countersign,
    drive,
    endpoint_path,
    internet_side,
    parcel,
    private_side,
    running,
    to_internet,
    until,
)

NEW_ADDRESS = "igw-b.demo.test"


@dataclass
class Move:
    """A private gateway between two Internet gateways; each client can be cut."""

    side: PrivateSide
    old: InternetSide
    new: InternetSide
    to_old: DirectPoWeb
    to_new: DirectPoWeb

    def now(self):
        return self.side.clock.now()

    async def pair(self) -> None:
        await self.side.node.pairing.pair(NEW_ADDRESS)

    async def take(self, octets, key=ENDPOINT) -> None:
        """Hand a parcel of an endpoint over."""
        signature = countersign(octets, key, endpoint_path(self.side, key).leaf)
        await self.side.node.local.deliver(octets, await self.side.node.local.recognise(signature))

    async def reopen(self) -> None:
        """Restart the private gateway."""
        again = await private_side(clock=self.side.clock, vault=self.side.vault, spool=self.side.spool)
        again.node.uplink._connect = again.node.pairing._connect = self.connect
        again.courier = self.side.courier
        self.side = again

    async def connect(self, address):
        client = {ADDRESS: self.to_old, NEW_ADDRESS: self.to_new}[address]
        if client.cut:
            raise UnreachableError("cut")
        return client


@pytest.fixture
async def move():
    old = await internet_side()
    new = await internet_side(old.clock, key=OTHER_IGW, address=NEW_ADDRESS)
    side = await private_side(old)
    move = Move(side, old, new, side.uplink, DirectPoWeb(new.node.gateway_door))
    side.node.uplink._connect = side.node.pairing._connect = move.connect
    return move


@pytest.fixture
async def endpoint(move):
    vault = MemoryVault()
    await vault.save_identity(IDENTITY_LABEL, ENDPOINT)
    endpoint = await PrivateEndpoint.open(
        vault=vault,
        spool=MemorySpool(),
        clock=move.side.clock,
        client=DirectPoWeb(move.side.node.local),
    )
    await endpoint.register()
    return endpoint


async def ignore(_attempt) -> None:
    return


async def test_what_waits_at_the_former_gateway_is_still_collected(move):
    octets = authorised_parcel(move.side)[1]
    await move.pair()
    await move.old.node.internet_door.deliver(octets)
    async with running(move.side.node.run()):
        await until(lambda: "stored" in move.side.events.actions)
    assert list(await move.side.spool.totals()) == [Hop(ENDPOINT_LANE, ENDPOINT.node_id)]


async def test_the_same_after_a_restart_and_until_the_certificate_ends(move):
    await move.pair()
    await move.reopen()
    assert [peer.address for peer in move.side.node.credentials.gateways(NOW)] == [NEW_ADDRESS, ADDRESS]
    async with running(move.side.node.run()):
        await until(lambda: move.to_old.opened.is_set() and move.side.node.uplink.online)
        assert (await move.side.node.status()).former_internet_gateways == 1
        move.side.clock.jump(NOW + 200 * DAY)
        await move.side.clock.advance(HOUR.total_seconds())
        await drive(move.side.clock, lambda: not move.side.node.credentials.renewal_is_due(move.now()))
        assert [peer.address for peer in move.side.node.credentials.gateways(move.now())] == [NEW_ADDRESS]
        assert (await move.side.node.status()).former_internet_gateways == 0
        move.to_old.opened.clear()
        move.to_old.disconnect()
        move.to_old.cut = False
        await move.side.clock.advance(6 * HOUR.total_seconds())
        assert not move.to_old.opened.is_set(), "there is nothing left to do with the former gateway"


@pytest.mark.rule("9.5")
async def test_a_former_gateway_that_is_gone_is_not_hammered_and_holds_nothing_up(move):
    await move.pair()
    attempts = []

    async def connect(address):
        if address == ADDRESS:
            attempts.append(move.now())
            raise UnreachableError("gone")
        return await move.connect(address)

    move.side.node.uplink._connect = connect
    await move.take(to_internet()[1])
    async with running(move.side.node.run()):
        await until(lambda: move.to_new.delivered)
        await move.side.clock.advance(DAY.total_seconds())
        assert move.side.node.uplink.online
        assert move.side.node.uplink.last_error == ""
    assert 3 < len(attempts) < 40


async def test_a_former_gateway_that_forgot_us_gets_no_new_registration(move, monkeypatch):
    await move.pair()

    def forgetful(*_):
        raise Unauthenticated("who?")

    monkeypatch.setattr(move.old.node.gateway_door, "collect", forgetful)
    registrations = move.to_old.registrations
    async with running(move.side.node.run()):
        await until(lambda: move.side.node.uplink.online)
        await move.side.clock.advance(HOUR.total_seconds())
        former = move.side.node.credentials.gateways(move.now())[1]
        assert "who?" in move.side.node.uplink._link(former).last_error
    assert move.to_old.registrations == registrations


@pytest.mark.parametrize("reachable", [True, False])
async def test_what_was_queued_for_the_former_gateway_leaves_by_it_or_by_the_new_one(move, reachable):
    octets = to_internet()[1]
    await move.take(octets)
    await move.pair()
    move.to_old.cut = not reachable
    async with running(move.side.node.run()):
        await until(lambda: move.to_old.delivered or move.to_new.delivered)
    assert octets in (move.to_old.delivered + move.to_new.delivered)
    if not reachable:
        assert move.to_new.delivered == [octets]


class Courier:
    """Keeps what a visit collects with and delivers, and gives what it is told to."""

    def __init__(self) -> None:
        self.requests = []
        self.cargo = []
        self.handout = []

    async def deliver(self, octets) -> None:
        self.cargo.append(Cargo.parse(octets))

    async def collect(self, octets):
        self.requests.append(CargoCollectionAuthorization.parse(octets))
        return self

    async def cargoes(self):
        for each in self.handout:
            yield each

    async def acknowledge(self, _delivery_id) -> None:
        return

    async def finish(self, *, complete) -> None:
        assert complete


async def visit(move):
    courier = move.side.courier.service = Courier()
    _ = [step async for step in move.side.node.visit.run("127.0.0.1", 1)]
    return courier


async def unpack(internet, cargo):
    """Return the items of a cargo by kind, as the Internet gateway finds them."""
    plaintext = await internet.sessions.open(
        cargo.payload,
        own_id=internet.node.credentials.node_id,
        peer_id=PGW.node_id,
        message_date=cargo.creation_date,
        now=internet.clock.now(),
    )
    return {recognise(item): item for item in CargoMessageSet.parse(plaintext).items}


@pytest.mark.rule("4.5")
async def test_a_courier_serves_both_gateways_until_the_former_ones_certificate_ends(move):
    message, octets = to_internet()
    await move.take(octets)
    await move.side.spool.owe([Debt(IGW.node_id, PEER.node_id, ENDPOINT.node_id, "owed", NOW + DAY)])
    await move.pair()

    courier = await visit(move)
    assert [each.recipient.id for each in courier.requests] == [OTHER_IGW.node_id, IGW.node_id]
    assert [each.recipient.id for each in courier.cargo] == [OTHER_IGW.node_id, IGW.node_id]
    for_new = await unpack(move.new, courier.cargo[0])
    for_old = await unpack(move.old, courier.cargo[1])
    assert for_new == {MessageType.PARCEL: octets}
    assert for_old[MessageType.PARCEL] == octets
    assert ParcelCollectionAck.parse(for_old[MessageType.PCA]).parcel_id == "owed"
    assert not await move.side.spool.debts(IGW.node_id, now=NOW, limit=9)

    ack = ParcelCollectionAck(ENDPOINT.node_id, PEER.node_id, message.message_id).serialize()
    await move.side.node._unpacker._take(ack, PEER.node_id)
    assert Hop(UPLINK, IGW.node_id) in await move.side.spool.totals(), "no gateway of ours"
    await move.side.node._unpacker._take(ack, OTHER_IGW.node_id)
    assert Hop(UPLINK, IGW.node_id) not in await move.side.spool.totals()

    move.side.clock.jump(NOW + 200 * DAY)
    await move.new.node.credentials.renew_if_due()
    await move.side.node.pairing.renew(move.to_new)
    assert [each.recipient.id for each in (await visit(move)).requests] == [OTHER_IGW.node_id]


async def test_endpoints_get_certificates_and_peers_authorisations_from_the_new_path(move, endpoint):
    peer = Peer(PEER.node_id, PeerKind.INTERNET, PEER.public_key, "pong.demo.test")
    await endpoint.identity.peers.save(peer)
    session_key = await endpoint.identity.sessions.published(own_id=PEER.node_id, now=NOW)
    await endpoint.identity.sessions.adopt(
        session_key, own_id=ENDPOINT.node_id, peer_id=PEER.node_id, as_of=NOW - DAY
    )
    old = await endpoint.send_authorization(peer)
    async with running(endpoint.run(ignore), move.side.node.run()):
        await endpoint._client.opened.wait()
        await move.pair()
        await drive(move.side.clock, lambda: endpoint.gateway_address == NEW_ADDRESS)
        assert endpoint.own_path().authorities[0].issuer_id == OTHER_IGW.node_id
        await drive(move.side.clock, lambda: len(endpoint._client.delivered) >= 2)
    sent = [Parcel.parse(octets) for octets in endpoint._client.delivered]
    assert {each.recipient.id for each in sent} == {PEER.node_id}
    assert sent[-1].message_id != old


async def test_a_parcel_on_the_old_path_is_taken_after_the_move(move, endpoint):
    peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
    old = (await endpoint.authorise(peer)).authorization
    octets = parcel(certificate=old.leaf, chain=old.authorities)[1]
    await move.pair()
    await endpoint.register()
    await move.old.node.internet_door.deliver(octets)
    heard = asyncio.Queue()

    async def hear(attempt):
        await heard.put(attempt)

    endpoint._inbox._quarantine.keep = lambda _item, body, *_: heard.put(body)
    async with running(endpoint.run(hear), move.side.node.run()):
        async with asyncio.timeout(10):
            assert await heard.get() == octets  # its payload is none, but it got through


@pytest.mark.rule("3.12")
async def test_withdrawals_go_to_both_gateways(move, endpoint):
    peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
    old = (await endpoint.authorise(peer)).authorization
    await move.pair()
    await endpoint.register()
    new = (await endpoint.authorise(peer)).authorization
    await endpoint.withdraw(PEER.node_id)
    async with running(endpoint.run(ignore), move.side.node.run()):
        await until(lambda: move.side.events.actions.count("handed-on") == 2)

    for internet, path in ((move.old, old), (move.new, new)):
        octets = parcel(
            address=internet.node.credentials.address, certificate=path.leaf, chain=path.authorities
        )[1]
        with pytest.raises(Exception, match="withdrawn"):
            await internet.node.internet_door.deliver(octets)


async def test_a_withdrawal_for_a_former_gateway_goes_once_its_paths_have_ended(move, endpoint):
    peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
    await endpoint.authorise(peer)
    await endpoint.withdraw(PEER.node_id)
    move.to_old.cut = True
    async with running(endpoint.run(ignore)):
        await until(lambda: "stored" in move.side.events.actions)
    await move.pair()
    move.side.clock.jump(NOW + 179.9 * DAY)
    assert Hop(UPLINK, IGW.node_id) in await move.side.spool.totals()
    [item] = await move.side.spool.snapshot(Hop(UPLINK, IGW.node_id), now=NOW, budget=1)
    move.side.clock.jump(NOW + 180 * DAY)
    with pytest.raises(Exception, match="ended"):
        await move.side.node.uplink._deliver(item, b"")


async def test_apps_of_this_device_reach_each_other_by_the_former_address_too(move):
    await move.side.vault.put_record("endpoints", OTHER_ENDPOINT.node_id, b"{}")
    octets = authorised_parcel(move.side, sender=ENDPOINT, endpoint=OTHER_ENDPOINT)[1]
    await move.pair()
    signature = countersign(octets, ENDPOINT, endpoint_path(move.side).leaf)
    await move.side.node.local.deliver(octets, await move.side.node.local.recognise(signature))
    assert list(await move.side.spool.totals()) == [Hop(ENDPOINT_LANE, OTHER_ENDPOINT.node_id)]


async def test_moving_back_makes_the_other_one_the_former(move):
    await move.pair()
    await move.side.node.pairing.pair(ADDRESS)
    for credentials in (move.side.node.credentials, await Credentials.load(move.side.vault, move.side.clock)):
        assert [peer.address for peer in credentials.gateways(NOW)] == [ADDRESS, NEW_ADDRESS]
        assert credentials.uplink_path(NOW).leaf.issuer_id == IGW.node_id


async def test_a_former_gateways_address_has_a_known_identity(move):
    await move.pair()
    impostor = await internet_side(move.side.clock, key=PEER)
    move.to_old.service = impostor.node.gateway_door
    with pytest.raises(PairingError, match="identity"):
        await move.side.node.pairing.pair(ADDRESS)
