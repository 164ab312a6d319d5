# SPDX-License-Identifier: MIT
"""A small network of real processes that may die at any time and are started again; what it did is counted.

One app behind a private gateway, its Internet gateway, a service with an Internet address, and a courier.
The app asks, the service answers; each notes what it got by `Context.transaction`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from asyncio.subprocess import PIPE
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from awala.base.errors import AwalaError
from awala.bindings.addressing import Service
from awala.bindings.host_port import split_address
from awala.testing.authority import Authority
from awala.testing.chaos import ChaosProxy
from awala.testing.crashes import Crash
from awala.testing.doh import serve_doh
from awala.testing.forks import ForkedProcess, ForkServer
from awala.testing.programs import EFFECTS, LOOPBACK, Plan
from awala.testing.zones import SignedZones

TARGET: Final = "awala.testing.programs:main"
"""What each process runs; the fork server should have imported its module."""

NAMES: Final = ("internet", "service", "gateway", "courier", "app")
"""The nodes of a network."""

_POLL_SECONDS: Final = 0.02

LOG_LINES: Final = 200
"""Lines kept of what each node complained of."""

MAX_LEAD: Final = timedelta(hours=2)
"""How far the nodes' clocks may be ahead of the real time: a courier's certificate is backdated so far."""

_KINDS: Final = {
    "internet": "internet-gateway",
    "service": "service",
    "gateway": "private-gateway",
    "courier": "courier",
    "app": "app",
}
_ADDRESSES: Final = {"internet": "igw.test", "service": "pong.test"}
_DOORS: Final[Mapping[str, Mapping[str, Service | None]]] = {
    "internet": {
        "poweb": Service.GATEWAY_SYNC,
        "pohttp": Service.PARCEL_DELIVERY,
        "cogrpc": Service.COURIER_RELAY,
    },
    "service": {"pohttp": Service.PARCEL_DELIVERY},
    "gateway": {"poweb": None},
    "courier": {"cogrpc": None},
    "app": {},
}


class NodeDiedError(AwalaError):
    """A node ended before it had answered."""

    retryable = True
    advice = "Ask again once it was started again."


class NodeFailedError(AwalaError):
    """A node could not do what it was told to, or did something that nobody expected."""

    advice = "Look at its log."


class Node:
    """A node that is started again whenever it dies.

    Attributes:
        name: one of `NAMES`.
        deaths: how often it was killed by a signal.
        passages: of crash points, as it told at its end in order.
        log: the last lines of what it complained of.

    """

    def __init__(self, name: str, plan: Plan, server: ForkServer) -> None:
        self.name = name
        self.plan = plan
        self.deaths = 0
        self.passages: Counter[str] = Counter()
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.on_ready: Callable[[Mapping[str, str]], None] = lambda _: None
        self.on_effect: Callable[[str], None] = lambda _: None
        self._server = server
        self._process: ForkedProcess | None = None
        self._up = asyncio.Event()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process that runs at present."""
        return None if self._process is None else self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether it is ready."""
        return self._up.is_set()

    async def up(self) -> None:
        """Return when it is ready."""
        await self._up.wait()

    def kill(self) -> None:
        """Kill it with SIGKILL; it will be started again."""
        if self._process is not None:
            self._process.kill()

    async def run(self) -> None:
        """Keep it running until `stop`; a crash that is planned happens once.

        Raises NodeFailedError if it ends in any other way than by SIGKILL.
        """
        while not self._stopping:
            process = self._process = await self._spawn()
            if self._stopping:  # while there was nobody who could be told
                self._write({"command": "stop"})
            await asyncio.gather(self._read(process), self._read_log(process), process.wait())
            self._up.clear()
            self._process = None
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(NodeDiedError(f"{self.name} died"))
            self._asked.clear()
            if process.returncode == -signal.SIGKILL:
                self.deaths += 1
                self.plan = replace(self.plan, crash="")
            elif process.returncode != 0 or not self._stopping:
                raise NodeFailedError(f"{self.name} ended with {process.returncode}:\n{self.last_lines()}")

    async def _spawn(self) -> ForkedProcess:
        return await self._server.spawn(
            TARGET, [json.dumps(asdict(self.plan))], directory=Path(self.plan.directory), stdin=PIPE
        )

    async def stop(self) -> None:
        """Have it end in order, for good."""
        self._stopping = True
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._write({"command": "stop"})

    async def ask(self, command: str, **arguments: object) -> Any:
        """Have it do something once, and return what it says; raises NodeDiedError, NodeFailedError."""
        await self.up()
        self._number += 1
        number = self._number
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._write({"id": number, "command": command, "arguments": arguments})
        return await future

    async def insist(self, command: str, *, pause: float = 0.05, **arguments: object) -> Any:
        """Have it do something, again and again until it worked."""
        while True:
            try:
                return await self.ask(command, **arguments)
            except (NodeDiedError, NodeFailedError):
                await asyncio.sleep(pause)

    def last_lines(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log)

    def _write(self, what: Mapping[str, object]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def _read(self, process: ForkedProcess) -> None:
        async for line in process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue  # it was killed in the middle of it
            if "ready" in told:
                self.on_ready(told["ready"])
                self._up.set()
            elif "effect" in told:
                self.on_effect(told["effect"])
            elif "passages" in told:
                self.passages = Counter(told["passages"])
            elif "id" in told:
                self._settle(told)

    def _settle(self, told: Mapping[str, Any]) -> None:
        future = self._asked.pop(told["id"], None)
        if future is None or future.done():
            return
        if "error" in told:
            future.set_exception(NodeFailedError(f"{self.name}: {told['error']}"))
        else:
            future.set_result(told["result"])

    async def _read_log(self, process: ForkedProcess) -> None:
        async for line in process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())


MakeNode = Callable[[str, Plan, ForkServer], Node]
"""Makes a node of a network from its name and plan."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What two apps noted durably: message ids and names of messages, each as often as it took effect."""

    questions: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]


