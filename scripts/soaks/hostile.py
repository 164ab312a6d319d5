# SPDX-License-Identifier: MIT
"""Hostile peers at every door: the others are served meanwhile, in less than twice the time."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from awala.testing.forks import fork_server
from awala.testing.networks import open_network
from awala.testing.sieges import SiegeTest

SIZE = 200
"""Questions that are asked in peace, and again under attack."""

MAX_RATIO = 2.0
"""Of the median times from question to answer."""


def run(size: int, root: Path) -> bool:
    """Ask ``size`` questions in peace and under attack; print both medians and their ratio."""
    del root
    return asyncio.run(_run(size))


async def _run(size: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="awala-hostile-") as directory:
        async with (
            fork_server("awala.testing.programs", "awala.testing.sieges") as server,
            open_network(Path(directory), server) as network,
        ):
            siege = await SiegeTest(network, server).run(size)
    print(
        f"{siege.calm * 1000:.0f} ms in peace, {siege.attacked * 1000:.0f} ms under attack "
        f"({siege.attempts} bad requests): ratio {siege.ratio:.2f}",
        *siege.problems,
        sep="\n  ",
        flush=True,
    )
    return siege.ratio < MAX_RATIO and not siege.problems
