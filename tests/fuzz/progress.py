# SPDX-License-Identifier: MIT
"""What a target has behind it: inputs and seconds of each phase, in the file ``progress`` of its state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

GUIDED_LEAST = 500_000
GUIDED_MOST = 2_000_000
SETTLED = 300_000
"""After so many inputs that reached nothing new, coverage is not asked for any more."""

BY_ELEMENTS = 500_000
"""Inputs made from the corpus by elements, most of which get far and cost as much."""

LOG_TAIL = 16_384
_COVERAGE = re.compile(rb"cov: (\d+)")


class Phase(StrEnum):
    """How inputs are made."""

    GUIDED = "guided"
    """Of what reached something new, by octets and by elements, with modules that tell what is reached."""
    ELEMENTS = "elements"
    """Of the corpus that there is then, by elements, with modules as they are."""
    OCTETS = "octets"
    """The same by octets."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Inputs, and seconds of a processor, of each phase that was begun."""

    phases: Mapping[Phase, tuple[int, float]]

    @classmethod
    def read(cls, state: Path) -> Progress:
        """Return what is written in a state; nothing was done if there is nothing."""
        try:
            lines = (state / "progress").read_text().splitlines()
        except FileNotFoundError:
            return cls({})
        parts = [line.split() for line in lines]
        return cls({Phase(name): (int(inputs), float(seconds)) for name, inputs, seconds in parts})

    def write(self, state: Path) -> None:
        """Write it down, at once or not at all."""
        new = state / "progress.new"
        lines = [f"{phase} {inputs} {seconds:.1f}\n" for phase, (inputs, seconds) in self.phases.items()]
        new.write_text("".join(lines))
        new.replace(state / "progress")

    def with_more(self, phase: Phase, inputs: int, seconds: float) -> Progress:
        """Return it with what one process has done besides."""
        before, took = self.phases.get(phase, (0, 0.0))
        return Progress({**self.phases, phase: (before + inputs, took + seconds)})

    def inputs_of(self, phase: Phase) -> int:
        return self.phases.get(phase, (0, 0.0))[0]

    @property
    def inputs(self) -> int:
        """All inputs."""
        return sum(inputs for inputs, _ in self.phases.values())

    def next_phase(self, inputs: int, *, settled: bool) -> Phase | None:
        """Return the phase that is due if that many inputs are wanted in all; None if they were run."""
        if self.inputs >= inputs:
            return None
        if not settled and self.inputs_of(Phase.GUIDED) < GUIDED_MOST:
            return Phase.GUIDED
        return Phase.ELEMENTS if self.inputs_of(Phase.ELEMENTS) < BY_ELEMENTS else Phase.OCTETS

    def left(self, phase: Phase, inputs: int) -> int:
        """Return how many inputs that phase has left at most."""
        most = {Phase.GUIDED: GUIDED_MOST, Phase.ELEMENTS: BY_ELEMENTS, Phase.OCTETS: inputs}[phase]
        return min(most - self.inputs_of(phase), inputs - self.inputs)

    def settled(self, more: int, in_vain: int) -> bool:
        """Return whether guidance has done its part, if ``more`` inputs came, the last ones ``in_vain``."""
        return self.inputs_of(Phase.GUIDED) + more >= GUIDED_LEAST and in_vain >= SETTLED


def coverage(state: Path) -> str:
    """Return the points of the code that were reached, as the fuzzer said last, or nothing."""
    log = state / "log"
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL))
        found = _COVERAGE.findall(file.read())
    return found[-1].decode() if found else ""
