# SPDX-License-Identifier: MIT
"""The private endpoint: an app's way to the network through the private gateway of its device."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.errors import ServerError, UnauthenticatedError
from awala.bindings.poweb import PoWebClient, StreamingMode
from awala.crypto import ContentCipher, IdentityPrivateKey
from awala.messages import (
    DetachedSignatureType,
    MalformedMessageError,
    MessageError,
    Parcel,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationRequest,
    sign_detached,
)
from awala.nodes.background import supervised
from awala.nodes.backoff import LOCAL_WAIT, Attempts, Backoff, local_backoff
from awala.nodes.endpoint.errors import GatewayMismatchError, InvalidAuthorizationError, NotRegisteredError
from awala.nodes.endpoint.grants import Grants
from awala.nodes.endpoint.identity import EndpointIdentity
from awala.nodes.endpoint.inbox import Attempt, Inbox
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.sealing import OpenedMessage
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.held_paths import HeldPaths, began_last
from awala.nodes.intake import drop
from awala.nodes.lanes import APP, GATEWAY
from awala.nodes.quarantine import Quarantine
from awala.nodes.renewal import Renewal
from awala.nodes.trusted_time import in_doubt
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.nodes.withdrawals import Withdrawals
from awala.pki import Certificate, CertificationPath, build_path
from awala.pki.lifetimes import RENEWAL_THRESHOLD
from awala.spool.model import Hop, Item, Kind
from awala.spool.port import Spool
from awala.vault import Vault

logger = logging.getLogger(__name__)

IDENTITY_LABEL = "endpoint"
PURPOSE_ENDPOINT = "endpoint"
"""Certificates that the private gateway issued to this endpoint."""

_NAMESPACE = "endpoint"
_GATEWAY_ID = "gateway-id"
_GATEWAY_ADDRESS = "gateway-address"
_REGISTRATION_DELAYS = local_backoff()

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept and session keys are pruned."""

