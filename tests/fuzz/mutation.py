# SPDX-License-Identifier: MIT
"""Damages seeds at every position: ``python -m fuzz.mutation NAME LIMIT FOLDER``; else names all.

Seeds of more than LIMIT octets are damaged at random places. NAME is a fuzz target with its property,
or ``judged-`` and a message that is authorised: what comes out of that is refused, not authorised, or
equal to it in every value, plaintext included. What was done is printed as JSON; the input that broke
something is saved in FOLDER.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from fuzz.targets import TARGETS
from helpers.artefacts import Artefact, artefacts, judge_opened
from helpers.mutations import everywhere, mutations

TIME_LIMIT = 1.0
"""Seconds of a processor that one input may take."""

SAMPLE = 5000
"""How often an artefact is damaged that is too large for all positions."""

JUDGED = "judged-"

Cases: TypeAlias = Callable[[int], Iterator[tuple[Callable[[bytes], object], bytes]]]
"""Yields properties, and inputs for which they must hold, given the size of artefacts damaged everywhere."""


def cases() -> dict[str, Cases]:
    """Return all cases by name."""
    found = {name: _of_target(name) for name in TARGETS}
    return found | {JUDGED + each.name: _of_artefact(each) for each in artefacts()}


def _of_target(name: str) -> Cases:
    def inputs(limit: int) -> Iterator[tuple[Callable[[bytes], object], bytes]]:
        target = TARGETS[name]
        for seed in sorted(set(target.seeds().values())):
            for damaged in damages(seed, limit):
                yield target.run, damaged

    return inputs


def _of_artefact(artefact: Artefact) -> Cases:
    def inputs(limit: int) -> Iterator[tuple[Callable[[bytes], object], bytes]]:
        judge = judged(artefact)
        for damaged in damages(artefact.octets, limit):
            yield judge, damaged

    return inputs


def judged(artefact: Artefact) -> Callable[[bytes], bool]:
    """Return a property, which says whether the message is still authorised."""
    original = judge_opened(artefact, artefact.octets)
    assert original is not None, "the message was not authorised to begin with"

    def run(damaged: bytes) -> bool:
        values = judge_opened(artefact, damaged)
        assert values is None or values == original, "a damaged message is authorised, with other values"
        return values is not None

    return run


def damages(data: bytes, limit: int, sample: int = SAMPLE) -> Iterable[bytes]:
    """Return ``data`` damaged everywhere, or in a sample of places if it is larger than the limit."""
    if not data:
        return ()
    return everywhere(data) if len(data) <= limit else mutations(data, sample)


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.stdout.write("\n".join(cases()))
        return
    name, limit, folder = arguments[0], int(arguments[1]), Path(arguments[2])
    count, slowest = 0, 0.0
    for run, damaged in cases()[name](limit):
        begin = time.process_time()
        try:
            run(damaged)
        except BaseException:
            (folder / name).write_bytes(damaged)
            raise
        seconds = time.process_time() - begin
        count, slowest = count + 1, max(slowest, seconds)
        if seconds > TIME_LIMIT:
            (folder / name).write_bytes(damaged)
            raise TimeoutError(f"an input took {seconds:.1f} s")
    sys.stdout.write(json.dumps({"inputs": count, "slowest": slowest}))


if __name__ == "__main__":
    main(sys.argv[1:])
