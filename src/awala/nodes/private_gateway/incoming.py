# SPDX-License-Identifier: MIT
"""What the private gateway takes from its Internet gateway, on-line or in cargo."""

from __future__ import annotations

from datetime import datetime

from awala.base.clock import Clock
from awala.crypto import IdentityPublicKey
from awala.messages import (
    CertificateRotation,
    InvalidMessageError,
    MalformedMessageError,
    MessageError,
    Parcel,
)
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import drop, identify, owe_for_refused, take_over
from awala.nodes.lanes import ENDPOINT
from awala.nodes.members import Members
from awala.nodes.private_gateway.credentials import Credentials
from awala.nodes.rates import RateLimits
from awala.nodes.withdrawals import Withdrawals
from awala.pki import Certificate, CertificationPath, PathPolicy, PkiError, Role, build_path
from awala.spool.model import Carrier, Hop, Kind
from awala.spool.port import Spool

_ROTATION = PathPolicy(roles=(Role.GATEWAY, Role.SELF_ISSUED_GATEWAY))


class Incoming:
    """Judges parcels for endpoints of this machine and puts them into their mailboxes."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        withdrawals: Withdrawals,
        rates: RateLimits,
        members: Members,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._withdrawals = withdrawals
        self._rates = rates
        self._members = members
        self._clock = clock
        self._events = events

    async def from_collection(self, octets: bytes) -> None:
        """Take a parcel that came on-line; return when it may be acknowledged.

        A parcel that can never be accepted is dropped, and may be acknowledged too.
        """
        await self._take(octets, Way.POWEB, owed_to=None)

    async def from_cargo(self, octets: bytes, peer_id: str) -> None:
        """Take a parcel that came in cargo; an acknowledgement is owed for it, accepted or refused."""
        await self._take(octets, Way.CARGO, owed_to=peer_id)

    async def _take(self, octets: bytes, way: Way, owed_to: str | None) -> None:
        now = self._clock.now()
        try:
            parcel = Parcel.parse(octets)
        except MalformedMessageError as error:
            drop(self._events, Kind.PARCEL, "", way=way, now=now, size=len(octets), reason=str(error))
            return
        try:
            path = parcel.authorise_at_private_gateway(self._credentials.own_certificates(now), now)
            self._members.require_served(path.endpoint_id)
            await self._withdrawals.check(path, gateway_id=self._credentials.node_id)
            identity = identify(parcel, Kind.PARCEL)
            await self._rates.check(path, identity, at=parcel.creation_date, now=now)
        except MessageError as error:
            if owed_to is not None:
                await owe_for_refused(self._spool, parcel, owed_to)
            drop(
                self._events,
                Kind.PARCEL,
                parcel.message_id,
                way=way,
                now=now,
                size=len(octets),
                reason=str(error),
            )
            return
        await take_over(
            self._spool,
            self._events,
            parcel,
            octets,
            kind=Kind.PARCEL,
            hop=Hop(ENDPOINT, parcel.recipient.id),
            way=way,
            now=now,
            carriers=Carrier.ONLINE,
            owed_to=owed_to,
            proves_time=True,
        )

    async def rotation(self, octets: bytes, peer_id: str) -> None:
        """Take a renewed certificate that came in cargo from the paired Internet gateway (rules §3).

        Its known key must have signed it, for our key, and all of it must hold now. What ends no later
        than what we have changes nothing. Raises MessageError.
        """
        path = CertificateRotation.parse(octets).path
        peer = self._credentials.peer
        if peer_id != peer.node_id:
            raise InvalidMessageError("The rotation does not come from the paired Internet gateway")
        if path.leaf.public_key.spki != self._credentials.key.public_key.spki:
            raise InvalidMessageError("The rotated certificate is for another key")
        now = self._clock.now()
        issuer = _issuer(path, peer.identity_key, now)
        if path.leaf.not_after - now > self._credentials.life_left(now):
            await self._credentials.save_uplink_path(CertificationPath(path.leaf, (issuer,)))


def _issuer(path: CertificationPath, key: IdentityPublicKey, now: datetime) -> Certificate:
    """Return the certificate of this key, self-issued, under which the leaf of a rotation holds now."""
    known = [each for each in path.authorities if each.is_self_issued and each.public_key.spki == key.spki]
    try:
        for each in known:
            each.verify_issued_by(each)
        return build_path(path.leaf, (), known, at=now, policy=_ROTATION)[-1]
    except PkiError as error:
        raise InvalidMessageError(f"The rotated certificate does not hold: {error}") from error
