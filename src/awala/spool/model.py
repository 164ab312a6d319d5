# SPDX-License-Identifier: MIT
"""The spool's vocabulary: what an item is, who it goes to, what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, Flag, IntEnum

HOP_SEPARATOR = ":"
"""Stands between the lane and the name of a hop."""


class Kind(Enum):
    """What a spool item is."""

    PARCEL = "parcel"
    CARGO = "cargo"
    CCA = "cca"
    CONTROL = "control"


class Carrier(Flag):
    """The ways in which an item may leave this node."""

    ONLINE = 1
    CARGO = 2
    ANY = 3


class Priority(IntEnum):
    """The class of an item; lower values leave first."""

    CONTROL = 0
    URGENT = 1
    BULK = 2


@dataclass(frozen=True, slots=True, order=True)
class Hop:
    """Where an item goes next: a lane (the way it is handled) and a name in that lane.

    Lanes are short words that a node chooses (``gateway``, ``endpoint``,
    ``internet``, ``unpack``); the name is a node id or an Internet address.
    """

    lane: str
    name: str = ""

    def __str__(self) -> str:
        """Return ``lane:name``, the form that is stored."""
        return f"{self.lane}{HOP_SEPARATOR}{self.name}"


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two messages the same message (RS-001 §4)."""

    kind: Kind
    sender: str
    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Debt:
    """A collection acknowledgement that is owed to ``peer`` for a parcel."""

    peer: str
    sender: str
    recipient: str
    message_id: str
    expiry: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that a node takes over, as it is given to the spool.

    ``owed_to`` names the peer that must get an acknowledgement for it (a
    parcel that came in cargo), or is None.
    """

    identity: Identity
    hop: Hop
    created: datetime
    expiry: datetime
    body: bytes
    carriers: Carrier = Carrier.ANY
    priority: Priority = Priority.BULK
    owed_to: str | None = None


class Outcome(Enum):
    """What the spool did with an arrival. Every outcome but FULL may be acknowledged."""

    STORED = "stored"
    REPLACED = "replaced"
    DUPLICATE = "duplicate"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Item:
    """A stored message, without its body.

    ``key`` and ``version`` together name these very octets: an item that was
    replaced keeps its key and gets a higher version.
    """

    key: int
    version: int
    identity: Identity
    hop: Hop
    carriers: Carrier
    priority: Priority
    created: datetime
    expiry: datetime
    size: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Totals:
    """How much rests at a hop or in the whole spool."""

    items: int = 0
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the whole spool holds: items, octets of their bodies, seen rows, debts."""

    items: int = 0
    octets: int = 0
    seen: int = 0
    debts: int = 0
