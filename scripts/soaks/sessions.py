# SPDX-License-Identifier: MIT
"""Channel sessions under loss, reordering, restarts, lost stores and wrong clocks, against a model."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

SIZE = 2000
BATCH = 250
"""Examples after which there is a line of progress."""

STEPS = 80
"""Steps in an example at most."""

FILES = 10
"""One example in so many has its keys in files."""


def run(size: int, root: Path) -> bool:
    """Run ``size`` examples of the machine in ``tests/sessions``; print the smallest one that failed."""
    machines = load(root)
    with tempfile.TemporaryDirectory() as directory:
        for done in range(0, size, BATCH):
            examples = min(BATCH, size - done)
            begin = time.monotonic()
            for name, machine, share in (
                ("memory", machines.Peers, examples),
                ("short retention", machines.PeersWithShortRetention, max(examples // 5, 1)),
                ("files", machines.with_vaults_in(Path(directory)), max(examples // FILES, 1)),
            ):
                if not holds(machines.run, machine, share):
                    print(f"FAILED ({name}) among examples {done + 1} to {done + examples}", flush=True)
                    return False
            print(f"{done + examples:6}/{size} ok {time.monotonic() - begin:6.1f} s", flush=True)
    return True


def load(root: Path) -> ModuleType:
    """Import the machine as the tests do."""
    sys.path[:0] = [str(root / "tests"), str(root / "tests" / "sessions")]
    return importlib.import_module("test_sessions_machine")


def holds(run_machine: Callable[[Any, int, int], None], machine: Any, examples: int) -> bool:
    """Run examples; print the smallest one that fails, with its steps."""
    try:
        run_machine(machine, examples, STEPS)
    except AssertionError:
        traceback.print_exc(limit=-3, file=sys.stdout)
        return False
    except Exception:  # noqa: BLE001 - whatever a machine raises is a failure to be shown
        traceback.print_exc(file=sys.stdout)
        return False
    return True
