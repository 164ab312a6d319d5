# SPDX-License-Identifier: MIT
"""The Internet gateway as a process: stores, network, three servers and loops, from one configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from awala.base.clock import Clock, SystemClock
from awala.bindings.cogrpc import CogRpcServer
from awala.bindings.pohttp import pohttp_app
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.bindings.serving import serve
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, EncryptionConfig, NetworkConfig, StorageConfig
from awala.nodes.internet_gateway.credentials import Credentials
from awala.nodes.internet_gateway.node import InternetGateway, load_params, open_internet_gateway
from awala.nodes.loading import loading
from awala.nodes.network import open_network, served_hosts, server_tls, tls_octets
from awala.sessions import Sessions
from awala.vault import SqliteVault


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetGatewayConfig:
    """What an Internet gateway is told when it starts."""

    storage: StorageConfig
    poweb: DoorConfig
    pohttp: DoorConfig
    cogrpc: DoorConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    encryption: EncryptionConfig = field(default_factory=EncryptionConfig)


@dataclass(frozen=True, slots=True)
class RunningInternetGateway:
    """An Internet gateway that accepts connections."""

    node: InternetGateway
    addresses: Mapping[str, str]


async def create_internet_gateway(storage: StorageConfig, address: str) -> str:
    """Make the keys of an Internet gateway unless they exist; return its node id."""
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            await Credentials.create(vault, address)
            return (await Credentials.load(vault, SystemClock())).node_id
    finally:
        await vault.close()


@asynccontextmanager
async def run_internet_gateway(
    config: InternetGatewayConfig, clock: Clock | None = None
) -> AsyncIterator[RunningInternetGateway]:
    """Run an Internet gateway for as long as the block lasts."""
    clock = clock or SystemClock()
    minimum = config.network.minimum_tls_version
    async with (
        open_network(config.network, clock) as network,
        open_internet_gateway(
            config.storage,
            clock=clock,
            pohttp=network.pohttp,
            content_cipher=config.encryption.content_cipher,
        ) as node,
        in_background(node.run()),
        serve_poweb(
            poweb_app(node.gateway_door, withdrawals=node.gateway_door, hosts=served_hosts(config.poweb)),
            config.poweb.listen,
            tls=server_tls(config.poweb, minimum),
        ) as poweb,
        serve(
            pohttp_app(
                node.internet_door,
                connection_params=node.connection_params,
                hosts=served_hosts(config.pohttp),
            ),
            config.pohttp.listen,
            tls=server_tls(config.pohttp, minimum),
        ) as pohttp,
        CogRpcServer.for_internet_gateway(
            node.courier_door, config.cogrpc.listen, tls=tls_octets(config.cogrpc)
        ) as cogrpc,
    ):
        yield RunningInternetGateway(
            node, {"poweb": poweb.address, "pohttp": pohttp.address, "cogrpc": cogrpc.address}
        )


async def read_connection_params(storage: StorageConfig) -> bytes:
    """Return the connection parameters of an Internet gateway that does not run."""
    clock = SystemClock()
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            credentials = await Credentials.load(vault, clock)
            return (await load_params(credentials, Sessions(vault.session_keys), clock.now())).octets
    finally:
        await vault.close()
