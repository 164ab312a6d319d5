# SPDX-License-Identifier: MIT
"""Kills this process at a chosen commit, file operation or network send, as a power cut might.

Nothing in a node knows of this: the edges of the machine are wrapped from outside, in the process that a
test starts. So a node that nobody tests has neither a cost nor a switch that could kill it.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

R = TypeVar("R")

FILE_OPERATIONS: Final = ("mkdir", "replace", "unlink", "fsync")
"""Functions of ``os`` after each of which a crash may come; a new file is a point of its own."""

SENDS: Final = ("send", "sendall", "sendmsg")
"""Methods of a socket that send."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Which passage of which point kills the process; passages count from 1."""

    point: str
    number: int

    def __str__(self) -> str:
        return f"{self.point}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` gives; raises ValueError."""
        point, _, number = text.rpartition(":")
        return cls(point, int(number))


class CrashPoints:
    """Counts the passages of each point, and kills the process at one of them.

    The points are ``commit FILE`` of each database, ``mkdir``, ``create``, ``fsync``, ``replace`` and
    ``unlink`` of files, ``send`` of sockets and ``call`` of gRPC. Each is reached right after the operation:
    so the kill leaves it done, and what follows it undone.
    """

    def __init__(
        self,
        crash: Crash | None = None,
        *,
        on_passage: Callable[[str], None] = lambda _: None,
        kill: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL),
    ) -> None:
        self.passages: Counter[str] = Counter()
        self._crash = crash
        self._on_passage = on_passage
        self._kill = kill
        self._lock = threading.Lock()
        self._undo: list[tuple[Any, str, Any]] = []

    def reach(self, point: str) -> None:
        """Pass a point."""
        with self._lock:
            self.passages[point] += 1
            number = self.passages[point]
        self._on_passage(point)
        if self._crash is not None and (self._crash.point, self._crash.number) == (point, number):
            self._kill()

    def install(self) -> None:
        """Wrap the edges of this process, until ``remove``."""
        for name in FILE_OPERATIONS:
            self._wrap(os, name, lambda *_, point=name: point)
        self._wrap(os, "open", _created)
        for name in SENDS:
            self._wrap(socket.socket, name, _sent)
        self._replace(sqlite3, "connect", functools.partial(_connect, sqlite3.connect, self))
        if "awala.bindings.cogrpc" in sys.modules:
            self._wrap_calls()

    def remove(self) -> None:
        """Take all wrappers off again; databases that are open keep theirs."""
        while self._undo:
            owner, name, former = self._undo.pop()
            if former is None:
                delattr(owner, name)
            else:
                setattr(owner, name, former)

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._undo.append((owner, name, vars(owner).get(name)))  # what is inherited is uncovered again
        setattr(owner, name, new)

    def _wrap(self, owner: Any, name: str, point_of: Callable[..., str | None]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            point = point_of(*args)
            if point is not None:
                self.reach(point)
            return result

        self._replace(owner, name, wrapped)

    def _wrap_calls(self) -> None:
        """Wrap the two places from which gRPC, whose sockets are its own, is given messages."""
        from awala.bindings.cogrpc import client_call, server_call  # noqa: PLC0415 - apps have no gRPC

        self._replace(client_call.ClientCall, "write", self._wrapped_call(client_call.ClientCall.write))
        original, wrapped = server_call.send, self._wrapped_call(server_call.send)
        for module in [
            each for name, each in sys.modules.items() if name.startswith("awala.bindings.cogrpc")
        ]:
            if vars(module).get("send") is original:
                self._replace(module, "send", wrapped)

    def _wrapped_call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            self.reach("call")
            return result

        return wrapped


def _created(path: Any, flags: int = 0, *_: Any) -> str | None:
    """Return the point of an ``os.open`` that made a file."""
    del path
    return "create" if flags & os.O_CREAT and flags & os.O_EXCL else None


def _sent(sock: socket.socket, *_: Any) -> str | None:
    """Return the point of what left for another process; an event loop also wakes itself by a socket."""
    return "send" if sock.family in {socket.AF_INET, socket.AF_INET6} else None


def _connect(
    original: Callable[..., sqlite3.Connection], points: CrashPoints, path: Any, **options: Any
) -> Any:
    point = f"commit {Path(path).name}"

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            cursor: sqlite3.Cursor = super().execute(sql, *parameters)
            if sql == "COMMIT" and not _is_reader(self):
                points.reach(point)
            return cursor

        def executescript(self, script: str) -> sqlite3.Cursor:
            cursor: sqlite3.Cursor = super().executescript(script)
            points.reach(point)
            return cursor

    return original(path, **({"factory": Connection} | options))


def _is_reader(connection: sqlite3.Connection) -> bool:
    (only,) = sqlite3.Connection.execute(connection, "PRAGMA query_only").fetchone()
    return bool(only)
