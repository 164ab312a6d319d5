# SPDX-License-Identifier: MIT
"""What a bench is told, and what it answers."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Takes one line about what goes on."""


def silent(_line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a bench is to be run."""

    seconds: float
    """How long each measurement takes, its floor included."""
    items: int | None = None
    """How many messages are stored while a store is measured once more; None measures it with few alone."""
    directory: Path | None = None
    """Where stores are put; the disk matters. None is the system's place for temporary files."""
    say: Say = silent
    """Told what is measured next."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How often per second something was done, and how often the bare work below it can be done."""

    labels: Mapping[str, str | int]
    """What was measured: the same keys in all figures of a report. ``octets`` is a size."""
    per_second: float
    floor_per_second: float | None = None
    """None for what is itself a floor."""
    ratio: float | None = None
    """Against the floor; it is measured in pairs, so it is steadier than either figure."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Further numbers, whose names end with their unit."""

    def plain(self) -> dict[str, Any]:
        """Return the figure as JSON has it."""
        plain: dict[str, Any] = {**self.labels, "per_second": _rounded(self.per_second)}
        if self.floor_per_second is not None and self.ratio is not None:
            plain["floor_per_second"] = _rounded(self.floor_per_second)
            plain["ratio"] = round(self.ratio, 3)
        return plain | {name: round(value, 3) for name, value in self.details.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one bench."""

    name: str
    summary: str
    """What was measured, in a line."""
    notes: tuple[str, ...]
    """What the figures mean, sentence by sentence."""
    conditions: Mapping[str, str | int | float]
    """What they depend on: versions, sizes of pools, the length of a measurement."""
    figures: tuple[Figure, ...]
    shown: tuple[str, ...] = ()
    """Which details a person is shown, of the figures that have them."""

    def plain(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "bench": self.name,
            "summary": self.summary,
            "notes": list(self.notes),
            "conditions": dict(self.conditions),
            "figures": [figure.plain() for figure in self.figures],
        }


def peak_memory() -> int:
    """Return the most memory that the process has had so far, in octets."""
    try:  # what getrusage says of a process that was started by a larger one, is the larger one's
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _rounded(rate: float) -> float:
    return round(rate, 1)
