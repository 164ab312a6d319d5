# SPDX-License-Identifier: MIT
"""The door for couriers (CogRPC): cargo in, cargo out for who authorised its collection (rules §3, §6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.cogrpc import OutgoingCargo, WrongRecipient
from awala.bindings.errors import MalformedRequest, Unauthenticated, Unprocessable
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CertificateRotation,
    InvalidMessageError,
    MessageError,
    Recipient,
)
from awala.messages.limits import CARGO_TARGET_PRIVATE
from awala.nodes.background import can_pass
from awala.nodes.channel import CargoMaker, CargoRoute, PreparedCargo
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import identify, take_over
from awala.nodes.internet_gateway.claims import Claims
from awala.nodes.internet_gateway.credentials import Credentials
from awala.nodes.lanes import GATEWAY, UNPACK_HOP
from awala.nodes.members import Members
from awala.pki import Certificate, CertificationPath, PathForm, Role, issue_now
from awala.pki.lifetimes import RENEWAL_THRESHOLD
from awala.sessions import Sessions
from awala.spool.model import Hop, Identity, Kind
from awala.spool.port import Spool

KOTLIN_MARKS = frozenset({"1.2.840.113549.1.9.5", "1.2.840.113549.1.9.52"})
"""Signed attributes (signingTime, CMSAlgorithmProtection) that only the Kotlin stack writes (rules §6)."""


class CourierDoor:
    """What the Internet gateway offers to couriers."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        sessions: Sessions,
        maker: CargoMaker,
        members: Members,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._sessions = sessions
        self._maker = maker
        self._members = members
        self._clock = clock
        self._events = events
        self._claims = Claims(spool, clock)

    async def deliver(self, cargo: bytes) -> None:
        """Store a cargo from one of our private gateways, whole; it is unpacked later."""
        now = self._clock.now()
        try:
            message = Cargo.parse(cargo)
            message.authorise(self._credentials.own_certificates(now), now)
            self._require_ours(message.recipient)
            self._members.require_served(message.sender_id)
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error
        await take_over(
            self._spool,
            self._events,
            message,
            cargo,
            kind=Kind.CARGO,
            hop=UNPACK_HOP,
            way=Way.COGRPC,
            now=now,
            proves_time=True,
        )

    async def collect(self, cca: bytes | None) -> CargoCall:
        """Begin the collection that this authorisation (CCA) allows, once."""
        if cca is None:
            raise Unauthenticated("a collection needs an authorisation")
        now = self._clock.now()
        try:
            authorization = CargoCollectionAuthorization.parse(cca)
            if authorization.recipient.id != self._credentials.node_id:
                raise WrongRecipient("the authorisation is for another gateway")
            authorization.authorise_at_internet_gateway(self._credentials.own_certificates(now), now)
            self._members.require(authorization.sender_id)
            delivery_authorization = await self._open(authorization, now)
        except MessageError as error:
            raise Unauthenticated(f"the authorisation does not hold: {error}") from error
        route = CargoRoute(
            recipient=Recipient(authorization.sender_id),
            peer_id=authorization.sender_id,
            hops=(Hop(GATEWAY, authorization.sender_id),),
            sender_certificate=delivery_authorization,
            sender_chain=(authorization.sender_certificate,),
            target_size=CARGO_TARGET_PRIVATE,
        )
        control = await self._rotation(authorization, now)
        identity = identify(authorization, Kind.CCA)
        await self._claims.claim(identity)  # last: from here on, the call's end frees it
        cargoes = self._maker.cargoes(route, control)
        return CargoCall(self._claims, identity, authorization.expiry_date, cargoes, self._spool)

    async def _open(self, authorization: CargoCollectionAuthorization, now: datetime) -> Certificate:
        """Return the cargo delivery authorisation inside; every fault looks alike from outside."""
        try:
            plaintext = await self._sessions.open(
                authorization.payload,
                own_id=self._credentials.node_id,
                peer_id=authorization.sender_id,
                message_date=authorization.creation_date,
                now=now,
            )
            request = CargoCollectionRequest.parse(plaintext)
            request.check(sender=authorization.sender_certificate, own_id=self._credentials.node_id, now=now)
        except AwalaError as error:
            if can_pass(error):
                raise
            raise InvalidMessageError("the cargo delivery authorisation inside cannot be used") from error
        return request.cargo_delivery_authorization

    async def _rotation(self, authorization: CargoCollectionAuthorization, now: datetime) -> list[bytes]:
        """Return the certificate rotation that a private gateway should get with its cargo, if due."""
        current = authorization.sender_certificate
        if current.not_after - now > RENEWAL_THRESHOLD:
            return []
        own = await self._credentials.issuer()
        renewed = issue_now(
            subject_key=current.public_key,
            issuer_key=self._credentials.key,
            issuer=own,
            role=Role.GATEWAY,
            now=now,
        )
        if renewed.not_after <= current.not_after:
            return []
        kotlin = bool(authorization.signed_attribute_types & KOTLIN_MARKS)
        form = PathForm.KOTLIN if kotlin else PathForm.RS002
        return [CertificateRotation(CertificationPath(renewed, (own,)), form).serialize()]

    def _require_ours(self, recipient: Recipient) -> None:
        if recipient.id != self._credentials.node_id:
            raise InvalidMessageError("the cargo is for another gateway")


class CargoCall:
    """One CollectCargo call: makes each cargo just before it is sent, pays debts as they are taken."""

    def __init__(
        self,
        claims: Claims,
        identity: Identity,
        expiry: datetime,
        cargoes: AsyncIterator[PreparedCargo],
        spool: Spool,
    ) -> None:
        self._claims = claims
        self._identity = identity
        self._expiry = expiry
        self._cargoes = cargoes
        self._spool = spool
        self._sent: dict[str, PreparedCargo] = {}

    async def cargoes(self) -> AsyncIterator[OutgoingCargo]:
        """Yield the cargoes for the private gateway."""
        async for prepared in self._cargoes:
            self._sent[prepared.delivery_id] = prepared
            yield OutgoingCargo(prepared.delivery_id, prepared.octets)

    async def acknowledge(self, delivery_id: str) -> None:
        """Pay the acknowledgements in a cargo that the courier has."""
        prepared = self._sent.pop(delivery_id, None)
        if prepared is not None:
            await self._spool.pay(prepared.debts)

    async def finish(self, *, complete: bool) -> None:
        """End the call: complete if every cargo was sent, else the authorisation stays good."""
        if complete:
            await self._claims.fulfil(self._identity, self._expiry)
        else:
            self._claims.free(self._identity)
