# SPDX-License-Identifier: MIT
"""``awala internet-gateway``: the gateway that an operator runs for many private gateways."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from awala.base.errors import ConfigurationError
from awala.base.files import write_private
from awala.cli.configuration import load
from awala.cli.control import ControlServer, NodeNotRunningError, control_path
from awala.cli.node_commands import ask, print_status, require_data, single, write_initial
from awala.cli.node_settings import door_config, network_config, storage_config
from awala.cli.options import Common, common_options, json_option
from awala.cli.places import NodeKind, Places, places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, HostPort, Settings
from awala.messages import NodeConnectionParams, is_internet_address, normalise_address


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


class InternetGatewaySettings(Settings):
    """The settings of an Internet gateway."""

    poweb: PoWebDoor = PoWebDoor()
    pohttp: PoHttpDoor = PoHttpDoor()
    cogrpc: CogRpcDoor = CogRpcDoor()


@click.group()
def command() -> None:
    """Internet gateway: serves private gateways, couriers and other Internet hosts.

    Example: awala internet-gateway init --address gateway.example.com && awala internet-gateway run
    """


@command.command()
@click.option("--address", required=True, metavar="NAME", help="The Internet address: a domain name.")
@common_options
def init(address: str, common: Common) -> None:
    """Write a configuration and make the keys; nothing that exists is changed.

    Example: awala internet-gateway init --address gateway.example.com
    """
    from awala.nodes.internet_gateway.root import (  # noqa: PLC0415 - help needs none of this
        create_internet_gateway,
        read_connection_params,
    )

    normal = normalise_address(address)
    if not is_internet_address(normal):
        raise ConfigurationError(f"--address: {address!r} is not a domain name")
    where = places(NodeKind.INTERNET_GATEWAY, common)
    with owned_directory(where.data):
        write_initial(InternetGatewaySettings, where, {}, title=f"Awala Internet gateway {normal}")
        settings = load(InternetGatewaySettings, file=where.config)
        storage = storage_config(settings.storage, where.data)
        node_id = asyncio.run(create_internet_gateway(storage, normal))
        known = NodeConnectionParams.parse(asyncio.run(read_connection_params(storage))).internet_address
    if known != normal:
        raise ConfigurationError(f"--address: this Internet gateway is {known} already, and stays so")
    click.echo(f"Internet gateway: {node_id}")


@command.command()
@common_options
def run(common: Common) -> None:
    """Run the Internet gateway until it is stopped.

    Example: awala internet-gateway run --log-format json
    """
    where = places(NodeKind.INTERNET_GATEWAY, common)
    require_data(where)
    settings = load(InternetGatewaySettings, file=where.config, required=common.config is not None)

    async def body(running: Running) -> None:
        await _serve(running, settings, where)

    run_node(body, data_dir=where.data)


async def _serve(running: Running, settings: InternetGatewaySettings, where: Places) -> None:
    from awala.nodes.internet_gateway.root import (  # noqa: PLC0415 - servers are imported when they run
        InternetGatewayConfig,
        run_internet_gateway,
    )

    config = InternetGatewayConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        poweb=door_config(settings.poweb, "poweb"),
        pohttp=door_config(settings.pohttp, "pohttp"),
        cogrpc=door_config(settings.cogrpc, "cogrpc"),
    )
    async with run_internet_gateway(config) as gateway:

        async def status(_arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            async for answer in single(await gateway.node.status()):
                yield answer

        async def params(_arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            yield {"params": gateway.node.connection_params().hex()}

        async with ControlServer(control_path(where.data), {"status": status, "params": params}):
            running.ready(gateway.addresses)
            await running.until_stopped()


@command.command()
@common_options
@json_option
def status(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Tell how the running Internet gateway is doing.

    Example: awala internet-gateway status --json
    """
    print_status(ask(places(NodeKind.INTERNET_GATEWAY, common).data, "status"), as_json=as_json)


@command.command("params")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@common_options
def write_params(file: Path, common: Common) -> None:
    """Write the connection parameters, with which private gateways pair, to FILE (- for standard output).

    Example: awala internet-gateway params gateway.params
    """
    where = places(NodeKind.INTERNET_GATEWAY, common)
    try:
        octets = bytes.fromhex(ask(where.data, "params")["params"])
    except NodeNotRunningError:
        octets = _read_params(where)
    if str(file) == "-":
        sys.stdout.buffer.write(octets)
    else:
        write_private(file, octets)


def _read_params(where: Places) -> bytes:
    """Make the parameters from the data directory while the gateway does not run."""
    from awala.nodes.internet_gateway.root import read_connection_params  # noqa: PLC0415 - help needs none

    require_data(where)
    settings = load(InternetGatewaySettings, file=where.config)
    with owned_directory(where.data):
        return asyncio.run(read_connection_params(storage_config(settings.storage, where.data)))
