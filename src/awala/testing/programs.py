# SPDX-License-Identifier: MIT
"""One node of a test network as a process: it is told what to do, and tells what it did, in lines of JSON.

Its parts are those of the commands, put together by the same functions; only the clock may run faster, and a
crash may be planned. `awala.testing.networks` starts it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from awala.base.errors import AwalaError
from awala.nodes.config import DoorConfig, NetworkConfig, ResolverConfig, StorageConfig
from awala.nodes.courier.root import CourierConfig, run_courier
from awala.nodes.endpoint.root import InternetEndpointConfig, create_internet_endpoint
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.private_gateway.root import PrivateGatewayConfig, create_private_gateway, run_private_gateway
from awala.sdk import Context, IncomingMessage, PrivateApp
from awala.sdk.service import InternetService
from awala.spool.model import Totals
from awala.testing.clock import HastyClock
from awala.testing.crashes import Crash, CrashPoints

QUESTION: Final = "application/vnd.awala-test.question"
ANSWER: Final = "application/vnd.awala-test.answer"
LOOPBACK: Final = "127.0.0.1"
LIFE: Final = timedelta(days=60)
"""How long messages of these apps live: longer than the hours that a fast clock may show."""

CREATE: Final = "CREATE TABLE IF NOT EXISTS effect (message_id TEXT, name TEXT)"
EFFECT: Final = "INSERT INTO effect VALUES (?, ?)"
EFFECTS: Final = "SELECT message_id, name FROM effect"

_LINE: Final = 16 * 1024 * 1024

Command = Callable[..., Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a node is told when it starts; it goes through the command line as JSON.

    Attributes:
        kind: one of `KINDS`.
        directory: its data.
        address: its Internet address, if it has one.
        doors: the certificate and key of each door that has any.
        resolver: the URL of the DoH resolver.
        gateway: where an app finds its private gateway.
        haste, epoch: its clock.
        crash: where it kills itself, if anywhere.
        counts: whether it counts the passages of crash points.

    """

    kind: str
    directory: str
    address: str = ""
    doors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    resolver: str = ""
    authority: str = ""
    gateway: str = ""
    haste: float = 1.0
    epoch: str = ""
    crash: str = ""
    counts: bool = False

    def clock(self) -> HastyClock:
        """Return the node's clock."""
        return HastyClock(self.haste, datetime.fromisoformat(self.epoch))

    def storage(self) -> StorageConfig:
        """Return where its data are."""
        return StorageConfig(directory=Path(self.directory))

    def network(self) -> NetworkConfig:
        """Return how it reaches others."""
        resolver = ResolverConfig(url=self.resolver, allow_networks=("127.0.0.0/8",))
        return NetworkConfig(resolver=resolver, ca_file=Path(self.authority))

    def door(self, name: str) -> DoorConfig:
        """Return one of its doors, on any port."""
        certificate, key = self.doors.get(name, (None, None))
        return DoorConfig(
            listen=f"{LOOPBACK}:0",
            tls_cert=None if certificate is None else Path(certificate),
            tls_key=None if key is None else Path(key),
        )


@dataclass(frozen=True, slots=True)
class Acting:
    """A node that runs: its doors, and what it can be told to do."""

    addresses: Mapping[str, str]
    commands: Mapping[str, Command]


