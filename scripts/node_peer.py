# SPDX-License-Identifier: MIT
"""Installs the npm packages of the interoperability tests, unless they are there already."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "interop" / "js"
STAMP = Path("node_modules") / ".awala-stamp"
"""Written last, with the digest of what was installed; tests look for it too."""

TIME_LIMIT = 300
"""Seconds for one set of packages."""

COMMAND = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
COMMAND += ["--silent", "--fetch-retries=1", "--fetch-timeout=60000"]


def install(packages: Path) -> bool:
    """Install what ``package.json`` in this folder asks for; return whether it is there."""
    wanted = hashlib.sha256((packages / "package.json").read_bytes()).hexdigest()
    stamp = packages / STAMP
    if stamp.exists() and stamp.read_text() == wanted:
        return True
    shutil.rmtree(
        packages / "node_modules", ignore_errors=True
    )  # npm would keep releases that were wanted before
    try:
        subprocess.run(
            COMMAND, cwd=packages, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True, timeout=TIME_LIMIT
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        print(f"node_peer: npm could not install the packages of {packages.name}", file=sys.stderr)
        return False
    stamp.write_text(wanted)
    return True


def main() -> int:
    """Install each set of packages; return the exit code."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("node_peer: Node.js and npm are needed, and were not found on the PATH", file=sys.stderr)
        return 1
    done = [install(path.parent) for path in sorted(FOLDER.glob("*/package.json"))]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
