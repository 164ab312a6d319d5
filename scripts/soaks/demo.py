# SPDX-License-Identifier: MIT
"""The demo's check, time after time: it must never fail."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

SIZE = 20
TIME_LIMIT = 300
"""Seconds after which one run counts as failed."""


def run(size: int, root: Path) -> bool:
    """Run ``scripts/demo --check`` ``size`` times; print each outcome, then the spread of the times."""
    times = []
    failures = 0
    for number in range(1, size + 1):
        begin = time.monotonic()
        held, output = check(root)
        seconds = time.monotonic() - begin
        times.append(seconds)
        print(f"{number:3}/{size} {'ok' if held else 'FAILED'} {seconds:6.1f} s", flush=True)
        if not held:
            failures += 1
            print(output, flush=True)
    print(
        f"{size - failures} of {size} ok; seconds: "
        f"min {min(times):.1f}, median {statistics.median(times):.1f}, max {max(times):.1f}"
    )
    return failures == 0


def check(root: Path) -> tuple[bool, str]:
    """Run the check once; return whether it held, and what it printed."""
    command = [str(root / "scripts" / "demo"), "--check"]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        printed: bytes | str = error.stdout or b""
        output = printed if isinstance(printed, str) else printed.decode(errors="replace")
        return False, f"{output}\n(no end after {TIME_LIMIT} s)"
    return result.returncode == 0, result.stdout
