# SPDX-License-Identifier: MIT
"""``awala pong``: an Internet endpoint that answers pings."""

from __future__ import annotations

import asyncio

import click

from awala.base.errors import ConfigurationError
from awala.base.files import write_private
from awala.cli.node_commands import read_settings
from awala.cli.node_settings import door_config, encryption_config, network_config, storage_config
from awala.cli.options import Common, common_options
from awala.cli.places import NodeKind, Places, places
from awala.cli.running import Running, run_node
from awala.cli.settings import Door, Encryption, HostPort, Section, Settings
from awala.messages import is_internet_address, normalise_address

PARAMS_FILE = "connection-params.der"
"""Where the endpoint's connection parameters are written at each start, in the data directory."""


class PoHttpDoor(Door):
    """Where Internet gateways reach this endpoint (SRV _awala-pdc._tcp)."""

    listen: HostPort = "127.0.0.1:8083"
    """HOST:PORT to listen on; port 0 takes any free one."""


class EndpointSection(Section):
    """The endpoint itself."""

    address: str = ""
    """The Internet address of the endpoint: a domain name."""


class PongSettings(Settings):
    """The settings of Pong."""

    endpoint: EndpointSection = EndpointSection()
    encryption: Encryption = Encryption()
    pohttp: PoHttpDoor = PoHttpDoor()


@click.command()
@click.option("--address", metavar="NAME", help="The Internet address: a domain name.")
@click.option("--listen", metavar="HOST:PORT", help="Where Internet gateways reach it.")
@common_options
def command(address: str | None, listen: str | None, common: Common) -> None:
    """Run an Internet endpoint that answers pings, until it is stopped.

    Its connection parameters are written to connection-params.der in the data directory.

    Example: awala pong --address pong.example.com
    """
    where = places(NodeKind.PONG, common)
    overrides = {"endpoint": {"address": address}, "pohttp": {"listen": listen}}
    settings = read_settings(PongSettings, where, common, overrides)
    if not is_internet_address(normalise_address(settings.endpoint.address)):
        raise ConfigurationError("[endpoint] address: a domain name is needed (option --address)")
    run_node(lambda running: _serve(running, settings, where), data_dir=where.data)


async def _serve(running: Running, settings: PongSettings, where: Places) -> None:
    from awala.nodes.endpoint.root import (  # noqa: PLC0415 - servers are imported when they run
        InternetEndpointConfig,
        create_internet_endpoint,
    )
    from awala.sdk.service import InternetService  # noqa: PLC0415 - as above
    from awala.services.ping import answer_pings  # noqa: PLC0415 - as above

    storage = storage_config(settings.storage, where.data)
    address = normalise_address(settings.endpoint.address)
    await create_internet_endpoint(storage, address)
    config = InternetEndpointConfig(
        storage=storage,
        pohttp=door_config(settings.pohttp, "pohttp"),
        network=network_config(settings.resolver, settings.tls),
        encryption=encryption_config(settings.encryption),
    )
    async with InternetService.run(config, answer_pings) as service:
        if service.node.address != address:
            raise ConfigurationError(
                f"[endpoint] address: this endpoint is {service.node.address} already, and stays so"
            )
        await asyncio.to_thread(write_private, where.data / PARAMS_FILE, service.node.connection_params())
        running.ready(service.addresses)
        await running.until_stopped()