class Network:
    """The network; get one from `open_network`.

    Attributes:
        nodes: by name.
        links: the proxy before each door, as ``"internet poweb"``; every connection goes through one.
        sent: message id and name of each question that the app has taken over.
        heard: names of the answers that have taken effect.

    """

    def __init__(
        self,
        directory: Path,
        server: ForkServer,
        *,
        make_node: MakeNode = Node,
    ) -> None:
        self.directory = directory
        self.nodes: dict[str, Node] = {}
        self.links: dict[str, ChaosProxy] = {}
        self.sent: list[tuple[str, str]] = []
        self.heard: set[str] = set()
        self._server = server
        self._make_node = make_node
        self._news = asyncio.Event()
        self._plans: dict[str, Plan] = {}

    async def prepare(self, stack: AsyncExitStack) -> None:
        """Make names, certificates and links; nothing runs yet."""
        authority = await asyncio.to_thread(Authority.create)
        zones = SignedZones()
        doh = await stack.enter_async_context(
            serve_doh(zones.respond, tls=authority.server_context(LOOPBACK))
        )
        ca_file = authority.write_ca(self.directory / "ca.pem")
        for name in NAMES:
            address = _ADDRESSES.get(name, "")
            doors: dict[str, tuple[str, str]] = {}
            if address:
                pair = authority.issue(address).write(self.directory, name)
                doors = {door: (str(pair[0]), str(pair[1])) for door in _DOORS[name]}
                zones.set(address, f"A {LOOPBACK}")
            for door, service in _DOORS[name].items():
                link = await stack.enter_async_context(ChaosProxy(LOOPBACK, 0))
                self.links[f"{name} {door}"] = link
                if service is not None:
                    zones.set(f"{service.value}.{address}", f"SRV 0 0 {link.port} {address}.")
            self._plans[name] = Plan(
                kind=_KINDS[name],
                directory=str(self.directory / name),
                address=address,
                doors=doors,
                resolver=doh.url,
                authority=str(ca_file),
                gateway=f"http://{self.links['gateway poweb'].address}" if name == "app" else "",
            )

    @asynccontextmanager
    async def running(
        self, crashes: Mapping[str, Crash] | None = None, *, haste: float = 1.0, counts: bool = False
    ) -> AsyncIterator[None]:
        """Run all nodes for the block; whatever ends one but SIGKILL is raised, and ends the block.

        Their clocks begin with the real time, and run ``haste`` times as fast. TLS has the real time always,
        so no block should last for more than `MAX_LEAD`.
        """
        self.sent, self.heard = [], set()
        epoch = datetime.now(UTC).isoformat()
        for name in NAMES:
            crash = (crashes or {}).get(name)
            plan = replace(
                self._plans[name],
                haste=haste,
                epoch=epoch,
                crash="" if crash is None else str(crash),
                counts=counts,
            )
            (self.directory / name).mkdir(mode=0o700, exist_ok=True)
            node = self.nodes[name] = self._make_node(name, plan, self._server)
            node.on_ready = partial(self._lead, name)
        self.nodes["app"].on_effect = self._hear
        async with asyncio.TaskGroup() as group:
            for node in self.nodes.values():
                group.create_task(node.run())
            try:
                await asyncio.gather(*(node.up() for node in self.nodes.values()))
                yield
            finally:
                for node in self.nodes.values():
                    await node.stop()

    def _lead(self, name: str, addresses: Mapping[str, str]) -> None:
        for door, address in addresses.items():
            self.links[f"{name} {door}"].retarget(*split_address(address))

    def _hear(self, name: str) -> None:
        self.heard.add(name)
        self._news.set()

    async def meet(self) -> None:
        """Pair the private gateway and introduce the app and the service to each other."""
        await self.nodes["gateway"].insist("pair", address=_ADDRESSES["internet"])
        params = await self.nodes["service"].insist("params")
        await self.nodes["app"].insist("meet", params=params)

    async def ask(self, name: str, size: int = 100) -> None:
        """Have the app send a question; one that it may have taken over before it died is sent again."""
        message_id = await self.nodes["app"].insist("send", name=name, size=size)
        self.sent.append((message_id, name))

    async def wait_for(self, *names: str) -> None:
        """Return when the answers to these questions have taken effect."""
        while not self.heard.issuperset(names):
            self._news.clear()
            await self._news.wait()

    async def cut(self) -> None:
        """Take the private gateway's Internet away."""
        await self.links["internet poweb"].cut()

    async def mend(self) -> None:
        """Give it back."""
        await self.links["internet poweb"].mend()
        await self.nodes["gateway"].insist("kick")

    async def visit(self) -> None:
        """Bring the courier to the private gateway, until that has worked."""
        link = self.links["courier cogrpc"]
        await self.nodes["gateway"].insist("visit", host=LOOPBACK, port=link.port)

    async def trip(self) -> None:
        """Send the courier to the Internet once."""
        await self.nodes["courier"].insist("trip")

    async def settle(self) -> None:
        """Return when no message rests anywhere but with the courier."""
        nodes = [node for name, node in self.nodes.items() if name != "courier"]
        while any([await node.insist("resting") for node in nodes]):  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(_POLL_SECONDS)

    def effects(self) -> Effects:
        """Return what took effect; the network must not run."""
        return Effects(*(_effects(self.directory / name / "app.sqlite") for name in ("service", "app")))

    def problems(self) -> list[str]:
        """Return in which way not every message took effect exactly once; the network must not run."""
        effects = self.effects()
        found = []
        for what, rows in (("question", effects.questions), ("answer", effects.answers)):
            counts = Counter(message_id for message_id, _ in rows)
            found += [
                f"{what} {each} took effect {count} times" for each, count in counts.items() if count > 1
            ]
        questions = Counter(name for _, name in effects.questions)
        answers = Counter(name for _, name in effects.answers)
        known = {message_id for message_id, _ in effects.questions}
        found += [f"question {name} was lost" for message_id, name in self.sent if message_id not in known]
        if questions != answers:
            found.append(f"questions {sorted(questions.items())}, answers {sorted(answers.items())}")
        return found

    def save(self, place: Path) -> None:
        """Copy what the nodes keep; the network must not run."""
        for name in NAMES:
            shutil.copytree(self.directory / name, place / name, dirs_exist_ok=True)

    def restore(self, place: Path) -> None:
        """Put back what `save` has copied."""
        for name in NAMES:
            shutil.rmtree(self.directory / name, ignore_errors=True)
            shutil.copytree(place / name, self.directory / name)


def _effects(path: Path) -> tuple[tuple[str, str], ...]:
    with closing(sqlite3.connect(path)) as connection:
        try:
            return tuple(connection.execute(EFFECTS).fetchall())
        except sqlite3.OperationalError:  # nothing has come
            return ()


@asynccontextmanager
async def open_network(
    directory: Path,
    server: ForkServer,
    *,
    make_node: MakeNode = Node,
) -> AsyncIterator[Network]:
    """Make a network in a directory of its own; its processes come from ``server``."""
    async with AsyncExitStack() as stack:
        network = Network(directory, server, make_node=make_node)
        await network.prepare(stack)
        yield network
