# SPDX-License-Identifier: MIT
"""A whole network in one process, on loopback: names, authority, nodes that can be stopped and restarted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from awala.base.clock import Clock
from awala.bindings.addressing import Validation
from awala.nodes.config import DoorConfig, NetworkConfig, ResolverConfig, StorageConfig
from awala.nodes.courier.root import CourierConfig, run_courier
from awala.nodes.endpoint.root import InternetEndpointConfig, create_internet_endpoint
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.private_gateway.root import PrivateGatewayConfig, create_private_gateway, run_private_gateway
from awala.sdk import PrivateApp
from awala.sdk.service import InternetService
from awala.services.ping import answer_pings
from awala.testing import Authority, DohServer, SignedZones, TcpProxy, serve_doh

HASTE = 10
"""How many seconds of the nodes pass in one of ours."""

SERVICES = {"poweb": "_awala-gsc._tcp", "pohttp": "_awala-pdc._tcp", "cogrpc": "_awala-crc._tcp"}


class HastyClock:
    """A clock that runs faster than the machine's, so that pauses and back-offs are short."""

    def __init__(self) -> None:
        self._start = datetime.now(UTC)

    def now(self) -> datetime:
        return self._start + (datetime.now(UTC) - self._start) * HASTE

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)

    async def pass_by(self, span: timedelta) -> None:
        await self.sleep(span.total_seconds())


class Process:
    """A node that runs, and can be stopped and started again with the same directories."""

    def __init__(self, start) -> None:
        self._start = start
        self._stack: AsyncExitStack | None = None
        self.running = None

    async def start(self) -> None:
        stack = AsyncExitStack()
        self.running = await stack.enter_async_context(self._start())
        self._stack = stack

    async def stop(self) -> None:
        stack, self._stack, self.running = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def node(self):
        return self.running.node


@dataclass
class Side:
    """A private gateway with its Internet gateway; the links to that one can be cut."""

    name: str
    address: str
    internet_gateway: Process
    gateway: Process
    link: TcpProxy
    app: Process | None = None


