# SPDX-License-Identifier: MIT
"""Does what the README tells a person to type, in as many shells as it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SECTION = "## Try it by hand"
PORTS = (8080, 8081, 8082, 8083, 13276, 21473)
PATIENCE = 40.0
POWEB = "gateway.demo.test/poweb"


def blocks() -> list[tuple[int, list[str]]]:
    """Return the section's shell blocks: the number of the terminal, and the lines to type."""
    text = (ROOT / "README.md").read_text()
    section = re.search(rf"^{SECTION}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"the README has no section {SECTION!r}"
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL):
        first, *lines = block.splitlines()
        number = re.match(r"# Terminal ([0-9]+)", first)
        assert number is not None, f"a block does not say which terminal it is for: {first!r}"
        found.append((int(number[1]), lines))
    return found


class Terminal:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._changed = asyncio.Event()

    async def read(self) -> None:
        while piece := await self.process.stdout.read(4096):
            self.text += piece.decode()
            self._changed.set()

    def type(self, *lines: str) -> None:
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def shows(self, pattern: str, times: int = 1) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while len(re.findall(pattern, self.text, re.MULTILINE)) < times:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"waited in vain for {pattern!r} in:\n{self.text}")

    async def run(self, line: str) -> str:
        """Type a line, wait until it is done, and return what appeared meanwhile."""
        before = len(self.text)
        mark = f"@{before}@"
        self.type(line, f"echo {mark} $?")
        await self.shows(rf"^{mark} [0-9]+$")
        shown, _, rest = self.text[before:].partition(mark)
        assert rest.split()[0] == "0", f"{line!r} failed:\n{shown}"
        return shown


@asynccontextmanager
async def terminal(home: Path) -> AsyncIterator[Terminal]:
    foreign = ("AWALA_", "XDG_", "VIRTUAL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**environment, "HOME": str(home)},
        start_new_session=True,
    )
    opened = Terminal(process)
    reading = asyncio.create_task(opened.read())
    try:
        yield opened
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(10):
                await reading
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def taken_ports() -> list[int]:
    taken = []
    for port in PORTS:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("", port))
            except OSError:
                taken.append(port)
    return taken


def links(shown: str) -> dict[str, dict]:
    return {link["name"]: link for link in json.loads(shown)["links"]}


async def wait_for_waiting_parcel(person: Terminal) -> None:
    async with asyncio.timeout(PATIENCE):
        while json.loads(await person.run("awala gateway status --json"))["outgoing"]["items"] == 0:
            pass  # each question takes its time


async def test_the_commands_of_the_readme_work_as_they_stand(tmp_path):
    if not (ROOT / ".venv" / "bin" / "awala").exists():
        pytest.skip("the README's commands need .venv, which ./scripts/demo makes")
    if taken := taken_ports():
        pytest.skip(f"the README's commands need ports that are taken: {', '.join(map(str, taken))}")
    todo = blocks()
    last = max(number for number, _ in todo)

    async with AsyncExitStack() as stack:
        terminals = {number: await stack.enter_async_context(terminal(tmp_path)) for number, _ in todo}
        person = terminals[last]
        for number, lines in todo:
            if number != last:
                terminals[number].type(*lines)
                await terminals[number].shows(r'^\{"ready":')
                continue
            for line in lines:
                await person.run(line)
                if line.startswith("awala lab cut"):
                    cut = links(await person.run("awala lab status --json"))
                if line.endswith("&"):
                    await person.shows("^PING pong.demo.test$", times=2)
                    await wait_for_waiting_parcel(person)
            if lines[-1].startswith("awala gateway sync --courier"):
                await person.shows("^pong from", times=4)
                still_cut = links(await person.run("awala lab status --json"))

    pong = r"^pong from pong\.demo\.test: seq=[0-9]+ time=[0-9]+ ms$"
    assert len(re.findall(pong, person.text, re.MULTILINE)) == 5
    assert len(re.findall(r" 0% without an answer", person.text)) == 3
    assert cut[POWEB]["cut"]
    assert still_cut[POWEB] == cut[POWEB], "something crossed the link that was cut"
    assert still_cut["resolver"] == cut["resolver"]
    assert still_cut["gateway.demo.test/cogrpc"]["octets"] > cut["gateway.demo.test/cogrpc"]["octets"]
    assert not any("Traceback" in opened.text for opened in terminals.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["awala-lab"]
