# SPDX-License-Identifier: MIT
"""Puts the network together: names, links and configurations first, then the nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from awala.base.files import private_directory
from awala.bindings.addressing import Service
from awala.demo.chatting import ChatApp
from awala.demo.feed import Feed
from awala.demo.internet import (
    DOMAIN,
    DOORS,
    LOOPBACK,
    Internet,
    Settings,
    lead,
    open_internet,
    write_settings,
)
from awala.demo.links import Link
from awala.demo.network import Network, Side, Tell
from awala.demo.nodes import Node
from awala.demo.processes import Processes
from awala.testing import TcpProxy

ANY_PORT = f"{LOOPBACK}:0"


@asynccontextmanager
async def open_network(directory: Path, tell: Tell) -> AsyncIterator[Network]:
    """Run the whole network, with its state in ``directory``, for as long as the block lasts.

    Args:
        directory: made if need be; what an earlier run left there is used again.
        tell: told what is being started, for a person who waits.

    Raises:
        DemoError: a part did not start.
    """
    await asyncio.to_thread(private_directory, directory)
    processes = Processes(directory)
    async with open_internet(directory) as internet:
        network = await _Builder(directory, internet, processes).build()
        try:
            await network.start(tell)
            yield network
        finally:
            tell("stopping")
            await processes.end_all()
            await asyncio.gather(*(node.finish() for node in network.nodes))


@dataclass(frozen=True, slots=True)
class _Host:
    """A node on the Internet, and where each of its doors is found."""

    node: Node
    address: str
    doors: Mapping[str, TcpProxy]


class _Builder:
    def __init__(self, directory: Path, internet: Internet, processes: Processes) -> None:
        self._directory = directory
        self._internet = internet
        self._processes = processes
        self._feed = Feed()

    async def build(self) -> Network:
        """Return the network; nothing runs yet."""
        resolver = await self._internet.proxy_to_resolver()
        hosts = {
            side: await self._host(
                f"igw-{side}", "internet-gateway", "run", address=f"igw-{side}.{DOMAIN}", resolver=resolver
            )
            for side in ("a", "b")
        }
        pong = await self._host(
            "pong",
            "pong",
            address=f"pong.{DOMAIN}",
            resolver=resolver,
            services=(Service.PARCEL_DELIVERY,),
        )
        courier, inwards, outwards = await self._courier(hosts)
        sides = {
            name: await self._side(
                name, host, Link(f"courier-{name}", (f"gateway-{name}", "courier"), inwards[name])
            )
            for name, host in hosts.items()
        }
        backbone = Link(
            "backbone",
            ("igw-a", "igw-b", "pong"),
            resolver,
            *(host.doors["pohttp"] for host in (*hosts.values(), pong)),
        )
        links = [link for side in sides.values() for link in (side.internet, side.courier)]
        return Network(
            directory=self._directory,
            feed=self._feed,
            processes=self._processes,
            a=sides["a"],
            b=sides["b"],
            pong=pong.node,
            courier=courier,
            links=(*links, outwards, backbone),
            outside=self._internet.network(await self._internet.proxy_to_resolver()),
        )

    async def _host(
        self,
        name: str,
        command: str,
        *run: str,
        address: str,
        resolver: TcpProxy,
        services: tuple[Service, ...] = tuple(DOORS),
    ) -> _Host:
        proxies = await self._internet.publish(address, *services)
        by_door = {DOORS[service]: proxy for service, proxy in proxies.items()}
        certificate = await asyncio.to_thread(self._internet.certificate, address)
        listening = {door: {"listen": ANY_PORT, **certificate} for door in by_door}
        if command == "pong":
            node = self._node(name, command, *run)
            listening["endpoint"] = {"address": address}
        else:
            node = self._node(name, command, *run, init=("--address", address))
        await self._configure(node, {**listening, **self._internet.settings(resolver)})
        self._connect(node, by_door)
        return _Host(node, address, by_door)

    async def _courier(self, hosts: Mapping[str, _Host]) -> tuple[Node, Mapping[str, TcpProxy], Link]:
        """Return the courier, its door for each private gateway, and its way to the Internet."""
        node = self._node("courier", "courier", "run")
        resolver = await self._internet.proxy_to_resolver()
        settings: Settings = {"cogrpc": {"listen": ANY_PORT}, **self._internet.settings(resolver)}
        await self._configure(node, settings)
        doors = {side: await self._internet.proxy() for side in hosts}
        self._connect(node, {"cogrpc": tuple(doors.values())})
        outwards = Link(
            "courier-internet",
            ("courier", *(host.node.name for host in hosts.values())),
            resolver,
            *(host.doors["cogrpc"] for host in hosts.values()),
        )
        return node, doors, outwards

    async def _side(self, name: str, host: _Host, courier: Link) -> Side:
        gateway = self._node(f"gateway-{name}", "gateway", "run", init=())
        resolver = await self._internet.proxy_to_resolver()
        await self._configure(gateway, {"poweb": {"listen": ANY_PORT}, **self._internet.settings(resolver)})
        door = await self._internet.proxy()
        self._connect(gateway, {"poweb": door})
        url = f"http://{door.address}"
        app = self._node(f"app-{name}", "chat", "--json", "--gateway", url, talks=True)
        return Side(
            name=name,
            app=ChatApp(app),
            gateway=gateway,
            internet_gateway=host.node,
            internet_gateway_address=host.address,
            internet=Link(f"internet-{name}", (gateway.name, host.node.name), host.doors["poweb"], resolver),
            courier=courier,
            door=door,
        )

    def _node(
        self, name: str, command: str, *run: str, init: tuple[str, ...] | None = None, talks: bool = False
    ) -> Node:
        return Node(
            name,
            command,
            *run,
            data=self._directory / name,
            processes=self._processes,
            feed=self._feed,
            init=init,
            talks=talks,
        )

    async def _configure(self, node: Node, settings: Settings) -> None:
        await asyncio.to_thread(private_directory, node.data)
        await asyncio.to_thread(write_settings, node.data / "config.toml", settings)

    def _connect(self, node: Node, doors: Mapping[str, TcpProxy | tuple[TcpProxy, ...]]) -> None:
        """Have the proxies lead to the node's doors, whichever ports it gets each time it starts."""

        def on_start() -> None:
            for door, proxies in doors.items():
                for proxy in proxies if isinstance(proxies, tuple) else (proxies,):
                    lead(proxy, node.addresses[door])

        node.on_start = on_start
