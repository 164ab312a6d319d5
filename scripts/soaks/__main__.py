# SPDX-License-Identifier: MIT
"""The long checks: ``scripts/soak [NAME[=SIZE]]…``; without a name, all of them one after the other."""

from __future__ import annotations

import importlib
import inspect
import sys
import time
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent


class Soak(Protocol):
    """A long check: a module of this folder."""

    SIZE: int
    """How much acceptance asks for."""

    def run(self, size: int, root: Path) -> bool:
        """Run it with progress on standard output; return whether all went well."""
        ...


def names() -> list[str]:
    """Return the names of all long checks."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))


def listing() -> str:
    """Return a line for each long check."""
    lines = []
    for name in names():
        module = importlib.import_module(name)
        lines.append(f"  {name:<12} {(inspect.getdoc(module) or '').splitlines()[0]} [{module.SIZE}]")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the long checks that the arguments name; return the exit code."""
    if arguments in (["--list"], ["--help"], ["-h"]):
        print(f"usage: soak [NAME [SIZE]]…\n{listing()}")
        return 0
    try:
        wanted = parse(arguments)
    except ValueError as error:
        print(f"soak: {error}; there are:\n{listing()}", file=sys.stderr)
        return 2
    outcomes = []
    for name, size in wanted:
        soak: Soak = importlib.import_module(name)
        print(f"== {name} {size or soak.SIZE}", flush=True)
        begin = time.monotonic()
        held = soak.run(size or soak.SIZE, ROOT)
        outcomes.append((name, held, time.monotonic() - begin))
    print("== summary")
    for name, held, seconds in outcomes:
        print(f"{name:<12} {'ok' if held else 'FAILED'} {seconds:8.1f} s")
    return 0 if all(held for _, held, _ in outcomes) else 1


def parse(arguments: list[str]) -> list[tuple[str, int | None]]:
    """Return the checks to run with their sizes (None = what acceptance asks for)."""
    wanted: list[tuple[str, int | None]] = []
    for argument in arguments:
        if argument.isascii() and argument.isdigit() and int(argument) > 0 and wanted:
            wanted[-1] = (wanted[-1][0], int(argument))
        elif argument in names():
            wanted.append((argument, None))
        else:
            raise ValueError(f"there is no long check {argument!r}")
    return wanted or [(name, None) for name in names()]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
