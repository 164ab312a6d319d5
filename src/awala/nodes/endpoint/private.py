# SPDX-License-Identifier: MIT
"""The private endpoint: an app's way to the network through the private gateway of its device."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.errors import ServerError, UnauthenticatedError
from awala.bindings.poweb import PoWebClient, StreamingMode
from awala.crypto import IdentityPrivateKey
from awala.messages import (
    DetachedSignatureType,
    InvalidMessageError,
    MalformedMessageError,
    MessageError,
    Parcel,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationRequest,
    ServiceMessage,
    sign_detached,
)
from awala.messages.media_types import PDA_PATH
from awala.nodes.background import supervised
from awala.nodes.backoff import Attempts, local_backoff
from awala.nodes.endpoint.errors import GatewayMismatchError, InvalidAuthorizationError, NotRegisteredError
from awala.nodes.endpoint.identity import EndpointIdentity
from awala.nodes.endpoint.inbox import Attempt, Inbox
from awala.nodes.endpoint.peers import Peer
from awala.nodes.endpoint.sealing import OpenedMessage
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.intake import drop
from awala.nodes.lanes import APP, GATEWAY
from awala.nodes.quarantine import Quarantine
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.nodes.withdrawals import Withdrawals
from awala.pki import CertificationPath, build_path
from awala.pki.lifetimes import RENEWAL_THRESHOLD
from awala.spool.model import Carrier, Hop, Item, Kind, Priority
from awala.spool.port import Spool
from awala.vault import Vault

logger = logging.getLogger(__name__)

IDENTITY_LABEL = "endpoint"
PURPOSE_ENDPOINT = "endpoint"
"""Certificates that the private gateway issued to this endpoint."""

_NAMESPACE = "endpoint"
_GATEWAY_ID = "gateway-id"
_GATEWAY_ADDRESS = "gateway-address"
_WITHDRAWALS = "withdrawals-under-way"
_REGISTRATION_DELAYS = local_backoff()

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept and session keys are pruned."""

HandleMessage = Callable[[Attempt], Awaitable[None]]


