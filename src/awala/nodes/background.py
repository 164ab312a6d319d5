# SPDX-License-Identifier: MIT
"""Runs a node's loops beside its servers, through faults of the store that pass.

Nothing is left behind. A fault that can pass delays a loop; a defect ends the node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from awala.base.clock import Clock
from awala.base.errors import AwalaError, StorageFullError
from awala.base.files import StorageError
from awala.nodes.backoff import Backoff

logger = logging.getLogger(__name__)

T = TypeVar("T")

STORE_BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=1))
"""Between attempts at what a store could not do: neither a busy loop nor a long delay once it can again."""


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


def can_pass(error: AwalaError) -> bool:
    """Say whether the same may succeed later: it is retryable, or a store failed."""
    return error.retryable or isinstance(error, StorageError | StorageFullError)


async def insist(
    clock: Clock, operation: Callable[[], Awaitable[T]], *, backoff: Backoff = STORE_BACKOFF
) -> T:
    """Do what the store must do before the loop can go on; try until it has worked (rules §9).

    For steps that may neither be left out nor be repeated from further back: what was handed on must be let
    go of, not handed on again. Errors other than the store's are raised.
    """
    failures = 0
    while True:
        try:
            return await operation()
        except (StorageError, StorageFullError) as error:
            failures += 1
            logger.warning("the store failed and will be tried again: %s", error)
        await clock.sleep(backoff.wait(failures).total_seconds())


async def supervised(
    loop: Callable[[], Awaitable[None]], clock: Clock, *, backoff: Backoff = STORE_BACKOFF
) -> None:
    """Run a loop, and begin it again after a back-off whenever it ends by an error of this package.

    Any other exception is a defect, and raised: it stops the node.
    """
    failures = 0
    while True:
        began = clock.now()
        try:
            await loop()
        except (AwalaError, ExceptionGroup) as error:
            reason = _only_known(error)
            if reason is None:
                raise
        else:
            return
        failures = 1 if clock.now() - began > backoff.longest else failures + 1
        logger.warning("a loop of this node ended and will begin again: %s", reason)
        await clock.sleep(backoff.wait(failures).total_seconds())


def _only_known(error: Exception) -> AwalaError | None:
    """Return the first error of this package if there is nothing else in it, else None."""
    if isinstance(error, ExceptionGroup):
        known, others = error.split(AwalaError)
        if known is None or others is not None:
            return None
        return _only_known(known.exceptions[0])
    return error if isinstance(error, AwalaError) else None


async def first_of(*awaitables: Awaitable[Any]) -> None:
    """Return when the first has ended, and end the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
