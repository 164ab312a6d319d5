# SPDX-License-Identifier: MIT
"""The doors for private gateways (PoWeb) and for other Internet hosts (PoHTTP)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from awala.base.clock import Clock
from awala.bindings.errors import Forbidden, MalformedRequest, Unprocessable
from awala.bindings.poweb import StreamingMode
from awala.crypto import IdentityPublicKey
from awala.messages import (
    DetachedSignature,
    InvalidMessageError,
    MessageError,
    Parcel,
    ParcelDeliveryDeauthorization,
    Registration,
)
from awala.nodes.events import EventHub, Way
from awala.nodes.internet_gateway.credentials import Credentials
from awala.nodes.internet_gateway.routing import Router
from awala.nodes.lanes import GATEWAY
from awala.nodes.mailbox import Mailbox, open_mailbox
from awala.nodes.members import Members
from awala.nodes.proof import identify_collectors, recognise_countersigner, require_countersignature
from awala.nodes.registrar import Registrar
from awala.nodes.withdrawals import Withdrawals
from awala.pki import Role, issue_now
from awala.sessions import Sessions
from awala.spool.model import Hop
from awala.spool.port import Spool

PRIVATE_GATEWAYS = "private-gateways"
"""The vault's namespace of private gateways that registered here."""


class GatewayDoor:
    """What the Internet gateway offers to private gateways over PoWeb."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        spool: Spool,
        sessions: Sessions,
        router: Router,
        withdrawals: Withdrawals,
        members: Members,
        clock: Clock,
        events: EventHub,
        params: Callable[[], bytes],
    ) -> None:
        self._credentials = credentials
        self._spool = spool
        self._sessions = sessions
        self._router = router
        self._withdrawals = withdrawals
        self._members = members
        self._clock = clock
        self._events = events
        self._params = params
        self._registrar = Registrar(key=credentials.key, clock=clock, enrol=self._enrol)

    def connection_params(self) -> bytes | None:
        """Return the published connection parameters."""
        return self._params()

    async def preregister(self, key_digest: bytes) -> bytes:
        """Authorise a private gateway to register."""
        return await self._registrar.preregister(key_digest)

    async def register(self, request: bytes) -> bytes:
        """Register a private gateway, or renew its certificate."""
        return await self._registrar.register(request)

    async def recognise(self, countersignature: bytes) -> DetachedSignature:
        """Check that a private gateway of ours signed, before the parcel is read."""
        now = self._clock.now()
        known = recognise_countersigner(countersignature, self._credentials.own_certificates(now), now)
        self._members.require(known.signer.node_id)
        return known

    async def deliver(self, parcel: bytes, countersignature: DetachedSignature) -> None:
        """Take over a parcel from a private gateway."""
        require_countersignature(countersignature, parcel)
        try:
            message = Parcel.parse(parcel)
            await self._router.from_private_gateway(message, parcel, Way.POWEB, owed_to=None)
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error

    async def withdraw(self, deauthorization: bytes, countersignature: DetachedSignature) -> None:
        """Take from a private gateway what one of its endpoints withdrew; it counts on its paths only."""
        require_countersignature(countersignature, deauthorization)
        try:
            await self._withdraw(deauthorization, countersignature.signer.node_id, Way.POWEB)
        except InvalidMessageError as error:
            raise Unprocessable(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error

    async def withdraw_by_cargo(self, deauthorization: bytes, gateway_id: str) -> None:
        """Do what `withdraw` does, for a withdrawal in cargo; raises MessageError, StorageFullError."""
        await self._withdraw(deauthorization, gateway_id, Way.CARGO)

    async def _withdraw(self, deauthorization: bytes, gateway_id: str, way: Way) -> None:
        withdrawal = ParcelDeliveryDeauthorization.parse(deauthorization)
        await self._withdrawals.put_into_force(withdrawal, deauthorization, gateway_id=gateway_id, way=way)

    @asynccontextmanager
    async def collect(self, nonce: bytes, response: bytes, mode: StreamingMode) -> AsyncIterator[Mailbox]:
        """Open the mailbox of every private gateway that signed the nonce, until one of them is refused."""
        now = self._clock.now()
        ids = identify_collectors(nonce, response, self._credentials.own_certificates(now), now)
        for node_id in ids:
            self._members.require(node_id)
        hops = [Hop(GATEWAY, node_id) for node_id in ids]
        async with open_mailbox(
            self._spool,
            hops,
            clock=self._clock,
            events=self._events,
            mode=mode,
            until=(self._members.refusal(ids),),
        ) as mailbox:
            yield mailbox

    async def _enrol(self, key: IdentityPublicKey, now: datetime) -> Registration:
        self._members.require_admission(key.node_id)
        own = await self._credentials.issuer()
        certificate = issue_now(
            subject_key=key,
            issuer_key=self._credentials.key,
            issuer=own,
            role=Role.GATEWAY,
            now=now,
        )
        session_key = await self._sessions.hand_out(
            own_id=self._credentials.node_id, peer_id=key.node_id, now=now, until=certificate.not_after
        )
        await self._members.note(key.node_id, valid_until=certificate.not_after, now=now)
        return Registration(certificate, own, self._credentials.address, session_key)


class InternetDoor:
    """What the Internet gateway offers to other Internet hosts over PoHTTP."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def deliver(self, parcel: bytes) -> None:
        """Take over a parcel for a private endpoint behind this gateway."""
        try:
            await self._router.from_internet(Parcel.parse(parcel), parcel)
        except InvalidMessageError as error:
            raise Forbidden(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error
