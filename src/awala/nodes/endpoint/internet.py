# SPDX-License-Identifier: MIT
"""The Internet endpoint: a service that anybody may write to, at an Internet address of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError, ConfigurationError
from awala.bindings.errors import Forbidden, MalformedRequest
from awala.bindings.pohttp import PoHttpClient
from awala.crypto import ContentCipher, IdentityPrivateKey
from awala.messages import (
    InvalidMessageError,
    MessageError,
    NodeConnectionParams,
    Parcel,
    is_internet_address,
    normalise_address,
)
from awala.nodes.background import supervised
from awala.nodes.endpoint.errors import NotAuthorisedError
from awala.nodes.endpoint.identity import EndpointIdentity
from awala.nodes.endpoint.inbox import Attempt, Inbox
from awala.nodes.endpoint.peers import Peer
from awala.nodes.endpoint.sealing import OpenedMessage
from awala.nodes.errors import NotInitialisedError
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.lanes import APP, INTERNET
from awala.nodes.quarantine import Quarantine
from awala.nodes.trusted_time import in_doubt
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.spool.model import Hop, Item
from awala.spool.port import Spool
from awala.vault import Vault

logger = logging.getLogger(__name__)

IDENTITY_LABEL = "internet-endpoint"
_NAMESPACE = "internet-endpoint"
_ADDRESS = "address"

UPKEEP_INTERVAL = timedelta(hours=1)
"""How often what has expired is swept, and the published session key is renewed when due."""


class InternetEndpoint:
    """An Internet endpoint with everything but its server."""

    def __init__(
        self,
        *,
        key: IdentityPrivateKey,
        address: str,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        client: PoHttpClient,
        session_key_retention: timedelta | None = None,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> None:
        self.events = EventHub()
        self.address = address
        self._vault = vault
        self._spool = spool
        self._clock = clock
        self._client = client
        self._params = b""
        self.identity = EndpointIdentity(
            key=key,
            vault=vault,
            spool=spool,
            clock=clock,
            events=self.events,
            outgoing=_hop,
            way=Way.POHTTP,
            session_key_retention=session_key_retention,
            content_cipher=content_cipher,
        )
        quarantine = Quarantine(vault, clock)
        self._keys = KeyUpkeep(self.identity.sessions, spool, unread=APP, quarantine=quarantine)
        self._inbox = Inbox(spool=spool, quarantine=quarantine, clock=clock, events=self.events)
        self._handover = Handover(
            spool, INTERNET, self._send_out, clock=clock, events=self.events, way=Way.POHTTP
        )

    @classmethod
    async def create(cls, vault: Vault, address: str) -> None:
        """Make the identity key and note the Internet address, unless they exist.

        Raises ConfigurationError for what is no domain name.
        """
        if not is_internet_address(address):
            raise ConfigurationError("the Internet address is not a domain name")
        address = normalise_address(address)
        await vault.put_record_if_absent(_NAMESPACE, _ADDRESS, address.encode("ascii"))
        if await vault.identity(IDENTITY_LABEL) is None:
            key = await asyncio.to_thread(IdentityPrivateKey.generate)
            await vault.save_identity(IDENTITY_LABEL, key)

    @classmethod
    async def open(
        cls,
        *,
        vault: Vault,
        spool: Spool,
        clock: Clock,
        client: PoHttpClient,
        session_key_retention: timedelta | None = None,
        content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    ) -> InternetEndpoint:
        """Load the endpoint; raise NotInitialisedError if there is none."""
        key = await vault.identity(IDENTITY_LABEL)
        address = await vault.get_record(_NAMESPACE, _ADDRESS)
        if key is None or address is None:
            raise NotInitialisedError("this data directory holds no Internet endpoint")
        endpoint = cls(
            key=key,
            address=address.decode("ascii"),
            vault=vault,
            spool=spool,
            clock=clock,
            client=client,
            session_key_retention=session_key_retention,
            content_cipher=content_cipher,
        )
        await endpoint.publish()
        return endpoint

    @property
    def node_id(self) -> str:
        """The endpoint's id."""
        return self.identity.node_id

    @property
    def clock(self) -> Clock:
        """The clock that this endpoint goes by."""
        return self._clock

    def connection_params(self) -> bytes:
        """Return the connection parameters that clients need to write to this endpoint."""
        return self._params

    async def publish(self) -> None:
        """Make the connection parameters anew, with the static session key of the day (rules §7)."""
        session_key = await self.identity.sessions.published(own_id=self.node_id, now=self._clock.now())
        params = NodeConnectionParams(self.address, self.identity.key.public_key, session_key)
        self._params = params.serialize()

    async def deliver(self, parcel: bytes) -> None:
        """Take over a parcel that came by PoHTTP; it is answered once it is durable in the inbox."""
        now = self._clock.now()
        try:
            message = Parcel.parse(parcel)
            self._judge(message, now)
        except InvalidMessageError as error:
            raise Forbidden(str(error)) from error
        except MessageError as error:
            raise MalformedRequest(str(error)) from error
        proves_time = in_doubt(self._spool, now) and await self._knows(message.sender_id)
        await self._inbox.accept(message, parcel, Way.POHTTP, proves_time=proves_time)

    async def _knows(self, peer_id: str) -> bool:
        return await self.identity.peers.get(peer_id) is not None

    def _judge(self, parcel: Parcel, now: datetime) -> None:
        parcel.validate(now)
        address = parcel.recipient.internet_address
        if parcel.recipient.id != self.node_id:
            raise InvalidMessageError("the parcel is for another endpoint")
        if address is None or normalise_address(address) != self.address:
            raise InvalidMessageError("the parcel is for another Internet address")

    async def run(self, handle: Callable[[Attempt], Awaitable[None]]) -> None:
        """Send what is in the outbox and give what arrives to ``handle``, until cancelled."""
        dispatch = self._dispatch(handle)
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised(self._handover.run, self._clock))
            group.create_task(supervised(lambda: self._inbox.run(self._open, dispatch), self._clock))
            upkeep = keep_up(self._spool, self._clock, UPKEEP_INTERVAL, keys=self._keys, vault=self._vault)
            group.create_task(upkeep)
            group.create_task(self._republish())

    async def _republish(self) -> None:
        while True:
            await self._clock.sleep(UPKEEP_INTERVAL.total_seconds())
            try:
                await self.publish()
            except AwalaError as error:
                logger.warning("renewal failed and will be tried again: %s", error)

    async def _send_out(self, item: Item, parcel: bytes) -> None:
        await self._client.deliver(item.hop.name, parcel)

    async def _open(self, parcel: Parcel) -> OpenedMessage:
        return await self.identity.open(parcel)

    def _dispatch(self, handle: Callable[[Attempt], Awaitable[None]]) -> Callable[[Attempt], Awaitable[None]]:
        async def dispatch(attempt: Attempt) -> None:
            if not await self.identity.take_control_message(attempt.message):
                await handle(attempt)

        return dispatch


def _hop(peer: Peer) -> Hop:
    if peer.address is None:
        raise NotAuthorisedError("where this peer can be reached is not known yet")
    return Hop(INTERNET, normalise_address(peer.address))
