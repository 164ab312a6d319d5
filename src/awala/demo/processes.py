# SPDX-License-Identifier: MIT
"""The demonstration's child processes: each in a group of its own, all of them ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from awala.demo.errors import DemoError

PROGRAM = (sys.executable, "-m", "awala")
"""This program, as a child process is started with it."""

GRACE = 3.0
"""Seconds that processes get to end by themselves."""

LINE_LIMIT = 4 * 1024 * 1024
"""Octets of the longest line that is read from a process."""

COMMAND_SECONDS = 30.0
"""Time for a command that asks a node something."""

_OWN_SETTINGS = "AWALA_"
_KEPT = frozenset({"AWALA_TRACEBACK"})
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy"})


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for nodes: this one's without settings that are meant for other nodes."""
    return {
        name: value
        for name, value in environ.items()
        if (not name.startswith(_OWN_SETTINGS) or name in _KEPT) and name.lower() not in _PROXY_VARIABLES
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command that has ended left behind."""

    code: int
    output: str
    complaint: str


class Processes:
    """Starts processes of this program, and ends those that still run."""

    def __init__(self, directory: Path, program: Sequence[str] = PROGRAM) -> None:
        self._directory = directory
        self._program = program
        self._running: set[Process] = set()

    async def start(self, arguments: Sequence[str], *, talks: bool = False) -> Process:
        """Start ``awala ARGUMENTS``; its output is piped, its input only if it ``talks``."""
        process = await asyncio.create_subprocess_exec(
            *self._program,
            *arguments,
            stdin=PIPE if talks else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self._directory,
            env=environment(),
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        self._running.add(process)
        return process

    async def run(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> Outcome:
        """Run a command to its end; raises DemoError if that takes too long."""
        process = await self.start(arguments)
        try:
            async with asyncio.timeout(seconds):
                output, complaint = await process.communicate()
        except TimeoutError as error:
            raise DemoError(f"'awala {' '.join(arguments)}' did not end within {seconds:.0f} s") from error
        finally:
            self.kill(process)
            await process.wait()
            self._running.discard(process)
        return Outcome(process.returncode or 0, output.decode(), complaint.decode(errors="replace"))

    @staticmethod
    def kill(process: Process, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process and all that it started."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def forget(self, process: Process) -> None:
        """Take a process that has ended off the list."""
        self._running.discard(process)

    async def end_all(self) -> None:
        """End every process: kindly first, by force after the grace or when this is cancelled."""
        processes = list(self._running)
        waits = [asyncio.ensure_future(process.wait()) for process in processes]
        try:
            for process in processes:
                self.kill(process, signal.SIGTERM)
            if waits:
                await asyncio.wait(waits, timeout=GRACE)
        finally:
            for process in processes:
                self.kill(process)
        await asyncio.gather(*waits)
        self._running.difference_update(processes)
