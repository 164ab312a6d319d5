# SPDX-License-Identifier: MIT
"""An app with an endpoint behind the private gateway of its device."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.poweb import DEFAULT_LOCAL_GATEWAY
from awala.messages import NodeConnectionParams, ServiceMessage
from awala.nodes.background import in_background
from awala.nodes.endpoint.identity import DEFAULT_LIFE
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.endpoint.root import open_private_endpoint
from awala.pki import RateLimit
from awala.sdk.context import empty_outbox
from awala.sdk.database import AppDatabase, open_database
from awala.sdk.handlers import H, Handlers
from awala.sdk.messages import Ticket, Tickets
from awala.sdk.pairing import NONCE_SIZE, Invitation, Offer

_OFFERS = "offers"
OFFER_LIFE = timedelta(days=30)
"""How long an offer may be answered."""


class PairingRefusedError(AwalaError):
    """An invitation that does not answer an offer of this app."""

    advice = "Make a new offer and have it answered; each offer pairs once."


class PrivateApp:
    """One app on this device; get one from `PrivateApp.open`.

    What was sent is durable when `send` returns, also without a gateway or
    a network. Handlers run one at a time, each message until it was dealt with.
    """

    def __init__(self, endpoint: PrivateEndpoint, database: AppDatabase) -> None:
        self._endpoint = endpoint
        self._database = database
        self._handlers = Handlers()
        self._handlers.bind(endpoint.identity, database)
        self._tickets = Tickets(endpoint.events, endpoint.clock)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        data_dir: Path,
        *,
        gateway: str = DEFAULT_LOCAL_GATEWAY,
        clock: Clock | None = None,
        setup: Callable[[PrivateApp], None] | None = None,
    ) -> AsyncIterator[PrivateApp]:
        """Open the app's data, which are made the first time, and run it for as long as the block lasts.

        ``setup`` registers handlers before the first message is given out.
        """
        async with (
            open_private_endpoint(data_dir, gateway=gateway, clock=clock) as endpoint,
            open_database(data_dir, endpoint.clock) as database,
        ):
            app = cls(endpoint, database)
            if setup is not None:
                setup(app)
            async with in_background(
                endpoint.run(app._handlers.receive),
                app._tickets.run(),
                empty_outbox(database, endpoint.identity, endpoint.clock),
            ):
                yield app

    @property
    def id(self) -> str:
        """The node id of this app's endpoint."""
        return self._endpoint.node_id

    def on(self, message_type: str | None = None) -> Callable[[H], H]:
        """Register a handler for messages of a type; without a type, for all that have no own handler.

        A handler with a second parameter gets a `Context` there.
        """
        return self._handlers.on(message_type)

    def transaction(self) -> AbstractAsyncContextManager[sqlite3.Connection]:
        """Give the connection to ``app.sqlite``, outside of any handler; what the block writes is committed.

        Raises StorageError and StorageFullError; nothing was kept then.
        """
        return self._database.transaction()

    def on_authorised(self, handler: Callable[[Peer], Awaitable[None]]) -> None:
        """Have ``handler`` called with each peer that says, in a message, that this app may write to it."""
        self._endpoint.identity.on_authorization = handler

    async def registered(self) -> None:
        """Return when the private gateway has registered this app's endpoint."""
        await self._endpoint.registered.wait()

    async def send(
        self, peer: Peer | str, message_type: str, content: bytes, *, expires_in: timedelta = DEFAULT_LIFE
    ) -> Ticket:
        """Send a message; it is in the outbox, durably, when this returns.

        Raises UnknownPeerError, NotAuthorisedError, MessageTooLargeError, StorageFullError.
        """
        peer_id = peer if isinstance(peer, str) else peer.id
        posted = await self._endpoint.identity.post(
            peer_id, ServiceMessage(message_type, content), life=expires_in
        )
        return self._tickets.issue(posted.message_id, posted.expiry)

    async def peers(self) -> list[Peer]:
        """Return all peers."""
        return await self._endpoint.identity.peers.all()

    async def add_internet_peer(self, params: bytes, *, allow_replies: bool = True) -> Peer:
        """Learn an Internet endpoint from its connection parameters, and let it answer.

        Raises MessageError for parameters that cannot be read, NotRegisteredError.
        """
        peer = await self._endpoint.identity.add_internet_peer(NodeConnectionParams.parse(params))
        if allow_replies and not self._is_granted(peer):
            await self._endpoint.send_authorization(peer)
        return peer

    def _is_granted(self, peer: Peer) -> bool:
        """Say whether a peer was allowed to answer for as long as our certificate lives."""
        return (
            peer.granted_until is not None and peer.granted_until >= self._endpoint.own_path().leaf.not_after
        )

    async def withdraw(self, peer: Peer | str) -> bool:
        """Let a peer write to this app no longer; say whether it could.

        The peer is told nothing. What it sends is refused here from now on, by the private gateway once
        that knows, and by the Internet gateway in its turn, on-line or by courier. Raises StorageFullError.
        """
        return await self._endpoint.withdraw(peer if isinstance(peer, str) else peer.id)

    async def limit(self, peer: Peer | str, rate_limit: RateLimit | None) -> None:
        """Hold a peer to so many messages in a period, or to no limit, and say so in a new authorisation.

        What it was authorised before is withdrawn: both gateways refuse what exceeds the limit, once they
        know. Raises UnknownPeerError, NotAuthorisedError, StorageFullError.
        """
        known = await self._endpoint.identity.require_peer(peer if isinstance(peer, str) else peer.id)
        await self._endpoint.withdraw(known.id)
        limited = await self._endpoint.identity.peers.update(
            known.id, lambda current: replace(current or known, rate_limit=rate_limit)
        )
        await self._endpoint.send_authorization(limited)

    async def offer(self) -> Offer:
        """Make an offer to pair; the other person's app answers it with an invitation.

        Raises NotRegisteredError: the offer says where this app is found.
        """
        self._endpoint.own_path()
        nonce = secrets.token_bytes(NONCE_SIZE)
        expiry = self._endpoint.identity.now() + OFFER_LIFE
        await self._endpoint.remember(_OFFERS, nonce.hex(), json.dumps(expiry.isoformat()).encode())
        return Offer(self._endpoint.identity.key.public_key, self._endpoint.gateway_address, nonce)

    async def accept(
        self, offer: Offer, *, name: str = "", rate_limit: RateLimit | None = None
    ) -> Invitation:
        """Answer an offer: allow its maker to write to us. We may write once its answer has arrived.

        ``rate_limit`` is how many messages it may send in a period.
        """
        identity = self._endpoint.identity
        known = await identity.peers.get(offer.key.node_id)
        peer = known or Peer(
            id=offer.key.node_id, kind=PeerKind.PRIVATE, key=offer.key, address=offer.address, name=name
        )
        peer = replace(peer, rate_limit=rate_limit)
        await identity.peers.save(peer)
        return Invitation(await self._endpoint.authorise(peer), offer.nonce)

    async def complete(self, invitation: Invitation, *, name: str = "") -> Peer:
        """Take an invitation that answers an offer of ours, and allow the other side to write to us.

        Raises PairingRefusedError, InvalidAuthorizationError; nothing is changed then.
        """
        key = invitation.nonce.hex()
        record = await self._endpoint.recall(_OFFERS, key)
        if record is None or datetime.fromisoformat(json.loads(record)) < self._endpoint.identity.now():
            raise PairingRefusedError(
                "the invitation does not answer an offer of this app, or comes too late"
            )
        peer = await self._endpoint.identity.take_authorization(
            invitation.params, sender_id=invitation.params.identity_key.node_id, name=name
        )
        await self._endpoint.send_authorization(peer)
        await self._endpoint.forget(_OFFERS, key)
        return peer
