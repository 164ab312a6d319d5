# SPDX-License-Identifier: MIT
"""Standard input, a line at a time, without holding up anything else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

MAX_LINE = 1_048_576
"""Octets of one line; what is beyond them is lost."""

LINES_AHEAD = 64
"""Lines that are read before the earlier ones were dealt with."""

PIECE = 65_536
"""Octets read at once."""


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file of any kind, as they come.

    A thread reads them, since files and terminals cannot be waited for alike; it reads past Python's
    buffers, whose lock a thread at rest would keep from being freed when the program ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(LINES_AHEAD)

    def put(line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        rest = b""
        with suppress(RuntimeError, asyncio.CancelledError):  # the program has ended meanwhile
            while piece := os.read(descriptor, PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    put(line.decode(errors="replace"))
                rest = rest[: MAX_LINE + 1]
            if rest:
                put(rest.decode(errors="replace"))
            put(None)

    threading.Thread(target=read, daemon=True, name="standard input").start()
    while (line := await queue.get()) is not None:
        yield line
