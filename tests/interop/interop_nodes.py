# SPDX-License-Identifier: MIT
"""Our gateways and our courier behind real servers, to be met by peers over CogRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from interop_cogrpc import A_MOMENT, HOST, cut_when, port_in, way_to_courier, way_to_internet_gateway
from interop_gateways import ADDRESS, Household, PeerGateway, PeerInternetGateway
from interop_kotlin_gateways import KotlinGateway

from awala.base.clock import Clock
from awala.bindings.cogrpc import CogRpcClient, CogRpcServer, make_courier_certificate
from awala.bindings.errors import UnreachableError
from awala.crypto import IdentityPrivateKey
from awala.messages import (
    DetachedSignatureType,
    Registration,
    RegistrationRequest,
    sign_detached,
)
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.courier.node import open_courier
from awala.nodes.courier.root import CourierConfig, run_courier
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.lanes import (
    ENDPOINT,
    GATEWAY,
    REQUESTS,
    TO_INTERNET_GATEWAY,
    TO_PRIVATE_GATEWAY,
    UNPACK_HOP,
    UPLINK,
)
from awala.nodes.private_gateway.node import PrivateGateway, open_private_gateway
from awala.nodes.private_gateway.root import create_private_gateway
from awala.spool.model import Hop
from awala.spool.port import Spool
from awala.testing import Authority, ChaosProxy
from helpers.cast import identity_key

ANY_PORT = DoorConfig(listen="127.0.0.1:0")
ALL = 1 << 30
UNPACKING = 30.0
"""Seconds in which all cargo must have been unpacked."""


async def resting(spool: Spool, hop: Hop) -> list[bytes]:
    """Return what rests at a hop and may leave in cargo, sorted."""
    items = await spool.snapshot(hop, now=datetime.now(UTC), budget=ALL)
    bodies = [await spool.body(item) for item in items]
    return sorted(body for body in bodies if body is not None)


@dataclass(frozen=True)
class OurInternetGateway:
    """An Internet gateway of ours, with its courier door over TLS at ``port``."""

    node: Any
    port: int

    @property
    def way(self) -> dict[str, str]:
        """How the peer reaches it."""
        return way_to_internet_gateway(self.port)

    async def arrived(self, gateway: PeerGateway | KotlinGateway) -> list[bytes]:
        """Return the parcels that wait for a private gateway by now."""
        return await resting(self.node._spool, Hop(GATEWAY, gateway.id))

    async def mailbox(self, gateway: PeerGateway | KotlinGateway) -> list[bytes]:
        """Return the parcels that wait for a private gateway, once all cargo is unpacked."""
        async with asyncio.timeout(UNPACKING):
            while UNPACK_HOP in await self.node._spool.totals():  # noqa: ASYNC110 - it tells of arrivals only
                await asyncio.sleep(A_MOMENT)
        return await self.arrived(gateway)

    async def put(self, gateway: PeerGateway | KotlinGateway, parcels: Sequence[bytes]) -> None:
        """Have parcels wait for a private gateway, as if its Internet side had brought them."""
        for parcel in parcels:
            await self.node.internet_door.deliver(parcel)
        assert await self.mailbox(gateway) == sorted(parcels)


@asynccontextmanager
async def our_internet_gateway(
    directory: Path, authority: Authority, address: str = ADDRESS
) -> AsyncIterator[OurInternetGateway]:
    """Run an Internet gateway of ours."""
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, address)
    certificate, key = authority.issue(HOST).write(directory)
    door = DoorConfig(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)
    config = InternetGatewayConfig(storage=storage, poweb=ANY_PORT, pohttp=ANY_PORT, cogrpc=door)
    async with run_internet_gateway(config) as running:
        yield OurInternetGateway(running.node, port_in(running.addresses["cogrpc"]))


@dataclass(frozen=True)
class OurCourier:
    """A courier of ours, with its door at ``host`` and ``port``, where a ``link`` leads to as well."""

    node: Any
    host: str
    port: int
    link: ChaosProxy

    @property
    def way(self) -> dict[str, str]:
        """How the peer reaches it."""
        return way_to_courier(self.port, self.host)

    @property
    def by_link(self) -> dict[str, str]:
        """How the peer reaches it over the link."""
        return way_to_courier(self.link.port, self.host)

    async def weather(self, **weather: dict[str, float]) -> None:
        """Set the weather on the link, by direction."""
        for direction, values in weather.items():
            for name, value in values.items():
                setattr(getattr(self.link, direction), name, value)

    async def cut_when(self, on_board: int) -> None:
        """Break the connections over the link once, when there are so many outgoing cargoes."""
        await cut_when(self.link, self.outgoing, on_board)

    async def load(self, cargoes: Sequence[bytes]) -> None:
        """Give it cargo."""
        for cargo in cargoes:
            await self.node.door.deliver(cargo)

    async def outgoing(self, address: str = ADDRESS) -> list[bytes]:
        """Return the cargo on board for an Internet gateway."""
        return await resting(self.node._spool, Hop(TO_INTERNET_GATEWAY, address))

    async def incoming(self, gateway_id: str) -> list[bytes]:
        """Return the cargo on board for a private gateway."""
        return await resting(self.node._spool, Hop(TO_PRIVATE_GATEWAY, gateway_id))

    async def requests(self, gateway_id: str, address: str = ADDRESS) -> list[bytes]:
        """Return the authorisations on board by a private gateway."""
        return await resting(self.node._spool, Hop(REQUESTS, f"{gateway_id}@{address}"))


@asynccontextmanager
async def at_a_link(node: Any, address: str) -> AsyncIterator[OurCourier]:
    """Have a link, of the same host, that leads to the courier at an address."""
    host, port = address.rpartition(":")[0], port_in(address)
    async with ChaosProxy(host, port, host=host) as link:
        yield OurCourier(node, host, port, link)


@asynccontextmanager
async def our_travelling_courier(
    directory: Path, clock: Clock, connect: Callable[[str], Awaitable[CogRpcClient]]
) -> AsyncIterator[OurCourier]:
    """Run a courier of ours that gets its clients for Internet gateways from ``connect``."""
    tls = make_courier_certificate([ip_address("127.0.0.1")], now=clock.now()).tls
    async with (
        open_courier(StorageConfig(directory=directory), clock=clock, connect=connect) as node,
        in_background(node.run()),
        CogRpcServer.for_courier(node.door, "127.0.0.1:0", tls=tls) as server,
        at_a_link(node, server.address) as courier,
    ):
        yield courier


@dataclass(frozen=True)
class OurPrivateGateway:
    """A private gateway of ours, with an endpoint of ours behind it."""

    node: PrivateGateway
    endpoint: IdentityPrivateKey
    household: Household

    async def send(self, parcel: bytes) -> None:
        """Hand over a parcel of the endpoint."""
        local = self.node.local
        certificate = self.household.certificate
        signature = sign_detached(DetachedSignatureType.PARCEL_DELIVERY, parcel, self.endpoint, certificate)
        await local.deliver(parcel, await local.recognise(signature))

    async def visited(self, port: int) -> tuple[int, int]:
        """Be visited by a courier; return how many cargoes were collected and delivered."""
        steps = [step async for step in self.node.visit.run("127.0.0.1", port)]
        return steps[-1].collected, steps[-1].delivered

    async def arrived(self) -> list[bytes]:
        """Return the parcels that wait for the endpoint."""
        spool, hop = self.node._spool, Hop(ENDPOINT, self.endpoint.node_id)
        items = await spool.lease(hop, now=datetime.now(UTC), duration=timedelta(hours=1), limit=1000)
        bodies = [await spool.body(item) for item in items]
        await spool.return_lease(items)
        return sorted(body for body in bodies if body is not None)

    async def leaving(self, internet_gateway_id: str) -> list[bytes]:
        """Return the parcels that wait for the Internet gateway."""
        return await resting(self.node._spool, Hop(UPLINK, internet_gateway_id))


@asynccontextmanager
async def our_private_gateway(
    directory: Path, clock: Clock, internet_gateway: PeerInternetGateway
) -> AsyncIterator[OurPrivateGateway]:
    """Run a private gateway of ours that has registered once and is off-line since."""
    storage = StorageConfig(directory=directory)
    await create_private_gateway(storage)
    reachable = [internet_gateway]

    async def connect(_address: str) -> Any:
        if not reachable:
            raise UnreachableError("off-line")
        return reachable.pop()

    async with open_private_gateway(
        storage, clock=clock, connect=connect, connect_courier=CogRpcClient.for_courier
    ) as node:
        await node.pairing.pair(ADDRESS)
        endpoint = identity_key("js", "ep")
        authorization = await node.local.preregister(endpoint.public_key.digest)
        request = RegistrationRequest(endpoint.public_key, authorization).serialize(endpoint)
        registered = Registration.parse(await node.local.register(request))
        household = Household(endpoint, registered.node_certificate, registered.gateway_certificate)
        async with in_background(node.run()):
            yield OurPrivateGateway(node, endpoint, household)


@asynccontextmanager
async def our_courier(
    directory: Path, *, host: str = "127.0.0.1", quota: int | None = None
) -> AsyncIterator[OurCourier]:
    """Run a courier of ours, which shows a certificate of its own making."""
    config = CourierConfig(
        storage=StorageConfig(directory=directory, quota=quota), cogrpc=DoorConfig(listen=f"{host}:0")
    )
    async with (
        run_courier(config) as running,
        at_a_link(running.node, running.addresses["cogrpc"]) as courier,
    ):
        yield courier
