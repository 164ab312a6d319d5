# SPDX-License-Identifier: MIT
"""The port to the place where session keys rest.

Only plain types cross it, so that a store need not know this package. Times
are aware and in UTC; private keys are PKCS#8 and public keys
SubjectPublicKeyInfo, both DER.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol


class OwnKey(Protocol):
    """One of this node's session keys, with its private half."""

    @property
    def key_id(self) -> bytes:
        """The octets by which peers name the key."""
        ...

    @property
    def peer_id(self) -> str | None:
        """The only peer that may use the key, or None when any may."""
        ...

    @property
    def private_key(self) -> bytes:
        """The private key."""
        ...

    @property
    def created(self) -> datetime:
        """When the key was made."""
        ...

    @property
    def until(self) -> datetime | None:
        """When what carries the key expires; None for a key that goes out with messages."""
        ...

    @property
    def proven(self) -> bool:
        """Whether a peer has encrypted to the key."""
        ...

    @property
    def first_sent(self) -> datetime:
        """The earliest time, by our clock, at which the key counts for peers."""
        ...

    @property
    def last_sent(self) -> datetime:
        """The time after which, by our clock, the key went out with no message."""
        ...


class PeerKey(Protocol):
    """The session key to use for a peer."""

    @property
    def key_id(self) -> bytes:
        """The octets by which the peer knows the key."""
        ...

    @property
    def public_key(self) -> bytes:
        """The public key."""
        ...

    @property
    def as_of(self) -> datetime:
        """The date from which the key counts: that of the message that brought it."""
        ...


class SessionKeyStore(Protocol):
    """Keeps a node's own session keys and the current one of each peer.

    Own keys have an order: that in which they were saved, whatever the clock
    said. Peers go by the dates of messages instead, so each key also has the
    span of time in which it went out. Every change is durable when the call returns, and is made whole or
    not at all. One store may serve several own nodes.
    """

    async def save_own_key(
        self,
        *,
        own_id: str,
        peer_id: str | None,
        key_id: bytes,
        private_key: bytes,
        created: datetime,
        until: datetime | None,
        first_sent: datetime,
    ) -> None:
        """Keep a new key of ours, sent once. ``until`` is None when it goes out with messages.

        A key of that node with the same id that is there already stays as it is.
        """
        ...

    async def widen_sent(self, *, own_id: str, key_id: bytes, first: datetime, last: datetime) -> None:
        """Widen the span of time in which a key of ours went out, so that it reaches from first to last."""
        ...

    async def own_key(self, *, own_id: str, key_id: bytes) -> OwnKey | None:
        """Return the key of ours with that id, whoever it is bound to."""
        ...

    async def newest_own_key(self, *, own_id: str, peer_id: str | None) -> OwnKey | None:
        """Return the key saved last among those bound to the peer and those bound to nobody.

        With ``peer_id`` None: among those bound to nobody.
        """
        ...

    async def peer_key(self, *, own_id: str, peer_id: str) -> PeerKey | None:
        """Return the peer's current key."""
        ...

    async def adopt_peer_key(
        self,
        *,
        own_id: str,
        peer_id: str,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        anew_as_of: datetime,
    ) -> bool:
        """Make a key that was handed out the peer's current one; say whether it was.

        It was not if it is the very key that was adopted last for this peer.
        It counts as of ``as_of`` when no key had been adopted before, else as
        of ``anew_as_of``; in both cases not before the date of the present one.
        """
        ...

    async def record_opened(
        self,
        *,
        own_id: str,
        peer_id: str,
        own_key_id: bytes,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        now: datetime,
    ) -> None:
        """Record that the peer encrypted to our key ``own_key_id`` and sent its own key along.

        In one transaction: the peer's key becomes its current one unless the
        present one is of a later date; our key counts as proven; every key for
        messages that is bound to this peer, was saved before that one and last
        sent before that one was first sent counts as superseded at ``now``,
        unless it already does.
        """
        ...

    async def prune(
        self,
        *,
        now: datetime,
        superseded_before: datetime,
        until_before: datetime,
        keep: Collection[bytes],
    ) -> int:
        """Erase what nobody may use any more, and return how many keys went.

        That is: keys for messages superseded before the first date, and keys
        handed out until a time before the second; but none whose id is in ``keep``.
        What was superseded after ``now``, by a clock that was ahead, counts as
        superseded at ``now`` from then on.
        """
        ...

    async def forget(self, *, own_id: str, peer_id: str) -> None:
        """Erase the peer's key and every key of ours that is bound to the peer."""
        ...
