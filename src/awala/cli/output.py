# SPDX-License-Identifier: MIT
"""What a command prints on standard output: JSON for programs, plain lines for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

JSON_INDENT = 2


def print_json(value: object) -> None:
    """Print one JSON value over several lines: the whole answer of a command."""
    click.echo(json.dumps(value, indent=JSON_INDENT, ensure_ascii=False))


def print_json_line(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own: a step in a stream of answers."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def printable(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal shown as an escape instead."""
    return "".join(
        character if character.isprintable() or character == "\n" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
