# SPDX-License-Identifier: MIT
"""``awala chat``: texts to and from paired peers, for a person or, as JSON lines, for a program."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from awala.base.errors import AwalaError
from awala.cli.configuration import load
from awala.cli.failures import describe
from awala.cli.logs import hush
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json_line, printable
from awala.cli.places import NodeKind, places
from awala.cli.running import Running, run_node
from awala.cli.settings import Section, Settings

if TYPE_CHECKING:
    from awala.sdk import Peer, Ticket
    from awala.services.chat import Chat, ChatText

MAX_LINE = 1_048_576
"""Octets of one line on standard input."""

LINES_AHEAD = 64
"""Lines that are read before the earlier ones were dealt with."""

LEAVING_SECONDS = 3.0
"""Time that the last texts get to leave, once standard input has ended."""

FOLLOWED = 100
"""Texts, the latest, that are waited for then."""

PIECE = 65_536
"""Octets read from standard input at once."""

PASTE_WIDTH = 100
"""Characters of a line of an offer or invitation: terminals take lines of 4 095 at most."""

MAX_PASTED_LINES = 2_000
"""Lines of what is pasted at once."""

HELP = """\
/offer            make an offer; give it to the other person
/accept [NAME]    answer an offer that you were given; give back the invitation
/complete [NAME]  take the invitation that answers your offer
/peers            list your peers
/to NAME          write to this peer from now on
/quit             leave
Everything else is sent to the peer that you write to."""


class GatewaySection(Section):
    """The private gateway of this device."""

    url: str = "http://127.0.0.1:13276"
    """Where it listens for apps."""


class ChatSettings(Settings):
    """The settings of chat."""

    gateway: GatewaySection = GatewaySection()


class WrongInputError(AwalaError):
    """A line on standard input that means nothing here."""


@click.command()
@click.option("--gateway", metavar="URL", help="The private gateway (default http://127.0.0.1:13276).")
@common_options
@json_option
def command(gateway: str | None, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Chat with paired peers until standard input ends.

    With --json, it reads and prints an object per line: {"do": "offer"}, {"do": "accept", "text": …,
    "name": …}, {"do": "complete", "text": …, "name": …}, {"do": "say", "to": …, "text": …} and
    {"do": "peers"}.

    Example: awala chat
    """
    if common.talks_with_person:
        hush()
    where = places(NodeKind.APP, common)
    data = where.data if common.data_dir is not None else where.data.parent / "chat"
    settings = load(
        ChatSettings,
        file=where.config,
        required=common.config is not None,
        overrides={"gateway": {"url": gateway}},
    )

    async def body(running: Running) -> None:
        await _chat(running, JsonShell() if as_json else LineShell(), settings.gateway.url, data)

    run_node(body, data_dir=data)


async def _chat(running: Running, shell: Shell, gateway: str, data: Path) -> None:
    from awala.sdk import PrivateApp  # noqa: PLC0415 - help needs none of this
    from awala.services.chat import Chat  # noqa: PLC0415 - as above

    def setup(app: PrivateApp) -> None:
        shell.chat = Chat(app, shell.show_text, shell.show_paired)

    async with PrivateApp.open(data, gateway=gateway, setup=setup) as app:
        await _first(_talk(shell, app, gateway), running.until_stopped())


async def _talk(shell: Shell, app: Any, gateway: str) -> None:
    shell.show_waiting(gateway)
    await app.registered()
    await shell.show_ready()
    async for line in _lines(sys.stdin.fileno()):
        try:
            if not await shell.obey(line):
                break
        except AwalaError as error:
            shell.show_error(describe(error))
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVING_SECONDS):
            for ticket in shell.tickets:
                await ticket.wait()


