# SPDX-License-Identifier: MIT
"""The commands. This module imports nothing but what starting one of them needs."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code (0, 1 or 2)."""
    try:
        from awala.cli.program import run_program  # noqa: PLC0415 - so that a missing extra is told kindly
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "awala":
            raise
        print(  # noqa: T201 - there is nothing else to say it with
            f"awala: the commands need the package {error.name}; install awala with its extra 'servers'",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run_program(sys.argv[1:]))
