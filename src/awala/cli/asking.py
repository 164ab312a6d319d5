# SPDX-License-Identifier: MIT
"""Asks the node that runs on a data directory, and prints what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from awala.cli.control import call, call_once, control_path
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json, printable
from awala.cli.places import NodeKind, places

AMOUNT = {"items", "octets"}
"""What a node tells of messages at rest."""

COUNTS = ("collected", "delivered", "exported", "imported", "left", "skipped")
"""What a node counts while it exchanges messages."""


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


def status_command(kind: NodeKind, summary: str) -> click.Command:
    """Return the command ``status`` of a kind of node; ``summary`` is what its help says first."""

    @click.command("status", help=f"{summary}\n\nExample: awala {kind.value} status --json")
    @common_options
    @json_option
    def status(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
        answer = ask(places(kind, common).data, "status")
        if as_json:
            print_json(answer)
            return
        for name, value in answer.items():
            click.echo(f"{name.replace('_', ' ')}: {printable(_fact(value))}")

    return status


def _step_line(step: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{step[name]} {name}" for name in COUNTS if step.get(name) is not None)
    return printable(f"{step.get('stage', '')}: {counts}" if counts else str(step.get("stage", "")))


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        if set(value) == AMOUNT:
            return f"{value['items']} ({value['octets']} octets)"
        return ", ".join(f"{key.replace('_', ' ')} {_fact(item)}" for key, item in value.items())
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
