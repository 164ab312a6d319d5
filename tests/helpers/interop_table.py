# SPDX-License-Identifier: MIT
"""The interoperability table: its cells, what a test run says of each, and the page that shows it."""

from __future__ import annotations

import ast
import itertools
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

TESTS: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = TESTS / "interop"
PAGE: Final = TESTS.parent / "docs" / "interoperability.md"

OK: Final = "ok"
BEFORE: Final = "ok before"

INTRODUCTION: Final = """\
<!-- Made by ./scripts/soak interop from a run of tests/interop; not to be edited. -->

# Interoperability

Every door of every node, tried against the reference software over real connections.
`./scripts/soak interop` runs all of it and writes this page; `./scripts/test` a part of it at every door.
[tests/interop](../tests/interop/README.md) says how the peers are driven.

| in a cell | means |
| --- | --- |
| ok | at least one test shows it, and all that do have passed |
| ok before | an earlier run showed it; in the last one the peer could not be had, and tests were skipped |
| defect *n* | the peer cannot do it, whatever we do: why, and by which test, is said below the tables |
| not tried | no test ran, for the reason beside |
| failed | a test that shows it has failed |
"""


class Cell(NamedTuple):
    peer: str
    capability: str


@dataclass(frozen=True, slots=True)
class Peer:
    title: str
    version: str


@dataclass(frozen=True, slots=True)
class Group:
    """One table of the page: a door, the peers that are tried at it, and titles of capabilities by ids."""

    title: str
    peers: tuple[str, ...]
    capabilities: dict[str, str]


@dataclass(frozen=True, slots=True)
class Defect:
    """Why cells are not ok; ``test`` is the function that shows it, or none for what is not tried."""

    peer: str
    capabilities: tuple[str, ...]
    reason: str
    test: str | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(Cell(self.peer, capability) for capability in self.capabilities)


@dataclass(frozen=True, slots=True)
class Table:
    peers: dict[str, Peer]
    groups: tuple[Group, ...]
    defects: tuple[Defect, ...]

    @property
    def cells(self) -> frozenset[Cell]:
        return frozenset(
            Cell(peer, capability)
            for group in self.groups
            for peer, capability in itertools.product(group.peers, group.capabilities)
        )

    @property
    def excused(self) -> dict[Cell, Defect]:
        """The cells that are not ok for a reason that was reviewed."""
        return {cell: defect for defect in self.defects for cell in defect.cells}


def read_table(folder: Path = FOLDER) -> Table:
    table, defects = _toml(folder / "table.toml"), _toml(folder / "defects.toml")
    return Table(
        {name: Peer(**values) for name, values in table["peers"].items()},
        tuple(Group(**values | {"peers": tuple(values["peers"])}) for values in table["groups"].values()),
        tuple(
            Defect(**values | {"capabilities": tuple(values["capabilities"])})
            for kind in ("defect", "untried")
            for values in defects.get(kind, [])
        ),
    )


