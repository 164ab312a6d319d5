# SPDX-License-Identifier: MIT
"""The network as the page shows it, and what the page can do with it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice

from awala.base.errors import AwalaError
from awala.demo.chatting import Event
from awala.demo.errors import DemoError
from awala.demo.network import Network, Side, introduce, trip, visit, wait_online
from awala.demo.nodes import Node
from awala.demo.page.hub import Hub
from awala.nodes.background import in_background

SHOWN_HOPS = 400
"""Hop events that a page which is opened later still sees."""

SHOWN_TEXTS = 200
"""Lines of each chat that such a page sees."""

SHOWN_PINGS = 20
"""Outcomes of pings that such a page sees."""

CALM_SECONDS = 0.4
"""Pause after an event before a node is asked how it is doing: further events follow soon."""

PING_SECONDS = 300.0
"""Time that a ping's answer has: enough to send the courier."""

BACK_ONLINE_SECONDS = 30.0
"""Time that a private gateway has to notice that its link was mended."""

MAX_TEXT = 2_000
"""Characters of a text that is typed into the page."""


class BusyError(DemoError):
    """What was asked for is being done already."""


@asynccontextmanager
async def open_live(network: Network) -> AsyncIterator[Live]:
    """Follow a running network for as long as the block lasts."""
    live = Live(network)
    try:
        async with in_background(live.follow(), live.watch(), live.work()):
            yield live
    finally:
        live.hub.close()


