# SPDX-License-Identifier: MIT
"""``export`` and ``import``: cargo on removable media, alike for private gateways and couriers."""

from __future__ import annotations

from pathlib import Path

import click

from awala.cli.asking import follow
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json, printable
from awala.cli.places import NodeKind, places

directory_argument = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))


def export_command(kind: NodeKind, summary: str) -> click.Command:
    """Return the command ``export`` of a kind of node; ``summary`` is what its help says first."""
    help_text = (
        f"{summary}\n\nEverything stays here too, since a medium may be lost."
        f"\n\nExample: awala {kind.value} export /media/usb"
    )

    @click.command("export", help=help_text)
    @directory_argument
    @common_options
    @json_option
    def export(directory: Path, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
        _act(kind, "export", directory, common, as_json=as_json)

    return export


def import_command(kind: NodeKind, summary: str) -> click.Command:
    """Return the command ``import`` of a kind of node; ``summary`` is what its help says first."""
    help_text = (
        f"{summary}\n\nWhat was taken is removed from the medium; the rest is left on it."
        f"\n\nExample: awala {kind.value} import /media/usb"
    )

    @click.command("import", help=help_text)
    @directory_argument
    @common_options
    @json_option
    def take_in(directory: Path, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
        _act(kind, "import", directory, common, as_json=as_json)

    return take_in


def _act(kind: NodeKind, name: str, directory: Path, common: Common, *, as_json: bool) -> None:
    steps = follow(places(kind, common).data, name, directory=str(directory.absolute()))
    for problem in steps[-1].get("problems", ()) if steps else ():
        click.echo(printable(problem), err=True)
    if as_json and steps:
        print_json(steps[-1])
