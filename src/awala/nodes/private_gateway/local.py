# SPDX-License-Identifier: MIT
"""The door for apps on this machine: they register endpoints, deliver parcels and collect theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from awala.base.clock import Clock
from awala.bindings.errors import MalformedRequest, TemporarilyUnavailable, Unprocessable
from awala.bindings.poweb import StreamingMode
from awala.crypto import IdentityPublicKey
from awala.messages import (
    DetachedSignature,
    InvalidMessageError,
    MessageError,
    Parcel,
    ParcelDeliveryDeauthorization,
    Registration,
    is_routable_id,
    normalise_address,
)
from awala.nodes.errors import NotPairedError
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import identify, take_over
from awala.nodes.lanes import ENDPOINT, UPLINK
from awala.nodes.mailbox import Mailbox, open_mailbox
from awala.nodes.members import Members
from awala.nodes.private_gateway.credentials import Credentials
from awala.nodes.proof import identify_collectors, recognise_countersigner, require_countersignature
from awala.nodes.rates import RateLimits
from awala.nodes.registrar import Registrar
from awala.nodes.withdrawals import Withdrawals
from awala.pki import Role, issue_now
from awala.spool.model import Carrier, Hop, Kind
from awala.spool.port import Spool

ENDPOINTS = "endpoints"
"""The vault's namespace of endpoints that registered here."""


class LocalService:
    """What the private gateway offers to endpoints over PoWeb."""

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
        self._registrar = Registrar(key=credentials.key, clock=clock, enrol=self._enrol)

    def connection_params(self) -> bytes | None:
        """Return nothing: a private gateway publishes no parameters."""
        return None

    async def preregister(self, key_digest: bytes) -> bytes:
        """Authorise an endpoint to register."""
        self._require_pairing()
        return await self._registrar.preregister(key_digest)

    async def register(self, request: bytes) -> bytes:
        """Register an endpoint."""
        self._require_pairing()
        return await self._registrar.register(request)

    async def recognise(self, countersignature: bytes) -> DetachedSignature:
        """Check that an endpoint of this gateway signed, before the parcel is read."""
        now = self._clock.now()
        known = recognise_countersigner(countersignature, self._credentials.own_certificates(now), now)
        self._members.require(known.signer.node_id)
        return known

    async def deliver(self, parcel: bytes, countersignature: DetachedSignature) -> None:
        """Take over a parcel from an endpoint of this machine (rules §3)."""
        now = self._clock.now()
        require_countersignature(countersignature, parcel)
        try:
            message = Parcel.parse(parcel)
            self._judge(message, countersignature, now)
            hop, carriers = await self._next_hop(message, now)
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error
        await take_over(
            self._spool,
            self._events,
            message,
            parcel,
            kind=Kind.PARCEL,
            hop=hop,
            way=Way.POWEB,
            now=now,
            carriers=carriers,
        )

    async def _next_hop(self, parcel: Parcel, now: datetime) -> tuple[Hop, Carrier]:
        """Return the mailbox of a recipient on this machine, else the Internet gateway.

        Between two apps of one machine a parcel needs no link at all; judged by the
        same rules as if it had come from outside.
        """
        peer = self._credentials.peer
        address = parcel.recipient.internet_address
        near = [None, *(gateway.address for gateway in self._credentials.gateways(now))]
        is_near = (normalise_address(address) if address else None) in near
        if is_near and await self._members.is_known(parcel.recipient.id):
            path = parcel.authorise_at_private_gateway(self._credentials.own_certificates(now), now)
            await self._withdrawals.check(path, gateway_id=self._credentials.node_id)
            identity = identify(parcel, Kind.PARCEL)
            await self._rates.check(path, identity, at=parcel.creation_date, now=now)
            return Hop(ENDPOINT, parcel.recipient.id), Carrier.ONLINE
        return Hop(UPLINK, peer.node_id), Carrier.ANY

    def _judge(self, parcel: Parcel, countersignature: DetachedSignature, now: datetime) -> None:
        parcel.validate(now)
        if parcel.sender_id != countersignature.signer.node_id:
            raise InvalidMessageError("the parcel's sender is not the endpoint that countersigned it")
        if not is_routable_id(parcel.recipient.id):
            raise InvalidMessageError("the recipient's id is not a node id")
        parcel.check_chain()

    async def withdraw(self, deauthorization: bytes, countersignature: DetachedSignature) -> None:
        """Refuse from now on what an endpoint of this machine withdrew, and tell the Internet gateway.

        The endpoint that withdraws must be the one that countersigned (rules §3).
        """
        require_countersignature(countersignature, deauthorization)
        try:
            withdrawal = ParcelDeliveryDeauthorization.parse(deauthorization)
            if withdrawal.endpoint_id != countersignature.signer.node_id:
                raise InvalidMessageError("the withdrawal is of another endpoint than who countersigned it")
            await self._withdrawals.put_into_force(
                withdrawal, deauthorization, gateway_id=self._credentials.node_id, way=Way.POWEB
            )
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error
        for gateway in self._credentials.gateways(self._clock.now()):
            hop = Hop(UPLINK, gateway.node_id)
            await self._withdrawals.pass_on(withdrawal, deauthorization, hop=hop, carriers=Carrier.ANY)

    @asynccontextmanager
    async def collect(self, nonce: bytes, response: bytes, mode: StreamingMode) -> AsyncIterator[Mailbox]:
        """Open the mailboxes of every endpoint that signed the nonce.

        They close once another certificate of ours is in use: endpoints come back, and get a new one
        themselves (decision 45); and when one of these endpoints is refused.
        """
        now = self._clock.now()
        ids = identify_collectors(nonce, response, self._credentials.own_certificates(now), now)
        for node_id in ids:
            self._members.require(node_id)
        hops = [Hop(ENDPOINT, node_id) for node_id in ids]
        async with open_mailbox(
            self._spool,
            hops,
            clock=self._clock,
            events=self._events,
            mode=mode,
            until=(self._credentials.changed(), self._members.refusal(ids)),
        ) as mailbox:
            yield mailbox

    async def _enrol(self, key: IdentityPublicKey, now: datetime) -> Registration:
        """Issue an endpoint's certificate: it ends with the gateway's own (rules §2)."""
        self._members.require_admission(key.node_id)
        own = self._credentials.uplink_path(now).leaf
        certificate = issue_now(
            subject_key=key,
            issuer_key=self._credentials.key,
            issuer=own,
            role=Role.ENDPOINT,
            now=now,
        )
        await self._members.note(key.node_id, valid_until=certificate.not_after, now=now)
        return Registration(
            node_certificate=certificate,
            gateway_certificate=own,
            internet_address=self._credentials.peer.address,
            session_key=None,
        )

    def _require_pairing(self) -> None:
        try:
            self._credentials.uplink_path(self._clock.now())
            _ = self._credentials.peer
        except NotPairedError as error:
            raise TemporarilyUnavailable(f"{error}. {error.advice}") from error
