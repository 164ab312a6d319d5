# SPDX-License-Identifier: MIT
"""Feeds one target with atheris: ``python -m fuzz.run TARGET STATE INPUTS``, or names all targets.

STATE is a folder in which the corpus grows, and which tells in ``progress`` how many inputs of each
phase were run in how many seconds of a processor. The input that breaks the property is saved in
``failures``. What the fuzzer says is expected to go to ``log``; the coverage that it tells there goes to
``coverage``.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

from fuzz import mutator
from fuzz.progress import Phase, Progress, coverage

if TYPE_CHECKING:
    from fuzz.target import Target

TIME_LIMIT = 10
"""Seconds that one input may take."""

MEMORY_LIMIT = 2048
"""MiB that the process may take, the fuzzer's own corpus included."""

NICENESS = 19
BETWEEN_REPORTS = 2.0
LOOK_EVERY = 64


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.stdout.write("\n".join(targets(instrumented=False)))
        return
    name, state, inputs = arguments[0], Path(arguments[1]), int(arguments[2])
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    run = Run(state, inputs)
    if run.phase is not None:
        run.fuzz(targets(instrumented=run.phase is Phase.GUIDED)[name])


def targets(*, instrumented: bool) -> dict[str, Target]:
    """Return all targets, over modules that tell the fuzzer what was reached, or as they are."""
    telling = atheris.instrument_imports(include=["awala"], enable_loader_override=False)
    with telling if instrumented else nullcontext():
        return importlib.import_module("fuzz.targets").TARGETS


class Run:
    """One phase of one target; when it is over, the process begins anew with the next, or ends."""

    def __init__(self, state: Path, inputs: int) -> None:
        self.state, self.inputs = state, inputs
        state.mkdir(parents=True, exist_ok=True)
        self.progress = Progress.read(state)
        self.phase = self.progress.next_phase(inputs, settled=self.settled_mark.exists())
        self.due = time.monotonic() + BETWEEN_REPORTS
        self.seconds = 0.0
        self.reached, self.reached_at = "", 0

    @property
    def settled_mark(self) -> Path:
        return self.state / "settled"

    def fuzz(self, target: Target) -> None:
        """Run the inputs of this phase; ends the process."""
        folders = [self.state / folder for folder in ("corpus", "seeds", "failures")]
        for folder in folders:
            folder.mkdir(exist_ok=True)
        plant(target, folders[1])
        run = self.counted(target.run)
        if self.phase is not Phase.GUIDED:
            run = marked(run, sum(len(list(folder.iterdir())) for folder in folders[:2]))
        options = [
            f"-max_len={target.max_len}",
            f"-timeout={TIME_LIMIT}",
            f"-rss_limit_mb={MEMORY_LIMIT}",
            f"-artifact_prefix={folders[2]}/",
            *([] if self.phase is Phase.GUIDED else ["-len_control=0", "-reload=0"]),
        ]
        how = {} if self.phase is Phase.OCTETS else {"custom_mutator": self.mutate}
        atheris.Setup([sys.argv[0], *options, *map(str, folders[:2])], run, **how)
        atheris.Fuzz()

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        plain = mutator.PLAIN if self.phase is Phase.GUIDED else 0.0
        return mutator.mutate(data, max_size, seed, atheris.Mutate, plain_share=plain)

    def counted(self, run: Callable[[bytes], object]) -> Callable[[bytes], None]:
        """Return ``run`` with a count that is written down now and then, and that ends the phase."""
        limit = self.progress.left(self.phase, self.inputs)
        self.seconds = -time.process_time()
        count = 0

        def one(data: bytes) -> None:
            nonlocal count
            run(data)
            count += 1
            if count == limit or (count % LOOK_EVERY == 0 and time.monotonic() >= self.due):
                self.report(count)
                if count == limit or self.has_settled(count):
                    self.end()

        return one

    def report(self, count: int) -> None:
        self.due = time.monotonic() + BETWEEN_REPORTS
        self.progress.with_more(self.phase, count, self.seconds + time.process_time()).write(self.state)
        if self.phase is Phase.GUIDED:
            (self.state / "coverage").write_text(coverage(self.state))

    def has_settled(self, count: int) -> bool:
        """Return whether nothing new has been reached for long; note it, so that later processes know."""
        if self.phase is not Phase.GUIDED:
            return False
        reached = coverage(self.state)
        if reached != self.reached:
            self.reached, self.reached_at = reached, count
        settled = self.progress.settled(count, count - self.reached_at)
        if settled:
            self.settled_mark.touch()
        return settled

    def end(self) -> None:
        """Begin the next phase, or end: the fuzzer itself would end without letting anybody know."""
        signal.setitimer(signal.ITIMER_REAL, 0)  # of the time limit, which would outlive the exchange
        if Run(self.state, self.inputs).phase is None:
            os._exit(0)
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "fuzz.run", *sys.argv[1:]])  # noqa: S606 - itself


def plant(target: Target, folder: Path) -> None:
    """Save the seeds, and keep those that an earlier process made, from which the corpus may have grown."""
    for name, octets in target.seeds().items():
        file = folder / name
        if len(octets) <= target.max_len and not file.exists():
            file.write_bytes(octets)
    target.learn(file.read_bytes() for file in folder.iterdir())


def marked(run: Callable[[bytes], None], files: int) -> Callable[[bytes], None]:
    """Return ``run``, which tells that each of the first inputs reached a place of its own.

    The fuzzer changes only inputs that reached something. These are the corpus, after one that is
    empty; of the others it hears nothing, so they cost nothing besides the target.
    """
    places = [atheris._reserve_counter() for _ in range(files + 1)]

    def one(data: bytes) -> None:
        if places:
            atheris._trace_branch(places.pop())  # which is another function once the fuzzer is set up
        run(data)

    return one


if __name__ == "__main__":
    main(sys.argv[1:])
