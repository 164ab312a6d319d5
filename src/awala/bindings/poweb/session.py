# SPDX-License-Identifier: MIT
"""Runs one parcel collection over an ASGI WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from awala.base.errors import AwalaError, StorageFullError
from awala.base.files import StorageError
from awala.bindings.asgi import Receive, Send
from awala.bindings.errors import MalformedRequest, RequestError, TemporarilyUnavailable, Unauthenticated
from awala.bindings.poweb.collection import (
    Actions,
    Authenticate,
    Close,
    CollectionConversation,
    Commit,
    Fetch,
    SendMessage,
)
from awala.bindings.poweb.service import CollectedParcel, Collection, PoWebService

CLOSE_PATIENCE: Final = 5.0
"""Seconds that a peer which reads nothing may hold up the end of its collection."""

COMMIT_PATIENCE: Final = 10.0
"""Seconds that commits under way get to end after the connection has."""

_GONE: Final = (OSError, RuntimeError)
# ASGI servers say with an OSError that the peer has gone, and uvicorn with a RuntimeError that it has
# closed the connection itself.

_log = logging.getLogger(__name__)


class CollectionSession:
    """Carries a conversation: one task reads, one writes, one talks to the gateway.

    The reader is always waiting for the next message, since servers stop reading, and so
    miss pongs, while a received message is unread.
    """

    def __init__(
        self,
        service: PoWebService,
        conversation: CollectionConversation,
        nonce: bytes,
        receive: Receive,
        send: Send,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._service = service
        self._conversation = conversation
        self._nonce = nonce
        self._receive = receive
        self._send = send
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Close | None] = self._loop.create_future()
        self._response: asyncio.Future[bytes] = self._loop.create_future()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._commits: asyncio.Queue[CollectedParcel | None] = asyncio.Queue()
        self._fetch = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the collection until either side ends it; the WebSocket has been accepted before."""
        self._perform(self._conversation.start(self._clock()))
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read())
                writer = tasks.create_task(self._write())
                gateway = tasks.create_task(self._serve())
                close = await self._end
                reader.cancel()
                writer.cancel()
                if close is not None:
                    await self._close(close)
                await self._settle(gateway)
        finally:
            self._set_timer(None)

    def drain(self) -> None:
        """End soon, with 4000."""
        self._perform(self._conversation.drain(self._clock()))

    def _perform(self, actions: Actions) -> None:
        for action in actions:
            match action:
                case SendMessage(message):
                    self._outgoing.put_nowait(message)
                case Authenticate(response):
                    self._response.set_result(response)
                case Fetch():
                    self._fetch.set()
                case Commit(parcel):
                    self._commits.put_nowait(parcel)
                case Close():
                    self._finish(action)
        self._set_timer(self._conversation.deadline)

    def _set_timer(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and not self._end.done():
            delay = max(0.0, deadline - self._clock())
            self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._perform(self._conversation.tick(self._clock()))

    def _finish(self, close: Close | None) -> None:
        if not self._end.done():
            self._end.set_result(close)

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                self._finish(None)
                return
            text = message.get("text")
            self._perform(self._conversation.receive(text if text is not None else message.get("bytes", b"")))

    async def _write(self) -> None:
        try:
            while True:
                await self._send({"type": "websocket.send", "bytes": await self._outgoing.get()})
        except _GONE:
            self._finish(None)

    async def _close(self, close: Close) -> None:
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self._send({"type": "websocket.close", "code": int(close.code), "reason": close.reason})
        except (*_GONE, TimeoutError):
            _log.debug("A collector was gone before its collection was closed")

    async def _settle(self, gateway: asyncio.Task[None]) -> None:
        """Let what the collector acknowledged be committed, and nothing else."""
        self._commits.put_nowait(None)
        if not self._response.done() or self._conversation.is_authenticating:
            gateway.cancel()
            return
        await asyncio.wait((gateway,), timeout=COMMIT_PATIENCE)
        gateway.cancel()

    async def _serve(self) -> None:
        """Talk to the gateway; whatever it raises ends this collection alone."""
        opened = False
        conversation = self._conversation
        try:
            response = await self._response
            async with self._service.collect(self._nonce, response, conversation.mode) as collection:
                opened = True
                self._perform(conversation.authenticated())
                await self._hand_out(collection)
        except (Unauthenticated, MalformedRequest) as error:
            self._perform(conversation.failed() if opened else conversation.refused())
            _log.debug("A collection was refused: %s", error)
        except (TemporarilyUnavailable, StorageFullError, StorageError) as error:
            _log.warning("A collection cannot go on: %s", error)
            self._perform(conversation.failed() if opened else conversation.unavailable())
        except RequestError as error:
            self._perform(conversation.failed())
            _log.warning("A collection failed: %s", error)
        except Exception:  # noqa: BLE001 - the boundary of the service: a fault there ends one collection
            self._perform(conversation.failed())
            _log.exception("A collection failed unexpectedly")

    async def _hand_out(self, collection: Collection) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                fetching = tasks.create_task(self._fetch_parcels(collection))
                await self._commit_parcels(collection)
                fetching.cancel()
        except ExceptionGroup as errors:
            # What the service says is told as it is, not as a group.
            raise next((each for each in errors.exceptions if isinstance(each, AwalaError)), errors) from None

    async def _fetch_parcels(self, collection: Collection) -> None:
        while True:
            await self._fetch.wait()
            self._fetch.clear()
            self._perform(self._conversation.fetched(await collection.next()))

    async def _commit_parcels(self, collection: Collection) -> None:
        while (parcel := await self._commits.get()) is not None:
            await collection.acknowledge(parcel)
            self._perform(self._conversation.committed())
