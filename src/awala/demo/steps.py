# SPDX-License-Identifier: MIT
"""The steps of ``awala demo --check`` about messages that must arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from awala.demo.errors import CheckFailedError
from awala.demo.network import Holds, Network, Side, introduce, trip, visit, wait_online, wait_status
from awala.demo.nodes import Node
from awala.demo.processes import Outcome

ONLINE_SECONDS = 20.0
"""Time for a message to arrive on-line."""

PING_SECONDS = 60.0
"""Time for a ping's answer to come by courier."""

MAX_ROUNDS = 3
"""Times that the courier goes out before an answer is missed: it may leave before the answer is there."""

GUARD_SECONDS = 0.5
"""Pause, once nothing rests anywhere, in which a message that came twice would show."""

TEXTS = 3
"""Texts of each side that wait while nodes are killed."""


def require(holds: object, problem: str) -> None:
    """Raise CheckFailedError with the problem unless something holds."""
    if not holds:
        raise CheckFailedError(problem)


@asynccontextmanager
async def without_internet(side: Side) -> AsyncIterator[None]:
    """Cut a private gateway's Internet link for the block; no octet must cross it meanwhile.

    Afterwards the link is mended, and the private gateway on-line again.
    """
    await side.internet.cut()
    before = side.internet.octets
    try:
        await wait_status(
            side.gateway,
            "noticing that the link is cut",
            lambda status: not status["online"],
            seconds=ONLINE_SECONDS,
        )
        yield
        require(side.internet.octets == before, f"octets crossed {side.internet.name} while it was cut")
    finally:
        await side.internet.mend()
    await side.gateway.ask("sync")
    await wait_online(side)


async def meet(side: Side) -> Mapping[str, Any]:
    """Have the courier visit a private gateway; return what was exchanged."""
    before = side.courier.octets
    done = await visit(side)
    require(side.courier.octets > before, f"no octet crossed {side.courier.name}")
    return done


async def carry(network: Network, side: Side, arrived: Callable[[], Awaitable[bool]]) -> None:
    """Have the courier carry what a private gateway has, and bring what there is for it, until it arrived."""
    taken = await meet(side)
    require(taken["delivered"], "the courier took no cargo from the private gateway")
    status = await network.courier.ask("status")
    require(status["to_internet_gateways"]["items"], "the courier has no cargo for the Internet on board")
    for _ in range(MAX_ROUNDS):
        there = await trip(network)
        require(there["delivered"] or there["collected"], "the courier exchanged nothing on its trip")
        back = await meet(side)
        if back["collected"] and await arrived():
            return
    raise CheckFailedError(f"nothing came back with the courier in {MAX_ROUNDS} trips")


async def ping_online(network: Network) -> None:
    """Have an app behind A ping Pong and get the answer, everything on-line."""
    check_ping(await ping(network, seconds=ONLINE_SECONDS))


async def ping_by_courier(network: Network) -> None:
    """Have a new app behind A ping Pong by courier, its authorisation included, A's Internet link cut."""
    side = network.a
    async with without_internet(side):
        pinging = asyncio.create_task(ping(network, seconds=PING_SECONDS))
        try:
            await wait_status(
                side.gateway,
                "holding the ping and its authorisation",
                resting(2, "outgoing"),
                seconds=ONLINE_SECONDS,
            )

            async def answered() -> bool:
                done, _ = await asyncio.wait((pinging,), timeout=ONLINE_SECONDS)
                return bool(done)

            await carry(network, side, answered)
            check_ping(await pinging)
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)


async def ping(network: Network, *, seconds: float) -> Outcome:
    """Ping Pong once from a new app behind the private gateway of side A."""
    with TemporaryDirectory(dir=network.directory, prefix="ping-") as directory:
        return await network.processes.run(
            "ping",
            str(network.pong_params),
            "--gateway",
            network.a.gateway_url,
            "--timeout",
            f"{seconds:.0f}",
            "--data-dir",
            directory,
            seconds=seconds + ONLINE_SECONDS,
        )


def check_ping(outcome: Outcome) -> None:
    """Raise CheckFailedError unless the ping was answered."""
    complaint = outcome.complaint.strip().splitlines()
    if outcome.code != 0:
        raise CheckFailedError(
            f"the ping failed: {complaint[-1] if complaint else outcome.output.strip()}",
            details="\n".join(complaint),
        )


async def chat_online(network: Network) -> None:
    """Pair A and B out of band; have them write to each other across the two Internet gateways."""
    await introduce(network.a, network.b, seconds=ONLINE_SECONDS)
    await exchange(network.a, network.b)
    await exchange(network.b, network.a)


