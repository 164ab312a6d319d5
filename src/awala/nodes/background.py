# SPDX-License-Identifier: MIT
"""Runs a node's loops beside its servers: nothing is left behind, and a loop that fails stops the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def in_background(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the loops for as long as the block lasts; if one fails, the block is cancelled and it raises.

    A single failure, of the block or of a loop, is raised as it is; several are raised as a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in loops]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        raise
