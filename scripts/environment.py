# SPDX-License-Identifier: MIT
"""Installs a set of requirements and this package in ``.venv``: ``environment.py SCRIPT SET``.

Runs on any Python 3.11 or newer with nothing but its standard library. A stamp per set tells that
nothing has changed since the last time, so that a script which needs no installation starts at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
SETS = {
    "run": ("run", "test", "lint", "fuzz"),
    "test": ("test", "lint", "fuzz"),
    "lint": ("lint",),
    "fuzz": ("fuzz",),
}
"""For each set those that hold it."""

CHECK = "import sys; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)"


class SetupError(Exception):
    """The environment cannot be set up, for the reason that the message gives."""


def main(script: str, wanted: str) -> int:
    """Set up the environment for one set; return the exit code."""
    try:
        ENVIRONMENT.mkdir(exist_ok=True)
        with exclusive():
            if not usable():
                create(script)
            if not any(stamped(name) for name in SETS[wanted]):
                install(script, wanted)
    except SetupError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{script}: cannot set up {ENVIRONMENT}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def exclusive() -> Iterator[None]:
    """Let one script at a time change the environment."""
    descriptor = os.open(ENVIRONMENT / ".awala-lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def usable() -> bool:
    """Return whether the environment's Python is there, starts and is new enough."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", CHECK], capture_output=True, check=False).returncode == 0


def create(script: str) -> None:
    """Make the environment, in place of one that does not work."""
    print(f"{script}: making .venv with Python {sys.version.split()[0]}", file=sys.stderr)
    for name in SETS:
        stamp_file(name).unlink(missing_ok=True)
    try:
        venv.EnvBuilder(with_pip=True, symlinks=True, upgrade=False).create(ENVIRONMENT)
    except subprocess.CalledProcessError as error:
        raise SetupError("Python's modules venv and ensurepip do not work here") from error


def install(script: str, wanted: str) -> None:
    """Install what the set names, then this package in place."""
    print(f"{script}: installing what is needed in .venv, once; this takes a minute", file=sys.stderr)
    pip("install", "--require-hashes", "--no-deps", "-r", str(requirements(wanted)))
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))
    stamp_file(wanted).write_text(fingerprint(wanted))


def pip(*arguments: str) -> None:
    """Run pip, and tell its own reason if it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input", *arguments]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
        raise SetupError(f"pip could not install what is needed: {'; '.join(reasons) or 'no reason given'}")


def stamped(name: str) -> bool:
    """Return whether a set was installed as it stands now."""
    try:
        return stamp_file(name).read_text() == fingerprint(name)
    except FileNotFoundError:
        return False


def stamp_file(name: str) -> Path:
    """Return where the fingerprint of an installed set is kept."""
    return ENVIRONMENT / f".awala-{name}"


def fingerprint(name: str) -> str:
    """Return a digest of all that decides what is installed for a set."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in (requirements(name), ROOT / "pyproject.toml", ENVIRONMENT / "pyvenv.cfg"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def requirements(name: str) -> Path:
    """Return the pinned requirements of a set."""
    return ROOT / "requirements" / f"{name}.txt"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