async def exchange(sender: Side, recipient: Side) -> None:
    """Send one text and see it arrive."""
    text = f"from {sender.name.upper()}, on-line"
    message_id = await sender.app.say(recipient.app.id, text)
    await recipient.app.wait_received(message_id, seconds=ONLINE_SECONDS)
    check_received(sender, recipient, {message_id: text})


def check_received(sender: Side, recipient: Side, texts: Mapping[str, str]) -> None:
    """Raise CheckFailedError unless each text came once, whole and from its sender."""
    for message_id, text in texts.items():
        received = recipient.app.received(message_id)
        name = recipient.app.node.name
        require(received, f"{name} did not get a text")
        require(len(received) == 1, f"{name} got a text {len(received)} times")
        require(received[0]["text"] == text, f"{name} got another text than was sent")
        require(received[0]["from"] == sender.app.id, f"{name} got a text from another sender")


async def chat_by_courier(network: Network) -> None:
    """Have A and B write to each other while B has nothing but the courier."""
    a, b = network.a, network.b
    async with without_internet(b):
        to_b = await a.app.say(b.app.id, "to B, by courier")
        to_a = await b.app.say(a.app.id, "from B, by courier")
        await stored(network, b.gateway, to_a)
        await stored(network, b.internet_gateway, to_b)

        async def arrived() -> bool:
            return bool(b.app.received(to_b))

        await carry(network, b, arrived)
        await a.app.wait_received(to_a, seconds=ONLINE_SECONDS)
        check_received(a, b, {to_b: "to B, by courier"})
        check_received(b, a, {to_a: "from B, by courier"})


async def stored(network: Network, node: Node, *message_ids: str) -> None:
    """Return when a node has these messages safe."""
    for message_id in message_ids:
        await node.wait_for(
            "a message that is on its way",
            network.feed.seen(node.name, "stored", message_id),
            seconds=ONLINE_SECONDS,
        )


async def restart(network: Network) -> None:
    """Kill an Internet gateway and a private gateway while messages rest in both."""
    a, b = network.a, network.b
    await a.internet.cut()
    try:
        from_a = await say_all(a, b)
        from_b = await say_all(b, a)
        await stored(network, a.gateway, *from_a)
        await stored(network, a.internet_gateway, *from_b)
        await check_resting(a)
        for node in (a.gateway, a.internet_gateway):
            await node.kill()
        async with asyncio.TaskGroup() as group:
            for node in (a.gateway, a.internet_gateway):
                group.create_task(node.start())
        await check_resting(a)
    finally:
        await a.internet.mend()
    await a.gateway.ask("sync")
    await b.app.wait_received(*from_a, seconds=ONLINE_SECONDS)
    await a.app.wait_received(*from_b, seconds=ONLINE_SECONDS)
    await settle(network)
    check_received(a, b, from_a)
    check_received(b, a, from_b)


async def say_all(sender: Side, recipient: Side) -> dict[str, str]:
    """Send some texts; return them by the ids of their messages."""
    texts = [f"from {sender.name.upper()}, before the power cut ({n})" for n in range(1, TEXTS + 1)]
    return {await sender.app.say(recipient.app.id, text): text for text in texts}


async def check_resting(side: Side) -> None:
    """See that all texts rest in the private gateway, and in its Internet gateway."""
    async with asyncio.TaskGroup() as group:
        for node, lane in ((side.gateway, "outgoing"), (side.internet_gateway, "to_private_gateways")):
            waiting = wait_status(node, "texts at rest", resting(TEXTS, lane), seconds=ONLINE_SECONDS)
            group.create_task(waiting)


async def settle(network: Network) -> None:
    """Return when nothing rests at any gateway any longer, and a moment after that."""
    async with asyncio.TaskGroup() as group:
        for side in network.sides:
            for node, lanes in (
                (side.gateway, ("outgoing", "incoming")),
                (side.internet_gateway, ("to_internet", "to_private_gateways")),
            ):
                waiting = wait_status(
                    node, "handing on everything", nothing_rests(lanes), seconds=ONLINE_SECONDS
                )
                group.create_task(waiting)
    await asyncio.sleep(GUARD_SECONDS)


def resting(items: int, lane: str) -> Holds:
    """Return whether so many messages, or more, rest in a lane."""
    return lambda status: status[lane]["items"] >= items


def nothing_rests(lanes: tuple[str, ...]) -> Holds:
    """Return whether these lanes are empty."""
    return lambda status: not any(status[lane]["items"] for lane in lanes)
