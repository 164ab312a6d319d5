# SPDX-License-Identifier: MIT
"""Builds the Kotlin peer of the interoperability tests, unless it is there already.

Its libraries come from Maven's registry. Where that does not serve them, AWALA_KOTLIN_SOURCES may name a
directory with clones of their repositories (`LIBRARIES`), and the same releases are compiled from there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "interop" / "kotlin"
BUILD = FOLDER / "target"
STAMP = BUILD / ".awala-stamp"
"""Written last, with the digest of what was built; tests look for it too."""

NOT_SERVED = BUILD / "not-served"
"""Tells what the registry does not serve, and the digest of what wanted it; tests look for it too."""

LIBRARIES = {
    "awala": ("awala-jvm", "v1.69.2"),
    "poweb": ("awala-poweb-jvm", "v1.5.88"),
    "cogrpc": ("awala-cogrpc-jvm", "v1.1.32"),
    "cogrpc-okhttp": ("awala-cogrpc-okhttp-jvm", "v1.1.28"),
}
"""The repository and the tag of each library of group tech.relaycorp, as pom.xml has them."""

TIME_LIMIT = 900
"""Seconds for one run of Maven, which has some hundred files to bring the first time."""

MAVEN = ("mvn", "--batch-mode", "--quiet", "process-classes")
TROUBLES = ("Could not transfer", "COMPILATION ERROR", "Unknown host")
"""What Maven says when something else is wrong than that the registry lacks a library."""

MISSING = re.compile(r"tech\.relaycorp:([a-z-]+):(?:jar|pom):([0-9.]+)")


def digest() -> str:
    """Return what changes when something else must be built."""
    files = [FOLDER / "pom.xml", *sorted((FOLDER / "src").rglob("*.kt"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def build(wanted: str, sources: Path | None) -> bool:
    """Build the peer; return whether it is there."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    options: list[str] = []
    if sources is not None:
        for library, (repository, tag) in LIBRARIES.items():
            export(sources / repository, tag, BUILD / "libraries" / library)
        options = ["--activate-profiles", "sources"]
    result = subprocess.run(
        [*MAVEN, *options],
        cwd=FOLDER,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT,
    )
    if result.returncode == 0:
        STAMP.write_text(wanted)
        return True
    missing = not_served(result.stdout)
    if missing:
        NOT_SERVED.write_text(f"the registry does not serve {', '.join(missing)}\n{wanted}\n")
    else:
        print(result.stdout, result.stderr, file=sys.stderr)
    return False


def not_served(output: str) -> list[str]:
    """Return the libraries that the registry does not have, if that is all that Maven complains of."""
    if any(trouble in output for trouble in TROUBLES):
        return []
    return sorted({":".join(("tech.relaycorp", *found)) for found in MISSING.findall(output)})


def export(repository: Path, tag: str, target: Path) -> None:
    """Put the sources of a release into a directory."""
    target.mkdir(parents=True)
    with subprocess.Popen(
        ["git", "archive", tag, "src/main"],  # noqa: S607 - git is wherever it is installed
        cwd=repository,
        stdout=subprocess.PIPE,
    ) as archive:
        subprocess.run(
            ["tar", "--extract", "--directory", str(target)],  # noqa: S607 - and so is tar
            stdin=archive.stdout,
            check=True,
        )
    if archive.returncode != 0:
        raise subprocess.CalledProcessError(archive.returncode, archive.args)


def main() -> int:
    """Build the peer unless the one that is wanted is there; return the exit code."""
    if shutil.which("mvn") is None or shutil.which("java") is None:
        print("kotlin_peer: Java and Maven are needed, and were not found on the PATH", file=sys.stderr)
        return 1
    wanted, sources = digest(), os.environ.get("AWALA_KOTLIN_SOURCES")
    if STAMP.exists() and STAMP.read_text() == wanted:
        return 0
    known = NOT_SERVED.exists() and wanted in NOT_SERVED.read_text()
    try:
        if (sources or not known) and build(wanted, Path(sources) if sources else None):
            return 0
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        print(f"kotlin_peer: {error}", file=sys.stderr)
        return 1
    if NOT_SERVED.exists():
        print(f"kotlin_peer: {NOT_SERVED.read_text().splitlines()[0]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
