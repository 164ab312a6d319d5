# SPDX-License-Identifier: MIT
"""The steps about what must not pass: strangers, and those whose authorisation was withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any

from awala.base.clock import SystemClock
from awala.bindings.errors import RefusedError
from awala.bindings.poweb import PoWebClient
from awala.demo.forging import ForgedParcel, Stranger, contradictory, uninvited
from awala.demo.network import Network, Side, introduce
from awala.demo.nodes import Node
from awala.demo.steps import GUARD_SECONDS, ONLINE_SECONDS, exchange, require
from awala.messages import Recipient
from awala.nodes.network import open_network


async def refused(network: Network) -> None:
    """Have strangers write to A: its Internet gateway refuses one, their own gateway the other."""
    a, b = network.a, network.b
    recipient = Recipient(a.app.id, a.internet_gateway_address)
    parcel = await asyncio.to_thread(uninvited, recipient)
    async with open_network(network.outside, SystemClock()) as outside:
        delivery = outside.pohttp.deliver(a.internet_gateway_address, parcel.octets)
        await check_refused(network, a.internet_gateway, parcel, delivery, HTTPStatus.FORBIDDEN)
    async with PoWebClient.local(b.gateway_url) as client:
        stranger = await asyncio.to_thread(Stranger, client)
        parcel = await asyncio.to_thread(contradictory, recipient, stranger.key)
        delivery = stranger.send(parcel)
        await check_refused(network, b.gateway, parcel, delivery, HTTPStatus.UNPROCESSABLE_ENTITY)


async def check_refused(
    network: Network, node: Node, parcel: ForgedParcel, delivery: Awaitable[None], status: HTTPStatus
) -> None:
    """Raise CheckFailedError unless the node refuses a parcel with that status, and stores nothing."""
    before = at_rest(await node.ask("status"))
    try:
        await delivery
    except RefusedError as error:
        require(error.status == status, f"{node.name} refused with status {error.status}, not {status}")
    else:
        require(None, f"{node.name} took a parcel that nobody authorised")
    await asyncio.sleep(GUARD_SECONDS)
    require(at_rest(await node.ask("status")) == before, f"{node.name} stored what it refused")
    require_untouched(network, node, parcel.message_id)


def at_rest(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a node has stored, by lane."""
    return {lane: what for lane, what in status.items() if isinstance(what, Mapping) and "items" in what}


def require_untouched(network: Network, node: Node, message_id: str) -> None:
    """Raise CheckFailedError if a node says that it did anything with a message but drop it."""
    touched = [
        hop.action
        for hop in network.feed.history
        if (hop.node, hop.message_id) == (node.name, message_id) and hop.action != "dropped"
    ]
    require(not touched, f"{node.name} has {' and '.join(touched)} what it should have refused")


async def revoked(network: Network) -> None:
    """Have A withdraw B's authorisation: B is told nothing, and its next parcel is refused at the door."""
    a, b = network.a, network.b
    await exchange(b, a)
    told = len(b.app.events)
    before = network.feed.position
    require(await a.app.withdraw(b.app.id), "A's app says that B had no authorisation")
    await a.internet_gateway.wait_for(
        "the withdrawal",
        network.feed.next(a.internet_gateway.name, "stored", "control", after=before),
        seconds=ONLINE_SECONDS,
    )
    require(len(b.app.events) == told, "B was told something")
    message_id = await b.app.say(a.app.id, "after the withdrawal")
    await refused_at(network, b, message_id)
    require_untouched(network, a.internet_gateway, message_id)
    require(not a.app.received(message_id), "A got a text of somebody whose authorisation it had withdrawn")
    await introduce(a, b)
    await exchange(b, a)


async def refused_at(network: Network, sender: Side, message_id: str) -> None:
    """Return when the sender's Internet gateway was told 403 for its parcel."""
    hop = await sender.internet_gateway.wait_for(
        "the refusal of the parcel",
        network.feed.seen(sender.internet_gateway.name, "refused", message_id),
        seconds=ONLINE_SECONDS,
    )
    require("403" in hop.reason, f"the parcel was refused for another reason: {hop.reason}")
