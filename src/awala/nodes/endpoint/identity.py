# SPDX-License-Identifier: MIT
"""What both kinds of endpoint have: a key, peers, authorisations, and a way to seal and open."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.crypto import ContentCipher, IdentityPrivateKey
from awala.messages import (
    MessageError,
    NodeConnectionParams,
    Parcel,
    PrivateEndpointConnectionParams,
    ServiceMessage,
)
from awala.messages.media_types import PDA_PATH
from awala.nodes.endpoint.authorizations import Authorizations
from awala.nodes.endpoint.errors import (
    InvalidAuthorizationError,
    PeerIdentityChangedError,
    UnknownPeerError,
)
from awala.nodes.endpoint.inbox import UnwantedMessageError
from awala.nodes.endpoint.peers import Peer, PeerBook, PeerKind
from awala.nodes.endpoint.sealing import OpenedMessage, Sealer
from awala.nodes.events import EventHub, Way
from awala.nodes.intake import capped_expiry, take_over
from awala.pki.lifetimes import BACKDATING
from awala.sessions import Sessions
from awala.spool.model import Carrier, Hop, Kind, Priority
from awala.spool.port import Spool
from awala.vault import Vault

DEFAULT_LIFE = timedelta(days=90)
"""How long a message may be on its way unless the app says otherwise."""

MAX_LIFE = timedelta(days=180)
"""The longest life of any message (RS-001)."""

OnAuthorization = Callable[[Peer], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message that is ready for the outbox: its parcel."""

    parcel: Parcel
    octets: bytes

    @property
    def message_id(self) -> str:
        """The message's id."""
        return self.parcel.message_id


@dataclass(frozen=True, slots=True)
class Posted:
    """A message in the outbox, and when it leaves it in any case."""

    message_id: str
    expiry: datetime


