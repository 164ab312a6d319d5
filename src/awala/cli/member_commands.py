# SPDX-License-Identifier: MIT
"""The commands that both gateways have for the nodes which registered with them: list, refuse, admit."""

from __future__ import annotations

import click

from awala.cli.asking import ask
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json, printable
from awala.cli.places import NodeKind, places


def add_member_commands(group: click.Group, kind: NodeKind, *, plural: str, what: str) -> None:
    """Add the commands to those of a kind of gateway; ``plural`` names the one that lists."""
    example = f"awala {kind.value}"

    @group.command(plural, help=f"List the {what}s that registered.\n\nExample: {example} {plural} --json")
    @common_options
    @json_option
    def list_members(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
        members = ask(places(kind, common).data, "members")["members"]
        if as_json:
            print_json(members)
            return
        for member in members:
            state = "refused" if member["refused"] else f"until {member['valid_until']}"
            click.echo(printable(f"{member['id']} {state}"))

    @group.command(
        "refuse",
        help=f"Serve this {what} no longer, and let it register no more.\n\nExample: {example} refuse ID",
    )
    @click.argument("node_id", metavar="ID")
    @common_options
    def refuse(node_id: str, common: Common) -> None:
        ask(places(kind, common).data, "refuse", id=node_id)

    @group.command("admit", help=f"Serve a refused {what} again.\n\nExample: {example} admit ID")
    @click.argument("node_id", metavar="ID")
    @common_options
    def admit(node_id: str, common: Common) -> None:
        ask(places(kind, common).data, "admit", id=node_id)
