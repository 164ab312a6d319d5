# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

pytestmark = pytest.mark.timeout(300)

STEPS = [
    "ping-online",
    "ping-by-courier",
    "chat-online",
    "chat-by-courier",
    "refused",
    "revoked",
    "restart",
]


@pytest.fixture
def demo(tmp_path):
    """Start the demonstration with its temporary directory in ours."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "awala", "demo", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def left_behind(directory):
    """Return the processes that name the directory, and what is in it."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(directory) in words:
                processes.append(words.replace(b"\0", b" ").decode())
    return processes + [entry.name for entry in directory.iterdir()]


def test_the_whole_network_works_with_and_without_the_internet(demo, tmp_path):
    output, complaint = demo("--check").communicate(timeout=280)

    steps = [line.split()[:2] for line in output.splitlines()]
    assert steps == [["ok", name] for name in STEPS], output + complaint
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_check_that_is_interrupted_leaves_nothing_behind(demo, tmp_path, number):
    check = demo("--check")
    while "starting gateway-b" not in check.stderr.readline():
        assert check.poll() is None

    check.send_signal(number)
    output, complaint = check.communicate(timeout=60)

    assert check.returncode == 1
    assert output == ""
    assert "interrupted" in complaint
    assert left_behind(tmp_path) == []


class Page:
    """Somebody who looks at the page and uses it."""

    def __init__(self, address):
        self.base = address.partition("/?")[0]
        self.events = []
        self._changed = threading.Condition()
        self._client = httpx2.Client(trust_env=False, timeout=60)
        assert self._client.get(address).status_code == 200
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        kind = ""
        with self._client.stream("GET", f"{self.base}/events", timeout=None) as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    with self._changed:
                        self.events.append((kind, json.loads(line.removeprefix("data: "))))
                        self._changed.notify_all()

    def wait(self, what, holds, seconds=60):
        with self._changed:
            assert self._changed.wait_for(lambda: any(holds(*event) for event in self.events), seconds), (
                f"{what}: {self.events[-5:]}"
            )

    def order(self, path, body, status=204):
        answer = self._client.post(f"{self.base}{path}", json=body, headers={"origin": self.base})
        assert answer.status_code == status, answer.text

    def wait_received(self, side, text):
        self.wait(
            f"{text!r} on side {side}",
            lambda kind, value: (
                kind == "chat" and value["side"] == side and value.get("received", {}).get("text") == text
            ),
        )


def test_the_page_shows_the_network_and_works_it(demo, tmp_path):
    running = demo()
    page = Page(running.stdout.readline().strip())
    page.wait("the picture", lambda kind, _: kind == "picture")

    page.order("/chat/a", {"text": "hello B"})
    page.wait_received("b", "hello B")
    page.order("/ping", {})
    page.order("/ping", {}, 409)
    page.wait("a pong", lambda kind, value: kind == "ping" and value["milliseconds"] is not None)

    page.order("/link/b", {"cut": True})
    page.order("/chat/a", {"text": "to B, by courier"})
    page.order("/chat/b", {"text": "to A, by courier"})
    page.order("/chat/b", {"text": " "}, 400)
    page.wait("B off-line", lambda kind, value: kind == "state" and online(value, "gateway-b") is False)
    page.order("/courier", {})
    page.order("/courier", {}, 409)
    page.wait_received("a", "to A, by courier")
    page.wait_received("b", "to B, by courier")
    page.wait("cargo", lambda kind, value: kind == "hop" and value["kind"] == "cargo")

    begin = len(page.events)
    page.order("/link/b", {"cut": False})
    deadline = time.monotonic() + 60
    while not any(kind == "state" and online(value, "gateway-b") for kind, value in page.events[begin:]):
        assert time.monotonic() < deadline, page.events[-5:]
        time.sleep(0.05)

    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert left_behind(tmp_path) == []


def online(state, name):
    status = next(node["status"] for node in state["nodes"] if node["name"] == name)
    return status and status["online"]


def test_a_page_s_port_that_is_taken_is_told(demo, tmp_path):
    import socket  # noqa: PLC0415 - this test's alone

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = demo("--port", str(port))
        output, complaint = running.communicate(timeout=120)

    assert running.returncode == 1
    assert f"--port: cannot listen on 127.0.0.1:{port}" in complaint
    assert output == ""
    assert left_behind(tmp_path) == []
