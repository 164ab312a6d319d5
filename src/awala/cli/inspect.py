# SPDX-License-Identifier: MIT
"""``awala inspect``: explains any Awala artefact, for people or as JSON."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from awala.base.errors import AwalaError
from awala.cli.failures import CommandFailure
from awala.cli.options import json_option
from awala.cli.output import print_json, printable
from awala.messages.inspection import Kind, inspect
from awala.messages.inspection.pem import without_armour
from awala.pki import Certificate

MAX_SIZE = 16 * 1024 * 1024
"""Octets of the largest file that is read; no artefact of Awala is that large."""

MAX_SHOWN = 64
"""Characters of Base64 shown to a person."""

INDENT = "  "
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})")


class InputError(AwalaError):
    """A file that was named on the command line cannot be used."""


class Time(click.ParamType[datetime]):
    """A moment in ISO 8601 with its offset, such as ``2026-11-21T00:55:00Z``."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the text; a usage error if it is no moment."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            if TIME.fullmatch(text) is None:
                raise ValueError(text)
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time; write it as 2026-11-21T00:55:00Z", param, ctx)


@click.command(epilog="Example: awala inspect --key session.pem --trust gateway.der parcel.bin")
@click.argument("file", metavar="FILE")
@json_option
@click.option(
    "--as",
    "kind",
    type=click.Choice([kind.value for kind in Kind]),
    metavar="KIND",
    help="What the file is to be read as; recognised otherwise.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE",
    help="Private key (PKCS#8, DER or PEM) to open the payload with; repeatable.",
)
@click.option(
    "--trust",
    "anchors",
    multiple=True,
    metavar="FILE",
    help="Certificate (DER or PEM) to trace the sender's authorisation to; repeatable.",
)
@click.option(
    "--at", type=Time(), metavar="TIME", help="The moment as of which authorisation is judged; now otherwise."
)
def command(
    *,
    file: str,
    as_json: bool,
    kind: str | None,
    keys: tuple[str, ...],
    anchors: tuple[str, ...],
    at: datetime | None,
) -> None:
    """Explain any Awala artefact: a message, a certificate, a key, a payload.

    FILE may be - for standard input. Expiry alone is no error; a signature that does not hold is.
    """
    try:
        report = inspect(
            _read(file),
            kind=kind,
            keys=[_read(key) for key in keys],
            anchors=[_read_certificate(anchor) for anchor in anchors],
            at=at or datetime.now(UTC),
        )
    except AwalaError as error:
        if as_json:
            print_json({"error": {"class": type(error).__name__, "message": str(error)}})
        subject = "" if isinstance(error, InputError) else f"{file}: "
        raise CommandFailure(f"{subject}{error}") from error
    if as_json:
        print_json(report)
    else:
        _show(report)


def _read(name: str) -> bytes:
    try:
        if name == "-":
            return _read_stream(name, sys.stdin.buffer)
        with Path(name).open("rb") as stream:
            return _read_stream(name, stream)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error


def _read_stream(name: str, stream: BinaryIO) -> bytes:
    data = stream.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise InputError(f"{name}: larger than {MAX_SIZE} octets, which no artefact of Awala is")
    return data


def _read_certificate(name: str) -> Certificate:
    try:
        return Certificate.parse(without_armour(_read(name)))
    except InputError:
        raise
    except AwalaError as error:
        raise InputError(f"{name}: is no certificate: {error}") from error


def _show(report: Mapping[str, object]) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False, soft_wrap=True)
    members = dict(report)
    console.print(Text(str(members.pop("kind")), style="bold"))
    for depth, label, value in _lines(members, 1):
        console.print(Text(INDENT * depth), Text(label, style="cyan"), Text(printable(value)), sep="")


def _lines(members: Mapping[str, object], depth: int) -> Iterator[tuple[int, str, str]]:
    """Yield indentation, label and value of each line that shows these members."""
    for name, value in members.items():
        label = name.replace("_", " ")
        if name.endswith("_base64") and isinstance(value, str):
            yield depth, f"{label.removesuffix(' base64')}: ", _describe_octets(value)
        elif isinstance(value, Mapping):
            yield depth, f"{label}:", ""
            yield from _lines(value, depth + 1)
        elif isinstance(value, list | tuple):
            yield from _list_lines(label, value, depth)
        else:
            yield depth, f"{label}: ", _describe(value)


def _list_lines(label: str, items: Iterable[object], depth: int) -> Iterator[tuple[int, str, str]]:
    items = list(items)
    yield depth, f"{label}:", "" if items else " none"
    for number, item in enumerate(items, 1):
        if isinstance(item, Mapping):
            yield depth + 1, f"{number}:", ""
            yield from _lines(item, depth + 2)
        else:
            yield depth + 1, f"{number}: ", _describe(item)


def _describe(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _describe_octets(encoded: str) -> str:
    octets = base64.b64decode(encoded)
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = ""
    if text and all(character.isprintable() or character in "\n\t" for character in text):
        return f"{len(octets)} octets of text: {_shorten(text)}"
    return f"{len(octets)} octets: {_shorten(encoded)}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"
