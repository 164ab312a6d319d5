# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from importlib import resources

import httpx2
import pytest

from awala.demo.errors import DemoError
from awala.demo.page.guard import Guard
from awala.demo.page.hub import BACKLOG, MAX_PAGES, Hub
from awala.demo.page.live import BusyError
from awala.demo.page.server import _app, serve_page

BASE = "http://127.0.0.1:8000"


class FakeLive:
    def __init__(self):
        self.hub = Hub()
        self.orders = []

    def picture(self):
        return {"state": "whole"}

    def side(self, name):
        return {"a": "A", "b": "B"}[name]

    async def switch(self, side, *, cut):
        self.orders.append(("switch", side, cut))

    async def say(self, side, text):
        if not text:
            raise DemoError("a text has characters")
        self.orders.append(("say", side, text))

    def send_courier(self):
        self.orders.append(("courier",))

    def ping(self):
        raise BusyError("a ping is on its way already")


@pytest.fixture
def live():
    return FakeLive()


@pytest.fixture
def guard(live):
    return Guard(_app(live))


@pytest.fixture
async def client(guard):
    transport = httpx2.ASGITransport(app=guard)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.fixture
async def entered(client, guard):
    answer = await client.get("/", params={"token": guard.token})
    assert answer.status_code == 200
    return client


@pytest.mark.rule("11.1")
async def test_the_token_opens_the_page_once_and_becomes_a_strict_cookie(client, guard):
    answer = await client.get("/", params={"token": guard.token})

    assert "Awala" in answer.text
    cookie = answer.headers["set-cookie"]
    assert "SameSite=Strict" in cookie
    assert "HttpOnly" in cookie
    assert guard.token not in cookie
    assert (await client.get("/page.js")).status_code == 200

    client.cookies.clear()
    assert (await client.get("/", params={"token": guard.token})).status_code == 403


@pytest.mark.parametrize("path", ["/", "/page.js", "/events", "/?token=guess", "/?token=", "/nothing"])
async def test_nothing_is_shown_without_the_token(client, path):
    assert (await client.get(path)).status_code == 403


async def test_the_token_opens_nothing_but_the_page_itself(client, guard):
    assert (await client.get("/page.js", params={"token": guard.token})).status_code == 403
    assert (await client.get("/", params={"token": guard.token})).status_code == 200


@pytest.mark.parametrize("cookie", ["awala-demo-8000=guess", "awala-demo-8000=", 'a="', "x=y"])
async def test_another_cookie_opens_nothing(client, cookie):
    assert (await client.get("/", headers={"cookie": cookie})).status_code == 403


@pytest.mark.rule("11.1")
@pytest.mark.parametrize("host", ["evil.test", "evil.test:8000", ""])
async def test_another_host_is_not_served(entered, host):
    assert (await entered.get("/", headers={"host": host})).status_code == 400


@pytest.mark.rule("11.1")
async def test_every_answer_forbids_what_comes_from_elsewhere(entered):
    for answer in (await entered.get("/"), await entered.get("/", headers={"host": "evil.test"})):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.rule("11.1")
@pytest.mark.parametrize("origin", [None, "null", "http://evil.test", "http://127.0.0.1:8001"])
async def test_an_order_from_another_page_is_refused(entered, live, origin):
    headers = {} if origin is None else {"origin": origin}

    assert (await entered.post("/courier", json={}, headers=headers)).status_code == 403
    assert live.orders == []


async def order(client, path, body):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(path, content=content, headers={"origin": BASE})


@pytest.mark.parametrize(
    ("path", "body", "done"),
    [
        ("/link/a", {"cut": True}, ("switch", "A", True)),
        ("/link/b", {"cut": False}, ("switch", "B", False)),
        ("/chat/b", {"text": "hello"}, ("say", "B", "hello")),
        ("/courier", {}, ("courier",)),
        ("/courier", b"", ("courier",)),
    ],
)
async def test_orders_are_done(entered, live, path, body, done):
    answer = await order(entered, path, body)

    assert (answer.status_code, live.orders) == (204, [done])


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/link/c", {"cut": True}, 404, "no such side"),
        ("/link/a", {"cut": 1}, 400, "true or false"),
        ("/chat/a", {"text": ""}, 400, "has characters"),
        ("/ping", {}, 409, "on its way already"),
        ("/courier", [], 400, "no JSON object"),
        ("/courier", b"{", 400, "no JSON"),
        ("/courier", b"[" * 10_000, 400, "no JSON"),
        ("/courier", b" " * 20_000, 400, "too long"),
    ],
)
async def test_bad_orders_are_explained(entered, live, path, body, status, message):
    answer = await order(entered, path, body)

    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert live.orders == []


async def test_a_page_gets_the_whole_picture_and_then_what_happens(live):
    async with serve_page(live, 0) as address, httpx2.AsyncClient(trust_env=False) as client:
        await client.get(address)
        async with client.stream("GET", address.partition("?")[0] + "events") as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(3)] == [
                "event: picture",
                'data: {"state": "whole"}',
                "",
            ]
            live.hub.publish("hop", {"node": "igw-a"})
            assert [await anext(lines) for _ in range(3)] == ["event: hop", 'data: {"node": "igw-a"}', ""]
            live.hub.close()
            assert [line async for line in lines] == []


async def test_no_more_pages_are_open_than_there_is_room_for(entered, live):
    streams = [live.hub.events(live.picture) for _ in range(MAX_PAGES)]
    for stream in streams:
        await anext(stream)

    assert (await entered.get("/events")).status_code == 503

    for stream in streams:
        await stream.aclose()
    assert not live.hub.is_full


async def test_a_page_that_does_not_read_is_cut():
    hub = Hub()
    stream = hub.events(dict)
    await anext(stream)

    for number in range(BACKLOG + 1):
        hub.publish("hop", number)

    async with asyncio.timeout(10):
        assert len([event async for event in stream]) == BACKLOG - 1
    assert hub._pages == set()


def test_the_page_brings_everything_itself():
    static = resources.files("awala.demo.page") / "static"
    for name in ("index.html", "page.css", "page.js"):
        text = (static / name).read_text()
        assert "//" not in text.replace("// SPDX", "")
        assert "<script>" not in text
        assert "style=" not in text


@pytest.mark.requires("node")
def test_the_page_s_program_can_be_parsed(tmp_path):
    script = tmp_path / "page.js"
    script.write_bytes((resources.files("awala.demo.page") / "static" / "page.js").read_bytes())

    subprocess.run([shutil.which("node"), "--check", str(script)], check=True)
