# SPDX-License-Identifier: MIT
"""The two ways in which a chat speaks with who uses it: lines for a person, JSON for a program."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from awala.base.errors import AwalaError
from awala.cli.output import print_json_line, printable

if TYPE_CHECKING:
    from awala.sdk import Peer, Ticket
    from awala.services.chat import Chat, ChatText

FOLLOWED = 100
"""Texts, the latest, that are waited for at the end."""

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
/withdraw NAME    let this peer write to you no longer; it is told nothing
/quit             leave
Everything else is sent to the peer that you write to."""


class WrongInputError(AwalaError):
    """A line on standard input that means nothing here."""


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
            case "withdraw":
                peer = await self.chat.find(_text(order, "to"))
                could = await self.chat.withdraw(peer)
                print_json_line({"withdrawn": {"id": peer.id, "name": peer.name, "was_authorised": could}})
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
            "/withdraw": self._withdraw,
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

    async def _withdraw(self, rest: str) -> None:
        peer = await self.chat.find(rest)
        could = await self.chat.withdraw(peer)
        name = printable(_name(peer))
        click.echo(f"{name} can no longer write to you" if could else f"{name} could not write to you anyway")

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
