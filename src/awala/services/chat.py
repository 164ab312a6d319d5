# SPDX-License-Identifier: MIT
"""Chat: short texts between two paired apps."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from awala.sdk import (
    AwalaError,
    IncomingMessage,
    Invitation,
    Offer,
    Peer,
    PrivateApp,
    Ticket,
    UnwantedMessageError,
)

TEXT = "application/vnd.awala.chat.text"
MAX_TEXT = 65_536
"""Characters of one text."""


class ChatError(AwalaError):
    """A text that cannot be sent, or a name that stands for nobody or for several."""


@dataclass(frozen=True, slots=True)
class ChatText:
    """A text that came."""

    id: str
    sender_id: str
    text: str
    sent_at: datetime


OnText = Callable[[ChatText], Awaitable[None]]
OnPaired = Callable[[Peer], Awaitable[None]]


class Chat:
    """The chat of one app.

    Args:
        app: the app; it is given its handlers here, so make the chat before messages are given out.
        on_text: deals with each text that comes.
        on_paired: learns of each peer that we may write to from now on, because it has said so.
    """

    def __init__(self, app: PrivateApp, on_text: OnText, on_paired: OnPaired | None = None) -> None:
        self._app = app
        self._on_text = on_text
        app.on(TEXT)(self._take)
        if on_paired is not None:
            app.on_authorised(on_paired)

    @property
    def id(self) -> str:
        """The node id of this side."""
        return self._app.id

    async def offer(self) -> str:
        """Return a text that the other person's app answers with an invitation."""
        return (await self._app.offer()).to_text()

    async def accept(self, offer: str, *, name: str = "") -> str:
        """Return the invitation that answers an offer; its maker is called ``name`` from now on."""
        return (await self._app.accept(Offer.parse(offer), name=name)).to_text()

    async def complete(self, invitation: str, *, name: str = "") -> Peer:
        """Take the invitation that answers our offer; its maker is called ``name`` from now on."""
        return await self._app.complete(Invitation.parse(invitation), name=name)

    async def withdraw(self, peer: Peer | str) -> bool:
        """Let a peer write to us no longer; say whether it could. It is told nothing."""
        return await self._app.withdraw(peer)

    async def peers(self) -> list[Peer]:
        """Return those we have paired with, or are about to."""
        return await self._app.peers()

    async def find(self, who: str) -> Peer:
        """Return the peer of this id or name; raises ChatError."""
        peers = await self.peers()
        found = [peer for peer in peers if peer.id == who] or [peer for peer in peers if peer.name == who]
        if len(found) != 1:
            raise ChatError(f"several peers are called {who!r}" if found else f"no peer is called {who!r}")
        return found[0]

    async def say(self, peer: Peer | str, text: str) -> Ticket:
        """Send a text to a paired peer; raises ChatError for one that is too long."""
        if len(text) > MAX_TEXT:
            raise ChatError(f"a text has at most {MAX_TEXT} characters")
        return await self._app.send(peer, TEXT, json.dumps({"text": text}).encode())

    async def _take(self, message: IncomingMessage) -> None:
        await self._on_text(ChatText(message.id, message.sender_id, _read(message.content), message.created))


def _read(content: bytes) -> str:
    try:
        text = json.loads(content)["text"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnwantedMessageError("not a chat text") from error
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise UnwantedMessageError("not a chat text")
    return text
