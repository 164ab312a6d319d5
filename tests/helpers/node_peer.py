# SPDX-License-Identifier: MIT
"""A peer made of the reference libraries, in a Node.js process of its own (tests/interop/README.md)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

FOLDER: Final = Path(__file__).parent.parent / "interop" / "js"
DRIVER: Final = FOLDER / "peer.mjs"
COGRPC_DRIVER: Final = FOLDER / "cogrpc.mjs"
CLOCK: Final = FOLDER / "clock.mjs"

PRODUCTION: Final = "production"
"""The libraries as the deployed Internet gateway has them."""

NEWEST: Final = "newest"
"""The same core library over the newest releases that its ranges allow."""

SETS: Final = (PRODUCTION, NEWEST)

MAX_LINE: Final = 64 * 1024 * 1024
STOP_SECONDS: Final = 5.0


class PeerError(Exception):
    """The reference libraries refused; ``error_class`` names their class of error."""

    def __init__(self, message: str, error_class: str) -> None:
        super().__init__(f"{error_class}: {message}")
        self.error_class = error_class


class NodePeer:
    """Asks the driver for one operation after the other; an asynchronous context manager.

    ``name`` is one of `SETS`. The peer's clock is ``ahead`` of ours; ``environment`` adds to its variables.
    """

    def __init__(
        self,
        name: str = PRODUCTION,
        driver: Path = DRIVER,
        *,
        ahead: timedelta = timedelta(0),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._driver = driver
        self._clock = ["--import", CLOCK.as_uri()] if ahead else []
        self._environment = {
            **os.environ,
            **(environment or {}),
            "PEER_CLOCK_SECONDS": str(int(ahead.total_seconds())),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            "node",
            *self._clock,
            self._driver,
            FOLDER / self.name,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ask(self, operation: str, **arguments: Any) -> Any:
        """Return the answer; octets go and come as ``bytes``."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        request = {"id": number, "do": operation, **_encode(arguments)}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        await self._process.stdin.drain()
        answer = await self._answer(number)
        if "error" in answer:
            raise PeerError(answer["error"]["message"], answer["error"]["class"])
        return _decode(answer["ok"])

    async def _answer(self, number: int) -> Any:
        """Return the answer of this number; before it may come those that a test gave up waiting for."""
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            line = await self._process.stdout.readline()
            assert line, "the Node.js peer ended; its own message is on standard error"
            answer = json.loads(line)
            if answer["id"] == number:
                return answer


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: _encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {name: _decode(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value