class EndpointIdentity:
    """One endpoint's own side of all its conversations; how parcels travel is not its business."""

    def __init__(
        self,
        *,
        key: IdentityPrivateKey,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        events: EventHub,
        outgoing: Callable[[Peer], Hop],
        way: Way,
        message_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        session_key_retention: timedelta | None = None,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> None:
        self.key = key
        self.peers = PeerBook(vault, key.node_id)
        self.sessions = Sessions(
            vault.session_keys, content_cipher=content_cipher, retention=session_key_retention
        )
        self.authorizations = Authorizations(key=key, vault=vault, sessions=self.sessions)
        self._sealer = Sealer(key=key, sessions=self.sessions, authorizations=self.authorizations)
        self._spool = spool
        self._clock = clock
        self._events = events
        self._outgoing = outgoing
        self._way = way
        self._message_id = message_id
        self.on_authorization: OnAuthorization | None = None
        """Called with each peer whose authorisation came in a message: we may write to it from now on."""

    @property
    def node_id(self) -> str:
        """The endpoint's id."""
        return self.key.node_id

    async def send(
        self,
        peer_id: str,
        message: ServiceMessage,
        *,
        life: timedelta = DEFAULT_LIFE,
        priority: Priority = Priority.BULK,
    ) -> str:
        """Do what `post` does, and return the message's id alone."""
        return (await self.post(peer_id, message, life=life, priority=priority)).message_id

    async def post(
        self,
        peer_id: str,
        message: ServiceMessage,
        *,
        life: timedelta = DEFAULT_LIFE,
        priority: Priority = Priority.BULK,
    ) -> Posted:
        """Seal a message and put it into the outbox; return its id and expiry once it is durable there.

        Raises UnknownPeerError, NotAuthorisedError, MessageTooLargeError, StorageFullError.
        """
        sealed = await self.seal(peer_id, message, life=life)
        await self._put_out(sealed.parcel, sealed.octets, priority)
        return Posted(sealed.message_id, capped_expiry(sealed.parcel))

    async def seal(
        self, peer_id: str, message: ServiceMessage, *, life: timedelta, message_id: str | None = None
    ) -> Sealed:
        """Make the parcel of a message, and put it nowhere; it has a new id unless one is given.

        Raises UnknownPeerError, NotAuthorisedError, MessageTooLargeError.
        """
        peer = await self.require_peer(peer_id)
        self._outgoing(peer)  # a peer that cannot be reached is told now
        parcel, octets = await self._sealer.seal(
            message,
            peer=peer,
            message_id=message_id or self._message_id(),
            now=self._clock.now(),
            life=min(life, MAX_LIFE),
        )
        return Sealed(parcel, octets)

    async def put_out(self, octets: bytes) -> None:
        """Put a parcel of `seal` into the outbox; repeating it changes nothing. Raises StorageFullError."""
        await self._put_out(Parcel.parse(octets), octets, Priority.BULK)

    async def _put_out(self, parcel: Parcel, octets: bytes, priority: Priority) -> None:
        await take_over(
            self._spool,
            self._events,
            parcel,
            octets,
            kind=Kind.PARCEL,
            hop=self._outgoing(await self.require_peer(parcel.recipient.id)),
            way=self._way,
            now=self._clock.now(),
            carriers=Carrier.ONLINE,
            priority=priority,
        )

    async def require_peer(self, peer_id: str) -> Peer:
        """Return a peer; raises UnknownPeerError."""
        peer = await self.peers.get(peer_id)
        if peer is None:
            raise UnknownPeerError("no peer with this id is known to this endpoint")
        return peer

    async def add_internet_peer(self, params: NodeConnectionParams, name: str = "") -> Peer:
        """Learn an Internet endpoint from its connection parameters; its key is pinned by them (rules §10).

        Raises PeerIdentityChangedError if another endpoint is known at that address.
        """
        peer = Peer(
            id=params.identity_key.node_id,
            kind=PeerKind.INTERNET,
            key=params.identity_key,
            address=params.internet_address,
            name=name,
        )
        for other in await self.peers.all():
            at_same_address = other.kind is PeerKind.INTERNET and other.address == peer.address
            if at_same_address and other.id != peer.id:
                raise PeerIdentityChangedError("another endpoint is known at this Internet address")
        await self.sessions.adopt(
            params.session_key, own_id=self.node_id, peer_id=peer.id, as_of=self._clock.now() - BACKDATING
        )
        known = await self.peers.get(peer.id)
        if known is not None:
            if known.address == peer.address:
                return known
            peer = replace(known, address=peer.address, name=name or known.name)
        await self.peers.save(peer)
        return peer

    async def take_authorization(
        self,
        params: PrivateEndpointConnectionParams,
        *,
        sender_id: str,
        sent: datetime | None = None,
        name: str = "",
    ) -> Peer:
        """Keep an authorisation that came from a private endpoint, and learn where that peer is.

        ``sent`` is the date of the message that carried it; without it, it came out of band. One that
        does not replace what we have (decision 24) changes nothing but the name. Raises
        InvalidAuthorizationError.
        """
        now = self._clock.now()
        await self.authorizations.take(
            params, expected_peer=sender_id, now=now, as_of=sent or now - BACKDATING
        )
        given = await self.authorizations.given_by(sender_id, now)
        counts = given is not None and given.chain == params.authorization.chain  # also when it is repeated

        def learn(known: Peer | None) -> Peer:
            address = params.internet_address
            if known is None:
                return Peer(sender_id, PeerKind.PRIVATE, params.identity_key, address, name=name)
            # What was not taken is an old one that came late, with an old address.
            return replace(known, address=address if counts else known.address, name=name or known.name)

        return await self.peers.update(sender_id, learn)

    async def open(self, parcel: Parcel) -> OpenedMessage:
        """Decrypt a parcel from a peer."""
        return await self._sealer.open(parcel, self._clock.now())

    async def take_control_message(self, message: OpenedMessage) -> bool:
        """Deal with a message that is for the endpoint itself; say whether it was one.

        Raises UnwantedMessageError for an authorisation that does not hold, and never will.
        """
        if message.type != PDA_PATH:
            return False
        try:
            params = PrivateEndpointConnectionParams.parse(message.content)
            peer = await self.take_authorization(params, sender_id=message.sender_id, sent=message.created)
        except (MessageError, InvalidAuthorizationError) as error:
            raise UnwantedMessageError(str(error)) from error
        if self.on_authorization is not None:
            await self.on_authorization(peer)
        return True

    def now(self) -> datetime:
        """Return the present."""
        return self._clock.now()
