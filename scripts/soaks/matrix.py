# SPDX-License-Identifier: MIT
"""A kill of each node right after each commit, file operation and send of a journey, once each."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from awala.testing.matrix import open_matrix, sample

SIZE = 100
"""Percent of the cases that are run."""

PROGRESS = 25
"""A line is printed after so many cases."""

MAX_UNREACHED_SHARE = 0.1
"""Runs differ a little; with more points than this not reached, the journey has changed on its way."""


def run(size: int, root: Path) -> bool:
    """Run ``size`` percent of the matrix; print each case that went wrong."""
    del root
    return asyncio.run(_run(size))


async def _run(size: int) -> bool:
    done = unreached = failures = 0
    with tempfile.TemporaryDirectory(prefix="awala-matrix-") as directory:
        async with open_matrix(Path(directory)) as matrix:
            cases = await matrix.cases()
            chosen = sample(cases, size)
            print(f"{len(chosen)} of {len(cases)} cases", flush=True)
            async for outcome in matrix.outcomes(chosen):
                done += 1
                unreached += not outcome.was_reached
                if outcome.problems:
                    failures += 1
                    print(f"FAILED {outcome.case}:", *outcome.problems, sep="\n  ", flush=True)
                if done % PROGRESS == 0:
                    print(f"{done}/{len(chosen)}, {failures} failed, {unreached} not reached", flush=True)
    print(f"{done} cases, {done - unreached} kills, {failures} failed")
    return failures == 0 and unreached <= done * MAX_UNREACHED_SHARE