def tell(**what: object) -> None:
    """Print a line for the network."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def _private_gateway(plan: Plan) -> AsyncIterator[Acting]:
    await create_private_gateway(plan.storage())
    config = PrivateGatewayConfig(storage=plan.storage(), network=plan.network(), poweb=plan.door("poweb"))
    async with run_private_gateway(config, plan.clock()) as running:
        node = running.node

        async def pair(address: str) -> None:
            await node.pairing.pair(address)
            node.uplink.kick()

        async def kick() -> None:
            node.uplink.kick()

        async def visit(host: str, port: int) -> list[int]:
            steps = [step async for step in node.visit.run(host, port)]
            return [steps[-1].collected, steps[-1].delivered]

        async def resting() -> int:
            status = await node.status()
            return _items(status.outgoing, status.incoming)

        commands: dict[str, Command] = {"pair": pair, "kick": kick, "visit": visit, "resting": resting}
        yield Acting(running.addresses, commands)


@asynccontextmanager
async def _internet_gateway(plan: Plan) -> AsyncIterator[Acting]:
    await create_internet_gateway(plan.storage(), plan.address)
    config = InternetGatewayConfig(
        storage=plan.storage(),
        network=plan.network(),
        poweb=plan.door("poweb"),
        pohttp=plan.door("pohttp"),
        cogrpc=plan.door("cogrpc"),
    )
    async with run_internet_gateway(config, plan.clock()) as running:

        async def resting() -> int:
            status = await running.node.status()
            return _items(status.to_internet, status.to_private_gateways, status.cargo)

        yield Acting(running.addresses, {"resting": resting})


@asynccontextmanager
async def _courier(plan: Plan) -> AsyncIterator[Acting]:
    config = CourierConfig(storage=plan.storage(), network=plan.network(), cogrpc=plan.door("cogrpc"))
    async with run_courier(config, plan.clock()) as running:

        async def trip() -> list[str]:
            steps = [step async for step in running.node.trip.run()]
            return list(steps[-1].failures)

        yield Acting(running.addresses, {"trip": trip})


@asynccontextmanager
async def _service(plan: Plan) -> AsyncIterator[Acting]:
    storage = plan.storage()
    await create_internet_endpoint(storage, plan.address)
    config = InternetEndpointConfig(storage=storage, network=plan.network(), pohttp=plan.door("pohttp"))

    def setup(service: InternetService) -> None:
        @service.on(QUESTION)
        async def answer(message: IncomingMessage, context: Context) -> None:
            async with context.transaction() as connection:
                connection.execute(CREATE)
                connection.execute(EFFECT, (message.id, _name(message)))
                await context.send(message.sender_id, ANSWER, message.content, expires_in=LIFE)

    async with InternetService.run(config, setup, clock=plan.clock()) as service:

        async def params() -> str:
            return service.node.connection_params().hex()

        async def resting() -> int:
            return (await service.node._spool.usage()).items  # noqa: SLF001 - apps need no such number

        yield Acting(service.addresses, {"params": params, "resting": resting})


@asynccontextmanager
async def _app(plan: Plan) -> AsyncIterator[Acting]:
    def setup(app: PrivateApp) -> None:
        @app.on(ANSWER)
        async def take(message: IncomingMessage, context: Context) -> None:
            async with context.transaction() as connection:
                connection.execute(CREATE)
                connection.execute(EFFECT, (message.id, _name(message)))
            tell(effect=_name(message))

    clock = plan.clock()
    async with PrivateApp.open(Path(plan.directory), gateway=plan.gateway, clock=clock, setup=setup) as app:
        async with app.transaction() as connection:
            connection.execute(CREATE)
            for _, name in connection.execute(EFFECTS).fetchall():
                tell(effect=name)  # it may have been cut off before it could

        async def meet(params: str) -> None:
            await app.registered()
            await app.add_internet_peer(bytes.fromhex(params))

        async def send(name: str, size: int) -> str:
            [peer] = await app.peers()
            content = name.encode() + b" " + bytes(size)
            return (await app.send(peer, QUESTION, content, expires_in=LIFE)).id

        async def resting() -> int:
            return (await app._endpoint._spool.usage()).items  # noqa: SLF001 - apps need no such number

        yield Acting({}, {"meet": meet, "send": send, "resting": resting})


KINDS: Final[Mapping[str, Callable[[Plan], AbstractAsyncContextManager[Acting]]]] = {
    "private-gateway": _private_gateway,
    "internet-gateway": _internet_gateway,
    "courier": _courier,
    "service": _service,
    "app": _app,
}


def _name(message: IncomingMessage) -> str:
    return message.content.partition(b" ")[0].decode()


def _items(*totals: Totals) -> int:
    return sum(each.items for each in totals)


def main() -> None:
    """Run the node of the plan in the first argument until standard input ends or it is told to stop."""
    plan = Plan(**json.loads(sys.argv[1]))
    points = None
    if plan.counts or plan.crash:
        points = CrashPoints(Crash.parse(plan.crash) if plan.crash else None)
        points.install()
    asyncio.run(_run(plan))
    if points is not None:
        tell(passages=dict(points.passages))


async def _run(plan: Plan) -> None:
    lines = asyncio.StreamReader(limit=_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    async with KINDS[plan.kind](plan) as acting, asyncio.TaskGroup() as group:
        tell(ready=dict(acting.addresses))
        async for line in lines:
            request = json.loads(line)
            if request["command"] == "stop":
                break
            group.create_task(_answer(request, acting.commands))


async def _answer(request: Mapping[str, Any], commands: Mapping[str, Command]) -> None:
    try:
        result = await commands[request["command"]](**request["arguments"])
    except AwalaError as error:
        tell(id=request["id"], error=f"{type(error).__name__}: {error}")
    else:
        tell(id=request["id"], result=result)