ASKING_INTERVAL = timedelta(days=1)
"""How often the gateway is asked for a certificate, to learn whether its own has changed (decision 45)."""

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
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> None:
        self.events = EventHub()
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._client = client
        self._paths = HeldPaths(
            vault, subject_id=key.node_id, purpose=PURPOSE_ENDPOINT, preference=began_last
        )
        self._gateway_address = ""
        self._asked: datetime | None = None
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
            content_cipher=content_cipher,
        )
        self._withdrawals = Withdrawals(vault=vault, spool=spool, clock=clock, events=self.events)
        self._grants = Grants(
            identity=self.identity,
            vault=vault,
            withdrawals=self._withdrawals,
            clock=clock,
            own_path=self.own_path,
            gateway_address=lambda: self._gateway_address,
        )
        self._renewal = Renewal(
            clock, is_due=self._registration_is_due, renew=self.register, backoff=Backoff(first=LOCAL_WAIT)
        )
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
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
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
            content_cipher=content_cipher,
        )
        await endpoint._load()
        return endpoint

    async def _load(self) -> None:
        await self._paths.load(self._clock.now())
        self._gateway_address = (await self._vault.get_record(_NAMESPACE, _GATEWAY_ADDRESS) or b"").decode()
        if self._paths.in_use(self._clock.now()) is not None:
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
        path = self._paths.in_use(self._clock.now())
        if path is None:
            raise NotRegisteredError("this endpoint has no valid certificate from its private gateway")
        return path

    async def register(self) -> None:
        """Register with the private gateway, or renew; raises BindingError, GatewayMismatchError."""
        key = self.identity.key
        authorization = await self._client.preregister(key.public_key.digest)
        request = RegistrationRequest(key.public_key, authorization).serialize(key)
        registration = Registration.parse(await self._client.register(request))
        await self._keep(registration)
        self._asked = self._clock.now()
        self.registered.set()
        self._grants.kick()

    async def _keep(self, registration: Registration) -> None:
        """Keep what the gateway issued, unless it has the same issuer as what we have, and is no renewal."""
        now = self._clock.now()
        leaf, gateway = registration.node_certificate, registration.gateway_certificate
        if leaf.public_key.spki != self.identity.key.public_key.spki:
            raise InvalidAuthorizationError("the gateway issued a certificate for another key")
        build_path(leaf, (), (gateway,), at=now)
        pinned = await self._vault.put_record_if_absent(_NAMESPACE, _GATEWAY_ID, gateway.node_id.encode())
        if pinned is not None and pinned.decode() != gateway.node_id:
            raise GatewayMismatchError("another private gateway answers than the one this app belongs to")
        current = self._paths.in_use(now)
        is_late = current is None or current.leaf.not_after - now <= RENEWAL_THRESHOLD
        if current is None or current.authorities != (gateway,) or (is_late and _lasts_longer(leaf, current)):
            await self._paths.add(CertificationPath(leaf, (gateway,)))
        await self._vault.put_record(_NAMESPACE, _GATEWAY_ADDRESS, registration.internet_address.encode())
        self._gateway_address = registration.internet_address

    async def run(self, handle: HandleMessage) -> None:
        """Register if needed, send what is in the outbox and give what arrives to ``handle``."""
        await self._grants.finish_withdrawals()
        await self._ensure_registered()
        dispatch = self._dispatch(handle)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised(self._handover.run, self._clock))
            group.create_task(self._keep_collecting())
            group.create_task(self._renewal.run())
            group.create_task(supervised(self._grants.run, self._clock))
            group.create_task(supervised(lambda: self._inbox.run(self._open, dispatch), self._clock))
            upkeep = keep_up(self._spool, self._clock, UPKEEP_INTERVAL, keys=self._keys, vault=self._vault)
            group.create_task(upkeep)

    async def authorise(self, peer: Peer) -> PrivateEndpointConnectionParams:
        """Allow a peer to send to this endpoint for as long as our certificate lives; return the papers."""
        return await self._grants.authorise(peer)

    async def send_authorization(self, peer: Peer) -> str:
        """Allow a peer to answer, and send it the papers; return the id of that message."""
        return await self._grants.send_authorization(peer)

    async def withdraw(self, peer_id: str) -> bool:
        """Let a peer send to this endpoint no longer; say whether it could (rules §3).

        In force here on return, and durably on its way to the gateways. Raises StorageFullError.
        """
        return await self._grants.withdraw(peer_id)

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
        while not self.registered.is_set():
            try:
                await self.register()
            except GatewayMismatchError:
                raise
            except AwalaError as error:
                failures += 1
                logger.info("the private gateway does not register us yet: %s", error)
                await self._clock.sleep(_REGISTRATION_DELAYS.wait(failures).total_seconds())
            else:
                return  # the gateway may certify for less than we ask for: that is no reason to ask again

    def _registration_is_due(self, now: datetime) -> bool:
        """Say whether it is time to ask the gateway for a certificate (rules §2, decision 45)."""
        path = self._paths.in_use(now)
        if path is None or path.leaf.not_after - now <= RENEWAL_THRESHOLD or self._asked is None:
            return True
        return not timedelta() <= now - self._asked < ASKING_INTERVAL

    async def _keep_collecting(self) -> None:
        attempts = Attempts(local_backoff())

        def note_open() -> None:
            attempts.opened(self._clock.now())
            self._handover.kick()
            self._renewal.kick()

        while True:
            attempts.begin()
            retry_after = None
            if self._paths.in_use(self._clock.now()) is None:
                await self._register_again()
            try:
                await self._collect(note_open, attempts.succeeded)
                self._asked = None  # the gateway ended it: its own certificate may be another one now
                self._renewal.issuer_changed()
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
            path = parcel.authorise_at_endpoint([own.leaf for own in self._paths.unexpired(now)], now)
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
        proves_time = in_doubt(self._spool, now) and await self._is_elsewhere(parcel.sender_id, now)
        await self._inbox.accept(parcel, octets, Way.POWEB, proves_time=proves_time)

    async def _is_elsewhere(self, peer_id: str, now: datetime) -> bool:
        """Say whether a peer is known to be on another device, which has a clock of its own (decision 44)."""
        peer = await self.identity.peers.get(peer_id)
        if peer is None or peer.kind is PeerKind.INTERNET:
            return peer is not None
        given, own = await self.identity.authorizations.given_by(peer_id, now), self._paths.in_use(now)
        if given is None or own is None:
            return False
        own_gateways = {certificate.node_id for certificate in own.authorities}
        return own_gateways.isdisjoint(certificate.node_id for certificate in given.authorities)

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
            if await self.identity.take_control_message(attempt.message):
                self._grants.kick()
            else:
                await handle(attempt)

        return dispatch


def _lasts_longer(leaf: Certificate, current: CertificationPath) -> bool:
    return leaf.not_after > current.leaf.not_after
