# SPDX-License-Identifier: MIT
"""Withdrawn authorisations, from the endpoint through both gateways, on-line and in cargo (rules §3)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.base.errors import StorageFullError
from awala.bindings.errors import Forbidden, MalformedRequest, Unauthenticated, Unprocessable
from awala.messages import MessageError, MessageType, ParcelDeliveryDeauthorization, recognise
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.lanes import GATEWAY, UPLINK
from awala.spool import Hop, MemorySpool
from awala.spool.model import Outcome
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    IGW,
    NOW,
    OTHER_ENDPOINT,
    OTHER_PGW,
    PEER,
    PGW,
    STRANGER,
    DirectPoWeb,
    Recorder,
    countersign,
    endpoint_path,
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


@pytest.fixture
async def vault():
    vault = MemoryVault()
    await vault.save_identity(IDENTITY_LABEL, ENDPOINT)
    return vault


async def open_endpoint(gateway, vault, spool=None):
    client = DirectPoWeb(gateway.node.local)
    return await PrivateEndpoint.open(
        vault=vault, spool=spool or MemorySpool(), clock=gateway.clock, client=client
    )


@pytest.fixture
async def endpoint(gateway, vault):
    endpoint = await open_endpoint(gateway, vault)
    await endpoint.register()
    endpoint.recorder = Recorder(endpoint.events)
    return endpoint


async def authorise(endpoint, key=PEER):
    """Authorise a peer; return what its next parcel needs."""
    peer = Peer(key.node_id, PeerKind.PRIVATE, key.public_key, None)
    await endpoint.identity.peers.save(peer)
    path = (await endpoint.authorise(peer)).authorization
    return {"key": key, "certificate": path.leaf, "chain": path.authorities}


def withdrawal(certificate, *, life=30 * DAY, key=ENDPOINT):
    return ParcelDeliveryDeauthorization(key.node_id, frozenset({certificate.serial}), NOW + life).serialize()


async def withdraw(door, octets, key, certificate):
    """Hand a withdrawal over on-line."""
    await door.withdraw(octets, await door.recognise(countersign(octets, key, certificate)))


def passed_on(gateway):
    """Say whether the withdrawal has left the private gateway, not only some parcel."""
    return any(
        event.kind == "control" and event.action.value == "handed-on" for event in gateway.events.events
    )


class Ignored:
    async def __call__(self, attempt) -> None:
        """Take every message."""


@pytest.mark.rule("3.1", "3.12", "3.13")
async def test_what_was_withdrawn_is_refused_at_every_node_once_that_has_heard(internet, gateway, endpoint):
    sending = await authorise(endpoint)
    await internet.node.internet_door.deliver(parcel(**sending)[1])

    assert await endpoint.withdraw(PEER.node_id)
    assert not await endpoint.withdraw(PEER.node_id)
    late = parcel(**sending)[1]
    await endpoint._take(late)
    assert endpoint.recorder.actions[-1] == "dropped"
    async with running(endpoint.run(Ignored()), gateway.node.uplink.run()):
        await until(lambda: passed_on(gateway))

    with pytest.raises(Forbidden, match="withdrawn"):
        await internet.node.internet_door.deliver(parcel(**sending)[1])
    await gateway.node._unpacker._on_parcel(late, IGW.node_id)
    assert gateway.events.actions[-1] == "dropped"
    assert not await endpoint.withdraw(STRANGER.node_id)


@pytest.mark.rule("3.12")
async def test_a_withdrawal_goes_by_courier_where_there_is_no_other_way(internet, gateway, endpoint):
    sending = await authorise(endpoint)
    gateway.uplink.cut = True
    await endpoint.withdraw(PEER.node_id)
    async with running(endpoint.run(Ignored()), gateway.node.uplink.run()):
        await until(lambda: "stored" in gateway.events.actions)
    route_hop = Hop(UPLINK, IGW.node_id)
    [item] = await gateway.spool.snapshot(route_hop, now=gateway.clock.now(), budget=10_000)
    octets = await gateway.spool.body(item)

    assert recognise(octets) is MessageType.PDD
    await internet.node._unpacker._take(octets, PGW.node_id)

    with pytest.raises(Forbidden):
        await internet.node.internet_door.deliver(parcel(**sending)[1])


@pytest.mark.rule("3.13")
async def test_every_live_authorisation_of_the_peer_is_withdrawn_and_no_other(internet, gateway, endpoint):
    first, second = await authorise(endpoint), await authorise(endpoint)
    other = await authorise(endpoint, STRANGER)
    await endpoint.withdraw(PEER.node_id)
    third = await authorise(endpoint)
    async with running(endpoint.run(Ignored()), gateway.node.uplink.run()):
        await until(lambda: passed_on(gateway))

    for sending in (first, second):
        with pytest.raises(Forbidden):
            await internet.node.internet_door.deliver(parcel(**sending)[1])
    for sending in (other, third):
        await internet.node.internet_door.deliver(parcel(**sending)[1])


async def test_a_withdrawal_that_was_interrupted_is_completed_by_the_next_start(gateway, endpoint, vault):
    sending = await authorise(endpoint)
    withdrawing = await endpoint.identity.authorizations.withdrawal(PEER.node_id, NOW)
    await vault.put_record("withdrawals-under-way", PEER.node_id, withdrawing.serialize())

    again = await open_endpoint(gateway, vault)
    async with running(again.run(Ignored())):
        await until(lambda: "stored" in gateway.events.actions)

    again.recorder = Recorder(again.events)
    await again._take(parcel(**sending)[1])
    assert again.recorder.actions == ["dropped"]
    assert await vault.records("withdrawals-under-way") == {}
    assert (await again.identity.peers.get(PEER.node_id)).granted_until is None


async def test_a_withdrawal_of_what_has_ended_meanwhile_is_forgotten(endpoint, vault):
    octets = ParcelDeliveryDeauthorization(ENDPOINT.node_id, frozenset({b"\1"}), NOW - DAY).serialize()
    await vault.put_record("withdrawals-under-way", PEER.node_id, octets)
    await endpoint._grants.finish_withdrawals()
    assert await vault.records("withdrawals-under-way") == {}


@pytest.mark.rule("3.13")
async def test_a_gateway_takes_withdrawals_of_the_endpoint_that_signed_alone(gateway):
    certificate = endpoint_path(gateway).leaf
    octets = withdrawal(certificate)
    with pytest.raises(Unprocessable, match="another endpoint"):
        await withdraw(
            gateway.node.local, octets, OTHER_ENDPOINT, endpoint_path(gateway, OTHER_ENDPOINT).leaf
        )
    signature = await gateway.node.local.recognise(countersign(b"other", ENDPOINT, certificate))
    with pytest.raises(Unauthenticated):
        await gateway.node.local.withdraw(octets, signature)
    assert not await gateway.spool.totals()


@pytest.mark.rule("3.13")
async def test_a_withdrawal_counts_for_paths_through_the_gateway_that_sent_it_alone(
    internet, gateway, endpoint
):
    sending = await authorise(endpoint)
    other = await private_side(internet, key=OTHER_PGW)
    octets = withdrawal(sending["certificate"])
    await withdraw(internet.node.gateway_door, octets, OTHER_PGW, other.own_certificate())
    await internet.node.internet_door.deliver(parcel(**sending)[1])

    await withdraw(internet.node.gateway_door, octets, PGW, gateway.own_certificate())
    with pytest.raises(Forbidden):
        await internet.node.internet_door.deliver(parcel(**sending)[1])


@pytest.mark.parametrize("door", ["local", "internet"])
@pytest.mark.parametrize("case", ["rubbish", "expired"])
async def test_a_withdrawal_that_cannot_be_used_is_refused(internet, gateway, door, case):
    key, certificate, service = {
        "local": (ENDPOINT, endpoint_path(gateway).leaf, gateway.node.local),
        "internet": (PGW, gateway.own_certificate(), internet.node.gateway_door),
    }[door]
    octets = b"rubbish" if case == "rubbish" else withdrawal(certificate, life=timedelta(hours=-3))
    with pytest.raises(MalformedRequest if case == "rubbish" else Unprocessable):
        await withdraw(service, octets, key, certificate)


async def test_rubbish_in_cargo_is_dropped(internet, gateway):
    with pytest.raises(MessageError):
        await internet.node.gateway_door.withdraw_by_cargo(MessageType.PDD.prefix, PGW.node_id)
    await internet.node._unpacker._take(MessageType.PDD.prefix, PGW.node_id)
    assert internet.events.actions == ["dropped"]
    await gateway.node._unpacker._take(withdrawal(endpoint_path(gateway).leaf), IGW.node_id)
    assert gateway.events.actions == ["dropped"]


async def test_a_gateway_that_does_not_know_withdrawals_loses_nothing(gateway, endpoint):
    await authorise(endpoint)
    endpoint._client.knows_withdrawals = False
    await endpoint.withdraw(PEER.node_id)
    async with running(endpoint.run(Ignored())):
        await until(lambda: "handed-on" in endpoint.recorder.actions)
    assert Hop(GATEWAY, ENDPOINT.node_id) not in await endpoint._spool.totals()
    assert not await gateway.spool.totals()


async def test_notes_of_what_has_ended_go_with_the_next_authorisation(gateway, endpoint, vault):
    await authorise(endpoint)
    await gateway.clock.advance((300 * DAY).total_seconds())
    namespace = f"grants/{ENDPOINT.node_id}/{PEER.node_id}"
    [old] = await vault.records(namespace)
    assert not await endpoint.withdraw(PEER.node_id)
    await endpoint.identity.authorizations.forget_ended(PEER.node_id, gateway.clock.now())
    assert old not in await vault.records(namespace)


@pytest.mark.rule("4.12")
async def test_a_full_store_is_said_once_the_withdrawal_is_in_force_and_it_goes_on_the_next_time(
    gateway, endpoint, monkeypatch
):
    sending = await authorise(endpoint)
    octets = withdrawal(sending["certificate"])
    own_path = endpoint_path(gateway).leaf
    with monkeypatch.context() as context:
        context.setattr(gateway.node.local._withdrawals, "_spool", FullSpool())
        with pytest.raises(StorageFullError):
            await withdraw(gateway.node.local, octets, ENDPOINT, own_path)
    await gateway.node._unpacker._on_parcel(parcel(**sending)[1], IGW.node_id)
    assert gateway.events.actions[-1] == "dropped"
    assert not await gateway.spool.totals()

    await withdraw(gateway.node.local, octets, ENDPOINT, own_path)
    assert [totals.items for totals in (await gateway.spool.totals()).values()] == [1]


class FullSpool:
    async def accept(self, batch, **_):
        return [Outcome.FULL for _ in batch]
