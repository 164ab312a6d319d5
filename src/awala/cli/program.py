# SPDX-License-Identifier: MIT
"""The program ``awala``: its list of commands, each imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib import metadata
from typing import NamedTuple

import click

from awala.cli.failures import ExitCode, run_guarded


class Entry(NamedTuple):
    """Where a command lives, and what it is for."""

    module: str
    summary: str


COMMANDS = {
    "demo": Entry("awala.cli.demo", "Run a whole network on this machine."),
    "inspect": Entry("awala.cli.inspect", "Explain any Awala artefact."),
    "gateway": Entry("awala.cli.gateway", "Private gateway: the door of this device to the network."),
    "internet-gateway": Entry("awala.cli.internet_gateway", "Internet gateway: serves private gateways."),
    "courier": Entry("awala.cli.courier", "Courier: carries cargo where there is no Internet."),
    "ping": Entry("awala.cli.ping", "Ping an Internet endpoint through the local gateway."),
    "pong": Entry("awala.cli.pong", "An Internet endpoint that answers pings."),
    "chat": Entry("awala.cli.chat", "Chat with a paired peer."),
    "lab": Entry("awala.cli.lab", "Run a small Internet to try the nodes by hand."),
    "bench": Entry("awala.cli.bench", "Measure this installation."),
}
"""All commands, in the order of ``awala --help``."""

ATTRIBUTE = "command"
"""The click command in each of those modules."""


class LazyGroup(click.Group):
    """A group that knows the names of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command and return it; None for an unknown name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name].module), ATTRIBUTE)
        if not isinstance(command, click.Command):
            message = f"{COMMANDS[cmd_name].module}.{ATTRIBUTE} is no click command"
            raise TypeError(message)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    if value:
        click.echo(f"awala {metadata.version('awala')}")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: awala demo --check",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
def program() -> None:
    """Awala: messages between apps, with and without the Internet."""


def run_program(arguments: Sequence[str]) -> ExitCode:
    """Run the command that ``arguments`` name and return its exit code; every failure is explained."""
    return run_guarded(program, arguments)
