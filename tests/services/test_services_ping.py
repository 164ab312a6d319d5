# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.messages.media_types import PING, PONG
from awala.sdk import IncomingMessage, UnwantedMessageError
from awala.sdk.handlers import Handlers
from awala.services.ping import MAX_CONTENT, PING_LIFE, Pinger, answer_pings, read_id
from helpers.nodes import DAY, NOW

ID = str(uuid.UUID(int=7))


@pytest.mark.parametrize("content", [ID.encode(), json.dumps({"id": ID, "pda": "x"}).encode()])
def test_reads_an_id_bare_or_in_json(content):
    assert read_id(content) == ID


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        ID.encode() + b"x",
        b"\xff" * 36,
        b"[]",
        b"null",
        b'{"id": 7}',
        b'{"id": "short"}',
        b"{",
        b"[" * 50_000,
        b" " * MAX_CONTENT + ID.encode(),
    ],
)
def test_finds_no_id_where_none_is(content):
    assert read_id(content) is None


@given(st.binary(max_size=300))
def test_any_content_is_read_without_an_error(content):
    read_id(content)


class Messenger:
    """Stands for an app or a service: remembers what it sends, and gives it to who listens."""

    def __init__(self) -> None:
        self.handlers = Handlers()
        self.sent = []
        self.answer = None

    def on(self, message_type=None):
        return self.handlers.on(message_type)

    async def send(self, peer, message_type, content, *, expires_in):
        self.sent.append((peer, message_type, content, expires_in))
        if self.answer is not None:
            await self.receive(PONG, self.answer(content))

    async def receive(self, message_type, content):
        await self.handlers.handle(IncomingMessage("m", "0sender", message_type, content, NOW, NOW + DAY, 1))


@pytest.fixture
def messenger():
    return Messenger()


class TestAnswering:
    async def test_answers_with_the_id(self, messenger):
        answer_pings(messenger)
        await messenger.receive(PING, json.dumps({"id": ID}).encode())

        assert messenger.sent == [("0sender", PONG, ID.encode(), PING_LIFE)]

    async def test_a_ping_without_an_id_is_unwanted(self, messenger):
        answer_pings(messenger)
        with pytest.raises(UnwantedMessageError):
            await messenger.receive(PING, b"?")


class TestPinger:
    async def test_measures_until_the_answer(self, messenger):
        pinger = Pinger(messenger)
        messenger.answer = lambda content: content
        seconds = await pinger.ping("peer", timeout=5)

        assert 0 <= seconds < 5
        assert not pinger._waiting
        [(peer, message_type, content, life)] = messenger.sent
        assert (peer, message_type, life) == ("peer", PING, PING_LIFE)
        assert read_id(content)

    async def test_waits_no_longer_than_it_should(self, messenger):
        pinger = Pinger(messenger)
        assert await pinger.ping("peer", timeout=0.01) is None
        assert not pinger._waiting

    async def test_answers_nobody_waits_for_and_repetitions_are_let_go(self, messenger):
        pinger = Pinger(messenger)
        await messenger.receive(PONG, ID.encode())
        await messenger.receive(PONG, b"rubbish")
        pinging = asyncio.ensure_future(pinger.ping("peer", timeout=5))
        await asyncio.sleep(0)
        [(_, _, content, _)] = messenger.sent
        await messenger.receive(PONG, content)
        await messenger.receive(PONG, content)
        assert await pinging is not None
