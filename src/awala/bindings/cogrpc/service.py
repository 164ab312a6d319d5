# SPDX-License-Identifier: MIT
"""The port of CogRPC: what a node offers so that cargo can be delivered to it and collected from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutgoingCargo:
    """One cargo on its way out, under the id that its acknowledgement will bear."""

    delivery_id: str
    """Unique within its call; at most ``MAX_DELIVERY_ID`` octets in UTF-8."""

    cargo: bytes
    """The serialised cargo."""

    token: object = None
    """Whatever the node wants to remember with it; it never goes on the wire."""


class CargoCollection(Protocol):
    """What one CollectCargo call sends (RS-008, rules §6).

    The server calls ``finish`` exactly once, whatever became of the call. ``acknowledge`` and ``cargoes`` run
    at the same time; nothing is called after ``finish``.
    """

    def cargoes(self) -> AsyncIterator[OutgoingCargo]:
        """Yield the cargo to send, most urgent first.

        The next one is asked for when the one before is with the transport, so it may be made lazily. Raise
        :class:`~awala.bindings.errors.TemporarilyUnavailable` to end the call with UNAVAILABLE.
        """
        ...

    async def acknowledge(self, delivery_id: str) -> None:
        """Take note that the peer has that cargo; called at most once for each cargo that was sent."""
        ...

    async def finish(self, *, complete: bool) -> None:
        """Take note that the call is over.

        ``complete``: every cargo was sent and the call ended normally. False: it was cut, failed, was
        cancelled with acknowledgements outstanding, or ran out of time with cargo left.
        """
        ...


class CogRpcService(Protocol):
    """What a node does when a CogRPC client calls."""

    async def deliver(self, cargo: bytes) -> None:
        """Take over one cargo; return once it is safe, for the acknowledgement says so to the peer.

        Raises, all from :mod:`awala.bindings.errors`:
            MalformedRequest, Forbidden, Unprocessable: never to be taken (server setting ``refusals``).
            StorageFullError (``Full``): RESOURCE_EXHAUSTED.
            TemporarilyUnavailable: UNAVAILABLE.
        """
        ...

    async def collect(self, cca: bytes | None) -> CargoCollection:
        """Begin a collection with a serialised Cargo Collection Authorization.

        ``cca`` is None when the call brought none, more than one, or one that is not base64.

        Raises:
            awala.bindings.errors.Unauthenticated: UNAUTHENTICATED.
            WrongRecipient: INVALID_ARGUMENT: the CCA is for another gateway.
            Fulfilled: PERMISSION_DENIED: the CCA was used up.
            Busy, TemporarilyUnavailable: UNAVAILABLE.
        """
        ...
