# SPDX-License-Identifier: MIT
"""The steps about what must not pass fail where it does pass."""

from __future__ import annotations

from http import HTTPStatus
from types import SimpleNamespace

import pytest

from awala.bindings.errors import RefusedError
from awala.crypto import IdentityPrivateKey
from awala.demo import refusals
from awala.demo.errors import CheckFailedError
from awala.demo.feed import Feed, Hop
from awala.demo.forging import ForgedParcel, contradictory, uninvited
from awala.messages import InvalidMessageError, Parcel, Recipient
from helpers.nodes import ADDRESS, ENDPOINT

PARCEL = ForgedParcel("forged", b"octets")
RECIPIENT = Recipient(ENDPOINT.node_id, ADDRESS)


class Node:
    """A node whose status is told from a list."""

    name = "igw-a"

    def __init__(self, *items: int) -> None:
        self._items = list(items)

    async def ask(self, _word):
        items = self._items.pop(0) if len(self._items) > 1 else self._items[0]
        return {"endpoints": len(self._items), "incoming": {"items": items, "octets": 0}}


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(refusals, "GUARD_SECONDS", 0)
    return SimpleNamespace(feed=Feed())


def note(network, action):
    network.feed.publish(Hop("igw-a", action, "parcel", PARCEL.message_id, "pohttp", 1, "", ""))


async def refuse(status=HTTPStatus.FORBIDDEN):
    raise RefusedError("no", status=status)


async def take():
    """Take the parcel."""


async def test_a_parcel_that_is_refused_and_leaves_nothing_behind_is_as_it_should_be(network):
    note(network, "dropped")
    await refusals.check_refused(network, Node(3), PARCEL, refuse(), HTTPStatus.FORBIDDEN)


async def test_a_parcel_that_is_taken_fails_the_step(network):
    with pytest.raises(CheckFailedError, match="took a parcel"):
        await refusals.check_refused(network, Node(3), PARCEL, take(), HTTPStatus.FORBIDDEN)


async def test_a_refusal_with_another_status_fails_the_step(network):
    with pytest.raises(CheckFailedError, match="status 400"):
        await refusals.check_refused(
            network, Node(3), PARCEL, refuse(HTTPStatus.BAD_REQUEST), HTTPStatus.FORBIDDEN
        )


async def test_a_refused_parcel_that_is_stored_all_the_same_fails_the_step(network):
    with pytest.raises(CheckFailedError, match="stored what it refused"):
        await refusals.check_refused(network, Node(3, 4), PARCEL, refuse(), HTTPStatus.FORBIDDEN)
    note(network, "stored")
    with pytest.raises(CheckFailedError, match="has stored what it should have refused"):
        await refusals.check_refused(network, Node(3), PARCEL, refuse(), HTTPStatus.FORBIDDEN)


async def test_a_refusal_for_another_reason_fails_the_step(network):
    async def wait_for(_what, awaitable, *, seconds):  # noqa: ARG001 - as the node's own
        return await awaitable

    sender = SimpleNamespace(internet_gateway=SimpleNamespace(name="igw-b", wait_for=wait_for))
    network.feed.publish(Hop("igw-b", "refused", "parcel", "m", "pohttp", 1, "HTTP 400", ""))
    with pytest.raises(CheckFailedError, match="another reason"):
        await refusals.refused_at(network, sender, "m")


def test_what_strangers_send_is_well_made_but_for_their_right_to_send_it():
    parcel = Parcel.parse(uninvited(RECIPIENT).octets)
    assert parcel.recipient == RECIPIENT
    parcel.check_chain()

    parcel = Parcel.parse(contradictory(RECIPIENT, IdentityPrivateKey.generate()).octets)
    assert parcel.recipient == RECIPIENT
    with pytest.raises(InvalidMessageError, match="another endpoint"):
        parcel.check_chain()
