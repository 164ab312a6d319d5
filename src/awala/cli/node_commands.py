# SPDX-License-Identifier: MIT
"""What the commands of all nodes do alike: initialise, ask a running node, print what it says."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import click

from awala.base.errors import AwalaError
from awala.cli.configuration import Overrides, load
from awala.cli.control import call, call_once, control_path
from awala.cli.initial import default_configuration, write_configuration
from awala.cli.output import print_json, printable
from awala.cli.places import Places
from awala.cli.settings import Settings
from awala.crypto import IdentityPublicKey
from awala.messages import (
    MessageError,
    NodeConnectionParams,
    is_internet_address,
    normalise_address,
)
from awala.nodes.errors import NotInitialisedError
from awala.spool.model import Totals

MAX_PARAMS_FILE = 65_536
"""Octets that a file of connection parameters may have."""


class ParamsFileError(AwalaError):
    """A file that cannot be used as connection parameters."""

    advice = "Get the file again from whoever runs that node."


class TargetError(AwalaError):
    """An argument that names neither a file nor an Internet address."""

    advice = "Name a file of connection parameters, or a domain name such as example.com."


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


def require_data(where: Places) -> None:
    """Refuse a data directory that does not exist, rather than make it; raises NotInitialisedError."""
    if not where.data.is_dir():
        raise NotInitialisedError(f"the data directory {where.data} does not exist")


def plain(value: object) -> Any:
    """Return a value as JSON can hold it: times in UTC to the second, keys left out."""
    match value:
        case Enum():
            result: Any = value.value
        case datetime():
            result = value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case IdentityPublicKey():
            result = value.node_id
        case Mapping():
            result = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            result = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            result = value
    return result


def read_target(target: str) -> bytes | str:
    """Return what an argument ``ADDRESS|PARAMS_FILE`` names: the file's parameters, or the address.

    Raises TargetError if it is neither, ParamsFileError if the file cannot be used.
    """
    file = Path(target)
    if file.exists() and not file.is_dir():
        return _read_params(file)
    address = normalise_address(target)
    if not is_internet_address(address):
        raise TargetError(f"{target!r} is neither a file nor a domain name")
    return address


def _read_params(file: Path) -> bytes:
    """Return the content of a file of connection parameters, once it has been read as such."""
    try:
        octets = file.read_bytes()
        if len(octets) > MAX_PARAMS_FILE:
            raise ParamsFileError(f"{file}: is too large for connection parameters")
        NodeConnectionParams.parse(octets)
    except OSError as error:
        raise ParamsFileError(f"{file}: cannot be read: {error.strerror}") from error
    except MessageError as error:
        raise ParamsFileError(f"{file}: holds no connection parameters of a node: {error}") from error
    return octets


def ask(data_dir: Path, command: str, **arguments: object) -> dict[str, Any]:
    """Ask the node that runs on a data directory for one answer."""
    return asyncio.run(call_once(control_path(data_dir), command, arguments))


def follow(data_dir: Path, command: str, **arguments: object) -> list[dict[str, Any]]:
    """Ask the node that runs on a data directory, print a line for each step and return all steps."""

    async def run() -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        async with aclosing(call(control_path(data_dir), command, arguments)) as answers:
            async for answer in answers:
                steps.append(answer)
                click.echo(_step_line(answer), err=True)
        return steps

    return asyncio.run(run())


def _step_line(step: Mapping[str, Any]) -> str:
    counts = ", ".join(
        f"{step[name]} {name}" for name in ("collected", "delivered") if step.get(name) is not None
    )
    return printable(f"{step.get('stage', '')}: {counts}" if counts else str(step.get("stage", "")))


def print_status(status: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a node's status, as JSON or as one line for each fact."""
    if as_json:
        print_json(status)
        return
    for name, value in status.items():
        click.echo(f"{name.replace('_', ' ')}: {printable(_fact(value))}")


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        if set(value) == {field.name for field in dataclasses.fields(Totals)}:
            return f"{value['items']} ({value['octets']} octets)"
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if value is None or value == "":
        return "-"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


async def single(value: object) -> AsyncIterator[dict[str, Any]]:
    """Answer a control command with one value."""
    yield plain(value)
