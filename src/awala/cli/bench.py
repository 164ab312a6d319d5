# SPDX-License-Identifier: MIT
"""``awala bench``: measures this installation, each figure beside the bare work below it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from awala.base.memory import keep_freed_memory
from awala.cli.options import json_option
from awala.cli.output import print_json

if TYPE_CHECKING:
    from awala.testing.bench import Figure, Report
    from awala.testing.bench.figures import Say

KIBI = 1024
MEBI = 1024 * 1024


class BenchName(click.ParamType[str]):
    """The name of a bench; the list of them is only imported when one is named."""

    name = "bench"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; a usage error if there is no such bench."""
        from awala.testing.bench import BENCHES  # noqa: PLC0415 - help needs none of this

        if value not in BENCHES:
            self.fail(f"{value!r} is no bench; there are {', '.join(BENCHES)}", param, ctx)
        return str(value)


@click.command(epilog="Example: awala bench core --json")
@click.argument("names", nargs=-1, type=BenchName(), metavar="[NAME]...")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="How long each measurement takes; 1 or 1.5 unless given.",
)
@click.option(
    "--items",
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Measure stores with so many messages in them too; a million take a minute and 500 MB each.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    metavar="DIR",
    help="Where stores are put while they are measured; the disk matters.",
)
@json_option
def command(
    *,
    names: tuple[str, ...],
    seconds: float | None,
    items: int | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Measure this installation; without NAME all there is.

    \b
    core     parcels sealed and opened per second, beside the bare OpenSSL operations
    spool    what the spool does per second, beside bare SQLite and bare files
    gateway  parcels that a private gateway takes over and hands out, beside the bare work

    Nothing is kept. All takes a minute.
    """  # noqa: D301 - click's mark of lines that stay as they are
    from awala.testing.bench import BENCHES, Plan, measure  # noqa: PLC0415 - help needs none of this

    keeps = keep_freed_memory()  # buffers of the size of messages come and go
    reports: list[Report] = []
    with _progress() as say:
        for name in dict.fromkeys(names or BENCHES):
            plan = Plan(seconds or BENCHES[name].seconds, items=items, directory=directory, say=say)
            reports.append(measure(name, plan))
    if as_json:
        print_json({"machine": _machine(keeps), "benches": [report.plain() for report in reports]})
        return
    for report in reports:
        _show(report)


@contextmanager
def _progress() -> Iterator[Say]:
    """Tell on standard error what is measured: in a line that vanishes, if it is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - help needs none of this

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda line: click.echo(line, err=True)
        return
    with console.status("") as status:
        yield status.update


def _machine(keeps_freed_memory: bool) -> dict[str, str | int | bool | None]:  # noqa: FBT001 - a fact
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "keeps_freed_memory": keeps_freed_memory,
    }


def _show(report: Report) -> None:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON
    from rich.table import Table  # noqa: PLC0415 - the same

    console = Console(highlight=False, file=sys.stdout)
    table = Table()
    labels = list(report.figures[0].labels)
    for label in labels:
        table.add_column("size" if label == "octets" else label)
    for column in ("per second", "floor", "ratio", *(detail.replace("_", " ") for detail in report.shown)):
        table.add_column(column, justify="right")
    for figure in report.figures:
        table.add_row(*(_label(label, figure.labels[label]) for label in labels), *_cells(figure, report))
    console.print(f"{report.name}: {report.summary}", markup=False, style="bold")
    console.print(table)
    for note in report.notes:
        console.print(f"- {note}", markup=False)
    conditions = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.conditions.items())
    console.print(f"- {conditions}\n", markup=False)


def _cells(figure: Figure, report: Report) -> Iterator[str]:
    yield f"{figure.per_second:,.0f}"
    yield "" if figure.floor_per_second is None else f"{figure.floor_per_second:,.0f}"
    yield "" if figure.ratio is None else f"{figure.ratio:.2f}"
    for detail in report.shown:
        yield f"{figure.details[detail]:,.2f}" if detail in figure.details else ""


def _label(name: str, value: str | int) -> str:
    if value == 0:
        return ""
    if name != "octets" or not isinstance(value, int):
        return str(value)
    if value % MEBI == 0:
        return f"{value // MEBI} MiB"
    if value % KIBI == 0:
        return f"{value // KIBI} KiB"
    return f"{value} B"
