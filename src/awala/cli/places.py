# SPDX-License-Identifier: MIT
"""Where a node of this user keeps its configuration and its data, by default under the XDG directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from awala.cli.options import Common

CONFIG_NAME = "config.toml"
"""The configuration file of a node whose data directory was named and whose configuration was not."""


class NodeKind(Enum):
    """The kinds of node, by the name of their command and of their default directory."""

    GATEWAY = "gateway"
    INTERNET_GATEWAY = "internet-gateway"
    COURIER = "courier"
    PONG = "pong"
    PING = "ping"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one node.

    Attributes:
        config: its configuration file, whether it exists or not.
        data: its data directory, whether it exists or not.
    """

    config: Path
    data: Path


def places(kind: NodeKind, common: Common, environ: Mapping[str, str] = os.environ) -> Places:
    """Return where a node of this kind keeps its files, given the common options.

    A node whose data directory is named has its configuration in that directory, so that any number
    of nodes of one kind can live side by side.
    """
    data = common.data_dir or xdg_directory("XDG_DATA_HOME", ".local/share", environ) / kind.value
    if common.config is not None:
        config = common.config
    elif common.data_dir is not None:
        config = common.data_dir / CONFIG_NAME
    else:
        config = xdg_directory("XDG_CONFIG_HOME", ".config", environ) / f"{kind.value}.toml"
    return Places(config.expanduser().absolute(), data.expanduser().absolute())


def xdg_directory(variable: str, fallback: str, environ: Mapping[str, str]) -> Path:
    """Return this program's directory under one of the XDG base directories.

    A relative path in the variable is ignored, as the XDG specification asks.
    """
    base = environ.get(variable, "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME") or Path.home()) / fallback
    return root / "awala"
