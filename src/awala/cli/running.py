# SPDX-License-Identifier: MIT
"""Runs a node: one process per data directory, one line when it is ready, a clean stop on a signal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from awala.base.errors import AwalaError
from awala.base.files import FILE_MODE, private_directory
from awala.base.memory import keep_freed_memory

logger = logging.getLogger(__name__)

LOCK_NAME = "node.lock"
DRAIN_SECONDS = 20.0
"""Time that a node has to hand over what it has begun, once it was told to stop."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DataDirectoryInUseError(AwalaError):
    """Another process owns the data directory."""

    advice = "Stop that process, or name another directory with --data-dir."


@contextmanager
def owned_directory(path: Path) -> Iterator[Path]:
    """Own a data directory, which is made if need be, until the block ends.

    The lock goes with the process: however that ends, the next one can start.

    Raises:
        DataDirectoryInUseError: another process has it.
        StorageError: the directory cannot be made.
    """
    descriptor = os.open(private_directory(path) / LOCK_NAME, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f"process {owner}" if owner.isdigit() else "another process"
            raise DataDirectoryInUseError(f"the data directory {path} is in use by {who}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield path
    finally:
        os.close(descriptor)


class Running:
    """What a running node tells the outside, and learns from it."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()

    def ready(self, addresses: Mapping[str, str]) -> None:
        """Print the one line of JSON which says that the node accepts connections, and where."""
        try:
            sys.stdout.write(json.dumps({"ready": dict(addresses)}) + "\n")
            sys.stdout.flush()
        except OSError:
            logger.debug("nobody reads standard output")

    def stop(self) -> None:
        """Ask the node to stop, as a signal does."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the node was told to stop."""
        return self._stop.is_set()

    async def until_stopped(self) -> None:
        """Return when the node is told to stop."""
        await self._stop.wait()

    async def work(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do some work until it ends or the node is told to stop; return whether it came to its end."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self.until_stopped())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            return working.done()
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)


def run_node(
    body: Callable[[Running], Awaitable[None]], *, data_dir: Path | None, drain: float = DRAIN_SECONDS
) -> None:
    """Run a node until its body returns, which it does soon after ``until_stopped()`` has returned.

    The first SIGINT or SIGTERM asks it to stop; when it has not done so ``drain`` seconds later, or at
    the second signal, it is cancelled. A stop by signal is a success.

    Args:
        body: opens the node's parts, calls ``ready``, waits for ``until_stopped`` and closes them.
        data_dir: directory to own meanwhile, if any.
        drain: seconds, see above.

    Raises:
        AwalaError: what the body raises, and ``DataDirectoryInUseError``.
    """
    keep_freed_memory()
    if data_dir is None:
        asyncio.run(_supervise(body, drain))
        return
    with owned_directory(data_dir):
        asyncio.run(_supervise(body, drain))


async def _supervise(body: Callable[[Running], Awaitable[None]], drain: float) -> None:
    running = Running()
    loop = asyncio.get_running_loop()

    async def work() -> None:
        await body(running)

    task = asyncio.create_task(work(), name="node")

    def on_signal() -> None:
        if running.stopping:
            task.cancel()
            return
        logger.info("stopping")
        running.stop()
        loop.call_later(drain, task.cancel)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not running.stopping:
            raise
        logger.warning("stopped before everything was handed over; what is left goes on at the next start")
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