def _toml(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return tomllib.load(stream)


# ---- a run of the tests ------------------------------------------------------------------------------


class Outcome(Enum):
    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test; ``reason`` tells why it was skipped."""

    test: str
    outcome: Outcome
    cells: frozenset[Cell] = frozenset()
    reason: str = ""

    @property
    def function(self) -> str:
        return self.test.rpartition("::")[2].partition("[")[0]

    def described(self) -> dict[str, Any]:
        return {
            "test": self.test,
            "outcome": self.outcome.value,
            "cells": sorted(self.cells),
            "reason": self.reason,
        }

    @classmethod
    def of(cls, description: dict[str, Any]) -> Result:
        cells = frozenset(Cell(*cell) for cell in description["cells"])
        return cls(description["test"], Outcome(description["outcome"]), cells, description["reason"])


def states(table: Table, results: Iterable[Result]) -> dict[Cell, str]:
    """Return what the page says in each cell."""
    shown: dict[Cell, list[Result]] = {}
    functions: dict[str, list[Result]] = {}
    for result in results:
        functions.setdefault(result.function, []).append(result)
        for cell in result.cells:
            shown.setdefault(cell, []).append(result)
    numbers = {defect: number for number, defect in enumerate(_of_peers(table), 1)}
    return {
        cell: _excuse(table.excused[cell], numbers, functions)
        if cell in table.excused
        else _state(shown.get(cell, []))
        for cell in table.cells
    }


def _of_peers(table: Table) -> list[Defect]:
    return [defect for defect in table.defects if defect.test is not None]


def _state(results: list[Result]) -> str:
    outcomes = {result.outcome for result in results}
    if Outcome.FAILED in outcomes:
        return "failed"
    if Outcome.PASSED in outcomes:
        return OK
    return f"not tried: {results[0].reason}" if results else "not tried: there is no test"


def _excuse(defect: Defect, numbers: dict[Defect, int], functions: dict[str, list[Result]]) -> str:
    """Return what stands for the reason; a defect that its test did not show in this run is a failure."""
    if defect.test is None:
        return f"not tried: {defect.reason}"
    state = _state(functions.get(defect.test, []))
    return f"defect {numbers[defect]}" if state == OK else state


# ---- the page ----------------------------------------------------------------------------------------


def page(table: Table, results: Iterable[Result], earlier: str = "") -> str:
    """Write the page; ``earlier`` is the one before, which tells what cells were that could not be tried."""
    results = tuple(results)
    found = states(table, results)
    skipped = {cell for result in results for cell in result.cells if result.outcome is Outcome.SKIPPED}
    were_ok = ok_cells(earlier)

    def text(group: Group, cell: Cell) -> str:
        titles = group.title, table.peers[cell.peer].title, group.capabilities[cell.capability]
        is_untried = found[cell].startswith("not tried") and cell in skipped
        return BEFORE if is_untried and titles in were_ok else found[cell]

    parts = [INTRODUCTION]
    for group in table.groups:
        parts.append(f"\n## {group.title}\n\n")
        parts.append(_row("peer", "version", *group.capabilities.values()))
        parts.append(_row(*["---"] * (2 + len(group.capabilities))))
        for name in group.peers:
            peer = table.peers[name]
            parts.append(
                _row(
                    peer.title, peer.version, *(text(group, Cell(name, each)) for each in group.capabilities)
                )
            )
        parts += _shown_by(group, results)
    return "".join([*parts, *_defects(table)])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _shown_by(group: Group, results: tuple[Result, ...]) -> list[str]:
    lines = []
    for capability, title in group.capabilities.items():
        tests = {
            result.test.partition("[")[0]
            for result in results
            if any(cell.capability == capability for cell in result.cells)
        }
        if tests:
            lines.append(f"* {title}: {_links(tests)}\n")
    return ["\n", *lines] if lines else []


def _links(tests: Iterable[str]) -> str:
    files: dict[str, list[str]] = {}
    for test in sorted(tests):
        file, _, name = test.rpartition("::")
        files.setdefault(file, []).append(_spelled(name))
    return "; ".join(f"[{Path(file).name}](../{file}): {', '.join(names)}" for file, names in files.items())


def _spelled(function: str) -> str:
    return function.removeprefix("test_").replace("_", " ")


def _defects(table: Table) -> Iterator[str]:
    defects = _of_peers(table)
    if not defects:
        return
    yield "\n## Defects of the peers\n\n"
    for number, defect in enumerate(defects, 1):
        yield (
            f"{number}. {table.peers[defect.peer].title}: {defect.reason} "
            f"Shown by: {_spelled(defect.test or '')}.\n"
        )


def ok_cells(text: str) -> set[tuple[str, str, str]]:
    """Return the titles of group, peer and capability of each cell that is ok on a page, or was before."""
    found: set[tuple[str, str, str]] = set()
    title, header = "", list[str]()
    for line in text.splitlines():
        if line.startswith("## "):
            title, header = line.removeprefix("## "), []
        elif line.startswith("| ") and title:
            row = [cell.strip() for cell in line.strip("|").split("|")]
            header = header or row
            found |= {
                (title, row[0], name) for name, cell in zip(header, row, strict=True) if cell in {OK, BEFORE}
            }
    return found


# ---- what the reviewed files name -------------------------------------------------------------------


def functions_of_tests() -> set[str]:
    """Return the names of all test functions, without running any."""
    return {
        node.name
        for file in TESTS.rglob("test_*.py")
        if "node_modules" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def marked_files() -> list[Path]:
    """Return the test files that show cells without lying in ``tests/interop``."""
    return [
        file
        for file in sorted(TESTS.rglob("test_*.py"))
        if "node_modules" not in file.parts
        and not file.is_relative_to(FOLDER)
        and "pytest.mark.cell(" in file.read_text()
    ]
