# SPDX-License-Identifier: MIT
"""The channel session protocol: which key seals, which opens, and when one may go (RS-003, rules §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from awala.base.errors import AwalaError, ConfigurationError
from awala.cms import EnvelopedData, encrypt
from awala.cms.enveloped_data import MAX_KEY_ID_OCTETS
from awala.crypto import (
    ContentCipher,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
)
from awala.pki.lifetimes import CLOCK_TOLERANCE
from awala.sessions.cache import LoadedKeys
from awala.sessions.errors import NoSessionKeyError, PayloadError, UnknownSessionKeyError
from awala.sessions.port import OwnKey, PeerKey, SessionKeyStore

SESSION_KEY_RETENTION: Final = timedelta(days=180, hours=2)
"""How long a private key lives on after the peer proved a later one (rules §7).

No message lives longer than 180 days, and clocks may differ by two hours:
whatever was encrypted before the later key was known has expired by then.
"""

MINIMUM_RETENTION: Final = timedelta(days=1)
"""The shortest retention that may be set: more than clocks and dates can be apart (rules §2)."""

HANDED_OUT_GRACE: Final = timedelta(days=180)
"""How long a handed-out key lives on after the end of what carried it (rules §7)."""

STATIC_KEY_ROTATION: Final = timedelta(days=30)
"""How long a published static key is published (rules §7)."""

CLOCK_DISTANCE: Final = 2 * CLOCK_TOLERANCE
"""How far apart two clocks can be that are each within the tolerance of the true time (rules §2)."""

SENT_STEP: Final = timedelta(minutes=1)
"""How far ahead it is noted that a key goes out, so that few messages cost a write."""

MAX_LOADED_KEYS: Final = 1024
"""Private keys, and as many public keys, that are remembered ready for use."""


class Sessions:
    """Seals and opens payloads for peers, and looks after the keys that this takes.

    One object may serve several own nodes and all their peers. Nothing but
    loaded keys is remembered between calls, so a restart loses nothing.
    """

    def __init__(
        self,
        store: SessionKeyStore,
        *,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
        retention: timedelta | None = None,
    ) -> None:
        """Use ``store``; a ``retention`` under 180 days and two hours prefers secrecy to late mail.

        Raises ConfigurationError when the retention is under a day.
        """
        if retention is not None and retention < MINIMUM_RETENTION:
            raise ConfigurationError("Session keys must be kept for a day at least")
        self._store = store
        self._content_cipher = content_cipher
        self._retention = SESSION_KEY_RETENTION if retention is None else retention
        self._private_keys: LoadedKeys[tuple[str, bytes], SessionPrivateKey] = LoadedKeys(MAX_LOADED_KEYS)
        self._public_keys: LoadedKeys[bytes, SessionPublicKey] = LoadedKeys(MAX_LOADED_KEYS)
        self._locks: WeakValueDictionary[tuple[str, str | None], asyncio.Lock] = WeakValueDictionary()

    async def seal(self, plaintext: bytes, *, own_id: str, peer_id: str, now: datetime) -> bytes:
        """Encrypt a payload for a peer and return the EnvelopedData (RS-003).

        The key of ours that goes out with it is durable when this returns. It
        is the newest that the peer may have got, as long as that one went out
        with messages and the peer has not yet encrypted to it; else a new one.
        The date of the message must lie as far behind ``now`` as that of any
        other message to the peer: peers order our keys by these dates.

        Raises NoSessionKeyError when no key of the peer is known.
        """
        stored = await self._store.peer_key(own_id=own_id, peer_id=peer_id)
        if stored is None:
            raise NoSessionKeyError("No session key of the recipient is known")
        recipient = self._load_peer_key(stored)
        originator = await self._originator(recipient, own_id, peer_id, now)
        return encrypt(
            plaintext, recipient=recipient, originator=originator, content_cipher=self._content_cipher
        )

    async def open(
        self, payload: bytes, *, own_id: str, peer_id: str, message_date: datetime, now: datetime
    ) -> bytes:
        """Decrypt a payload from a peer, and keep the key that the peer sent along (RS-003).

        The message must have been authenticated as the peer's, and
        ``message_date`` is its creation date. The peer's key replaces the one
        we have unless that came with a message of a later date: of two
        messages of the same second, the one that arrives last counts, so that
        in-order messages always move forward.

        Raises PayloadError when the payload is malformed or does not decrypt,
        UnknownSessionKeyError when we lack the key that it names for that peer.
        """
        envelope = _parse(payload)
        own = await self._store.own_key(own_id=own_id, key_id=envelope.recipient_key_id)
        if own is None or own.peer_id not in (None, peer_id):
            raise UnknownSessionKeyError(
                "The payload is encrypted to a key that we do not have for its sender"
            )
        try:
            plaintext = envelope.decrypt(self._load_own_key(own_id, own))
        except AwalaError as error:
            raise PayloadError("The payload does not decrypt with the session key that it names") from error
        await self._store.record_opened(
            own_id=own_id,
            peer_id=peer_id,
            own_key_id=own.key_id,
            key_id=envelope.originator_key.key_id,
            public_key=envelope.originator_key.public_key.spki,
            as_of=message_date,
            now=now,
        )
        return plaintext

    async def hand_out(
        self, *, own_id: str, peer_id: str | None, now: datetime, until: datetime
    ) -> SessionKey:
        """Make a key to hand out in an authorisation, a registration or connection parameters.

        ``peer_id`` is the only peer that may use it; None makes a static key
        that any peer may use. ``until`` is when what carries the key expires:
        the key is kept for 180 days more (rules §7). Durable on return.
        """
        pair = SessionKeyPair.generate()
        await self._save(pair, own_id=own_id, peer_id=peer_id, now=now, until=until)
        return pair.session_key

    async def published(self, *, own_id: str, now: datetime) -> SessionKey:
        """Return the static key to publish now: a new one every 30 days (rules §7).

        One that seems to come from the future was made while the clock was
        ahead, and is replaced.
        """
        async with self._lock(own_id, None):
            newest = await self._store.newest_own_key(own_id=own_id, peer_id=None)
            if newest is not None and -CLOCK_TOLERANCE <= now - newest.created < STATIC_KEY_ROTATION:
                return SessionKey(newest.key_id, self._load_own_key(own_id, newest).public_key)
            return await self.hand_out(own_id=own_id, peer_id=None, now=now, until=now + STATIC_KEY_ROTATION)

    async def adopt(self, key: SessionKey, *, own_id: str, peer_id: str, as_of: datetime) -> None:
        """Make the key that a peer handed out to us the one to seal with, from now on.

        It may come from a peer that lost its state, so it counts whatever the
        date of the key that we have. But each counts once: the one that was
        adopted last changes nothing when it comes again, since the session
        has moved on.

        Keys of messages count once their dates reach ``as_of``; often these
        are set back by some hours. Where one that was handed out earlier is
        replaced, that is four hours later: messages that the peer sent before
        it lost its state may be on their way, dated by a clock that was ahead.

        Raises PayloadError when the key's id is longer than any that is read.
        """
        if len(key.key_id) > MAX_KEY_ID_OCTETS:
            raise PayloadError(f"The id of the peer's session key exceeds {MAX_KEY_ID_OCTETS} octets")
        await self._store.adopt_peer_key(
            own_id=own_id,
            peer_id=peer_id,
            key_id=key.key_id,
            public_key=key.public_key.spki,
            as_of=as_of,
            anew_as_of=as_of + CLOCK_DISTANCE,
        )

    async def prune(
        self,
        now: datetime,
        *,
        unread_since: datetime | None = None,
        keep: Collection[bytes] = frozenset(),
    ) -> int:
        """Erase the keys whose time is over and return how many went (rules §7).

        ``unread_since`` is the date of the oldest message that waits to be
        opened: what was in use at that time stays. ``keep`` names further keys
        that stored payloads need (see ``required_key_id``). It is for the
        caller not to call this while the clock is in doubt (rules §2).
        """
        self._private_keys.clear()
        horizon = now if unread_since is None else min(now, unread_since)
        return await self._store.prune(
            now=now,
            superseded_before=horizon - self._retention,
            until_before=horizon - HANDED_OUT_GRACE,
            keep=keep,
        )

    async def forget(self, *, own_id: str, peer_id: str) -> None:
        """Erase the session with a peer for good: its messages can no longer be opened."""
        self._private_keys.clear()
        await self._store.forget(own_id=own_id, peer_id=peer_id)

    async def _originator(
        self, recipient: SessionKey, own_id: str, peer_id: str, now: datetime
    ) -> SessionKeyPair:
        """Return the key of ours to send along: on the peer's curve, not proven, durable.

        That it goes out now is noted too, unless it was noted ahead.
        """
        moment = _second(now)
        async with self._lock(own_id, peer_id):
            newest = await self._store.newest_own_key(own_id=own_id, peer_id=peer_id)
            if newest is not None and newest.until is None and not newest.proven:
                private_key = self._load_own_key(own_id, newest)
                if private_key.public_key.curve is recipient.public_key.curve:
                    if not newest.first_sent <= moment <= newest.last_sent:
                        await self._store.widen_sent(
                            own_id=own_id, key_id=newest.key_id, first=moment, last=moment + SENT_STEP
                        )
                    return SessionKeyPair(newest.key_id, private_key)
            pair = SessionKeyPair.generate(recipient.public_key.curve)
            await self._save(pair, own_id=own_id, peer_id=peer_id, now=now, until=None)
            return pair

    async def _save(
        self, pair: SessionKeyPair, *, own_id: str, peer_id: str | None, now: datetime, until: datetime | None
    ) -> None:
        await self._store.save_own_key(
            own_id=own_id,
            peer_id=peer_id,
            key_id=pair.key_id,
            private_key=pair.private_key.serialize(),
            created=now,
            until=until,
            first_sent=_second(now) - (timedelta() if until is None else CLOCK_DISTANCE),
        )

    def _lock(self, own_id: str, peer_id: str | None) -> asyncio.Lock:
        """Return the lock that keeps two tasks from each making a key for the same peer."""
        return self._locks.setdefault((own_id, peer_id), asyncio.Lock())

    def _load_own_key(self, own_id: str, key: OwnKey) -> SessionPrivateKey:
        return self._private_keys.get((own_id, key.key_id), lambda: SessionPrivateKey.load(key.private_key))

    def _load_peer_key(self, key: PeerKey) -> SessionKey:
        public_key = self._public_keys.get(key.public_key, lambda: SessionPublicKey.load(key.public_key))
        return SessionKey(key.key_id, public_key)


def _second(moment: datetime) -> datetime:
    """Return the second: dates of messages tell no more, and peers order our keys by them."""
    return moment.replace(microsecond=0)


def required_key_id(payload: bytes) -> bytes:
    """Return the id of the key of ours that a payload needs, to give it to ``prune`` as one to keep.

    Raises PayloadError when the payload is malformed.
    """
    return _parse(payload).recipient_key_id


def _parse(payload: bytes) -> EnvelopedData:
    """Read a payload, which must be encrypted in a channel session (RS-003)."""
    try:
        envelope = EnvelopedData.parse(payload)
    except AwalaError as error:
        raise PayloadError("The payload is not an encrypted value that can be read") from error
    if not envelope.is_session:
        raise PayloadError("The payload is not encrypted in a channel session")
    return envelope
