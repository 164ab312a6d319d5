# SPDX-License-Identifier: MIT
"""The Internet gateway behind ``awala internet-gateway``: its settings, its keys, and how it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from awala.base.errors import ConfigurationError
from awala.cli.answering import answer_until_stopped, single
from awala.cli.configuration import load
from awala.cli.control import Answer
from awala.cli.member_handlers import member_handlers
from awala.cli.node_commands import read_settings, require_data, write_initial
from awala.cli.node_settings import door_config, encryption_config, network_config, storage_config
from awala.cli.options import Common
from awala.cli.places import Places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, Encryption, HostPort, Settings, Size, Storage
from awala.messages import NodeConnectionParams, is_internet_address, normalise_address
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    read_connection_params,
    run_internet_gateway,
)


class PoWebDoor(Door):
    """Where private gateways reach this gateway (SRV _awala-gsc._tcp)."""

    listen: HostPort = "127.0.0.1:8080"
    """HOST:PORT to listen on; port 0 takes any free one."""


class PoHttpDoor(Door):
    """Where other Internet gateways and endpoints reach this gateway (SRV _awala-pdc._tcp)."""

    listen: HostPort = "127.0.0.1:8081"
    """HOST:PORT to listen on; port 0 takes any free one."""


class CogRpcDoor(Door):
    """Where couriers reach this gateway (SRV _awala-crc._tcp)."""

    listen: HostPort = "127.0.0.1:8082"
    """HOST:PORT to listen on; port 0 takes any free one."""


class SharedStorage(Storage):
    """Where keys and messages are kept."""

    mailbox_quota: Size | None = 1 << 30
    """Most that may wait in one mailbox, as above. None means no limit."""

    pair_quota: Size | None = 256 << 20
    """Most that one sender may have waiting for one recipient, as above. None means no limit."""


class InternetGatewaySettings(Settings):
    """The settings of an Internet gateway."""

    storage: SharedStorage = SharedStorage()
    encryption: Encryption = Encryption()
    poweb: PoWebDoor = PoWebDoor()
    pohttp: PoHttpDoor = PoHttpDoor()
    cogrpc: CogRpcDoor = CogRpcDoor()


def initialise(where: Places, address: str) -> str:
    """Write the configuration and make the keys unless there are any; return the node id.

    Raises ConfigurationError if the gateway has another Internet address already.
    """
    normal = normalise_address(address)
    if not is_internet_address(normal):
        raise ConfigurationError(f"--address: {address!r} is not a domain name")
    with owned_directory(where.data):
        write_initial(InternetGatewaySettings, where, {}, title=f"Awala Internet gateway {normal}")
        settings = load(InternetGatewaySettings, file=where.config)
        storage = storage_config(settings.storage, where.data)
        node_id = asyncio.run(create_internet_gateway(storage, normal))
        known = NodeConnectionParams.parse(asyncio.run(read_connection_params(storage))).internet_address
    if known != normal:
        raise ConfigurationError(f"--address: this Internet gateway is {known} already, and stays so")
    return node_id


def run(where: Places, common: Common) -> None:
    """Run the Internet gateway until it is stopped."""
    require_data(where)
    settings = read_settings(InternetGatewaySettings, where, common)
    run_node(lambda running: _serve(running, settings, where), data_dir=where.data)


def read_params(where: Places) -> bytes:
    """Return the connection parameters, made from the data directory while the gateway does not run."""
    require_data(where)
    settings = load(InternetGatewaySettings, file=where.config)
    with owned_directory(where.data):
        return asyncio.run(read_connection_params(storage_config(settings.storage, where.data)))


async def _serve(running: Running, settings: InternetGatewaySettings, where: Places) -> None:
    config = InternetGatewayConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        encryption=encryption_config(settings.encryption),
        poweb=door_config(settings.poweb, "poweb"),
        pohttp=door_config(settings.pohttp, "pohttp"),
        cogrpc=door_config(settings.cogrpc, "cogrpc"),
    )
    async with run_internet_gateway(config) as gateway:

        async def params(_arguments: dict[str, Any]) -> AsyncIterator[Answer]:
            yield {"params": gateway.node.connection_params().hex()}

        handlers = {
            "status": single(gateway.node.status),
            "params": params,
            **member_handlers(gateway.node.members),
        }
        await answer_until_stopped(running, where.data, handlers, gateway.addresses)
