# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from awala.cli.chat_shells import JsonShell, LineShell, WrongInputError
from awala.cli.standard_input import MAX_LINE, PIECE, read_lines
from awala.crypto import IdentityPrivateKey
from awala.sdk import IncomingMessage, Offer, PairingTextError, Peer, PeerKind, UnwantedMessageError
from awala.services.chat import MAX_TEXT, TEXT, Chat, ChatError, ChatText

KEY = IdentityPrivateKey.generate().public_key
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def peer(peer_id, name=""):
    return Peer(id=peer_id, kind=PeerKind.PRIVATE, key=KEY, address="igw.test", name=name)


class FakeApp:
    """An app whose messages go nowhere."""

    id = "0own"

    def __init__(self, *peers):
        self.known = list(peers)
        self.sent = []
        self.handlers = {}
        self.authorised = None

    def on(self, message_type):
        def register(handler):
            self.handlers[message_type] = handler
            return handler

        return register

    def on_authorised(self, handler):
        self.authorised = handler

    async def offer(self):
        return Offer(KEY, "igw.test", bytes(16))

    async def accept(self, offer, *, name):
        self.known.append(peer(offer.key.node_id, name))
        return SimpleNamespace(to_text=lambda: "awala-invitation:" + "x" * 250)

    async def complete(self, invitation, *, name):
        raise NotImplementedError

    async def peers(self):
        return self.known

    async def send(self, to, message_type, content):
        self.sent.append((getattr(to, "id", to), message_type, json.loads(content)["text"]))
        return SimpleNamespace(id=f"m{len(self.sent)}")


def chat_with(shell, *peers):
    app = FakeApp(*peers)
    shell.chat = Chat(app, shell.show_text, shell.show_paired)
    return app


def message(content):
    return IncomingMessage("m1", "0b", TEXT, content, NOW, NOW, 1)


async def test_texts_that_come_are_given_on():
    texts = []

    async def on_text(text):
        texts.append(text)

    app = FakeApp()
    Chat(app, on_text)

    await app.handlers[TEXT](message(b'{"text": "hello"}'))

    assert texts == [ChatText("m1", "0b", "hello", NOW)]
    assert app.authorised is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"text": 1}', b"{}", b"[" * 10_000, json.dumps({"text": "x" * 65_537}).encode()]
)
async def test_what_is_no_text_is_unwanted(content):
    async def on_text(_text):
        pytest.fail("this was no text")

    app = FakeApp()
    Chat(app, on_text)

    with pytest.raises(UnwantedMessageError):
        await app.handlers[TEXT](message(content))


@pytest.mark.parametrize(("who", "found"), [("0b", "0b"), ("Bob", "0b"), ("0a", "0a")])
async def test_peers_are_found_by_id_or_name(who, found):
    shell = JsonShell()
    chat_with(shell, peer("0a", "Ann"), peer("0b", "Bob"), peer("0c", "0b"))

    assert (await shell.chat.find(who)).id == found


@pytest.mark.parametrize(
    ("who", "problem"), [("Ann", "several peers are called"), ("Cid", "no peer is called")]
)
async def test_a_name_must_stand_for_one_peer(who, problem):
    shell = JsonShell()
    chat_with(shell, peer("0a", "Ann"), peer("0b", "Ann"))

    with pytest.raises(ChatError, match=problem):
        await shell.chat.find(who)


async def test_a_text_that_is_too_long_is_refused():
    shell = JsonShell()
    app = chat_with(shell)

    with pytest.raises(ChatError):
        await shell.chat.say("0b", "x" * (MAX_TEXT + 1))
    assert app.sent == []


async def test_a_program_says_lists_offers_and_accepts(capsys):
    shell = JsonShell()
    app = chat_with(shell, peer("0b", "Bob"))
    await shell.show_ready()

    for order in (
        {"do": "say", "to": "Bob", "text": "hello\nyou"},
        {"do": "peers"},
        {"do": "offer"},
    ):
        assert await shell.obey(json.dumps(order))
    offer = json.loads(capsys.readouterr().out.splitlines()[-1])["offer"]
    await shell.obey(json.dumps({"do": "accept", "text": offer, "name": "Ann"}))
    assert await shell.obey("")
    await app.authorised(peer("0b", "Bob"))
    await app.handlers[TEXT](message(b'{"text": "hi"}'))

    assert app.sent == [("0b", TEXT, "hello\nyou")]
    assert app.known[-1].name == "Ann"
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"invitation": "awala-invitation:" + "x" * 250},
        {"paired": {"id": "0b", "name": "Bob"}},
        {"received": {"id": "m1", "from": "0b", "text": "hi"}},
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "no JSON"),
        ("[" * 10_000, "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "nothing called None"),
        ('{"do": "dance"}', "nothing called 'dance'"),
        ('{"do": "say", "to": "Bob"}', "'text' must be a text"),
        ('{"do": "accept", "text": "x", "name": 1}', "'name' must be a text"),
    ],
)
async def test_a_program_that_says_nonsense_is_told(line, problem):
    shell = JsonShell()
    chat_with(shell, peer("0b", "Bob"))

    with pytest.raises(WrongInputError, match=problem):
        await shell.obey(line)


