# SPDX-License-Identifier: MIT
"""The nodes that registered with a gateway, and those that it refuses (rules §11)."""

from __future__ import annotations

import pytest

from awala.base.errors import ConfigurationError
from awala.bindings.errors import Forbidden, Unauthenticated
from awala.messages import InvalidMessageError
from awala.nodes.members import Member, Members
from awala.vault import MemoryVault
from helpers.nodes import DAY, ENDPOINT, NOW, PEER


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
            each.require_recipient(ENDPOINT.node_id)
        assert not await each.is_known(ENDPOINT.node_id)
        each.require(PEER.node_id)
    await members.admit(ENDPOINT.node_id)
    members.require(ENDPOINT.node_id)
    members.require_admission(ENDPOINT.node_id)
    members.require_recipient(ENDPOINT.node_id)
    assert await (await Members.load(vault, "nodes")).is_known(ENDPOINT.node_id)


async def test_refuses_what_is_no_id(members):
    with pytest.raises(ConfigurationError):
        await members.refuse("me")
    await members.admit("me")
