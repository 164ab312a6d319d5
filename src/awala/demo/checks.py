# SPDX-License-Identifier: MIT
"""``awala demo --check``: runs what must hold, step by step, and says what does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from awala.base.errors import AwalaError
from awala.demo import refusals, steps
from awala.demo.errors import first_error
from awala.demo.network import Network

STEPS: Mapping[str, Callable[[Network], Awaitable[None]]] = {
    "ping-online": steps.ping_online,
    "ping-by-courier": steps.ping_by_courier,
    "chat-online": steps.chat_online,
    "chat-by-courier": steps.chat_by_courier,
    "refused": refusals.refused,
    "revoked": refusals.revoked,
    "restart": steps.restart,
}
"""The steps, in order; each leaves the network whole."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one step ended; ``problem`` is empty if it held."""

    name: str
    seconds: float
    problem: str = ""
    details: str = ""

    def line(self) -> str:
        """Return the line that is printed for the step."""
        head = f"{'FAILED' if self.problem else 'ok'} {self.name} {self.seconds:.1f} s"
        return f"{head}: {' '.join(self.problem.split())}" if self.problem else head


async def run_steps(network: Network) -> AsyncIterator[Result]:
    """Run all steps, and yield how each ended."""
    for name, step in STEPS.items():
        begin = time.monotonic()
        problem = details = ""
        try:
            await step(network)
        except* AwalaError as errors:
            error = first_error(errors)
            problem, details = str(error), getattr(error, "details", "")
        yield Result(name, time.monotonic() - begin, problem, details)
