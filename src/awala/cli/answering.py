# SPDX-License-Identifier: MIT
"""How a running node answers the commands that ask it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from awala.cli.control import Answer, ControlError, ControlServer, Handler, argument, control_path
from awala.cli.running import Running
from awala.crypto import IdentityPublicKey


async def answer_until_stopped(
    running: Running, data_dir: Path, handlers: Mapping[str, Handler], addresses: Mapping[str, str]
) -> None:
    """Say that the node is ready, and answer the commands that ask it until it is told to stop.

    Args:
        running: who says so.
        data_dir: the data directory, by which commands find the node.
        handlers: what answers each command, by its name.
        addresses: where the node accepts connections, by door.
    """
    async with ControlServer(control_path(data_dir), handlers):
        running.ready(addresses)
        await running.until_stopped()


def single(ask: Callable[[], Awaitable[object]]) -> Handler:
    """Return a handler that answers with the one value which ``ask`` returns."""

    async def handler(_arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        yield plain(await ask())

    return handler


def on_medium(act: Callable[[Path], AsyncIterator[object]]) -> Handler:
    """Return a handler that tells how ``act`` gets on with the directory that it is asked about."""

    async def handler(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        directory = argument(arguments, "directory", str)
        if not directory:
            raise ControlError("the directory on the medium is missing")
        async for progress in act(Path(directory)):
            yield plain(progress)

    return handler


def plain(value: object) -> Any:
    """Return a value as JSON can hold it: times in UTC to the second, a node's id for its key."""
    match value:
        case Enum():
            result: Any = value.value
        case datetime():
            result = value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case IdentityPublicKey():
            result = value.node_id
        case Mapping():
            result = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            result = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            result = value
    return result
