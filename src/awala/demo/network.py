# SPDX-License-Identifier: MIT
"""The whole network on this machine: who there is, and what connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awala.base.errors import AwalaError
from awala.demo.chatting import ChatApp
from awala.demo.errors import DemoError, first_error
from awala.demo.feed import Feed
from awala.demo.links import Link
from awala.demo.nodes import Node
from awala.demo.processes import Processes
from awala.nodes.config import NetworkConfig
from awala.testing import TcpProxy

PONG_PARAMS = "connection-params.der"
"""Where Pong writes its connection parameters, in its data directory."""

POLL_SECONDS = 0.1
"""Pause between two questions about a node's status."""

COURIER_SECONDS = 30.0
"""Time for a courier's visit or trip, its pause of five seconds included."""

Holds = Callable[[Mapping[str, Any]], bool]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One device with its app, its private gateway, and the Internet gateway that it is paired with.

    Attributes:
        internet: the private gateway's only way to the Internet: its resolver and its Internet gateway.
        courier: its way to the courier when that one is near.
        door: where apps reach the private gateway, whichever port it listens on.
    """

    name: str
    app: ChatApp
    gateway: Node
    internet_gateway: Node
    internet_gateway_address: str
    internet: Link
    courier: Link
    door: TcpProxy

    @property
    def gateway_url(self) -> str:
        """Where apps find the private gateway."""
        return f"http://{self.door.address}"


@dataclass(frozen=True, slots=True)
class Network:
    """The running network."""

    directory: Path
    feed: Feed
    processes: Processes
    a: Side
    b: Side
    pong: Node
    courier: Node
    links: tuple[Link, ...]
    outside: NetworkConfig
    """How somebody on the Internet who is none of these finds and trusts them."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both sides."""
        return self.a, self.b

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, apps included."""
        of_sides = [(side.app.node, side.gateway, side.internet_gateway) for side in self.sides]
        return (*of_sides[0], *of_sides[1], self.pong, self.courier)

    @property
    def pong_params(self) -> Path:
        """The file with Pong's connection parameters."""
        return self.pong.data / PONG_PARAMS

    async def start(self, tell: Tell) -> None:
        """Start every node, pair what belongs together and return when both sides are on-line."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_start(self.pong, tell))
                group.create_task(_start(self.courier, tell))
                for side in self.sides:
                    group.create_task(_start_side(side, tell))
        except* AwalaError as errors:
            raise first_error(errors) from None


async def _start(node: Node, tell: Tell) -> None:
    tell(f"starting {node.name}")
    await node.initialise()
    await node.start()


async def _start_side(side: Side, tell: Tell) -> None:
    """Start one side from the Internet inwards, as each needs the one before."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_start(side.internet_gateway, tell))
        group.create_task(_start(side.gateway, tell))
    tell(f"pairing {side.gateway.name} with {side.internet_gateway.name}")
    await side.gateway.ask("pair", side.internet_gateway_address)
    async with asyncio.TaskGroup() as group:
        group.create_task(_start(side.app.node, tell))
        group.create_task(wait_online(side))


async def wait_status(node: Node, what: str, holds: Holds, *, seconds: float) -> Mapping[str, Any]:
    """Ask a node for its status until it is as wanted; return it. Raises DemoError."""
    last: Mapping[str, Any] = {}

    async def poll() -> Mapping[str, Any]:
        nonlocal last
        while True:
            last = await node.ask("status")
            if holds(last):
                return last
            await asyncio.sleep(POLL_SECONDS)

    try:
        return await node.wait_for(what, poll(), seconds=seconds)
    except DemoError as error:
        raise DemoError(f"{error} (status: {last})", details=error.details) from error


async def wait_online(side: Side, *, seconds: float = 20.0) -> None:
    """Return when a private gateway is connected with its Internet gateway."""
    await wait_status(side.gateway, "being on-line", lambda status: bool(status["online"]), seconds=seconds)


async def visit(side: Side) -> Mapping[str, Any]:
    """Have the courier visit a private gateway; return how many cargoes were collected and delivered."""
    door = side.courier.proxies[0].address
    return await side.gateway.ask("sync", "--courier", door, seconds=COURIER_SECONDS)


async def trip(network: Network) -> Mapping[str, Any]:
    """Send the courier to the Internet gateways; return how many cargoes were delivered and collected."""
    return await network.courier.ask("sync", seconds=COURIER_SECONDS)


async def introduce(a: Side, b: Side, *, seconds: float = 20.0) -> None:
    """Pair two apps, as two people would who meet; return when both can write."""
    before = b.app.paired(a.app.id)
    invitation = await b.app.accept(await a.app.offer(), name=a.name.upper())
    await a.app.complete(invitation, name=b.name.upper())
    await b.app.wait_paired(a.app.id, times=before + 1, seconds=seconds)
