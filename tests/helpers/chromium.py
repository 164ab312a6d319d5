# SPDX-License-Identifier: MIT
"""A page in a real Chromium, driven by its DevTools protocol, so that no library or download is needed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

STARTING = 20.0
ANSWERING = 10.0
LOOKING_AGAIN = 0.05
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)


class Page:
    """An open page; what it writes to its console, and what it throws, is in ``complaints``."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []

    async def listen(self) -> None:
        """Take in what the browser tells, until it ends."""
        async for line in self._socket:
            told = json.loads(line)
            if "id" in told:
                future = self._waiting.pop(told["id"], None)
                if future is not None and not future.done():
                    future.set_result(told)
            elif told["method"] in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.complaints.append(json.dumps(told["params"]))

    async def call(self, method: str, *, seconds: float = ANSWERING, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(seconds):
            answer = await future
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    async def open(self, address: str) -> None:
        """Go to an address; return when the page's own program has run."""
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def until(self, expression: str, *, seconds: float = ANSWERING) -> None:
        """Return when an expression holds in the page."""
        look = (
            f"const look = () => ({expression}) ? done() : setTimeout(look, {LOOKING_AGAIN * 1000}); look();"
        )
        promise = f"new Promise((done) => {{ {look} }})"
        try:
            await self.call("Runtime.evaluate", seconds=seconds, expression=promise, awaitPromise=True)
        except TimeoutError:
            shown = await self.value("document.body.innerText")
            raise AssertionError(f"waited in vain for {expression} on the page:\n{shown}") from None

    async def press(self, key: str) -> None:
        """Press Tab, Enter or the space bar."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " ")}[key]
        known: dict[str, Any] = {"key": key, "code": "Space" if key == " " else key}
        await self.call(
            "Input.dispatchKeyEvent", type="keyDown", windowsVirtualKeyCode=code, text=text, **known
        )
        await self.call("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=code, **known)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def width(self, pixels: int) -> None:
        """Make the window as wide as a phone's, or any other."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=pixels, height=800, deviceScaleFactor=1, mobile=True
        )


@asynccontextmanager
async def chromium(directory: Path) -> AsyncIterator[Page]:
    """Run Chromium with an empty profile and give its only page."""
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={directory}"]
    process = await asyncio.create_subprocess_exec(
        "chromium",
        *flags,
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with websockets.connect(
            await _page_address(directory, process), proxy=None, max_size=None
        ) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            try:
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _page_address(directory: Path, process: asyncio.subprocess.Process) -> str:
    """Return where the page is driven; Chromium writes its port into the profile."""
    told = directory / "DevToolsActivePort"
    async with asyncio.timeout(STARTING):
        while not (told.exists() and len(told.read_text().splitlines()) > 1):
            assert process.returncode is None, "Chromium ended at once"
            await asyncio.sleep(LOOKING_AGAIN)
    port, path = told.read_text().splitlines()[:2]
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", proxy=None, max_size=None) as browser:
        await browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        async with asyncio.timeout(ANSWERING):
            targets = json.loads(await browser.recv())["result"]["targetInfos"]
    page = next(target for target in targets if target["type"] == "page")
    return f"ws://127.0.0.1:{port}/devtools/page/{page['targetId']}"
