# SPDX-License-Identifier: MIT
"""Where a parcel goes next: to another Internet host, or into the mailbox of a private gateway."""

from __future__ import annotations

from datetime import datetime

from awala.base.clock import Clock
from awala.messages import InvalidMessageError, MessageError, Parcel, is_routable_id, normalise_address
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import drop, identify, owe_for_refused, take_over
from awala.nodes.internet_gateway.credentials import Credentials
from awala.nodes.lanes import GATEWAY, INTERNET
from awala.nodes.members import Members
from awala.nodes.rates import RateLimits
from awala.nodes.withdrawals import Withdrawals
from awala.spool.model import Carrier, Hop, Kind
from awala.spool.port import Spool


class Router:
    """Judges each parcel before anything is written, and puts it at its next hop (rules §3)."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        withdrawals: Withdrawals,
        members: Members,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._withdrawals = withdrawals
        self._members = members
        self._rates = RateLimits(spool)
        self._clock = clock
        self._events = events

    async def from_private_gateway(
        self, parcel: Parcel, octets: bytes, way: Way, owed_to: str | None
    ) -> None:
        """Take over a parcel from a private gateway; raise InvalidMessageError if it is not acceptable."""
        now = self._clock.now()
        if not is_routable_id(parcel.recipient.id):
            raise InvalidMessageError("the recipient's id is not a node id")
        if self._is_local(parcel):
            hop, carriers = await self._mailbox(parcel, now), Carrier.ANY
        else:
            parcel.validate(now)
            parcel.check_chain()
            hop = Hop(INTERNET, normalise_address(parcel.recipient.internet_address or ""))
            carriers = Carrier.ONLINE
        await self._store(parcel, octets, hop, carriers, way=way, owed_to=owed_to)

    async def from_internet(self, parcel: Parcel, octets: bytes) -> None:
        """Take over a parcel for a private endpoint; raise InvalidMessageError if it is not authorised."""
        hop = await self._mailbox(parcel, self._clock.now())
        await self._store(parcel, octets, hop, Carrier.ANY, way=Way.POHTTP, owed_to=None)

    async def from_cargo(self, octets: bytes, peer_id: str) -> None:
        """Take over a parcel that came in cargo; an acknowledgement is owed, accepted or refused."""
        now = self._clock.now()
        parcel = Parcel.parse(octets)
        try:
            await self.from_private_gateway(parcel, octets, Way.CARGO, owed_to=peer_id)
        except MessageError as error:
            await owe_for_refused(self._spool, parcel, peer_id)
            drop(
                self._events,
                Kind.PARCEL,
                parcel.message_id,
                way=Way.CARGO,
                now=now,
                size=len(octets),
                reason=str(error),
            )

    def _is_local(self, parcel: Parcel) -> bool:
        address = parcel.recipient.internet_address
        return address is None or normalise_address(address) == self._credentials.address

    async def _mailbox(self, parcel: Parcel, now: datetime) -> Hop:
        """Return the private gateway behind which an authorised recipient is."""
        path = parcel.authorise_at_internet_gateway(self._credentials.own_certificates(now), now)
        if path.private_gateway_id is None:  # pragma: no cover - this authorisation always has one
            raise InvalidMessageError("the parcel names no private gateway")
        self._members.require_served(path.private_gateway_id)
        await self._withdrawals.check(path, gateway_id=path.private_gateway_id)
        await self._rates.check(path, identify(parcel, Kind.PARCEL), at=now, now=now)
        return Hop(GATEWAY, path.private_gateway_id)

    async def _store(
        self, parcel: Parcel, octets: bytes, hop: Hop, carriers: Carrier, *, way: Way, owed_to: str | None
    ) -> None:
        await take_over(
            self._spool,
            self._events,
            parcel,
            octets,
            kind=Kind.PARCEL,
            hop=hop,
            way=way,
            now=self._clock.now(),
            carriers=carriers,
            owed_to=owed_to,
            proves_time=True,
        )
