# SPDX-License-Identifier: MIT
"""Checks the coverage of each package against its floor: ``coverage_floors.py COVERAGE.JSON``.

The floors stand in ``pyproject.toml``. Lines and branches count together, as coverage.py does.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "awala"


def main(report: str) -> int:
    """Print a line per package; return 1 if one is below its floor."""
    with (ROOT / "pyproject.toml").open("rb") as stream:
        floors = tomllib.load(stream)["tool"]["coverage"]["floors"]
    low = 0
    for package, (covered, total) in sorted(measure(Path(report)).items()):
        floor = floors.get(package, floors["default"])
        percent = 100 * covered / total if total else 100.0
        verdict = "ok" if percent >= floor else "FAILED"
        low += percent < floor
        print(f"coverage {package:<10} {percent:5.1f} % of {floor} % {verdict}")
    return 1 if low else 0


def measure(report: Path) -> dict[str, tuple[int, int]]:
    """Return, for each package, how many lines and branches were run and how many there are."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, file in json.loads(report.read_text())["files"].items():
        parts = Path(name).parts
        inner = parts[parts.index(PACKAGE) + 1 :]
        package = inner[0] if len(inner) > 1 else PACKAGE
        summary = file["summary"]
        sums[package][0] += summary["covered_lines"] + summary["covered_branches"]
        sums[package][1] += summary["num_statements"] + summary["num_branches"]
    return {package: (covered, total) for package, (covered, total) in sums.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
