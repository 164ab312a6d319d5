# SPDX-License-Identifier: MIT
"""The nodes that registered with a gateway, and those that it refuses (rules §11)."""

from __future__ import annotations

import asyncio

import pytest

from awala.base.errors import ConfigurationError
from awala.bindings.errors import Forbidden, Unauthenticated, Unprocessable
from awala.bindings.poweb import StreamingMode
from awala.messages import InvalidMessageError, RegistrationRequest
from awala.nodes.members import Member, Members
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    IGW,
    NOW,
    PEER,
    PGW,
    authorised_parcel,
    cargo,
    cca,
    countersign,
    endpoint_path,
    handshake,
    internet_side,
    private_side,
)

NONCE = b"0123456789abcdef"


@pytest.fixture
def vault():
    return MemoryVault()


@pytest.fixture
async def members(vault):
    return await Members.load(vault, "nodes")


@pytest.mark.rule("11.3")
async def test_lists_who_registered_and_who_is_refused(members):
    await members.note(ENDPOINT.node_id, valid_until=NOW + DAY, now=NOW)
    await members.refuse(PEER.node_id)

    assert sorted(await members.all(), key=lambda member: member.refused) == [
        Member(ENDPOINT.node_id, NOW, NOW + DAY, refused=False),
        Member(PEER.node_id, None, None, refused=True),
    ]


@pytest.mark.rule("11.3")
async def test_who_is_refused_stays_so_until_it_is_admitted_again(members, vault):
    await members.note(ENDPOINT.node_id, valid_until=NOW + DAY, now=NOW)
    assert await members.is_known(ENDPOINT.node_id)
    await members.refuse(ENDPOINT.node_id)

    for each in (members, await Members.load(vault, "nodes")):
        with pytest.raises(Unauthenticated):
            each.require(ENDPOINT.node_id)
        with pytest.raises(Forbidden):
            each.require_admission(ENDPOINT.node_id)
        with pytest.raises(InvalidMessageError):
            each.require_served(ENDPOINT.node_id)
        assert not await each.is_known(ENDPOINT.node_id)
        each.require(PEER.node_id)
    await members.admit(ENDPOINT.node_id)
    members.require(ENDPOINT.node_id)
    members.require_admission(ENDPOINT.node_id)
    members.require_served(ENDPOINT.node_id)
    assert await (await Members.load(vault, "nodes")).is_known(ENDPOINT.node_id)


async def test_refuses_what_is_no_id(members):
    with pytest.raises(ConfigurationError):
        await members.refuse("me")
    await members.admit("me")


async def register(door, key):
    authorization = await door.preregister(key.public_key.digest)
    await door.register(RegistrationRequest(key.public_key, authorization).serialize(key))


async def open_mailbox(door, key, certificate):
    response = handshake(NONCE, (key, certificate))
    async with door.collect(NONCE, response, StreamingMode.CLOSE_UPON_COMPLETION):
        """Nothing else is wanted."""


@pytest.mark.rule("3.11", "11.3")
async def test_what_a_node_collects_ends_when_it_is_refused():
    internet = await internet_side()
    gateway = await private_side(internet)
    for door, members, key, certificate in (
        (gateway.node.local, gateway.node.members, ENDPOINT, endpoint_path(gateway).leaf),
        (internet.node.gateway_door, internet.node.members, PGW, gateway.own_certificate()),
    ):
        response = handshake(NONCE, (key, certificate))
        async with door.collect(NONCE, response, StreamingMode.KEEP_ALIVE) as mailbox:
            waiting = asyncio.ensure_future(mailbox.next())
            await members.refuse(PEER.node_id)
            assert not (await asyncio.wait([waiting], timeout=0.05))[0]
            await members.refuse(key.node_id)
            assert await asyncio.wait_for(waiting, 10) is None


@pytest.mark.rule("3.11", "11.3")
async def test_a_refused_endpoint_gets_nothing_of_its_private_gateway():
    gateway = await private_side(await internet_side())
    certificate = endpoint_path(gateway).leaf
    await register(gateway.node.local, ENDPOINT)
    assert [member.id for member in await gateway.node.members.all()] == [ENDPOINT.node_id]
    await gateway.node.members.refuse(ENDPOINT.node_id)

    with pytest.raises(Unauthenticated):
        await gateway.node.local.recognise(countersign(b"parcel", ENDPOINT, certificate))
    with pytest.raises(Unauthenticated):
        await open_mailbox(gateway.node.local, ENDPOINT, certificate)
    with pytest.raises(Forbidden):
        await register(gateway.node.local, ENDPOINT)
    await gateway.node._unpacker._on_parcel(authorised_parcel(gateway)[1], IGW.node_id)
    assert gateway.events.actions == ["dropped"]
    await gateway.node.members.admit(ENDPOINT.node_id)
    await open_mailbox(gateway.node.local, ENDPOINT, certificate)


@pytest.mark.rule("3.11", "11.3")
async def test_a_refused_private_gateway_gets_nothing_of_its_internet_gateway():
    internet = await internet_side()
    gateway = await private_side(internet)
    own = gateway.own_certificate()
    parcel = authorised_parcel(gateway)[1]
    await internet.node.members.refuse(PGW.node_id)

    with pytest.raises(Unauthenticated):
        await internet.node.gateway_door.recognise(countersign(b"parcel", PGW, own))
    with pytest.raises(Unauthenticated):
        await open_mailbox(internet.node.gateway_door, PGW, own)
    with pytest.raises(Forbidden):
        await register(internet.node.gateway_door, PGW)
    with pytest.raises(Forbidden, match="no longer serves"):
        await internet.node.internet_door.deliver(parcel)
    with pytest.raises(Unprocessable, match="no longer serves"):
        await internet.node.courier_door.deliver(cargo(certificate=own))
    with pytest.raises(Unauthenticated, match="no longer serves"):
        await internet.node.courier_door.collect(cca(certificate=own))
    await internet.node.members.admit(PGW.node_id)
    await internet.node.internet_door.deliver(parcel)
