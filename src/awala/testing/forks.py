# SPDX-License-Identifier: MIT
"""A server that forks processes of this program: real ones, which start in a fraction of the usual time.

It imports what they need once, and stays without threads or event loop, so that forking is safe. Each child
leads a session of its own, and has its own sockets and files: it can be killed like any process.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from awala.base.errors import AwalaError

LINE_LIMIT: Final = 4 * 1024 * 1024
"""Octets of the longest line that is read from a process."""

_REQUEST_SIZE: Final = 256 * 1024
_SERVE: Final = "import sys; from awala.testing.forks import serve; serve(int(sys.argv[1]), sys.argv[2:])"


class ForkServerError(AwalaError):
    """The fork server has ended, or a process could not be forked."""

    advice = "Look at what it printed before; start a new one."


class ForkedProcess:
    """A child of the fork server, with the part of `asyncio.subprocess.Process` that is used here.

    Attributes:
        pid: of the child, which leads a session and a group of its own.
        returncode: its exit code, or minus the number of the signal that ended it; None while it runs.

    """

    def __init__(
        self,
        pid: int,
        stdin: asyncio.StreamWriter | None,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def note_end(self, code: int) -> None:
        """Record that it has ended; the fork server says so."""
        self.returncode = code
        if self.stdin is not None:
            self.stdin.close()
        self._ended.set()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it and all that it started."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def wait(self) -> int:
        """Return how it ended, once it has."""
        await self._ended.wait()
        return self.returncode or 0

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return all its output, once it has ended."""
        output, errors = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return output, errors


class ForkServer:
    """Gives out processes; get one from `fork_server`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._number = 0
        self._running: dict[int, ForkedProcess] = {}
        self._ends: dict[int, int] = {}  # of children that ended before we knew them
        self._abandoned: set[int] = set()
        self._has_ended = False

    async def spawn(
        self,
        target: str,
        arguments: Sequence[str] = (),
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        stdin: int = DEVNULL,
    ) -> ForkedProcess:
        """Fork a process that calls ``target``, named as ``module:function``.

        Args:
            target: called without arguments; its ``sys.argv`` has ``arguments`` from 1 on.
            arguments: see above.
            directory: where it works.
            environment: all variables that it has; None for those of the server.
            stdin: `asyncio.subprocess.PIPE` or ``DEVNULL``.

        """
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for number in range(3):
                if number == 0 and stdin == DEVNULL:
                    theirs.append(os.open(os.devnull, os.O_RDONLY))
                    continue
                reading, writing = os.pipe()
                theirs.append(reading if number == 0 else writing)
                ours.append(writing if number == 0 else reading)
            request = {
                "target": target,
                "arguments": list(arguments),
                "directory": str(directory),
                "environment": None if environment is None else dict(environment),
            }
            pid = await self._fork(request, theirs)
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        try:
            writer = await _writer(ours.pop(0)) if stdin != DEVNULL else None
            process = ForkedProcess(pid, writer, await _reader(ours.pop(0)), await _reader(ours.pop(0)))
        except BaseException:
            self._abandon(pid)
            raise
        self._running[pid] = process
        if pid in self._ends:
            self._note_end(pid, self._ends.pop(pid))
        return process

    async def _fork(self, request: Mapping[str, object], descriptors: Sequence[int]) -> int:
        """Have the server fork, and return the child's pid; a child that nobody waits for is killed."""
        if self._has_ended:
            raise ForkServerError("the fork server has ended")
        self._number += 1
        number = self._number
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            socket.send_fds(self._socket, [json.dumps({**request, "number": number}).encode()], descriptors)
        except OSError as error:
            del self._asked[number]
            raise ForkServerError("the fork server has ended") from error
        return await future

    def _note_fork(self, number: int, pid: int) -> None:
        future = self._asked.pop(number)
        if future.done():
            self._abandon(pid)
        else:
            future.set_result(pid)

    def _abandon(self, pid: int) -> None:
        """Kill a process that nobody waits for any more."""
        if self._ends.pop(pid, None) is None:
            self._abandoned.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _note_end(self, pid: int, code: int) -> None:
        process = self._running.pop(pid, None)
        if pid in self._abandoned:
            self._abandoned.discard(pid)
        elif process is None:
            self._ends[pid] = code
        else:
            process.note_end(code)

    async def follow(self) -> None:
        """Take what the server reports until it ends."""
        loop = asyncio.get_running_loop()
        while report := await loop.sock_recv(self._socket, _REQUEST_SIZE):
            event, pid, number = json.loads(report)
            if event == "forked":
                self._note_fork(number, pid)
            else:
                self._note_end(pid, number)
        self._has_ended = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ForkServerError("the fork server has ended"))

    def kill_all(self) -> None:
        """Kill every process that still runs."""
        for process in self._running.values():
            process.kill()