class Village:
    """The network; everything it starts, it stops."""

    def __init__(
        self, directory: Path, stack: AsyncExitStack, doh: DohServer, zones: SignedZones, clock: Clock
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.zones = zones
        self._stack = stack
        self._ports: dict[str, str] = {}
        self.authority = Authority.create()
        self._resolver = ResolverConfig(
            url=doh.url,
            validation=Validation.LOCAL,
            anchors=directory / "anchors",
            allow_networks=("127.0.0.0/8",),
        )
        self.network = NetworkConfig(resolver=self._resolver, ca_file=directory / "ca.pem")

    def door(self, host: str) -> DoorConfig:
        issued = self.authority.issue(f"{host}.demo.test", "127.0.0.1")
        certificate, key = issued.write(self.directory, host)
        return DoorConfig(listen=self._ports.get(host, "127.0.0.1:0"), tls_cert=certificate, tls_key=key)

    def announce(self, door: str, address: str, host: str, port: int) -> None:
        self.zones.set(f"{SERVICES[door]}.{address}", f"SRV 0 0 {port} {host}.demo.test.")
        self.zones.set(f"{host}.demo.test", "A 127.0.0.1")

    async def run(self, start) -> Process:
        process = Process(start)
        self._stack.push_async_callback(process.stop)
        await process.start()
        return process

    async def internet_gateway(self, name: str) -> tuple[Process, TcpProxy]:
        address = f"{name}.demo.test"
        storage = StorageConfig(directory=self.directory / name)
        await create_internet_gateway(storage, address)

        @asynccontextmanager
        async def start() -> AsyncIterator:
            config = InternetGatewayConfig(
                storage=storage,
                network=self.network,
                **{door: self.door(f"{name}-{door}") for door in SERVICES},
            )
            async with run_internet_gateway(config, self.clock) as running:
                for door, listening in running.addresses.items():
                    self._ports[f"{name}-{door}"] = listening
                yield running

        process = await self.run(start)
        for door, listening in process.running.addresses.items():
            port = int(listening.rpartition(":")[2])
            if door == "poweb":
                link = await self._stack.enter_async_context(TcpProxy("127.0.0.1", port))
                port = link.port
            self.announce(door, address, f"{name}-{door}", port)
        return process, link

    async def side(self, name: str, beside: Side | None = None) -> Side:
        """Run a private gateway, with an Internet gateway of its own or with that of another one."""
        if beside is None:
            address = f"igw-{name}.demo.test"
            internet, link = await self.internet_gateway(f"igw-{name}")
        else:
            address, internet, link = beside.address, beside.internet_gateway, beside.link
        storage = StorageConfig(directory=self.directory / f"pgw-{name}")
        await create_private_gateway(storage)

        @asynccontextmanager
        async def start() -> AsyncIterator:
            door = DoorConfig(listen=self._ports.get(f"pgw-{name}", "127.0.0.1:0"))
            config = PrivateGatewayConfig(storage=storage, network=self.network, poweb=door)
            async with run_private_gateway(config, self.clock) as running:
                self._ports[f"pgw-{name}"] = running.addresses["poweb"]
                yield running

        gateway = await self.run(start)
        await gateway.node.pairing.pair(address)
        return Side(name, address, internet, gateway, link)

    async def app(self, side: Side, setup=None) -> PrivateApp:
        @asynccontextmanager
        async def start() -> AsyncIterator[PrivateApp]:
            url = f"http://{self._ports[f'pgw-{side.name}']}"
            directory = self.directory / f"app-{side.name}"
            async with PrivateApp.open(directory, gateway=url, clock=self.clock, setup=setup) as app:
                yield app

        side.app = await self.run(start)
        async with asyncio.timeout(20):
            await side.app.running.registered()
        return side.app.running

    async def pong(self, setup=answer_pings) -> Process:
        storage = StorageConfig(directory=self.directory / "pong")
        await create_internet_endpoint(storage, "pong.demo.test")

        @asynccontextmanager
        async def start() -> AsyncIterator[InternetService]:
            config = InternetEndpointConfig(storage=storage, pohttp=self.door("pong"), network=self.network)
            async with InternetService.run(config, setup, clock=self.clock) as service:
                self._ports["pong"] = service.addresses["pohttp"]
                yield service

        process = await self.run(start)
        self.announce(
            "pohttp", "pong.demo.test", "pong", int(process.running.addresses["pohttp"].rpartition(":")[2])
        )
        return process

    async def courier(self, clock: Clock | None = None) -> Process:
        """Run a courier, by the clock of the others or by one of its own."""
        config = CourierConfig(
            storage=StorageConfig(directory=self.directory / "courier"),
            network=self.network,
            cogrpc=DoorConfig(listen="127.0.0.1:0"),
        )
        return await self.run(lambda: run_courier(config, clock or self.clock))

    async def visit(self, side: Side, courier: Process):
        """Bring the courier to a private gateway; return how far that came."""
        host, _, port = courier.running.addresses["cogrpc"].rpartition(":")
        return [step async for step in side.gateway.node.visit.run(host, int(port))][-1]

    async def trip(self, courier: Process):
        """Send the courier to the Internet; return how far that came."""
        return [step async for step in courier.node.trip.run()][-1]


@asynccontextmanager
async def village(directory: Path, clock: Clock | None = None) -> AsyncIterator[Village]:
    """Open a network without nodes; whoever asks for them gets them."""
    clock = clock or HastyClock()
    zones = SignedZones(now=clock.now())
    async with AsyncExitStack() as stack:
        authority = Authority.create()
        tls = authority.server_context("127.0.0.1")
        doh = await stack.enter_async_context(serve_doh(zones.respond, tls=tls))
        built = Village(directory, stack, doh, zones, clock)
        built.authority = authority
        authority.write_ca(directory / "ca.pem")
        (directory / "anchors").write_text(zones.trust_anchor)
        yield built
