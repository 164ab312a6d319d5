# SPDX-License-Identifier: MIT
"""Withdrawn authorisations (PDD): put into force at a node, and on their way to the next (rules §3).

A withdrawal is in force at each node as soon as that node has it; the sender is told nothing. It goes
on to the next gateway as a control item of the spool: on-line, and in every cargo until it went on-line.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from awala.base.clock import Clock
from awala.base.errors import StorageFullError
from awala.messages import InvalidMessageError, ParcelDeliveryDeauthorization, ParcelPath
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.pki import CLOCK_TOLERANCE
from awala.spool.model import Arrival, Carrier, Hop, Identity, Kind, Outcome, Priority
from awala.spool.port import Spool
from awala.vault import Vault


class Withdrawals:
    """What was withdrawn on the paths that a node judges."""

    def __init__(self, *, vault: Vault, spool: Spool, clock: Clock, events: EventHub) -> None:
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._events = events

    async def check(self, path: ParcelPath, *, gateway_id: str) -> None:
        """Return if the authorisation of ``path`` stands; raise InvalidMessageError if it was withdrawn."""
        if await self._vault.withdrawals.covers(
            gateway_id=gateway_id,
            endpoint_id=path.endpoint_id,
            serial=path.authorization.serial,
            now=self._clock.now(),
        ):
            raise InvalidMessageError("The recipient has withdrawn the sender's authorisation")

    async def put_into_force(
        self, withdrawal: ParcelDeliveryDeauthorization, octets: bytes, *, gateway_id: str, way: Way
    ) -> None:
        """Refuse from now on what is withdrawn, on paths through the gateway that said so.

        Raises InvalidMessageError if all of it has ended by itself, StorageFullError.
        """
        now = self._clock.now()
        if withdrawal.expiry < now - CLOCK_TOLERANCE:
            raise InvalidMessageError("The withdrawal has expired")
        await self._vault.withdrawals.add(
            gateway_id=gateway_id,
            endpoint_id=withdrawal.endpoint_id,
            serials=withdrawal.serials,
            expiry=withdrawal.expiry + CLOCK_TOLERANCE,
        )
        self._report(Action.STORED, octets, way, now)

    async def pass_on(
        self, withdrawal: ParcelDeliveryDeauthorization, octets: bytes, *, hop: Hop, carriers: Carrier
    ) -> None:
        """Have a withdrawal go to the next gateway; durable on return. Raises StorageFullError."""
        now = self._clock.now()
        identity = Identity(Kind.CONTROL, withdrawal.endpoint_id, hop.name, message_id(octets))
        arrival = Arrival(
            identity=identity,
            hop=hop,
            created=now,
            expiry=withdrawal.expiry,
            body=octets,
            carriers=carriers,
            priority=Priority.CONTROL,
        )
        [outcome] = await self._spool.accept([arrival], now=now)
        if outcome is Outcome.FULL:
            raise StorageFullError("the spool is full")

    def _report(self, action: Action, octets: bytes, way: Way, now: datetime) -> None:
        self._events.emit(HopEvent(now, action, Kind.CONTROL.value, message_id(octets), way, len(octets)))


def message_id(octets: bytes) -> str:
    """Return a name for a withdrawal, which has none of its own: equal ones are the same message."""
    return hashlib.sha256(octets).hexdigest()[:32]