@asynccontextmanager
async def fork_server(*modules: str) -> AsyncIterator[ForkServer]:
    """Run a fork server that has imported ``modules``; its processes end with it."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(0)
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SERVE, str(far.fileno()), *modules, pass_fds=[far.fileno()], stdin=DEVNULL
        )
        far.close()
        server = ForkServer(near)
        following = asyncio.create_task(server.follow())
        try:
            yield server
        finally:
            server.kill_all()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            near.close()  # which ends the server, and it kills whoever is left
            await child.wait()
    finally:
        near.close()
        far.close()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(descriptor, "wb", buffering=0)
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


# --- the server itself ------------------------------------------------------------------------------------


def serve(descriptor: int, modules: Sequence[str]) -> NoReturn:
    """Import ``modules``, then fork on request until the other side is gone; no thread may exist here."""
    for module in modules:
        importlib.import_module(module)
    sock = socket.socket(fileno=descriptor)
    awake, wake = socket.socketpair()
    for end in (awake, wake):
        end.settimeout(0)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the other side's to deal with
    running: set[int] = set()
    try:
        _serve(sock, awake, running, inherited=(sock, awake, wake))
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        os._exit(0)


def _serve(
    sock: socket.socket, awake: socket.socket, running: set[int], inherited: Sequence[socket.socket]
) -> None:
    import select  # noqa: PLC0415 - only the server waits this way

    while True:
        ready, _, _ = select.select([sock, awake], [], [])
        if awake in ready:
            with contextlib.suppress(BlockingIOError):
                awake.recv(_REQUEST_SIZE)
        _reap(sock, running)
        if sock in ready:
            octets, descriptors, _, _ = socket.recv_fds(sock, _REQUEST_SIZE, 3)
            if not octets:
                return
            request = json.loads(octets)
            pid = os.fork()
            if pid == 0:
                _become(request, descriptors, inherited)
            for each in descriptors:
                os.close(each)
            running.add(pid)
            sock.send(json.dumps(["forked", pid, request["number"]]).encode())


def _reap(sock: socket.socket, running: set[int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        running.discard(pid)
        sock.send(json.dumps(["ended", pid, os.waitstatus_to_exitcode(status)]).encode())


def _become(
    request: Mapping[str, Any], descriptors: Sequence[int], inherited: Sequence[socket.socket]
) -> NoReturn:
    """Be the process that was asked for."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for each in inherited:
            each.close()
        os.chdir(request["directory"])
        if request["environment"] is not None:
            os.environ.clear()
            os.environ.update(request["environment"])
        sys.argv = [request["target"], *request["arguments"]]
        code = _call(request["target"])
    except BaseException:  # noqa: BLE001 - this is the outermost frame of a process
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _call(target: str) -> int:
    """Call what a request names; return the exit code."""
    module, _, name = target.partition(":")
    function: Callable[[], object] = getattr(importlib.import_module(module), name)
    try:
        function()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
