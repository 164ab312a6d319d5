# SPDX-License-Identifier: MIT
"""How the SQLite spool writes values down: times, identities, items."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from awala.spool.model import Carrier, Debt, Hop, Identity, Item, Kind
from awala.spool.room import priority_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}

DIGEST_SIZE = 16
"""Octets kept of a SHA-256 digest. To forge another sender's takes a second preimage, 2**128 attempts; a
collision only makes a sender's own message a duplicate. Longer rows make every commit write more pages."""

Row = tuple[int, int, str, str, str, str, int, int, int, int, int, int]
"""An item as the statements list it."""


def to_micros(time: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (time - _EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the time that `to_micros` wrote down."""
    return _EPOCH + timedelta(microseconds=micros)


def identity_digest(identity: Identity) -> bytes:
    """Return the key under which an identity is remembered."""
    return _digest(identity.kind.value, identity.sender, identity.recipient, identity.message_id)


def debt_digest(debt: Debt) -> bytes:
    """Return the key of a debt: two are equal if they differ in expiry alone."""
    return _digest(debt.peer, debt.sender, debt.recipient, debt.message_id)


def _digest(*fields: str) -> bytes:
    text = "\0".join((",".join([str(len(field)) for field in fields]), *fields))
    if not text.isascii():  # the lengths are those of the octets
        lengths = ",".join([str(len(field.encode())) for field in fields])
        text = "\0".join((lengths, *fields))
    return hashlib.sha256(text.encode()).digest()[:DIGEST_SIZE]


def to_item(row: Row, hop: Hop) -> Item:
    """Return the item of a row that was listed for ``hop``."""
    key, version, kind, sender, recipient, message_id, carriers, rank, created, expiry, size, attempts = row
    return Item(
        key=key,
        version=version,
        identity=Identity(_KINDS[kind], sender, recipient, message_id),
        hop=hop,
        carriers=Carrier(carriers),
        priority=priority_of(rank),
        created=from_micros(created),
        expiry=from_micros(expiry),
        size=size,
        attempts=attempts,
    )
