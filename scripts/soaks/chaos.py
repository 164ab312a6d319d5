# SPDX-License-Identifier: MIT
"""Every door behind a bad link, a network for each fault: all arrives once, no node spins or grows."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from awala.base.files import private_directory
from awala.testing.forks import ForkServer, fork_server
from awala.testing.networks import open_network
from awala.testing.storms import MEBIBYTE, STORMS, StormTest, Toll

SIZE = 600
"""Seconds of each fault that acceptance asks for; all blow at the same time."""

HASTE = 5.0
"""How much faster than ours the nodes' clocks are: back-offs of the storm shall not fill the night."""

RECOVERY_SECONDS = 600.0
"""Time to recover: longer than any back-off that a storm of that length leads to."""

MAX_CONNECTIONS = 1.0 * HASTE
"""Per second and door: what the shortest back-off, of one second, allows."""

MAX_BUSY = 0.5
"""Processor time per second that a node may take: one that spins takes all that there is."""

MAX_GROWTH = 64 * MEBIBYTE
"""Octets by which a node may grow: caches and buffers are filled, and then it stays."""


def run(size: int, root: Path) -> bool:
    """Let each fault blow for ``size`` seconds; print what came of it."""
    del root
    return asyncio.run(_run(size))


async def _run(seconds: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="awala-chaos-") as directory:
        async with fork_server("awala.testing.programs") as server, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_one(Path(directory) / name, server, name, seconds)) for name in STORMS
            ]
    return all(task.result() for task in tasks)


async def _one(directory: Path, server: ForkServer, name: str, seconds: int) -> bool:
    await asyncio.to_thread(private_directory, directory)
    async with open_network(directory, server) as network:
        test = StormTest(network, STORMS[name], haste=HASTE)
        toll = await test.run(seconds, recovery_seconds=RECOVERY_SECONDS)
    problems = [*toll.problems, *_excesses(toll)]
    print(
        f"{name:<10} {toll.messages} messages, {toll.connections:.2f} connections/s, "
        f"{toll.busy:.2f} s/s busy, {toll.growth / MEBIBYTE:+.0f} MiB, recovered in {toll.recovery:.0f} s, "
        f"{'FAILED' if problems else 'ok'}",
        *problems,
        sep="\n  ",
        flush=True,
    )
    return not problems


def _excesses(toll: Toll) -> list[str]:
    found = []
    if toll.connections > MAX_CONNECTIONS:
        found.append("a door was tried more often than any back-off allows")
    if toll.busy > MAX_BUSY:
        found.append("a node was busy all the time")
    if toll.growth > MAX_GROWTH:
        found.append("a node grew")
    return found
