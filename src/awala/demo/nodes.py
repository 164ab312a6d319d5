# SPDX-License-Identifier: MIT
"""A node of the demonstration: a child process that runs its public command, and tells what it does."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from awala.demo.errors import DemoError
from awala.demo.feed import Feed, read_hop
from awala.demo.processes import COMMAND_SECONDS, Processes

READY_SECONDS = 30.0
"""Time for a node to accept connections."""

INIT_SECONDS = 60.0
"""Time for making keys."""

KEPT_LINES = 200
"""Log lines kept of each node."""

TOLD_LINES = 15
"""Log lines told when something fails."""

T = TypeVar("T")
OnLine = Callable[[dict[str, Any]], None]


class Node:
    """One node; it may be started again after it was stopped or killed.

    Attributes:
        name: what it is called in the demonstration.
        data: its data directory.
        addresses: where it accepts connections, by door, as told in its ready line.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *run: str,
        data: Path,
        processes: Processes,
        feed: Feed,
        init: tuple[str, ...] | None = None,
        talks: bool = False,
    ) -> None:
        """Take how to run the node.

        Args:
            name: see above.
            command: the command of this kind of node.
            run: what follows that command to run the node.
            data: see above.
            processes: what starts it.
            feed: gets its hop events.
            init: options of ``init``, which makes its keys; None if there is nothing to make.
            talks: whether it is written to.
        """
        self.name = name
        self.command = command
        self.data = data
        self.addresses: Mapping[str, Any] = {}
        self.log: deque[str] = deque(maxlen=KEPT_LINES)
        self._run = run
        self._init = init
        self._processes = processes
        self._feed = feed
        self._talks = talks
        self._process: Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[Mapping[str, Any]] | None = None
        self._on_line: OnLine | None = None
        self.on_start: Callable[[], None] = lambda: None
        """Called each time the node is ready."""

    def listen(self, on_line: OnLine) -> None:
        """Have every object but the ready line that the node prints given to ``on_line``."""
        self._on_line = on_line

    @property
    def runs(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    async def initialise(self) -> None:
        """Make the node's keys, unless it has them from an earlier run; raises DemoError."""
        if self._init is not None:
            await self._command("init", *self._init, seconds=INIT_SECONDS)

    async def start(self) -> None:
        """Start the node and return when it is ready; raises DemoError."""
        arguments = [self.command, *self._run, "--data-dir", str(self.data), "--log-format", "json"]
        self._ready = asyncio.get_running_loop().create_future()
        self._process = await self._processes.start(arguments, talks=self._talks)
        self._readers = [
            asyncio.create_task(self._read_output(self._process)),
            asyncio.create_task(self._read_log(self._process)),
        ]
        self.addresses = await self.wait_for("its start", self._ready, seconds=READY_SECONDS)
        self.on_start()

    async def kill(self) -> None:
        """End the node with SIGKILL, as a power cut would, and all that it started."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End the node in order."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._processes.kill(process, number)
        await process.wait()
        self._processes.forget(process)
        await self.finish()

    async def finish(self) -> None:
        """Return when everything that the ended process said was read."""
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def write(self, line: Mapping[str, object]) -> None:
        """Give the node a line of JSON on its standard input."""
        process = self._process
        if process is None or process.stdin is None:
            raise DemoError(f"{self.name} does not run", details=self.last_lines())
        try:
            process.stdin.write(json.dumps(line).encode() + b"\n")
            await process.stdin.drain()
        except ConnectionError as error:
            raise DemoError(f"{self.name} has ended", details=self.last_lines()) from error

    async def ask(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> dict[str, Any]:
        """Run a command of this node's kind on its data directory, and return what it prints with --json.

        Raises DemoError if the command fails.
        """
        output = await self._command(*arguments, "--json", seconds=seconds)
        try:
            answer: dict[str, Any] = json.loads(output or "{}")
        except ValueError as error:
            raise DemoError(
                f"'awala {self.command} {arguments[0]}' of {self.name} printed no JSON"
            ) from error
        return answer

    async def _command(self, *arguments: str, seconds: float) -> str:
        words = [self.command, *arguments]
        try:
            outcome = await self._processes.run(*words, "--data-dir", str(self.data), seconds=seconds)
        except DemoError as error:
            raise DemoError(str(error), details=self.last_lines()) from error
        if outcome.code != 0:
            complaint = outcome.complaint.strip().splitlines() or ["(it said nothing)"]
            raise DemoError(
                f"'awala {' '.join(words)}' of {self.name} failed: {complaint[-1]}", details=self.last_lines()
            )
        return outcome.output

    async def wait_for(self, what: str, awaitable: Awaitable[T], *, seconds: float) -> T:
        """Return what ``awaitable`` returns, within ``seconds`` and while the node runs.

        Raises DemoError with the node's last log lines otherwise.
        """
        waiting = asyncio.ensure_future(awaitable)
        ending = asyncio.ensure_future(self._ended())
        try:
            await asyncio.wait((waiting, ending), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if ending.done():
                raise DemoError(
                    f"{self.name} ended ({ending.result()}) before {what}", details=self.last_lines()
                )
            raise DemoError(
                f"{self.name}: waited {seconds:.0f} s in vain for {what}", details=self.last_lines()
            )
        finally:
            waiting.cancel()
            ending.cancel()
            await asyncio.gather(waiting, ending, return_exceptions=True)

    async def _ended(self) -> str:
        """Return how the process ended, once it has and everything it said was read."""
        if self._process is None:
            return "it was stopped"
        code = await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        return f"exit code {code}"

    def last_lines(self) -> str:
        """Return the last log lines, to be told with a failure."""
        lines = list(self.log)[-TOLD_LINES:]
        return "\n".join([f"last log lines of {self.name}:", *lines]) if lines else ""

    async def _read_output(self, process: Process) -> None:
        if process.stdout is None:  # pragma: no cover - it is piped
            return
        async for line in process.stdout:
            value = _parse(line)
            if value is None:
                continue
            if "ready" in value and self._ready is not None and not self._ready.done():
                self._ready.set_result(value["ready"])
            elif self._on_line is not None:
                self._on_line(value)

    async def _read_log(self, process: Process) -> None:
        if process.stderr is None:  # pragma: no cover - it is piped
            return
        async for line in process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())
            record = _parse(line)
            hop = None if record is None else read_hop(self.name, record)
            if hop is not None:
                self._feed.publish(hop)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
