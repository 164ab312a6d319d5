# SPDX-License-Identifier: MIT
"""Runs nodes as a person does: one process per command, until a signal stops it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 40.0
"""Seconds within which a node starts or stops."""


class RunningCommand:
    """A node that has told where it accepts connections."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Stop it; return its exit code and what else it said on its output and in its log."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment in which nothing of the real user is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWALA_", "XDG_"))}
    return {**kept, "HOME": str(home), **variables}


@contextmanager
def running(*arguments: str | Path, home: Path, **variables: str) -> Iterator[RunningCommand]:
    """Run ``awala ARGUMENTS`` from its ready line until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "awala", *map(str, arguments)],
        env=environment(home, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"{arguments} did not start: {process.communicate()[1]}")
        yield RunningCommand(process, json.loads(line)["ready"])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_environment_file(file: Path) -> dict[str, str]:
    """Return what a shell exports that reads ``file``."""
    script = f'. "$1"; exec {sys.executable} -c "import json, os; print(json.dumps(dict(os.environ)))"'
    result = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(file)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    exported: dict[str, str] = json.loads(result.stdout)
    return {name: value for name, value in exported.items() if name.startswith(("AWALA_", "XDG_"))}


def free_ports(number: int) -> list[int]:
    """Return ports of loopback that nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(number)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
