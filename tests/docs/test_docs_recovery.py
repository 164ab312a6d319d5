# SPDX-License-Identifier: MIT
"""docs/recovery.md names tests for each thing that it promises, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "recovery.md"


def rows():
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] not in {"killed", "what happened", "---"}:
            yield cells


def test_every_promise_names_tests_that_exist():
    there = {path.stem for path in TESTS.rglob("test_*.py")}
    named = [re.findall(r"`(test_\w+)`", cells[-1]) for cells in rows()]

    assert len(named) > 30
    assert all(named)
    assert {name for names in named for name in names} <= there
