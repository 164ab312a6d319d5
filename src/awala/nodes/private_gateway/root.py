# SPDX-License-Identifier: MIT
"""The private gateway as a process: stores, network, server and loops, from one configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from awala.base.clock import Clock, SystemClock
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, EncryptionConfig, NetworkConfig, StorageConfig
from awala.nodes.loading import loading
from awala.nodes.network import Network, open_network, server_tls
from awala.nodes.private_gateway.credentials import Credentials
from awala.nodes.private_gateway.node import PrivateGateway, open_private_gateway
from awala.vault import SqliteVault

LOCAL_PORT = 13276
"""Where private gateways listen for the apps of their device (RS-016, deployed)."""

LOCAL_HOSTS = Hosts(["127.0.0.1", "localhost", "::1"])
"""Names that a request of an app may call its gateway by (rules §8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateGatewayConfig:
    """What a private gateway is told when it starts."""

    storage: StorageConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    encryption: EncryptionConfig = field(default_factory=EncryptionConfig)
    poweb: DoorConfig = field(default_factory=lambda: DoorConfig(listen=f"127.0.0.1:{LOCAL_PORT}"))


@dataclass(frozen=True, slots=True)
class RunningPrivateGateway:
    """A private gateway that accepts connections."""

    node: PrivateGateway
    network: Network
    addresses: Mapping[str, str]


async def create_private_gateway(storage: StorageConfig) -> str:
    """Make the keys of a private gateway unless they exist; return its node id."""
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            await Credentials.create(vault)
            return (await Credentials.load(vault, SystemClock())).node_id
    finally:
        await vault.close()


@asynccontextmanager
async def run_private_gateway(
    config: PrivateGatewayConfig, clock: Clock | None = None
) -> AsyncIterator[RunningPrivateGateway]:
    """Run a private gateway for as long as the block lasts."""
    clock = clock or SystemClock()
    async with (
        open_network(config.network, clock) as network,
        open_private_gateway(
            config.storage,
            clock=clock,
            connect=network.connect_poweb,
            connect_courier=network.connect_courier,
            content_cipher=config.encryption.content_cipher,
        ) as node,
        in_background(node.run()),
        serve_poweb(
            poweb_app(node.local, withdrawals=node.local, hosts=LOCAL_HOSTS),
            config.poweb.listen,
            tls=server_tls(config.poweb, config.network.minimum_tls_version),
        ) as server,
    ):
        yield RunningPrivateGateway(node, network, {"poweb": server.address})
