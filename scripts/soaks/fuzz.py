# SPDX-License-Identifier: MIT
"""Every parser against a fuzzer, first guided by coverage, then for volume: inputs per target.

AWALA_FUZZ_TARGETS names the targets to run, else all are. AWALA_FUZZ_STATE is a folder that keeps
corpora and what was done: run again with the same folder, and it goes on where it was interrupted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SIZE = 10_000_000
REPORT_EVERY: Final = 20.0
"""Seconds between two reports."""

POLL: Final = 0.5
NOTHING_TAKEN: Final = b"no interesting inputs were found"
SHORTEST: Final = 0.1
"""Seconds in which progress is told."""


def run(size: int, root: Path) -> bool:
    """Run all targets, as many side by side as there are processors; return whether all hold."""
    if not install(root):
        return False
    targets = wanted(root)
    if not targets:
        return False
    state = Path(os.environ.get("AWALA_FUZZ_STATE") or tempfile.mkdtemp(prefix="awala-fuzz-")).resolve()
    if state.is_relative_to(root):
        print("AWALA_FUZZ_STATE must lie outside the checkout")
        return False
    print(f"to go on after an interruption: AWALA_FUZZ_STATE={state}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    return Campaign(root, state, size, targets).run()


def install(root: Path) -> bool:
    """Install the fuzzer, which exists for few platforms and which nothing else needs."""
    command = [sys.executable, str(root / "scripts" / "environment.py"), "soak", "fuzz"]
    if subprocess.run(command, check=False).returncode == 0:
        return True
    print("The fuzzer atheris cannot be had here: it exists for Linux on x86-64.")
    return False


def wanted(root: Path) -> list[str]:
    """Return the names of the targets to run; none if one is asked for that there is not."""
    result = subprocess.run(
        command(),
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        text=True,
    )
    known = result.stdout.split()
    chosen = os.environ.get("AWALA_FUZZ_TARGETS", "").replace(",", " ").split() or known
    unknown = [name for name in chosen if name not in known]
    if unknown or not known:
        print(f"there is no fuzz target {', '.join(unknown)}; there are: {', '.join(known)}")
        return []
    return chosen


def command(*arguments: str) -> list[str]:
    """Return how one target is fuzzed."""
    return [sys.executable, "-m", "fuzz.run", *arguments]


def environment(root: Path) -> Mapping[str, str]:
    """Return the environment in which the targets are found."""
    return os.environ | {"PYTHONPATH": str(root / "tests")}


@dataclass
class Job:
    """One target and the process that fuzzes it."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    failed: bool = False

    @property
    def phases(self) -> dict[str, tuple[int, float]]:
        """The inputs that each phase has run, and in how many seconds of a processor, in all processes."""
        try:
            lines = (self.folder / "progress").read_text().splitlines()
        except FileNotFoundError:  # not begun
            return {}
        parts = [line.split() for line in lines]
        return {name: (int(inputs), float(seconds)) for name, inputs, seconds in parts}

    @property
    def inputs(self) -> int:
        """The inputs of all phases."""
        return sum(inputs for inputs, _ in self.phases.values())

    @property
    def rates(self) -> str:
        """What each phase has run, and how many inputs in a second of a processor."""
        return ", ".join(
            f"{name} {inputs:,} at {inputs / max(seconds, SHORTEST):,.0f}/s"
            for name, (inputs, seconds) in self.phases.items()
        )

    def start(self, size: int, root: Path) -> None:
        """Start the process, which goes on where an earlier one was."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command(self.name, str(self.folder), str(size)),
                cwd=root,
                env=environment(root),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def coverage(self) -> str:
        """The points of the code that were reached while the fuzzer was guided by them."""
        file = self.folder / "coverage"
        return (file.read_text() if file.exists() else "") or "?"

    @property
    def blind(self) -> bool:
        """Whether the fuzzer did not take the corpus, and changed nothing but an empty input."""
        return NOTHING_TAKEN in (self.folder / "log").read_bytes()

    def failure(self) -> str:
        """Return where the input that broke the target is, or the log if there is none."""
        files = sorted((self.folder / "failures").glob("*"), key=lambda file: file.stat().st_mtime)
        return str(files[-1] if files else self.folder / "log")


@dataclass
class Campaign:
    """All targets, and how far they are."""

    root: Path
    state: Path
    size: int
    targets: list[str]
    running: list[Job] = field(default_factory=list)
    ended: list[Job] = field(default_factory=list)

    def run(self) -> bool:
        """Run them all; return whether all hold."""
        waiting = [Job(name, self.state / name) for name in self.targets]
        places = os.cpu_count() or 1
        reported = time.monotonic()
        try:
            while waiting or self.running:
                while waiting and len(self.running) < places:
                    self.begin(waiting.pop(0))
                time.sleep(POLL)
                self.collect()
                if time.monotonic() - reported >= REPORT_EVERY:
                    reported = time.monotonic()
                    self.report(len(waiting), places)
        finally:
            for job in self.running:
                if job.process is not None:
                    job.process.terminate()
        self.summarise()
        return not any(job.failed for job in self.ended)

    def begin(self, job: Job) -> None:
        """Start a target, unless an earlier run has finished it."""
        if job.inputs >= self.size:
            self.ended.append(job)
            return
        job.start(self.size, self.root)
        self.running.append(job)

    def collect(self) -> None:
        """Take out the targets that have ended."""
        for job in [each for each in self.running if each.process is not None]:
            assert job.process is not None  # noqa: S101 - it was just looked for
            code = job.process.poll()
            if code is None:
                continue
            self.running.remove(job)
            self.ended.append(job)
            job.failed = code != 0 or job.inputs < self.size or job.blind
            if job.failed:
                print(f"{job.name} FAILED: {job.failure()}", flush=True)
            else:
                print(f"{job.name} done: {job.rates}; coverage {job.coverage}", flush=True)

    def report(self, waiting: int, places: int) -> None:
        """Print how far the running targets are."""
        for job in self.running:
            print(
                f"{job.name} {job.inputs:,} of {self.size:,}: {job.rates}; coverage {job.coverage}",
                flush=True,
            )
        print(f"{len(self.ended)} targets ended, {waiting} wait for one of {places} processors", flush=True)

    def summarise(self) -> None:
        """Print the inputs of every target by phases, and how many in a second of a processor."""
        for job in sorted(self.ended, key=lambda job: job.name):
            outcome = f"FAILED: {job.failure()}" if job.failed else "ok"
            print(f"{job.name:<36} {job.inputs:>12,} inputs {outcome}: {job.rates}")
        inputs = sum(job.inputs for job in self.ended)
        seconds = sum(seconds for job in self.ended for _, seconds in job.phases.values())
        print(f"{inputs:,} inputs in {seconds / 60:,.0f} min of a processor")