class Live:
    """What happens in the network, for the page."""

    def __init__(self, network: Network) -> None:
        self.hub = Hub()
        self._network = network
        self._sides = {side.name: side for side in network.sides}
        self._chats: dict[str, deque[Event]] = {name: deque(maxlen=SHOWN_TEXTS) for name in self._sides}
        self._pings: deque[dict[str, object]] = deque(maxlen=SHOWN_PINGS)
        self._status: dict[str, object] = {}
        self._courier = ""
        self._pinging = False
        self._dirty = {node.name: node for node in self._asked}
        self._changed = asyncio.Event()
        self._changed.set()
        self._jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        for side in network.sides:
            side.app.on_event = self._chat_listener(side)

    @property
    def _asked(self) -> list[Node]:
        """Return the nodes that can be asked for their status."""
        of_sides = [node for side in self._network.sides for node in (side.gateway, side.internet_gateway)]
        return [*of_sides, self._network.courier]

    def picture(self) -> dict[str, object]:
        """Return everything that the page shows."""
        history = self._network.feed.history
        start = max(len(history) - SHOWN_HOPS, 0)
        return {
            "state": self._state(),
            "hops": [hop.as_json() for hop in islice(history, start, None)],
            "chats": {name: list(events) for name, events in self._chats.items()},
            "ids": {name: side.app.id for name, side in self._sides.items()},
            "pings": list(self._pings),
        }

    def _state(self) -> dict[str, object]:
        return {
            "nodes": [
                {"name": node.name, "runs": node.runs, "status": self._status.get(node.name)}
                for node in self._network.nodes
            ],
            "links": [
                {"name": link.name, "ends": link.ends, "cut": link.is_cut, "octets": link.octets}
                for link in self._network.links
            ],
            "courier": self._courier,
            "pinging": self._pinging,
        }

    async def follow(self) -> None:
        """Pass hop events on until cancelled."""
        nodes = {node.name: node for node in self._asked}
        with self._network.feed.subscribe() as hops:
            async for hop in hops:
                self.hub.publish("hop", hop.as_json())
                if hop.node in nodes:
                    self._look_at(nodes[hop.node])

    async def watch(self) -> None:
        """Ask the nodes how they are doing when something has happened there, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(CALM_SECONDS)
            self._changed.clear()
            dirty, self._dirty = self._dirty, {}
            for node in dirty.values():
                try:
                    self._status[node.name] = await node.ask("status")
                except DemoError as error:
                    self._status[node.name] = None
                    self._complain(error)
            self.hub.publish("state", self._state())

    async def work(self) -> None:
        """Do what takes a while, each thing beside the others, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._guarded(await self._jobs.get()))

    async def _guarded(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except AwalaError as error:
            self._complain(error)
        self.hub.publish("state", self._state())

    def _complain(self, error: AwalaError) -> None:
        self.hub.publish("problem", str(error))

    def _look_at(self, *nodes: Node) -> None:
        self._dirty.update({node.name: node for node in nodes})
        self._changed.set()

    def _chat_listener(self, side: Side) -> Callable[[Event], None]:
        def listen(event: Event) -> None:
            if "said" in event or "received" in event:
                self._chats[side.name].append(event)
                self.hub.publish("chat", {"side": side.name, **event})

        return listen

    def side(self, name: str) -> Side:
        """Return a side by its name; raises KeyError."""
        return self._sides[name]

    async def introduce(self) -> None:
        """Pair both apps, unless they are from an earlier run."""
        a, b = self._network.sides
        if b.app.id not in {peer["id"] for peer in await a.app.peers()}:
            await introduce(a, b)

    async def switch(self, side: Side, *, cut: bool) -> None:
        """Cut or mend a private gateway's Internet link."""
        if cut:
            await side.internet.cut()
            self._look_at(side.gateway)
        else:
            await side.internet.mend()
            self._jobs.put_nowait(lambda: self._reconnect(side))
        self.hub.publish("state", self._state())

    async def _reconnect(self, side: Side) -> None:
        await side.gateway.ask("sync")
        if not side.internet.is_cut:
            await wait_online(side, seconds=BACK_ONLINE_SECONDS)
        self._look_at(side.gateway)

    async def say(self, side: Side, text: str) -> None:
        """Send a text from one side to the other; raises DemoError."""
        if not text.strip() or len(text) > MAX_TEXT:
            raise DemoError(f"a text has 1 to {MAX_TEXT} characters")
        other = next(other for other in self._sides.values() if other is not side)
        await side.app.say(other.app.id, text)

    def send_courier(self) -> None:
        """Send the courier round: to both private gateways, to the Internet, and back to both."""
        if self._courier:
            raise BusyError("the courier is on its way already")
        self._at("setting out")
        self._jobs.put_nowait(self._round)

    async def _round(self) -> None:
        try:
            for where, leg in self._legs():
                self._at(where)
                try:
                    await leg()
                except AwalaError as error:
                    self._complain(error)
        finally:
            self._at("")

    def _legs(self) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        visits = [
            (f"at device {side.name.upper()}", lambda side=side: visit(side)) for side in self._sides.values()
        ]
        return [*visits, ("at the Internet gateways", lambda: trip(self._network)), *visits]

    def _at(self, where: str) -> None:
        self._courier = where
        self.hub.publish("state", self._state())

    def ping(self) -> None:
        """Ping Pong from an app behind the private gateway of side A."""
        if self._pinging:
            raise BusyError("a ping is on its way already")
        self._pinging = True
        self._jobs.put_nowait(self._ping)
        self.hub.publish("state", self._state())

    async def _ping(self) -> None:
        network = self._network
        try:
            outcome = await network.processes.run(
                "ping",
                str(network.pong_params),
                *("--gateway", network.a.gateway_url),
                *("--timeout", f"{PING_SECONDS:.0f}"),
                *("--data-dir", str(network.directory / "ping")),
                "--json",
                seconds=PING_SECONDS + BACK_ONLINE_SECONDS,
            )
            answers = [json.loads(line) for line in outcome.output.splitlines()]
            milliseconds = next((a["milliseconds"] for a in answers if "milliseconds" in a), None)
            result: dict[str, object] = {"milliseconds": milliseconds}
            if milliseconds is None:
                result["problem"] = outcome.complaint.strip().splitlines()[-1:]
            self._pings.append(result)
            self.hub.publish("ping", result)
        finally:
            self._pinging = False
