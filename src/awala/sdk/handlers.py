# SPDX-License-Identifier: MIT
"""Which of an app's functions deals with which messages, and what it is given."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar, cast

from awala.nodes.endpoint.identity import EndpointIdentity
from awala.nodes.endpoint.inbox import Attempt, UnwantedMessageError
from awala.sdk.context import Context
from awala.sdk.database import AppDatabase
from awala.sdk.messages import IncomingMessage

PlainHandler: TypeAlias = Callable[[IncomingMessage], Awaitable[None]]
HandlerWithContext: TypeAlias = Callable[[IncomingMessage, Context], Awaitable[None]]

Handler: TypeAlias = PlainHandler | HandlerWithContext
"""Deals with a message: returning lets go of it, raising has it tried again later.

One that takes a second parameter gets a `Context`, with a transaction that takes effect exactly once.
"""

H = TypeVar("H", bound=Handler)

_WITH_CONTEXT = 2


class Handlers:
    """Which handler an app has for which type of message."""

    def __init__(self) -> None:
        self._handlers: dict[str, HandlerWithContext | PlainHandler] = {}
        self._default: HandlerWithContext | PlainHandler | None = None
        self._identity: EndpointIdentity | None = None
        self._database: AppDatabase | None = None

    def bind(self, identity: EndpointIdentity, database: AppDatabase) -> None:
        """Take what contexts are made of."""
        self._identity, self._database = identity, database

    def on(self, message_type: str | None) -> Callable[[H], H]:
        """Register a handler for a type; None is for every type without one of its own."""

        def register(handler: H) -> H:
            if message_type is None:
                self._default = handler
            else:
                self._handlers[message_type] = handler
            return handler

        return register

    async def handle(self, message: IncomingMessage) -> None:
        """Give a message to its handler; one of a type that nobody handles is put into quarantine.

        A message whose transaction was committed before is done, and given to nobody.
        """
        handler = self._handlers.get(message.type, self._default)
        if handler is None:
            raise UnwantedMessageError("no handler takes messages of this type")
        if not _takes_context(handler):
            await cast("PlainHandler", handler)(message)
            return
        if self._identity is None or self._database is None:  # pragma: no cover - bound before anything comes
            raise RuntimeError("these handlers belong to no endpoint")
        if not await self._database.is_done(message):
            context = Context(message, self._identity, self._database)
            await cast("HandlerWithContext", handler)(message, context)

    async def receive(self, attempt: Attempt) -> None:
        """Give what the endpoint received to its handler."""
        message = attempt.message
        await self.handle(
            IncomingMessage(
                id=message.message_id,
                sender_id=message.sender_id,
                type=message.type,
                content=message.content,
                created=message.created,
                expires=message.expires,
                attempt=attempt.number,
            )
        )


def _takes_context(handler: Handler) -> bool:
    """Say whether a handler has a second parameter for the context."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        each
        for each in inspect.signature(handler).parameters.values()
        if each.kind in kinds and each.default is inspect.Parameter.empty
    ]
    return len(required) >= _WITH_CONTEXT
