# SPDX-License-Identifier: MIT
"""Every door of every node against the reference software; writes docs/interoperability.md."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

SIZE = 2
"""Tests that run side by side."""

RAN: Final = (0, 1)
"""Exit codes of pytest after a run to the end."""


def run(size: int, root: Path) -> bool:
    """Run all tests of interoperability, ``size`` at a time, and write the page that shows what came of it.

    Returns whether all passed and every cell that was ok in the page as it was committed still is.
    """
    table = load(root)
    install(root)
    with tempfile.TemporaryDirectory(prefix="awala-interop-") as directory:
        file = Path(directory) / "results.json"
        code = test(size, root, [table.FOLDER, *table.marked_files()], file)
        if code not in RAN:
            print(f"the tests did not run: pytest ended with {code}")
            return False
        results = [table.Result.of(item) for item in json.loads(file.read_text())]
    earlier = committed(root, table.PAGE)
    text = table.page(table.read_table(), results, earlier)
    table.PAGE.write_text(text)
    report(table, text)
    lost = sorted(table.ok_cells(earlier) - table.ok_cells(text))
    for cell in lost:
        print("no longer ok:", " / ".join(cell))
    return code == 0 and not lost


def load(root: Path) -> ModuleType:
    """Import the table as the tests do."""
    sys.path.insert(0, str(root / "tests"))
    return importlib.import_module("helpers.interop_table")


def install(root: Path) -> None:
    """Install the peers; the tests of one that cannot be had are skipped by name."""
    for script in sorted((root / "scripts").glob("*_peer.py")):
        if subprocess.run([sys.executable, str(script)], check=False).returncode != 0:
            print(f"{script.name} could not install its peers; their tests are skipped", flush=True)


def test(size: int, root: Path, paths: list[Path], results: Path) -> int:
    """Run the tests; return the exit code of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "--thorough", f"--interop-results={results}"]
    command += ["-n", str(size), "--dist", "worksteal", "--durations", "10", "--durations-min", "5"]
    return subprocess.run([*command, *map(str, paths)], cwd=root, check=False).returncode


def committed(root: Path, page: Path) -> str:
    """Return the page as it was committed, or as it lies there if this is no checkout."""
    command = ["git", "show", f"HEAD:{page.relative_to(root).as_posix()}"]
    shown = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if shown.returncode == 0:
        return shown.stdout
    return page.read_text() if page.exists() else ""


def report(table: Any, text: str) -> None:
    """Print how many cells are ok, and where the page is."""
    print(f"{len(table.ok_cells(text))} of {len(table.read_table().cells)} cells are ok: {table.PAGE}")
