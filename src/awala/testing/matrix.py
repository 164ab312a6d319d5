# SPDX-License-Identifier: MIT
"""The crash matrix: one journey, and a kill of each node after each of its operations, once each.

A first run of the journey counts how often each node passes each crash point. Then it is run again for every
passage: the node kills itself right there, is started again, and in the end each message has taken effect
exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from awala.testing.crashes import Crash
from awala.testing.forks import fork_server
from awala.testing.networks import NAMES, Network, open_network

HASTE: Final = 50.0
"""How much faster than ours the clocks of the nodes are; they stay within `MAX_LEAD` for a whole journey."""

SIDE_BY_SIDE: Final = 4
"""Journeys at the same time: each spends half of its time waiting."""

LARGE: Final = 70_000
"""Octets of a message whose body is a file at every node."""

MAX_ROUNDS: Final = 10
"""Times that the courier goes back and forth before an answer is missed."""

JOURNEY_SECONDS: Final = 60.0
"""Within which a journey ends, or has failed."""


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One cell of the matrix."""

    node: str
    point: str
    number: int

    def __str__(self) -> str:
        return f"{self.node} after {self.point} {self.number}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case came to: whether the node was killed there, and what was wrong in the end."""

    case: Case | None
    was_reached: bool
    problems: tuple[str, ...]


async def journey(network: Network) -> None:
    """Ask on-line and be answered; then with the Internet cut, by courier."""
    await network.ask("on-line", LARGE)
    await network.wait_for("on-line")
    await network.cut()
    await network.ask("by-courier", LARGE)
    for _ in range(MAX_ROUNDS):
        await network.visit()
        await network.trip()
        if "by-courier" in network.heard:
            break
    await network.mend()
    await network.wait_for("by-courier")
    await network.settle()


class Matrix:
    """Networks that wait for a case, each as it was when its app and its service had just met."""

    def __init__(self, networks: Sequence[Network], prepared: Path) -> None:
        self._networks: asyncio.Queue[Network] = asyncio.Queue()
        self._prepared = prepared
        for network in networks:
            self._networks.put_nowait(network)

    async def cases(self) -> list[Case]:
        """Run the journey without a crash; return every case that there is, in order."""
        network = await self._networks.get()
        outcome = await self._run(network, None)
        if outcome.problems:
            raise AssertionError(f"the journey fails without any crash: {outcome.problems}")
        cases = [
            Case(name, point, number)
            for name in NAMES
            for point, passages in sorted(network.nodes[name].passages.items())
            for number in range(1, passages + 1)
        ]
        self._networks.put_nowait(network)
        return cases

    async def outcomes(self, cases: Iterable[Case]) -> AsyncIterator[Outcome]:
        """Run the journey with each crash; yield what came of it, as they end."""
        pending: set[asyncio.Task[Outcome]] = set()
        waiting = iter(cases)
        try:
            while True:
                while not self._networks.empty() and (case := next(waiting, None)) is not None:
                    pending.add(asyncio.create_task(self._run_one(self._networks.get_nowait(), case)))
                if not pending:
                    return
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    yield each.result()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _run_one(self, network: Network, case: Case) -> Outcome:
        try:
            return await self._run(network, case)
        finally:
            self._networks.put_nowait(network)

    async def _run(self, network: Network, case: Case | None) -> Outcome:
        await asyncio.to_thread(network.restore, self._prepared)
        crashes = {} if case is None else {case.node: Crash(case.point, case.number)}
        problems: list[str] = []
        try:
            async with (
                asyncio.timeout(JOURNEY_SECONDS),
                network.running(crashes, haste=HASTE, counts=case is None),
            ):
                await journey(network)
        except* TimeoutError:
            problems.append(f"no end within {JOURNEY_SECONDS:.0f} s; answered: {sorted(network.heard)}")
        except* Exception as errors:  # noqa: BLE001 - whatever it is, it is what came of this case
            problems += [f"{type(error).__name__}: {error}" for error in errors.exceptions]
        finally:
            await network.links["internet poweb"].mend()
        problems = problems or network.problems()
        deaths = sum(node.deaths for node in network.nodes.values())
        if problems:
            problems += [f"{node.name}: {node.last_lines()}" for node in network.nodes.values() if node.log]
        return Outcome(case, case is not None and deaths > 0, tuple(problems))


def sample(cases: Sequence[Case], percent: int) -> list[Case]:
    """Return so many percent of the cases, evenly spread."""
    return [
        case
        for number, case in enumerate(cases, 1)
        if number * percent // 100 != (number - 1) * percent // 100
    ]


@asynccontextmanager
async def open_matrix(directory: Path, *, side_by_side: int = SIDE_BY_SIDE) -> AsyncIterator[Matrix]:
    """Make the networks, and let the app and the service of the first one meet; the others are its copies."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(fork_server("awala.testing.programs"))
        networks: list[Network] = []
        for number in range(side_by_side):
            place = directory / f"network-{number}"
            place.mkdir(mode=0o700)
            networks.append(await stack.enter_async_context(open_network(place, server)))
        async with asyncio.timeout(JOURNEY_SECONDS), networks[0].running():
            await networks[0].meet()
            await networks[0].ask("first")
            await networks[0].wait_for("first")
            await networks[0].settle()
        networks[0].save(directory / "prepared")
        yield Matrix(networks, directory / "prepared")
