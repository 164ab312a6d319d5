# SPDX-License-Identifier: MIT
"""The control channel: how a command asks the running node of the same data directory.

A Unix socket in the data directory, which only its owner can open. One connection carries one request,
a line of JSON ``{"command": …, "args": {…}}``, and its answers, a line each: any number of
``{"item": {…}}``, then ``{"done": true}`` or ``{"error": {…}}``. A caller that leaves ends the request.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from awala.base.errors import AwalaError

logger = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
MAX_LINE = 1_048_576
"""Octets of one request or answer."""

MAX_CONNECTIONS = 16
"""Requests served at a time; further callers are told to wait."""

REQUEST_SECONDS = 10.0
"""Time that a caller has to send its request."""

MAX_SOCKET_PATH = 100
"""Octets of a path that every system takes for a Unix socket."""

DESCRIPTORS = Path("/proc/self/fd")

T = TypeVar("T")

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], AsyncIterator[Answer]]


class ControlError(AwalaError):
    """The control channel failed."""


class NodeNotRunningError(ControlError):
    """No node runs on this data directory."""

    advice = "Start it with 'run', then try again."


class RequestFailedError(ControlError):
    """The running node could not do what it was asked.

    Attributes:
        error_class: the name of the error's class in that process.
    """

    def __init__(self, message: str, *, error_class: str) -> None:
        super().__init__(message)
        self.error_class = error_class


def control_path(data_dir: Path) -> Path:
    """Return where the control socket of a node is."""
    return data_dir / SOCKET_NAME


class ControlServer:
    """Answers the commands that ask this node; an asynchronous context manager.

    Args:
        path: the socket. A stale one is replaced: own the data directory first.
        handlers: by the command's name; each gets the arguments and yields the answers.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = dict(handlers)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Start listening."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short_path(self._path) as address:
                listener.bind(address)
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_LINE)
        except OSError as error:
            listener.close()
            raise ControlError(f"{self._path}: cannot listen there: {error.strerror}") from error
        except BaseException:
            listener.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and end the requests under way."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - asyncio runs this callback in a task
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            logger.debug("a control connection ended early")
        except asyncio.CancelledError:
            logger.debug("the node stops")  # swallowed: asyncio would report a cancelled handler as an error
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                raise ControlError("too many commands at a time; try again")
            async with asyncio.timeout(REQUEST_SECONDS):
                command, arguments = _parse_request(await _read_line(reader))
            handler = self._handlers.get(command)
            if handler is None:
                raise ControlError(f"this node knows no command {command!r}")
            await self._answer(handler(arguments), reader, writer)
        except AwalaError as error:
            await _send(writer, {"error": _describe(error)})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            logger.exception("a control command failed")
            await _send(writer, {"error": _describe(error)})

    async def _answer(
        self, answers: AsyncIterator[Answer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send the answers until they end, or until the caller leaves."""

        async def send_all() -> None:
            try:
                async for item in answers:
                    await _send(writer, {"item": item})
            finally:
                close = getattr(answers, "aclose", None)
                if close is not None:
                    await close()
            await _send(writer, {"done": True})

        sending = asyncio.create_task(send_all())
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)


async def call(
    path: Path, command: str, args: Mapping[str, Any] | None = None
) -> AsyncGenerator[Answer, None]:
    """Ask the node that listens at ``path``, and yield its answers as they come.

    Raises:
        NodeNotRunningError: no node listens there.
        RequestFailedError: the node could not do it; with its message and advice.
        ControlError: the connection broke or carried something else.
    """
    reader, writer = await _connect(path)
    try:
        await _send(writer, {"command": command, "args": dict(args or {})})
        while True:
            answer = _parse_object(await _read_line(reader))
            if "item" in answer:
                yield answer["item"]
            elif "error" in answer:
                raise _failure(answer["error"])
            elif answer.get("done") is True:
                return
            else:
                raise ControlError("the node answered something that is no answer")
    except ConnectionError as error:
        raise ControlError("the node closed the connection before it had answered") from error
    finally:
        writer.close()


async def call_once(path: Path, command: str, args: Mapping[str, Any] | None = None) -> Answer:
    """Ask for something that has a single answer, and return it (see ``call``)."""
    async with aclosing(call(path, command, args)) as answers:
        async for answer in answers:
            return answer
    raise ControlError("the node answered nothing")


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        with _short_path(path) as address:
            return await asyncio.open_unix_connection(address, limit=MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NodeNotRunningError(f"no node runs on {path.parent}") from None
    except OSError as error:
        raise ControlError(f"{path}: cannot connect: {error.strerror}") from error


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """Give a name for ``path`` that fits in a socket address, which holds some 100 octets."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield str(path)
        return
    if not DESCRIPTORS.is_dir():
        raise OSError(errno.ENAMETOOLONG, "the path is too long for a socket; choose a shorter --data-dir")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(DESCRIPTORS / str(directory) / path.name)
    finally:
        os.close(directory)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("the other side left") from error
    except asyncio.LimitOverrunError as error:
        raise ControlError(f"a line of more than {MAX_LINE} octets") from error


async def _send(writer: asyncio.StreamWriter, value: Mapping[str, Any]) -> None:
    writer.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
    await writer.drain()


def _parse_object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError("a line that is no JSON") from error
    if not isinstance(value, dict):
        raise ControlError("a line that is no JSON object")
    return value


def argument(arguments: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """Return an argument of a request, None if it is absent; raise ControlError if it is of another kind."""
    value = arguments.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ControlError(f"the argument {name} is not of the right kind")
    return value


def _parse_request(line: bytes) -> tuple[str, dict[str, Any]]:
    request = _parse_object(line)
    command, arguments = request.get("command"), request.get("args", {})
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise ControlError("a request has a command, and an object of arguments")
    return command, arguments


def _describe(error: Exception) -> dict[str, str]:
    if isinstance(error, AwalaError):
        return {"class": type(error).__name__, "message": str(error), "advice": error.advice}
    return {
        "class": type(error).__name__,
        "message": "an unexpected failure; see the node's log",
        "advice": "",
    }


def _failure(description: object) -> ControlError:
    if not isinstance(description, dict):
        return ControlError("the node answered something that is no answer")
    message, advice = str(description.get("message", "")), str(description.get("advice", ""))
    text = f"{message.rstrip('.')}. {advice}" if advice else message
    return RequestFailedError(text, error_class=str(description.get("class", "")))
