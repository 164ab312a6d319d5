# SPDX-License-Identifier: MIT
"""The courier as a process: store, network, server and upkeep, from one configuration."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from awala.base.clock import Clock, SystemClock
from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import COURIER_PORT, CogRpcServer, make_courier_certificate, own_addresses
from awala.bindings.host_port import split_address
from awala.nodes.background import in_background, supervised
from awala.nodes.backoff import local_backoff
from awala.nodes.config import DoorConfig, NetworkConfig, StorageConfig
from awala.nodes.courier.node import Courier, open_courier
from awala.nodes.network import open_network, tls_octets

logger = logging.getLogger(__name__)

CERTIFICATE_RENEWAL = timedelta(hours=6)
"""A courier's certificate lives a day; a new one is shown this often, with the addresses of the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierConfig:
    """What a courier is told when it starts."""

    storage: StorageConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    cogrpc: DoorConfig = field(default_factory=lambda: DoorConfig(listen=f"0.0.0.0:{COURIER_PORT}"))


@dataclass(frozen=True, slots=True)
class RunningCourier:
    """A courier that accepts connections."""

    node: Courier
    addresses: Mapping[str, str]


@asynccontextmanager
async def run_courier(config: CourierConfig, clock: Clock | None = None) -> AsyncIterator[RunningCourier]:
    """Run a courier for as long as the block lasts."""
    clock = clock or SystemClock()
    given = tls_octets(config.cogrpc)
    async with (
        open_network(config.network, clock) as network,
        open_courier(config.storage, clock=clock, connect=network.connect_cogrpc) as node,
        in_background(node.run()),
        CogRpcServer.for_courier(
            node.door,
            config.cogrpc.listen,
            tls=given or _certificate(config, clock),
            room=config.storage.quota,
        ) as server,
        in_background(*(() if given else (supervised(lambda: _renew(server, config, clock), clock),))),
    ):
        yield RunningCourier(node, {"cogrpc": server.address})


async def _renew(server: CogRpcServer, config: CourierConfig, clock: Clock) -> None:
    while True:
        await clock.sleep(CERTIFICATE_RENEWAL.total_seconds())
        failures = 0
        while not await _present(server, _certificate(config, clock)):
            failures += 1
            await clock.sleep(local_backoff().wait(failures).total_seconds())


async def _present(server: CogRpcServer, certificate: tuple[bytes, bytes]) -> bool:
    """Show another certificate; return False if the port was lost over it, so that nobody listens now."""
    try:
        await server.replace_certificate(*certificate)
    except ConfigurationError as error:
        logger.warning("the courier cannot be reached for a moment: %s", error)
        return False
    return True


def _certificate(config: CourierConfig, clock: Clock) -> tuple[bytes, bytes]:
    """Make a self-signed certificate for every address that this machine has now (rules §10)."""
    host, _ = split_address(config.cogrpc.listen)
    addresses = own_addresses(loopback=True)
    try:
        listening = ipaddress.ip_address(host)
    except ValueError:
        listening = None
    if listening is not None and not listening.is_unspecified and listening not in addresses:
        addresses = [listening, *addresses]
    return make_courier_certificate(addresses, now=clock.now()).tls
