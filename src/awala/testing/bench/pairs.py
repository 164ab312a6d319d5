# SPDX-License-Identifier: MIT
"""Times several contestants turn by turn, so that whatever slows the machine down slows them all.

What counts is the processor time of the one thread that works, of the system's work for it too:
``openssl speed`` does the same, and other programs that want the processor hardly matter.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

MIN_ROUNDS: Final = 3
"""How often each contestant has its turn, however long that takes."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something to be timed."""

    run: Callable[[], int]
    """Does it many times and returns how many."""
    prepare: Callable[[], object] = _nothing
    """Is called before each turn, and takes no part in its time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What the turns of one contestant took: seconds of processor time for each time, turn by turn."""

    each: tuple[float, ...]

    @property
    def per_second(self) -> float:
        """How often per second of processor time, in the median turn."""
        return 1 / statistics.median(self.each)

    def ratio_to(self, floor: Timing) -> float:
        """Return how fast this is against ``floor``: the median over the rounds; 1 is just as fast."""
        return statistics.median(bare / own for own, bare in zip(self.each, floor.each, strict=True))


def take_turns(contestants: Mapping[str, Contestant], seconds: float) -> dict[str, Timing]:
    """Give the contestants their turns, round by round, for about ``seconds`` in all.

    A first round warms up and does not count.
    """
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        _turn(contestant)
    start = time.perf_counter()
    rounds = 0
    while rounds < MIN_ROUNDS or time.perf_counter() - start < seconds:
        for name, contestant in contestants.items():
            took[name].append(_turn(contestant))
        rounds += 1
    return {name: Timing(tuple(each)) for name, each in took.items()}


def _turn(contestant: Contestant) -> float:
    contestant.prepare()
    began = time.thread_time()
    times = contestant.run()
    return (time.thread_time() - began) / times
