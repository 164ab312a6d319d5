# SPDX-License-Identifier: MIT
"""Feeds one target with atheris: ``python -m fuzz.run TARGET STATE INPUTS``, or names all targets.

STATE is a folder in which the corpus grows, and which tells in ``progress`` how many inputs were run
in how many seconds of a processor. The input that breaks the property is saved in ``failures``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["awala"], enable_loader_override=False):
    from fuzz.mutator import mutate
    from fuzz.target import Target
    from fuzz.targets import TARGETS

TIME_LIMIT = 10
"""Seconds that one input may take."""

MEMORY_LIMIT = 2048
"""MiB that the process may take, the fuzzer's own corpus included."""

NICENESS = 19
BETWEEN_REPORTS = 5.0
LOOK_EVERY = 64


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.stdout.write("\n".join(TARGETS))
        return
    name, state, inputs = arguments[0], Path(arguments[1]), int(arguments[2])
    fuzz(TARGETS[name], state, inputs)


def fuzz(target: Target, state: Path, inputs: int) -> None:
    """Run that many inputs; ends the process."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    folders = [state / folder for folder in ("corpus", "seeds", "failures")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for name, octets in target.seeds().items():
        (state / "seeds" / name).write_bytes(octets)
    options = [
        f"-runs={inputs}",
        f"-max_len={target.max_len}",
        f"-timeout={TIME_LIMIT}",
        f"-rss_limit_mb={MEMORY_LIMIT}",
        f"-artifact_prefix={folders[2]}/",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [sys.argv[0], *options, *map(str, folders[:2])],
        Progress(state / "progress").counted(target.run, inputs),
        custom_mutator=lambda data, max_size, seed: mutate(data, max_size, seed, atheris.Mutate),
    )
    atheris.Fuzz()


class Progress:
    """Counts inputs and the time that they take, those of earlier processes included."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.inputs, self.seconds = 0, -time.process_time()
        self.due = time.monotonic() + BETWEEN_REPORTS
        if file.exists():
            inputs, seconds = file.read_text().split()
            self.inputs, self.seconds = int(inputs), self.seconds + float(seconds)

    def counted(self, run: Callable[[bytes], object], last: int) -> Callable[[bytes], None]:
        """Return ``run`` with a count that is written down now and then, and close to the last input.

        The fuzzer ends the process without letting anybody know.
        """
        inputs = 0

        def one(data: bytes) -> None:
            nonlocal inputs
            run(data)
            inputs += 1
            if inputs % LOOK_EVERY == 0 and (time.monotonic() >= self.due or inputs > last - 2 * LOOK_EVERY):
                self.write(inputs)

        return one

    def write(self, inputs: int) -> None:
        self.due = time.monotonic() + BETWEEN_REPORTS
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.inputs + inputs} {self.seconds + time.process_time():.1f}")
        new.replace(self.file)


if __name__ == "__main__":
    main(sys.argv[1:])