async def _first(*awaitables: Awaitable[None]) -> None:
    """Return when the first of these does, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file of any kind, as they come.

    A thread reads them, since files and terminals cannot be waited for alike; it reads past Python's
    buffers, whose lock a thread at rest would keep from being freed when the program ends.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(LINES_AHEAD)

    def put(line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        rest = b""
        with suppress(RuntimeError, asyncio.CancelledError):  # the program has ended meanwhile
            while piece := os.read(descriptor, PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    put(line.decode(errors="replace"))
                rest = rest[: MAX_LINE + 1]
            if rest:
                put(rest.decode(errors="replace"))
            put(None)

    threading.Thread(target=read, daemon=True, name="standard input").start()
    while (line := await queue.get()) is not None:
        yield line


class Shell(ABC):
    """How a chat speaks with who uses it."""

    chat: Chat

    def __init__(self) -> None:
        self.tickets: deque[Ticket] = deque(maxlen=FOLLOWED)

    @abstractmethod
    async def obey(self, line: str) -> bool:
        """Do what a line says; return False if it says to leave. Raises AwalaError."""

    @abstractmethod
    def show_waiting(self, gateway: str) -> None:
        """Tell that the private gateway is awaited."""

    @abstractmethod
    async def show_ready(self) -> None:
        """Tell that lines are read from now on."""

    @abstractmethod
    async def show_text(self, text: ChatText) -> None:
        """Show a text that came."""

    @abstractmethod
    async def show_paired(self, peer: Peer) -> None:
        """Tell that a peer can be written to."""

    @abstractmethod
    def show_error(self, message: str) -> None:
        """Tell that a line could not be obeyed."""

    async def _say(self, peer: Peer, text: str) -> Ticket:
        ticket = await self.chat.say(peer, text)
        self.tickets.append(ticket)
        return ticket


class JsonShell(Shell):
    """An object per line, both ways."""

    async def obey(self, line: str) -> bool:
        """Do what the object says."""
        if not line.strip():
            return True
        order = _parse(line)
        match order.get("do"):
            case "offer":
                print_json_line({"offer": await self.chat.offer()})
            case "accept":
                invitation = await self.chat.accept(_text(order, "text"), name=_text(order, "name", ""))
                print_json_line({"invitation": invitation})
            case "complete":
                await self.show_paired(
                    await self.chat.complete(_text(order, "text"), name=_text(order, "name", ""))
                )
            case "say":
                peer, text = await self.chat.find(_text(order, "to")), _text(order, "text")
                ticket = await self._say(peer, text)
                print_json_line({"said": {"id": ticket.id, "to": peer.id, "name": peer.name, "text": text}})
            case "peers":
                peers = [{"id": peer.id, "name": peer.name} for peer in await self.chat.peers()]
                print_json_line({"peers": peers})
            case other:
                raise WrongInputError(f"there is nothing called {other!r} to do")
        return True

    def show_waiting(self, gateway: str) -> None:
        """Say nothing: programs wait for the ready line."""

    async def show_ready(self) -> None:
        """Print the ready line."""
        print_json_line({"ready": {"id": self.chat.id}})

    async def show_text(self, text: ChatText) -> None:
        """Print a text that came."""
        print_json_line({"received": {"id": text.id, "from": text.sender_id, "text": text.text}})

    async def show_paired(self, peer: Peer) -> None:
        """Print a peer that can be written to."""
        print_json_line({"paired": {"id": peer.id, "name": peer.name}})

    def show_error(self, message: str) -> None:
        """Print what went wrong."""
        print_json_line({"error": message})


class LineShell(Shell):
    """Commands that begin with a slash, and texts."""

    def __init__(self) -> None:
        super().__init__()
        self._to = ""
        self._pasted: list[str] = []
        self._when_pasted: Callable[[str], Awaitable[None]] | None = None
        self._commands: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "/offer": self._offer,
            "/accept": self._accept,
            "/complete": self._complete,
            "/peers": self._peers,
            "/to": self._choose,
            "/help": self._help,
        }

    async def obey(self, line: str) -> bool:
        """Do what the line says."""
        word, _, rest = line.strip().partition(" ")
        if self._when_pasted is not None:
            await self._paste(line.strip())
        elif word == "/quit":
            return False
        elif word in self._commands:
            await self._commands[word](rest.strip())
        elif word.startswith("/"):
            raise WrongInputError(f"there is no command {word}; /help lists them")
        elif word:
            await self._send(line.strip())
        return True

    async def _paste(self, line: str) -> None:
        """Take a line of what is pasted; an empty one ends it."""
        if line and len(self._pasted) < MAX_PASTED_LINES:
            self._pasted.append(line)
            return
        use, self._when_pasted = self._when_pasted, None
        text, self._pasted = "".join(self._pasted), []
        if use is not None and text:
            await use(text)

    def _ask_for(self, what: str, use: Callable[[str], Awaitable[None]]) -> None:
        self._when_pasted = use
        click.echo(f"Paste the {what}, then an empty line:")

    async def _offer(self, _rest: str) -> None:
        click.echo("Give this to the other person, and take the invitation that you get with /complete:")
        _print_to_copy(await self.chat.offer())

    async def _accept(self, name: str) -> None:
        async def use(offer: str) -> None:
            invitation = await self.chat.accept(offer, name=name)
            click.echo("Give this back. You can write as soon as the other side has taken it:")
            _print_to_copy(invitation)

        self._ask_for("offer", use)

    async def _complete(self, name: str) -> None:
        async def use(invitation: str) -> None:
            await self.show_paired(await self.chat.complete(invitation, name=name))

        self._ask_for("invitation", use)

    async def _peers(self, _rest: str) -> None:
        for peer in await self.chat.peers():
            mark = "*" if peer.id == self._to else " "
            click.echo(f"{mark} {printable(_name(peer))} {peer.id}")

    async def _choose(self, rest: str) -> None:
        peer = await self.chat.find(rest)
        self._to = peer.id
        click.echo(f"writing to {printable(_name(peer))}")

    async def _help(self, _rest: str) -> None:
        click.echo(HELP)

    async def _send(self, text: str) -> None:
        if not self._to:
            peers = await self.chat.peers()
            if len(peers) != 1:
                raise WrongInputError("choose who to write to: /to NAME" if peers else "pair first: /offer")
            self._to = peers[0].id
        await self._say(await self.chat.find(self._to), text)

    def show_waiting(self, gateway: str) -> None:
        """Tell that the private gateway is awaited."""
        click.echo(f"waiting for the private gateway at {gateway} …", err=True)

    async def show_ready(self) -> None:
        """Tell how to begin."""
        click.echo(f"this is {self.chat.id}; /help lists the commands")

    async def show_text(self, text: ChatText) -> None:
        """Show a text with who sent it."""
        names = {peer.id: _name(peer) for peer in await self.chat.peers()}
        click.echo(f"{printable(names.get(text.sender_id, text.sender_id))}: {printable(text.text)}")

    async def show_paired(self, peer: Peer) -> None:
        """Tell that a peer can be written to, and write to it."""
        self._to = peer.id
        click.echo(f"paired with {printable(_name(peer))}: what you type goes there")

    def show_error(self, message: str) -> None:
        """Tell what went wrong."""
        click.echo(message, err=True)


def _print_to_copy(text: str) -> None:
    for start in range(0, len(text), PASTE_WIDTH):
        click.echo(text[start : start + PASTE_WIDTH])
    click.echo()


def _name(peer: Peer) -> str:
    return peer.name or f"{peer.id[:9]}…"


def _parse(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise WrongInputError("the line is no JSON") from None
    if not isinstance(value, dict):
        raise WrongInputError("the line is no JSON object")
    return value


def _text(order: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = order.get(name, default)
    if not isinstance(value, str):
        raise WrongInputError(f"{name!r} must be a text")
    return value
