# SPDX-License-Identifier: MIT
"""The last step of every way in: a message that was judged acceptable becomes a spool item."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from awala.base.errors import StorageFullError
from awala.messages import RamfMessage
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.trusted_time import confirm_by
from awala.pki import Certificate
from awala.spool.model import Arrival, Carrier, Debt, Hop, Identity, Kind, Outcome, Priority
from awala.spool.port import Spool

_ACTIONS = {
    Outcome.STORED: Action.STORED,
    Outcome.REPLACED: Action.REPLACED,
    Outcome.DUPLICATE: Action.DUPLICATE,
}


def identify(message: RamfMessage, kind: Kind) -> Identity:
    """Return what makes this message itself."""
    return Identity(kind, message.sender_id, message.recipient.id, message.message_id)


def capped_expiry(message: RamfMessage, certificates: Iterable[Certificate] = ()) -> datetime:
    """Return the message's expiry, or the earliest end in its chain if that comes first (rules §2)."""
    chain = (message.sender_certificate, *message.sender_chain, *certificates)
    return min([message.expiry_date, *(certificate.not_after for certificate in chain)])


async def take_over(
    spool: Spool,
    events: EventHub,
    message: RamfMessage,
    octets: bytes,
    *,
    kind: Kind,
    hop: Hop,
    way: Way,
    now: datetime,
    carriers: Carrier = Carrier.ANY,
    priority: Priority = Priority.BULK,
    owed_to: str | None = None,
    proves_time: bool = False,
) -> Outcome:
    """Put a message into the spool; raise StorageFullError if there is no room.

    When this returns, the message may be acknowledged. One that ``proves_time`` was made by an authorised
    peer with a clock of its own: if it is new and was made just now, our clock is right (decision 44).
    """
    arrival = Arrival(
        identity=identify(message, kind),
        hop=hop,
        created=message.creation_date,
        expiry=capped_expiry(message),
        body=octets,
        carriers=carriers,
        priority=priority,
        owed_to=owed_to,
    )
    [outcome] = await spool.accept([arrival], now=now)
    if outcome is Outcome.FULL:
        raise StorageFullError("the spool is full")
    events.emit(HopEvent(now, _ACTIONS[outcome], kind.value, message.message_id, way, len(octets)))
    if proves_time and outcome is not Outcome.DUPLICATE:
        await confirm_by(spool, message.creation_date, now)
    return outcome


async def owe_for_refused(spool: Spool, message: RamfMessage, peer: str) -> None:
    """Owe an acknowledgement for a parcel that was refused for good, so that it is not sent again."""
    await spool.owe(
        [
            Debt(
                peer=peer,
                sender=message.sender_id,
                recipient=message.recipient.id,
                message_id=message.message_id,
                expiry=message.expiry_date,
            )
        ]
    )


def drop(
    events: EventHub, kind: Kind, message_id: str, *, way: Way, now: datetime, size: int, reason: str
) -> None:
    """Tell that a message was dropped, and why."""
    events.emit(HopEvent(now, Action.DROPPED, kind.value, message_id, way, size, reason))
