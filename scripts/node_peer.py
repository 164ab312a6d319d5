# SPDX-License-Identifier: MIT
"""Installs the npm packages of the interoperability tests, unless they are there already."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).resolve().parent.parent / "tests" / "interop" / "js"
STAMP = PEER / "node_modules" / ".awala-stamp"
TIME_LIMIT = 300
"""Seconds."""


def main() -> int:
    """Install the packages; return the exit code."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("node_peer: Node.js and npm are needed, and were not found on the PATH", file=sys.stderr)
        return 1
    wanted = hashlib.sha256((PEER / "package.json").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    command = [npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--silent", "--fetch-retries=1", "--fetch-timeout=60000"]
    try:
        subprocess.run(
            command, cwd=PEER, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True, timeout=TIME_LIMIT
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        print("node_peer: npm could not install the packages", file=sys.stderr)
        return 1
    STAMP.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
