# SPDX-License-Identifier: MIT
"""A peer made of reference libraries, in a process that speaks JSON lines (tests/interop/README.md)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
from collections.abc import Mapping
from typing import Any, Final, Self

MAX_LINE: Final = 64 * 1024 * 1024
STOP_SECONDS: Final = 5.0


class PeerError(Exception):
    """The reference libraries refused; ``error_class`` names their class of error."""

    def __init__(self, message: str, error_class: str) -> None:
        super().__init__(f"{error_class}: {message}")
        self.error_class = error_class


class JsonPeer:
    """Asks a driver for operations, side by side if it is asked so; an asynchronous context manager.

    ``environment`` adds to the variables of the driver, which ``command`` starts.
    """

    def __init__(self, *command: object, environment: Mapping[str, str] | None = None) -> None:
        self._command = [str(part) for part in command]
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reading is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def ask(self, operation: str, **arguments: Any) -> Any:
        """Return the answer; octets go and come as ``bytes``."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answering = self._waiting[number] = asyncio.get_running_loop().create_future()
        request = {"id": number, "do": operation, **encode(arguments)}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
            answer = await answering
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise PeerError(answer["error"]["message"], answer["error"]["class"])
        return decode(answer["ok"])

    async def _read(self) -> None:
        """Hand out the answers until the process ends; nobody waits for those that a test gave up."""
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            answering = self._waiting.get(answer["id"])
            if answering is not None and not answering.done():
                answering.set_result(answer)
        for answering in self._waiting.values():
            if not answering.done():
                answering.set_exception(
                    AssertionError("the peer ended; its own message is on standard error")
                )


def encode(value: Any) -> Any:
    """Return a value as it stands in a line, where octets are base64."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Return the value that stands in a line."""
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {name: decode(item) for name, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value
