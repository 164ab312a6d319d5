# SPDX-License-Identifier: MIT
"""``awala courier``: carries cargo where there is no Internet."""

from __future__ import annotations

import click

from awala.base.errors import AwalaError
from awala.cli.asking import follow, status_command
from awala.cli.media import export_command, import_command
from awala.cli.options import COURIER_LISTEN, Common, common_options, json_option
from awala.cli.output import print_json
from awala.cli.places import NodeKind, places


class TripFailedError(AwalaError):
    """A trip on which nothing could be exchanged with some Internet gateway."""

    retryable = True
    advice = "What is on board stays; try again when there is a connection."


listen_option = click.option(
    "--listen", metavar="HOST:PORT", help=f"Where private gateways find it (default {COURIER_LISTEN})."
)


@click.group()
def command() -> None:
    """Courier: carries cargo between private gateways and the Internet.

    Example: awala courier init && awala courier run
    """


@command.command()
@common_options
@listen_option
def init(common: Common, listen: str | None) -> None:
    """Write a configuration; nothing that exists is changed.

    Example: awala courier init
    """
    from awala.cli import courier_node  # noqa: PLC0415 - commands that ask need none of this

    courier_node.initialise(places(NodeKind.COURIER, common), listen=listen)


@command.command()
@common_options
@listen_option
def run(common: Common, listen: str | None) -> None:
    """Run the courier until it is stopped.

    Example: awala courier run
    """
    from awala.cli import courier_node  # noqa: PLC0415 - commands that ask need none of this

    courier_node.run(places(NodeKind.COURIER, common), common, listen=listen)


command.add_command(status_command(NodeKind.COURIER, "Tell what the running courier has on board."))


@command.command()
@common_options
@json_option
def sync(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Exchange cargo with the Internet gateways now.

    Example: awala courier sync
    """
    steps = follow(places(NodeKind.COURIER, common).data, "sync")
    if as_json and steps:
        print_json(steps[-1])
    failures = steps[-1]["failures"] if steps else []
    if failures:
        raise TripFailedError("; ".join(failures))


command.add_command(export_command(NodeKind.COURIER, "Copy everything on board to a medium."))
command.add_command(import_command(NodeKind.COURIER, "Take cargo on board from a medium."))
