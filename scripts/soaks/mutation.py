# SPDX-License-Identifier: MIT
"""One octet changed, cut, doubled or inserted at every position of artefacts up to so many octets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SIZE = 8192
MEMORY_LIMIT: Final = 64 * 1024 * 1024
"""Octets that reading may take above the input."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where the checks are, and where inputs are saved that break something."""

    root: Path
    folder: Path

    def output(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of ``tests/fuzz`` in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", f"fuzz.{module}", *arguments],
            env=os.environ | {"PYTHONPATH": str(self.root / "tests")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def damage(self, name: str, size: int) -> bool:
        """Damage one artefact, or the seeds of one target; return whether all went well."""
        result = self.output("mutation", name, str(size), str(self.folder))
        if result.returncode != 0:
            print(f"{name} FAILED: {self.folder / name}\n{result.stderr}", flush=True)
            return False
        done = json.loads(result.stdout)
        slowest = f"the slowest {1000 * done['slowest']:.0f} ms"
        print(f"{name:<42} {done['inputs']:>9,} inputs, {slowest}", flush=True)
        return True

    def measure(self) -> bool:
        """Read large inputs that are made to cost memory; return whether they stay below the limit."""
        result = self.output("large")
        costs = [json.loads(line) for line in result.stdout.splitlines()]
        for cost in costs:
            mib = cost["memory"] / 2**20
            print(f"{cost['name']:<42} {mib:6.1f} MiB above {cost['octets']:>9,} octets", flush=True)
        if result.returncode != 0:
            print(result.stderr)
        return result.returncode == 0 and all(cost["memory"] <= MEMORY_LIMIT for cost in costs)


def run(size: int, root: Path) -> bool:
    """Damage everything, as many artefacts side by side as there are processors; then measure memory."""
    workshop = Workshop(root, Path(tempfile.mkdtemp(prefix="awala-mutation-")))
    names = workshop.output("mutation").stdout.split()
    if not names:
        print("the artefacts cannot be listed")
        return False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        held: Iterable[bool] = list(pool.map(lambda name: workshop.damage(name, size), names))
    return all([*held, workshop.measure()])
