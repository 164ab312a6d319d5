# SPDX-License-Identifier: MIT
"""What a node offers through PoWeb: the port between the server and the gateway's rules."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from awala.messages.detached import DetachedSignature


class StreamingMode(Enum):
    """What a collection does once the queue is empty (RS-016 §3.4); the values go on the wire."""

    KEEP_ALIVE = "keep-alive"
    CLOSE_UPON_COMPLETION = "close-upon-completion"


@dataclass(frozen=True, slots=True)
class CollectedParcel:
    """A parcel that a collection hands out; the token is the service's own and never leaves the node."""

    token: object
    parcel: bytes


class Collection(Protocol):
    """The parcels for the nodes that one collector has proven to be."""

    async def next(self) -> CollectedParcel | None:
        """Return the next parcel.

        In keep-alive mode this waits until there is one, and None ends the collection with
        4000: the collector is to come back. In close-upon-completion mode None means that the
        queue is empty. A parcel is never repeated within
        one collection unless it was replaced meanwhile. Cancelling this call
        loses no parcel: a later collection gets it.
        """
        ...

    async def acknowledge(self, parcel: CollectedParcel) -> None:
        """Let go of exactly this version of the parcel; returns after the commit."""
        ...


class PoWebService(Protocol):
    """The gateway behind a PoWeb server.

    The methods raise what ``awala.bindings.errors`` has for servers, and nothing
    else for bad input; any other exception is a fault of the node (HTTP 500,
    WebSocket 1011).
    """

    async def preregister(self, key_digest: bytes) -> bytes:
        """Authorise the key with this SHA-256 digest (32 octets) to register: returns a PNRA."""
        ...

    async def register(self, request: bytes) -> bytes:
        """Register a node by its PNRR: returns a PNR.

        Raises MalformedRequest, Forbidden (the authorisation is for another key) or
        TemporarilyUnavailable.
        """
        ...

    async def recognise(self, countersignature: bytes) -> DetachedSignature:
        """Check the certificate of a countersigner, before the parcel is read (rules §8).

        Raises Unauthenticated.
        """
        ...

    async def deliver(self, parcel: bytes, countersignature: DetachedSignature) -> None:
        """Take over a parcel; returns after the commit.

        Raises Unauthenticated, MalformedRequest, Unprocessable (drop the parcel),
        Full or TemporarilyUnavailable.
        """
        ...

    def connection_params(self) -> bytes | None:
        """Return this node's connection parameters, or None if it has none to publish."""
        ...

    def collect(
        self, nonce: bytes, response: bytes, mode: StreamingMode
    ) -> AbstractAsyncContextManager[Collection]:
        """Open a collection for whoever answered the nonce with this handshake response.

        Entering it raises Unauthenticated or MalformedRequest, which closes the
        connection with 1003.
        """
        ...


class WithdrawalService(Protocol):
    """A gateway that takes withdrawals on-line, an extension of ours (rules §3)."""

    async def withdraw(self, deauthorization: bytes, countersignature: DetachedSignature) -> None:
        """Put a parcel delivery deauthorization into force; returns after the commit.

        Raises what ``PoWebService.deliver`` raises.
        """
        ...
