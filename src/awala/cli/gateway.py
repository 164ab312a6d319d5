# SPDX-License-Identifier: MIT
"""``awala gateway``: the private gateway of this device."""

from __future__ import annotations

import click

from awala.base.errors import ConfigurationError
from awala.bindings.host_port import split_address
from awala.cli.asking import ask, follow, status_command
from awala.cli.media import export_command, import_command
from awala.cli.member_commands import add_member_commands
from awala.cli.options import COURIER_PORT, GATEWAY_LISTEN, Common, common_options, json_option
from awala.cli.output import print_json
from awala.cli.places import NodeKind, places

listen_option = click.option(
    "--listen", metavar="HOST:PORT", help=f"Where apps find it (default {GATEWAY_LISTEN})."
)


@click.group()
def command() -> None:
    """Private gateway: the door of this device to the network.

    Example: awala gateway init && awala gateway run
    """


@command.command()
@common_options
@listen_option
def init(common: Common, listen: str | None) -> None:
    """Write a configuration and make the keys; nothing that exists is changed.

    Example: awala gateway init
    """
    from awala.cli import gateway_node  # noqa: PLC0415 - commands that ask need none of this

    node_id = gateway_node.initialise(places(NodeKind.GATEWAY, common), listen=listen)
    click.echo(f"private gateway: {node_id}")


@command.command()
@common_options
@listen_option
def run(common: Common, listen: str | None) -> None:
    """Run the private gateway until it is stopped.

    Example: awala gateway run --listen 127.0.0.1:13276
    """
    from awala.cli import gateway_node  # noqa: PLC0415 - commands that ask need none of this

    gateway_node.run(places(NodeKind.GATEWAY, common), common, listen=listen)


command.add_command(status_command(NodeKind.GATEWAY, "Tell how the running private gateway is doing."))
add_member_commands(command, NodeKind.GATEWAY, plural="endpoints", what="endpoint")


@command.command()
@click.argument("target", metavar="ADDRESS|PARAMS_FILE")
@common_options
@json_option
def pair(target: str, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Pair the running private gateway with an Internet gateway.

    A file of connection parameters pins the Internet gateway's key; an address trusts DNSSEC and TLS.

    Example: awala gateway pair frankfurt.relaycorp.cloud
    """
    from awala.cli.targets import read_target  # noqa: PLC0415 - other commands need none of this

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


command.add_command(export_command(NodeKind.GATEWAY, "Copy what waits for the Internet to a medium."))
command.add_command(import_command(NodeKind.GATEWAY, "Take what came for this device on a medium."))


def _split_courier(text: str) -> tuple[str, int]:
    try:
        return split_address(text, default_port=COURIER_PORT)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="--courier") from error
