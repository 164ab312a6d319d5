# SPDX-License-Identifier: MIT
"""``awala gateway``: the private gateway of this device."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import click

from awala.base.errors import AwalaError, ConfigurationError
from awala.bindings.addressing import AddressError
from awala.bindings.errors import BindingError
from awala.cli.configuration import load
from awala.cli.control import ControlServer, control_path
from awala.cli.node_commands import (
    ask,
    follow,
    plain,
    print_status,
    read_target,
    require_data,
    single,
    write_initial,
)
from awala.cli.node_settings import door_config, network_config, storage_config
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json
from awala.cli.places import NodeKind, Places, places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, HostPort, Settings
from awala.messages import NodeConnectionParams, normalise_address

COURIER_PORT = 21473
LISTEN = "127.0.0.1:13276"


class GatewayDoor(Door):
    """Where apps on this machine find the private gateway."""

    listen: HostPort = LISTEN
    """HOST:PORT to listen on, on this machine only; port 0 takes any free one."""


class PairingFailedError(AwalaError):
    """The Internet gateway could not be found or reached, or did not accept us."""

    advice = "Nothing was changed. Check the address, and that there is a connection."


class VisitFailedError(AwalaError):
    """The courier could not be reached, or the exchange with it broke off."""

    retryable = True
    advice = "What was exchanged before stays so. Check the address, and that the courier is near and runs."


class GatewaySettings(Settings):
    """The settings of a private gateway."""

    poweb: GatewayDoor = GatewayDoor()


@click.group()
def command() -> None:
    """Private gateway: the door of this device to the network.

    Example: awala gateway init && awala gateway run
    """


@command.command()
@common_options
@click.option("--listen", metavar="HOST:PORT", help=f"Where apps find it (default {LISTEN}).")
def init(common: Common, listen: str | None) -> None:
    """Write a configuration and make the keys; nothing that exists is changed.

    Example: awala gateway init
    """
    import asyncio  # noqa: PLC0415 - help needs none of this

    from awala.nodes.private_gateway.root import create_private_gateway  # noqa: PLC0415

    where = places(NodeKind.GATEWAY, common)
    with owned_directory(where.data):
        write_initial(GatewaySettings, where, {"poweb": {"listen": listen}}, title="Awala private gateway")
        settings = load(GatewaySettings, file=where.config)
        node_id = asyncio.run(create_private_gateway(storage_config(settings.storage, where.data)))
    click.echo(f"private gateway: {node_id}")


@command.command()
@common_options
@click.option("--listen", metavar="HOST:PORT", help=f"Where apps find it (default {LISTEN}).")
def run(common: Common, listen: str | None) -> None:
    """Run the private gateway until it is stopped.

    Example: awala gateway run --listen 127.0.0.1:13276
    """
    where = places(NodeKind.GATEWAY, common)
    require_data(where)
    settings = load(
        GatewaySettings,
        file=where.config,
        required=common.config is not None,
        overrides={"poweb": {"listen": listen}},
    )

    async def body(running: Running) -> None:
        await _serve(running, settings, where)

    run_node(body, data_dir=where.data)


async def _serve(running: Running, settings: GatewaySettings, where: Places) -> None:
    from awala.nodes.private_gateway.root import (  # noqa: PLC0415 - servers are imported when they run
        PrivateGatewayConfig,
        run_private_gateway,
    )

    config = PrivateGatewayConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        poweb=door_config(settings.poweb, "poweb"),
    )
    async with run_private_gateway(config) as gateway:
        node = gateway.node

        async def status(_arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            async for answer in single(await node.status()):
                yield answer

        async def pair(arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            octets = bytes.fromhex(arguments.get("params") or "")
            params = NodeConnectionParams.parse(octets) if octets else None
            address = params.internet_address if params else arguments["address"]
            try:
                peer = await node.pairing.pair(normalise_address(address), params)
            except (AddressError, BindingError) as error:
                raise PairingFailedError(f"cannot pair with {address}: {error}") from error
            node.uplink.kick()
            yield plain(peer)

        async def sync(arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            if arguments.get("host") is None:
                node.uplink.kick()
                yield {"stage": "trying the Internet gateway"}
                return
            _ = node.credentials.peer  # without one there is nothing to exchange, wherever the courier is
            try:
                async for progress in node.visit.run(arguments["host"], arguments["port"]):
                    yield plain(progress)
            except BindingError as error:
                raise VisitFailedError(f"the exchange with the courier failed: {error}") from error

        handlers = {"status": status, "pair": pair, "sync": sync}
        async with ControlServer(control_path(where.data), handlers):
            running.ready(gateway.addresses)
            await running.until_stopped()


@command.command()
@common_options
@json_option
def status(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Tell how the running private gateway is doing.

    Example: awala gateway status --json
    """
    print_status(ask(places(NodeKind.GATEWAY, common).data, "status"), as_json=as_json)


@command.command()
@click.argument("target", metavar="ADDRESS|PARAMS_FILE")
@common_options
@json_option
def pair(target: str, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Pair the running private gateway with an Internet gateway.

    A file of connection parameters pins the Internet gateway's key; an address trusts DNSSEC and TLS.

    Example: awala gateway pair frankfurt.relaycorp.cloud
    """
    named = read_target(target)
    arguments = {"params": named.hex()} if isinstance(named, bytes) else {"address": named}
    peer = ask(places(NodeKind.GATEWAY, common).data, "pair", **arguments)
    if as_json:
        print_json(peer)
    else:
        click.echo(f"paired with {peer['address']} ({peer['node_id']})")


@command.command()
@click.option("--courier", metavar="HOST[:PORT]", help="Exchange cargo with the courier at this address.")
@common_options
@json_option
def sync(courier: str | None, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Exchange messages now: with a courier, or with the Internet gateway.

    Example: awala gateway sync --courier 192.168.43.1
    """
    arguments: dict[str, object] = {}
    if courier is not None:
        host, port = _split_courier(courier)
        arguments = {"host": host, "port": port}
    steps = follow(places(NodeKind.GATEWAY, common).data, "sync", **arguments)
    if as_json and steps:
        print_json(steps[-1])
    sys.stdout.flush()


def _split_courier(text: str) -> tuple[str, int]:
    from awala.bindings.host_port import split_address  # noqa: PLC0415 - only this option needs it

    try:
        return split_address(text, default_port=COURIER_PORT)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--courier") from error
