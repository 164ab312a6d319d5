# SPDX-License-Identifier: MIT
"""What a handler may use besides its message: a transaction, and answers that are part of it."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.messages import ServiceMessage
from awala.nodes.background import insist
from awala.nodes.endpoint.identity import DEFAULT_LIFE, EndpointIdentity
from awala.sdk.database import AppDatabase
from awala.sdk.messages import IncomingMessage

logger = logging.getLogger(__name__)

_ANSWERS: Final = uuid.UUID("b2f4f9d2-6a0e-5f0c-9b43-0a52f1f9c6de")
"""The name space of the ids of messages that a handler sends."""


class Context:
    """One attempt to deal with one message."""

    def __init__(self, message: IncomingMessage, identity: EndpointIdentity, database: AppDatabase) -> None:
        self._message = message
        self._identity = identity
        self._database = database
        self._sent = 0
        self._is_open = False
        self._is_done = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[sqlite3.Connection]:
        """Commit what the block writes, what it sends, and that the message was dealt with: exactly once.

        The connection leads to ``app.sqlite`` in the data directory, and is for the block alone. An exception
        undoes everything; the message is then tried again. Once the block has ended well, the message is
        done: its handler never runs for it again, whatever happens. So there is one transaction for a
        message, and what must not be lost belongs into it.

        Raises StorageError and StorageFullError; nothing was kept then.
        """
        if self._is_done:
            raise RuntimeError("a message has one transaction, and this one's was committed")
        async with self._database.transaction(self._message) as connection:
            self._is_open = True
            try:
                yield connection
            finally:
                self._is_open = False
        self._is_done = True

    async def send(
        self, peer_id: str, message_type: str, content: bytes, *, expires_in: timedelta = DEFAULT_LIFE
    ) -> str:
        """Send a message, and return its id, which is the same at each attempt for the n-th message sent.

        In a transaction it leaves if that is committed. Outside of one it is in the outbox, durably, when
        this returns; a further attempt sends it again under the same id, and its receiver takes it once.

        Raises UnknownPeerError, NotAuthorisedError, MessageTooLargeError, StorageFullError.
        """
        self._sent += 1
        name = f"{self._identity.node_id} {self._message.sender_id} {self._message.id} {self._sent}"
        sealed = await self._identity.seal(
            peer_id,
            ServiceMessage(message_type, content),
            life=expires_in,
            message_id=str(uuid.uuid5(_ANSWERS, name)),
        )
        if self._is_open:
            self._database.put_out(sealed.octets)
        else:
            await self._identity.put_out(sealed.octets)
        return sealed.message_id


async def empty_outbox(database: AppDatabase, identity: EndpointIdentity, clock: Clock) -> None:
    """Give what committed transactions have sent to the endpoint, until cancelled.

    A crash in between has a message given twice; the endpoint recognises it by its id.
    """
    while True:
        database.filled.clear()
        while (entry := await insist(clock, database.next_out)) is not None:
            serial, parcel = entry
            try:
                await insist(clock, partial(identity.put_out, parcel))
            except AwalaError as error:
                logger.warning("a message cannot be sent any more: %s", error)
            await insist(clock, partial(database.take_out, serial))
        await database.filled.wait()
