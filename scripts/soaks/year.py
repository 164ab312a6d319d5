# SPDX-License-Identifier: MIT
"""Years of renewals and monthly couriers, in memory: nothing is refused, every message arrives once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SIZE = 2
DAYS = 365


def run(size: int, root: Path) -> bool:
    """Let ``size`` years pass, each of which takes about a minute; print what happens as it does."""
    command = [sys.executable, "-m", "helpers.year", str(size * DAYS)]
    return subprocess.run(command, cwd=root / "tests", check=False).returncode == 0
