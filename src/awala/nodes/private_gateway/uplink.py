# SPDX-License-Identifier: MIT
"""The on-line exchange with the Internet gateway: parcels out as they come, parcels in as they wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.errors import ServerError, UnauthenticatedError
from awala.bindings.poweb import AckPacing, PoWebClient, StreamingMode
from awala.messages import DetachedSignatureType, sign_detached
from awala.nodes.background import first_of
from awala.nodes.backoff import INTERNET_WAIT, Attempts, Backoff
from awala.nodes.events import EventHub, Way
from awala.nodes.handover import Handover
from awala.nodes.lanes import UPLINK
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.incoming import Incoming
from awala.nodes.private_gateway.pairing import Connect, Pairing
from awala.nodes.quarantine import Quarantine
from awala.spool.model import Item, Kind
from awala.spool.port import Spool

logger = logging.getLogger(__name__)


class Uplink:
    """Keeps in touch with the Internet gateway for as long as there is a way to it."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        pairing: Pairing,
        connect: Connect,
        spool: Spool,
        incoming: Incoming,
        quarantine: Quarantine,
        clock: Clock,
        events: EventHub,
    ) -> None:
        self._credentials = credentials
        self._pairing = pairing
        self._connect = connect
        self._incoming = incoming
        self._clock = clock
        self._backoff = Backoff(first=INTERNET_WAIT)
        self._attempts = Attempts(self._backoff)
        self._client: PoWebClient | None = None
        self._client_peer: InternetGatewayPeer | None = None
        self._moved = asyncio.Event()
        self._connecting = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._pacing = AckPacing()
        self._kicked = asyncio.Event()
        self._reachable = asyncio.Event()
        self._handover = Handover(
            spool,
            UPLINK,
            self._deliver,
            clock=clock,
            events=events,
            way=Way.POWEB,
            backoff=self._backoff,
            quarantine=quarantine,
        )
        self.online = False
        """Whether a collection is open at this moment."""
        self.last_error: str = ""
        """Why there is no connection; empty while there is one."""

    def kick(self) -> None:
        """Try at once, whatever the back-off says; leave a gateway that we are no longer paired with."""
        if self._is_elsewhere():
            self._moved.set()
        self._kicked.set()
        self._handover.kick()

    async def run(self) -> None:
        """Exchange until cancelled; begins once the private gateway is paired."""
        await self._credentials.paired.wait()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._handover.run())
                group.create_task(self._keep_collecting())
        finally:
            await self._forget_client()

    async def _keep_collecting(self) -> None:
        while True:
            self._kicked.clear()
            self._reachable.clear()
            self._attempts.begin()
            retry_after = None
            try:
                await first_of(self._collect(), self._moved.wait())
            except AwalaError as error:
                self.last_error = str(error)
                retry_after = error.retry_after if isinstance(error, ServerError) else None
                logger.info("the exchange with the Internet gateway failed: %s", error)
                await self._after_failure(error)
            self.online = False
            await self._pause(self._attempts.wait(self._clock.now(), retry_after).total_seconds())

    async def _after_failure(self, error: AwalaError) -> None:
        if isinstance(error, UnauthenticatedError):
            await self._renew()
        await self._forget_client()

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer once parcels get through again, which shortens no wait below the first."""
        await first_of(self._clock.sleep(seconds), self._kicked.wait(), self._until_reachable())

    async def _until_reachable(self) -> None:
        await self._clock.sleep(INTERNET_WAIT.total_seconds())
        await self._reachable.wait()

    async def _collect(self) -> None:
        self._moved.clear()
        await self._leave_former_peer()
        client = await self._get_client()
        if self._credentials.renewal_is_due(self._clock.now()):
            await self._pairing.renew(client)
        async with client.collect(
            self._sign_nonce, StreamingMode.KEEP_ALIVE, on_open=self._opened
        ) as collection:
            async for delivery in collection:
                await self._incoming.from_collection(delivery.parcel)
                await delivery.acknowledge()
                self._attempts.succeeded()

    def _opened(self) -> None:
        self.online = True
        self.last_error = ""
        self._attempts.opened(self._clock.now())
        self._handover.kick()

    def _sign_nonce(self, nonce: bytes) -> Sequence[bytes]:
        path = self._credentials.uplink_path(self._clock.now())
        return [sign_detached(DetachedSignatureType.NONCE, nonce, self._credentials.key, path.leaf)]

    async def _deliver(self, item: Item, octets: bytes) -> None:
        path = self._credentials.uplink_path(self._clock.now())
        countersignature = await asyncio.to_thread(
            sign_detached, DetachedSignatureType.PARCEL_DELIVERY, octets, self._credentials.key, path.leaf
        )
        await self._leave_former_peer()
        client = await self._get_client()  # last: until it is used, nothing else may run and close it
        try:
            if item.identity.kind is Kind.CONTROL:
                await client.withdraw(octets, countersignature)  # one that does not know it never will
            else:
                await client.deliver(octets, countersignature)
        except UnauthenticatedError:
            await self._renew()
            raise
        if not self.online:
            self._reachable.set()  # so a collection need not wait for long any more

    async def _renew(self) -> None:
        """Register again: the gateway no longer knows our certificate (rules §9)."""
        async with self._renewing:
            try:
                await self._pairing.renew(await self._get_client())
            except AwalaError as error:
                logger.info("registering again failed: %s", error)

    async def _get_client(self) -> PoWebClient:
        async with self._connecting:
            if self._client is None:
                peer = self._credentials.peer
                self._client = await self._connect(peer.address)
                self._client.pacing = self._pacing
                self._client_peer = peer
            return self._client

    def _is_elsewhere(self) -> bool:
        """Say whether the client is that of another Internet gateway than the paired one."""
        former, peer = self._client_peer, self._credentials.known_peer
        if self._client is None or former is None or peer is None:
            return False
        return (former.node_id, former.address) != (peer.node_id, peer.address)

    async def _leave_former_peer(self) -> None:
        """After pairing with another Internet gateway, nothing more goes to the former one."""
        if self._is_elsewhere():
            await self._forget_client()

    async def _forget_client(self) -> None:
        async with self._renewing:  # which sends several requests with the same client
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()
