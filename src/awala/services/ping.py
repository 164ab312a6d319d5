# SPDX-License-Identifier: MIT
"""Ping and Pong (RS-014, as deployed): whether an Internet endpoint answers, and how soon."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from datetime import timedelta

from awala.messages.media_types import PING, PONG
from awala.sdk import IncomingMessage, Peer, PrivateApp, UnwantedMessageError
from awala.sdk.service import InternetService

PING_LIFE = timedelta(days=14)
"""How long a ping and its pong may be on their way."""

MAX_CONTENT = 65_536
"""Octets that are looked at in a ping or pong."""

_ID = re.compile(r"[0-9A-Za-z-]{36}")


def read_id(content: bytes) -> str | None:
    """Return the id in a ping or a pong, bare or in JSON as RS-014 has it; None if there is none."""
    if len(content) > MAX_CONTENT:
        return None
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return None
    if _ID.fullmatch(text):
        return text
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = document.get("id") if isinstance(document, dict) else None
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def answer_pings(service: InternetService) -> None:
    """Make a service answer pings.

    A ping from somebody who has not authorised us yet is held until the
    authorisation comes, or the ping expires: parcels may overtake each other.
    """

    @service.on(PING)
    async def answer(message: IncomingMessage) -> None:
        ping_id = read_id(message.content)
        if ping_id is None:
            raise UnwantedMessageError("a ping without an id")
        await service.send(message.sender_id, PONG, ping_id.encode("ascii"), expires_in=PING_LIFE)


class Pinger:
    """Sends pings from an app and matches the answers."""

    def __init__(self, app: PrivateApp) -> None:
        self._app = app
        self._waiting: dict[str, asyncio.Future[float]] = {}
        app.on(PONG)(self._take)

    async def ping(self, peer: Peer, *, timeout: float) -> float | None:  # noqa: ASYNC109 - one bound for a ping
        """Ping once; return the seconds that the answer took, or None if none came in time."""
        ping_id = str(uuid.uuid4())
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[ping_id] = answer
        started = time.monotonic()
        try:
            await self._app.send(peer, PING, ping_id.encode("ascii"), expires_in=PING_LIFE)
            async with asyncio.timeout(timeout):
                return await answer - started
        except TimeoutError:
            return None
        finally:
            del self._waiting[ping_id]

    async def _take(self, message: IncomingMessage) -> None:
        """Match an answer; one that nobody waits for any longer is let go."""
        future = self._waiting.get(read_id(message.content) or "")
        if future is not None and not future.done():
            future.set_result(time.monotonic())
