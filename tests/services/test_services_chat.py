# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest

from awala.sdk import IncomingMessage, Peer, PeerKind, UnwantedMessageError
from awala.sdk.handlers import Handlers
from awala.services.chat import MAX_TEXT, TEXT, Chat, ChatError
from helpers.nodes import DAY, ENDPOINT, NOW, PEER, STRANGER


class App:
    def __init__(self) -> None:
        self.handlers = Handlers()
        self.sent = []
        self.on = self.handlers.on
        self.known = []

    async def peers(self):
        return self.known

    async def send(self, peer, message_type, content):
        self.sent.append((peer, message_type, content))
        return "ticket"

    async def withdraw(self, peer):
        return peer in self.known

    async def receive(self, content):
        await self.handlers.handle(IncomingMessage("m", "0sender", TEXT, content, NOW, NOW + DAY, 1))


@pytest.fixture
def app():
    return App()


@pytest.fixture
def heard():
    return []


@pytest.fixture
def chat(app, heard):
    async def hear(text):
        heard.append(text)

    return Chat(app, hear)


async def test_a_text_that_is_too_long_is_not_sent(app, chat):
    with pytest.raises(ChatError):
        await chat.say("0peer", "x" * (MAX_TEXT + 1))
    assert not app.sent


def known(key, name):
    return Peer(key.node_id, PeerKind.PRIVATE, key.public_key, None, name=name)


async def test_finds_peers_by_id_and_by_a_name_that_is_clear(app, chat):
    app.known = [known(PEER, "Pea"), known(STRANGER, "Twin"), known(ENDPOINT, "Twin")]

    assert (await chat.find("Pea")).id == PEER.node_id
    assert (await chat.find(STRANGER.node_id)).name == "Twin"
    for who in ("Twin", "nobody"):
        with pytest.raises(ChatError):
            await chat.find(who)


async def test_says_whether_a_peer_could_write_before_it_no_longer_can(app, chat):
    app.known = [known(PEER, "Pea")]

    assert await chat.withdraw(app.known[0])
    assert not await chat.withdraw(known(STRANGER, "Twin"))


async def test_what_is_said_can_be_heard(app, chat, heard):
    assert await chat.say("0peer", "Grüße 👋") == "ticket"
    [(peer, _, content)] = app.sent
    await app.receive(content)

    assert peer == "0peer"
    [text] = heard
    assert (text.id, text.sender_id, text.text, text.sent_at) == ("m", "0sender", "Grüße 👋", NOW)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b'{"text": 7}',
        b"\xff",
        json.dumps({"text": "x" * (MAX_TEXT + 1)}).encode(),
        b"[" * 100_000,
    ],
)
async def test_anything_else_is_unwanted(app, chat, heard, content):
    with pytest.raises(UnwantedMessageError):
        await app.receive(content)
    assert not heard
    assert chat is not None
