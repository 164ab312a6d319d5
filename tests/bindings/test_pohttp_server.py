# SPDX-License-Identifier: MIT
from __future__ import annotations

import httpx2
import pytest

from awala.bindings.hosts import Hosts
from awala.bindings.pohttp import pohttp_app

PARCEL = {"Content-Type": "application/vnd.awala.parcel"}


class Inbox:
    def __init__(self):
        self.parcels = []

    async def deliver(self, parcel):
        self.parcels.append(parcel)


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
async def http(inbox):
    app = pohttp_app(inbox, lambda: b"params", hosts=Hosts(["pohttp.test"]))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://pohttp.test") as client:
        yield client


async def test_takes_a_parcel_with_202_and_an_empty_object(http, inbox):
    answer = await http.post("/", content=b"parcel", headers=PARCEL)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b"{}"
    assert inbox.parcels == [b"parcel"]


@pytest.mark.parametrize("content_type", [None, "application/vnd.awala.parcel; charset=utf-8", "text/plain"])
async def test_takes_no_other_type(http, inbox, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await http.post("/", content=b"parcel", headers=headers)
    assert answer.status_code == 415
    assert "message" in answer.json()
    assert inbox.parcels == []


async def test_greets_those_who_look(http):
    answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain"
    assert (await http.head("/")).status_code == 200


async def test_shows_its_connection_params(http):
    answer = await http.get("/connection-params.der")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.etsi.tsl.der"
    assert answer.content == b"params"


async def test_shows_none_unless_told(inbox):
    transport = httpx2.ASGITransport(app=pohttp_app(inbox))
    async with httpx2.AsyncClient(transport=transport, base_url="https://any.test") as client:
        assert (await client.get("/connection-params.der")).status_code == 404
        assert (await client.get("/")).status_code == 200


async def test_answers_other_methods(http):
    refused = await http.put("/", content=b"x")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await http.options("/")).status_code == 204


async def test_takes_nothing_for_other_hosts(http, inbox):
    answer = await http.post("/", content=b"x", headers=PARCEL | {"Host": "other.test"})
    assert answer.status_code == 400
    assert inbox.parcels == []