@pytest.mark.parametrize("do", ["accept", "complete"])
async def test_a_damaged_offer_or_invitation_is_told(do):
    shell = JsonShell()
    chat_with(shell)

    with pytest.raises(PairingTextError):
        await shell.obey(json.dumps({"do": do, "text": "awala-offer:!"}))


async def test_a_person_pairs_by_pasting_lines(capsys):
    shell = LineShell()
    app = chat_with(shell)
    await shell.obey("/offer")
    pasted = capsys.readouterr().out.splitlines()[1:]
    assert all(len(line) <= 100 for line in pasted)

    await shell.obey("/accept Ann of the hill")
    for line in pasted:
        await shell.obey(line)

    assert [p.name for p in app.known] == ["Ann of the hill"]
    answer = capsys.readouterr().out.splitlines()
    assert "".join(answer[2:]) == "awala-invitation:" + "x" * 250
    await shell.obey("hello")
    assert app.sent == [(KEY.node_id, TEXT, "hello")]


async def test_pasting_nothing_does_nothing():
    shell = LineShell()
    app = chat_with(shell)

    await shell.obey("/complete Ann")
    await shell.obey("")
    with pytest.raises(WrongInputError, match="pair first"):
        await shell.obey("hello")

    assert app.known == app.sent == []


async def test_a_person_chooses_whom_to_write_to(capsys):
    shell = LineShell()
    app = chat_with(shell, peer("0a", "Ann"), peer("0b"))

    with pytest.raises(WrongInputError, match="choose who"):
        await shell.obey("hello")
    await shell.obey("/to 0b")
    await shell.obey("hello")
    await app.authorised(peer("0a", "Ann"))
    await shell.obey("hi")
    await shell.obey("/peers")

    assert [to for to, _, _ in app.sent] == ["0b", "0a"]
    assert "* Ann 0a" in capsys.readouterr().out


async def test_a_person_sees_texts_with_their_sender_and_nothing_that_steers_the_terminal(capsys):
    shell = LineShell()
    app = chat_with(shell, peer("0b", "Bob"))

    await app.handlers[TEXT](message(b'{"text": "\\u001b[2Jhi"}'))

    assert capsys.readouterr().out == "Bob: \\x1b[2Jhi\n"


async def test_a_person_is_helped_and_can_leave(capsys):
    shell = LineShell()
    chat_with(shell)
    shell.show_waiting("http://127.0.0.1:1")
    await shell.show_ready()
    shell.show_error("oh")

    assert await shell.obey("/help")
    assert await shell.obey("  ")
    assert not await shell.obey("/quit")
    with pytest.raises(WrongInputError, match="no command /dance"):
        await shell.obey("/dance")
    printed = capsys.readouterr()
    assert "/complete" in printed.out
    assert printed.err.splitlines()[-1] == "oh"


async def lines_of(octets):
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as stream:
            stream.write(octets)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return [line async for line in read_lines(reading)]
    finally:
        await asyncio.to_thread(thread.join)
        os.close(reading)


async def test_reads_lines_with_or_without_an_end():
    assert await lines_of(b"one\n\ntwo\xff\nthree") == ["one", "", "two\ufffd", "three"]


async def test_reads_more_lines_than_it_keeps_ahead():
    assert await lines_of(b"x\n" * 500) == ["x"] * 500


async def test_does_not_keep_a_line_without_end():
    [line] = await lines_of(b"x" * (3 * MAX_LINE))

    assert len(line) <= MAX_LINE + PIECE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_chat_that_waits_for_its_gateway_says_so_and_stops_when_told(tmp_path, number):
    words = ["chat", "--data-dir", str(tmp_path), "--gateway", "http://127.0.0.1:9"]
    chat = subprocess.Popen(
        [sys.executable, "-m", "awala", *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "waiting for the private gateway at http://127.0.0.1:9" in chat.stderr.readline()

    chat.send_signal(number)

    chat.communicate(timeout=30)
    assert chat.returncode == 0