class PrivateEndpoint:
    """One endpoint of one app, with its outbox and inbox.

    Sending works at any time, also while no gateway can be reached; the first
    registration needs the gateway.
    """

    def __init__(
        self,
        *,
        key: IdentityPrivateKey,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        client: PoWebClient,
        session_key_retention: timedelta | None = None,
    ) -> None:
        self.events = EventHub()
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._client = client
        self._paths: list[CertificationPath] = []
        self._gateway_address = ""
        self.registered = asyncio.Event()
        self.identity = EndpointIdentity(
            key=key,
            vault=vault,
            spool=spool,
            clock=clock,
            events=self.events,
            outgoing=lambda _peer: Hop(GATEWAY, key.node_id),
            way=Way.POWEB,
            session_key_retention=session_key_retention,
        )
        self._withdrawals = Withdrawals(vault=vault, spool=spool, clock=clock, events=self.events)
        self._granting = asyncio.Lock()
        quarantine = Quarantine(vault, clock)
        self._keys = KeyUpkeep(self.identity.sessions, spool, unread=APP, quarantine=quarantine)
        self._inbox = Inbox(spool=spool, quarantine=quarantine, clock=clock, events=self.events)
        self._handover = Handover(
            spool,
            GATEWAY,
            self._deliver,
            clock=clock,
            events=self.events,
            way=Way.POWEB,
            backoff=local_backoff(),
            quarantine=quarantine,
        )

    @classmethod
    async def open(
        cls,
        *,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        client: PoWebClient,
        session_key_retention: timedelta | None = None,
    ) -> PrivateEndpoint:
        """Load the endpoint from the app's vault, or make it the first time."""
        key = await vault.identity(IDENTITY_LABEL)
        if key is None:
            key = await asyncio.to_thread(IdentityPrivateKey.generate)
            await vault.save_identity(IDENTITY_LABEL, key)
        endpoint = cls(
            key=key,
            vault=vault,
            spool=spool,
            clock=clock,
            client=client,
            session_key_retention=session_key_retention,
        )
        await endpoint._load()
        return endpoint

    async def _load(self) -> None:
        self._paths = await self._vault.paths(
            subject_id=self.node_id, purpose=PURPOSE_ENDPOINT, now=self._clock.now()
        )
        self._gateway_address = (await self._vault.get_record(_NAMESPACE, _GATEWAY_ADDRESS) or b"").decode()
        if self._paths:
            self.registered.set()

    @property
    def node_id(self) -> str:
        """The endpoint's id."""
        return self.identity.node_id

    @property
    def clock(self) -> Clock:
        """The clock that this endpoint goes by."""
        return self._clock

    @property
    def gateway_address(self) -> str:
        """The Internet address of the Internet gateway that this endpoint is behind."""
        return self._gateway_address

    def own_path(self) -> CertificationPath:
        """Return the newest valid certificate from the gateway; raises NotRegisteredError."""
        now = self._clock.now()
        for path in self._paths:
            if path.leaf.not_after > now:
                return path
        raise NotRegisteredError("this endpoint has no valid certificate from its private gateway")

    async def register(self) -> None:
        """Register with the private gateway, or renew; raises BindingError, GatewayMismatchError."""
        key = self.identity.key
        authorization = await self._client.preregister(key.public_key.digest)
        request = RegistrationRequest(key.public_key, authorization).serialize(key)
        registration = Registration.parse(await self._client.register(request))
        await self._keep(registration)
        self.registered.set()

    async def _keep(self, registration: Registration) -> None:
        now = self._clock.now()
        leaf, gateway = registration.node_certificate, registration.gateway_certificate
        if leaf.public_key.spki != self.identity.key.public_key.spki:
            raise InvalidAuthorizationError("the gateway issued a certificate for another key")
        build_path(leaf, (), (gateway,), at=now)
        pinned = await self._vault.put_record_if_absent(_NAMESPACE, _GATEWAY_ID, gateway.node_id.encode())
        if pinned is not None and pinned.decode() != gateway.node_id:
            raise GatewayMismatchError("another private gateway answers than the one this app belongs to")
        path = CertificationPath(leaf, (gateway,))
        await self._vault.put_record(_NAMESPACE, _GATEWAY_ADDRESS, registration.internet_address.encode())
        await self._vault.save_path(path, purpose=PURPOSE_ENDPOINT)
        self._gateway_address = registration.internet_address
        self._paths = sorted([path, *self._paths], key=lambda p: p.leaf.not_after, reverse=True)

    async def run(self, handle: HandleMessage) -> None:
        """Register if needed, send what is in the outbox and give what arrives to ``handle``."""
        await self._finish_withdrawals()
        await self._ensure_registered()
        dispatch = self._dispatch(handle)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised(self._handover.run, self._clock))
            group.create_task(self._keep_collecting())
            group.create_task(supervised(lambda: self._inbox.run(self._open, dispatch), self._clock))
            group.create_task(keep_up(self._spool, self._keys, self._clock, UPKEEP_INTERVAL))

    async def authorise(self, peer: Peer) -> PrivateEndpointConnectionParams:
        """Allow a peer to send to this endpoint for as long as our certificate lives; return the papers."""
        async with self._granting:
            await self.identity.authorizations.forget_ended(peer.id, self._clock.now())
            params = await self.identity.authorizations.grant(
                peer.key,
                own_path=self.own_path(),
                gateway_address=self._gateway_address,
                now=self._clock.now(),
            )
            await self.identity.peers.note_grant(peer, params.authorization.leaf.not_after)
            return params

    async def withdraw(self, peer_id: str) -> bool:
        """Let a peer send to this endpoint no longer; say whether it could.

        In force here on return, and durably on its way to the gateways; the peer is told nothing
        (rules §3). Raises StorageFullError.
        """
        async with self._granting:
            withdrawal = await self.identity.authorizations.withdrawal(peer_id, self._clock.now())
            if withdrawal is None:
                return False
            octets = withdrawal.serialize()
            await self._vault.put_record(_WITHDRAWALS, peer_id, octets)
            await self._withdraw(peer_id, octets)
            return True

    async def _finish_withdrawals(self) -> None:
        """Complete the withdrawals that a stop of the program interrupted."""
        for peer_id, octets in (await self._vault.records(_WITHDRAWALS)).items():
            await self._withdraw(peer_id, octets)

    async def _withdraw(self, peer_id: str, octets: bytes) -> None:
        """Do what was noted to be done, and erase the note; any part of it may have been done before."""
        withdrawal = ParcelDeliveryDeauthorization.parse(octets)
        with suppress(InvalidMessageError):  # it has ended by itself meanwhile
            await self._withdrawals.put_into_force(withdrawal, octets, gateway_id=self.node_id, way=Way.POWEB)
            await self.identity.peers.note_withdrawal(peer_id)
            hop = Hop(GATEWAY, self.node_id)
            await self._withdrawals.pass_on(withdrawal, octets, hop=hop, carriers=Carrier.ONLINE)
            await self.identity.authorizations.forget(peer_id, withdrawal.serials)
        await self._vault.delete_record(_WITHDRAWALS, peer_id)

    async def send_authorization(self, peer: Peer) -> str:
        """Allow a peer to answer, and send it the papers; return the id of that message."""
        params = await self.authorise(peer)
        message = ServiceMessage(PDA_PATH, params.serialize())
        return await self.identity.send(peer.id, message, priority=Priority.CONTROL)

    async def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a small record of the app, durably."""
        await self._vault.put_record(namespace, key, value)

    async def recall(self, namespace: str, key: str) -> bytes | None:
        """Return a record of the app."""
        return await self._vault.get_record(namespace, key)

    async def forget(self, namespace: str, key: str) -> None:
        """Erase a record of the app."""
        await self._vault.delete_record(namespace, key)

    async def _ensure_registered(self) -> None:
        failures = 0
        while not self.registered.is_set() or self._renewal_is_due():
            try:
                await self.register()
            except GatewayMismatchError:
                raise
            except AwalaError as error:
                failures += 1
                logger.info("the private gateway does not register us yet: %s", error)
                if self._paths and self.registered.is_set():
                    return
                await self._clock.sleep(_REGISTRATION_DELAYS.wait(failures).total_seconds())
            else:
                return  # the gateway may certify for less than we ask for: that is no reason to ask again

    def _renewal_is_due(self) -> bool:
        """Say whether less than the threshold is left, and the gateway may have more to give (rules §2)."""
        now = self._clock.now()
        path = next((path for path in self._paths if path.leaf.not_after > now), None)
        if path is None:
            return True
        issued_recently = now - path.leaf.not_before < RENEWAL_THRESHOLD
        return path.leaf.not_after - now <= RENEWAL_THRESHOLD and not issued_recently

    async def _keep_collecting(self) -> None:
        attempts = Attempts(local_backoff())

        def note_open() -> None:
            attempts.opened(self._clock.now())
            self._handover.kick()

        while True:
            attempts.begin()
            retry_after = None
            if self._renewal_is_due():
                await self._register_again()
            try:
                await self._collect(note_open, attempts.succeeded)
            except UnauthenticatedError:
                await self._register_again()
            except AwalaError as error:
                retry_after = error.retry_after if isinstance(error, ServerError) else None
                logger.info("the private gateway cannot be reached: %s", error)
            await self._clock.sleep(attempts.wait(self._clock.now(), retry_after).total_seconds())

    async def _register_again(self) -> None:
        try:
            await self.register()
        except AwalaError as error:
            logger.info("registering again failed: %s", error)

    async def _collect(self, on_open: Callable[[], None], on_parcel: Callable[[], None]) -> None:
        async with self._client.collect(
            self._sign_nonce, StreamingMode.KEEP_ALIVE, on_open=on_open
        ) as collection:
            async for delivery in collection:
                await self._take(delivery.parcel)
                await delivery.acknowledge()
                on_parcel()

    async def _take(self, octets: bytes) -> None:
        """Judge a parcel and put it into the inbox; one that can never be accepted is dropped."""
        now = self._clock.now()
        message_id = ""
        try:
            parcel = Parcel.parse(octets)
            message_id = parcel.message_id
            if parcel.recipient.id != self.node_id:
                raise MalformedMessageError("the parcel is for another endpoint")
            path = parcel.authorise_at_endpoint([own.leaf for own in self._paths], now)
            await self._withdrawals.check(path, gateway_id=self.node_id)
        except MessageError as error:
            drop(
                self.events,
                Kind.PARCEL,
                message_id,
                way=Way.POWEB,
                now=now,
                size=len(octets),
                reason=str(error),
            )
            return
        await self._inbox.accept(parcel, octets, Way.POWEB)

    def _sign_nonce(self, nonce: bytes) -> Sequence[bytes]:
        leaf = self.own_path().leaf
        return [sign_detached(DetachedSignatureType.NONCE, nonce, self.identity.key, leaf)]

    async def _deliver(self, item: Item, octets: bytes) -> None:
        countersignature = await asyncio.to_thread(
            sign_detached,
            DetachedSignatureType.PARCEL_DELIVERY,
            octets,
            self.identity.key,
            self.own_path().leaf,
        )
        try:
            if item.identity.kind is Kind.CONTROL:
                await self._client.withdraw(octets, countersignature)  # a gateway may not know it: no loss
            else:
                await self._client.deliver(octets, countersignature)
        except UnauthenticatedError:
            await self._register_again()
            raise

    async def _open(self, parcel: Parcel) -> OpenedMessage:
        return await self.identity.open(parcel)

    def _dispatch(self, handle: HandleMessage) -> HandleMessage:
        async def dispatch(attempt: Attempt) -> None:
            if not await self.identity.take_control_message(attempt.message):
                await handle(attempt)

        return dispatch
