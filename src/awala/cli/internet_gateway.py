# SPDX-License-Identifier: MIT
"""``awala internet-gateway``: the gateway that an operator runs for many private gateways."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from awala.base.files import write_private
from awala.cli.asking import ask, status_command
from awala.cli.control import NodeNotRunningError
from awala.cli.member_commands import add_member_commands
from awala.cli.options import Common, common_options
from awala.cli.places import NodeKind, places


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
    from awala.cli import internet_gateway_node  # noqa: PLC0415 - commands that ask need none of this

    node_id = internet_gateway_node.initialise(places(NodeKind.INTERNET_GATEWAY, common), address)
    click.echo(f"Internet gateway: {node_id}")


@command.command()
@common_options
def run(common: Common) -> None:
    """Run the Internet gateway until it is stopped.

    Example: awala internet-gateway run --log-format json
    """
    from awala.cli import internet_gateway_node  # noqa: PLC0415 - commands that ask need none of this

    internet_gateway_node.run(places(NodeKind.INTERNET_GATEWAY, common), common)


command.add_command(
    status_command(NodeKind.INTERNET_GATEWAY, "Tell how the running Internet gateway is doing.")
)
add_member_commands(command, NodeKind.INTERNET_GATEWAY, plural="private-gateways", what="private gateway")


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
        from awala.cli import internet_gateway_node  # noqa: PLC0415 - commands that ask need none of this

        octets = internet_gateway_node.read_params(where)
    if str(file) == "-":
        sys.stdout.buffer.write(octets)
    else:
        write_private(file, octets)
