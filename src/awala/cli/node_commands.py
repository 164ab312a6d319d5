# SPDX-License-Identifier: MIT
"""What the commands of all nodes do before a node starts: write and read its configuration."""

from __future__ import annotations

from typing import TypeVar

import click

from awala.cli.configuration import Overrides, load
from awala.cli.initial import default_configuration, write_configuration
from awala.cli.options import Common
from awala.cli.places import Places
from awala.cli.settings import Settings
from awala.nodes.errors import NotInitialisedError

S = TypeVar("S", bound=Settings)


def write_initial(model: type[Settings], where: Places, values: Overrides, *, title: str) -> None:
    """Write the commented configuration of a new node, unless there is one.

    Raises ConfigurationError, before anything is written, if something in it or in ``values`` does not fit.
    """
    load(model, file=where.config, overrides=values)
    if where.config.exists():
        click.echo(f"{where.config} exists already and was left as it is", err=True)
        return
    write_configuration(where.config, default_configuration(model, values, title=title))
    click.echo(f"configuration: {where.config}")


def read_settings(model: type[S], where: Places, common: Common, overrides: Overrides | None = None) -> S:
    """Return a command's settings; a file that was named must exist. Raises ConfigurationError."""
    return load(model, file=where.config, required=common.config is not None, overrides=overrides)


def require_data(where: Places) -> None:
    """Refuse a data directory that does not exist, rather than make it; raises NotInitialisedError."""
    if not where.data.is_dir():
        raise NotInitialisedError(f"the data directory {where.data} does not exist")
