# SPDX-License-Identifier: MIT
"""The marks of the interoperability table: what a run says of each cell, and what only long runs do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from helpers.interop_table import Cell, Outcome, Result, Table, read_table

CELLS: Final = "cells"
"""The property of a report that lists the cells that its test shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interoperability")
    group.addoption("--thorough", action="store_true", help="run the tests that take long, too")
    group.addoption("--interop-results", metavar="FILE", help="write what the run says of each cell as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Record what comes in, unless this process works for another one that does."""
    file = config.getoption("interop_results")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(file)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    table = read_table()
    for item in items:
        if any(item.iter_markers("cell")):
            plain = [[*cell] for cell in sorted(cells_of(item, table))]  # what goes between processes
            item.user_properties.append((CELLS, plain))
        if any(item.iter_markers("thorough")) and not config.getoption("thorough"):
            reason = f"{item.name} takes long; ./scripts/soak interop runs it"
            item.add_marker(pytest.mark.skip(reason=reason))


def cells_of(item: pytest.Item, table: Table) -> frozenset[Cell]:
    """Return the cells that a test shows: each capability of its marks with each peer of its marks.

    Raises `pytest.UsageError` if one of them is not in the table, or excused there.
    """
    marks = list(item.iter_markers("cell"))
    capabilities = {capability for mark in marks for capability in mark.args}
    peers = {mark.kwargs["peer"] for mark in marks if "peer" in mark.kwargs}
    cells = frozenset(Cell(peer, capability) for peer in peers for capability in capabilities)
    for cell in sorted(cells):
        if cell not in table.cells:
            raise pytest.UsageError(f"{item.nodeid}: tests/interop/table.toml has no {':'.join(cell)}")
        if cell in table.excused:
            raise pytest.UsageError(f"{item.nodeid}: tests/interop/defects.toml excuses {':'.join(cell)}")
    return cells


class Recorder:
    """Puts the reports of a run together; one of them may come from another process."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._results: dict[str, Result] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        earlier = self._results.get(report.nodeid)
        if earlier is None or report.outcome != Outcome.PASSED.value:
            self._results[report.nodeid] = _result(report)

    def pytest_sessionfinish(self) -> None:
        results = [self._results[test].described() for test in sorted(self._results)]
        self._file.write_text(json.dumps(results, indent=1))


def _result(report: pytest.TestReport) -> Result:
    shown = [cell for name, value in report.user_properties if name == CELLS for cell in value]
    reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
    return Result(report.nodeid, Outcome(report.outcome), frozenset(Cell(*cell) for cell in shown), reason)
