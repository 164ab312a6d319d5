# SPDX-License-Identifier: MIT
"""A service with an Internet endpoint of its own, that anybody may write to."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

from awala.base.clock import Clock, SystemClock
from awala.messages import ServiceMessage
from awala.nodes.background import in_background
from awala.nodes.endpoint.identity import DEFAULT_LIFE
from awala.nodes.endpoint.inbox import Attempt
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.root import InternetEndpointConfig, run_internet_endpoint
from awala.sdk.context import empty_outbox
from awala.sdk.database import AppDatabase, open_database
from awala.sdk.handlers import H, Handlers
from awala.sdk.messages import Ticket, Tickets


class InternetService:
    """A running service; get one from `InternetService.run`."""

    def __init__(self, database: AppDatabase) -> None:
        self._database = database
        self._handlers = Handlers()
        self._node: InternetEndpoint | None = None
        self._tickets: Tickets | None = None
        self.addresses: Mapping[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        config: InternetEndpointConfig,
        setup: Callable[[InternetService], None],
        *,
        clock: Clock | None = None,
    ) -> AsyncIterator[InternetService]:
        """Run the service for as long as the block lasts; ``setup`` registers its handlers."""
        clock = clock or SystemClock()
        async with open_database(config.storage.directory, clock) as database:
            service = cls(database)
            setup(service)
            async with run_internet_endpoint(config, service._receive, clock) as running:
                service._start(running.node)
                service.addresses = running.addresses
                sending = empty_outbox(database, running.node.identity, clock)
                async with in_background(service._follow().run(), sending):
                    yield service

    def _start(self, node: InternetEndpoint) -> None:
        if self._node is None:
            self._node = node
            self._tickets = Tickets(node.events, node.clock)
            self._handlers.bind(node.identity, self._database)

    def _follow(self) -> Tickets:
        if self._tickets is None:  # pragma: no cover - set when the service starts
            raise RuntimeError("the service does not run")
        return self._tickets

    @property
    def node(self) -> InternetEndpoint:
        """The endpoint behind this service."""
        if self._node is None:  # pragma: no cover - handlers run only while the service does
            raise RuntimeError("the service does not run")
        return self._node

    def on(self, message_type: str | None = None) -> Callable[[H], H]:
        """Register a handler for messages of a type; without a type, for all that have no own handler.

        A handler with a second parameter gets a `Context` there.
        """
        return self._handlers.on(message_type)

    def transaction(self) -> AbstractAsyncContextManager[sqlite3.Connection]:
        """Give the connection to ``app.sqlite``, outside of any handler; what the block writes is committed.

        Raises StorageError and StorageFullError; nothing was kept then.
        """
        return self._database.transaction()

    async def send(
        self, peer_id: str, message_type: str, content: bytes, *, expires_in: timedelta = DEFAULT_LIFE
    ) -> Ticket:
        """Send a message to a peer that has authorised this service; durable when this returns.

        Raises UnknownPeerError, NotAuthorisedError, MessageTooLargeError, StorageFullError.
        """
        posted = await self.node.identity.post(
            peer_id, ServiceMessage(message_type, content), life=expires_in
        )
        return self._follow().issue(posted.message_id, posted.expiry)

    async def _receive(self, node: InternetEndpoint, attempt: Attempt) -> None:
        self._start(node)
        await self._handlers.receive(attempt)
