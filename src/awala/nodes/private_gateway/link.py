# SPDX-License-Identifier: MIT
"""The on-line exchange with one Internet gateway: a client, a collection that is kept open, renewal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.bindings.errors import ServerError, UnauthenticatedError
from awala.bindings.poweb import AckPacing, PoWebClient, StreamingMode
from awala.messages import DetachedSignatureType, sign_detached
from awala.nodes.background import first_of
from awala.nodes.backoff import INTERNET_WAIT, Attempts, Backoff
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.incoming import Incoming
from awala.nodes.private_gateway.pairing import Connect, Pairing
from awala.spool.model import Item, Kind

logger = logging.getLogger(__name__)


class Link:
    """Keeps in touch with one Internet gateway for as long as there is a way to it."""

    def __init__(
        self,
        peer: InternetGatewayPeer,
        *,
        credentials: Credentials,
        pairing: Pairing,
        connect: Connect,
        incoming: Incoming,
        clock: Clock,
        backoff: Backoff,
        on_open: Callable[[], None],
    ) -> None:
        self.peer = peer
        self._credentials = credentials
        self._pairing = pairing
        self._connect = connect
        self._incoming = incoming
        self._clock = clock
        self._attempts = Attempts(backoff)
        self._on_open = on_open
        self._client: PoWebClient | None = None
        self._connecting = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._pacing = AckPacing()
        self._kicked = asyncio.Event()
        self._reachable = asyncio.Event()
        self.online = False
        """Whether a collection is open at this moment."""
        self.last_error: str = ""
        """Why there is no connection; empty while there is one."""

    def kick(self) -> None:
        """Try at once, whatever the back-off says."""
        self._kicked.set()

    async def run(self) -> None:
        """Collect until cancelled, or until a former gateway has nothing more to do with us."""
        try:
            while self.peer in self._credentials.gateways(self._clock.now()):
                self._kicked.clear()
                self._reachable.clear()
                self._attempts.begin()
                retry_after = None
                try:
                    await self._collect()
                except AwalaError as error:
                    self.last_error = str(error)
                    retry_after = error.retry_after if isinstance(error, ServerError) else None
                    logger.info("the exchange with the Internet gateway failed: %s", error)
                    await self._after_failure(error)
                self.online = False
                await self._pause(self._attempts.wait(self._clock.now(), retry_after).total_seconds())
        finally:
            self.online = False
            await self.close()

    async def deliver(self, item: Item, octets: bytes) -> None:
        """Hand a parcel or a withdrawal over; raises what the client raises, NotPairedError."""
        path = self._credentials.uplink_path(self._clock.now(), self.peer.node_id)
        countersignature = await asyncio.to_thread(
            sign_detached, DetachedSignatureType.PARCEL_DELIVERY, octets, self._credentials.key, path.leaf
        )
        client = await self._get_client()  # last: until it is used, nothing else may run and close it
        try:
            if item.identity.kind is Kind.CONTROL:
                await client.withdraw(octets, countersignature)  # one that does not know it never will
            else:
                await client.deliver(octets, countersignature)
        except UnauthenticatedError:
            await self._register_again()
            raise
        if not self.online:
            self._reachable.set()  # so a collection need not wait for long any more

    async def renew_if_due(self) -> None:
        """Get a new certificate if it is time for one; raises AwalaError (rules §2)."""
        async with self._renewing:
            if self._credentials.renewal_is_due(self._clock.now()):
                await self._pairing.renew(await self._get_client())

    async def close(self) -> None:
        """Close the client; another one is made when it is needed."""
        async with self._renewing:  # which sends several requests with the same client
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()

    @property
    def _is_paired(self) -> bool:
        return self._credentials.known_peer == self.peer

    async def _after_failure(self, error: AwalaError) -> None:
        if isinstance(error, UnauthenticatedError):
            await self._register_again()
        await self.close()

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer once parcels get through again, which shortens no wait below the first."""
        await first_of(self._clock.sleep(seconds), self._kicked.wait(), self._until_reachable())

    async def _until_reachable(self) -> None:
        await self._clock.sleep(INTERNET_WAIT.total_seconds())
        await self._reachable.wait()

    async def _collect(self) -> None:
        client = await self._get_client()
        if self._is_paired and not self._credentials.life_left(self._clock.now()):
            await self.renew_if_due()  # nothing can be collected without a certificate
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
        self._on_open()

    def _sign_nonce(self, nonce: bytes) -> Sequence[bytes]:
        path = self._credentials.uplink_path(self._clock.now(), self.peer.node_id)
        return [sign_detached(DetachedSignatureType.NONCE, nonce, self._credentials.key, path.leaf)]

    async def _register_again(self) -> None:
        """Register again: the paired gateway no longer knows our certificate (rules §9)."""
        if not self._is_paired:
            return
        async with self._renewing:
            try:
                await self._pairing.renew(await self._get_client())
            except AwalaError as error:
                logger.info("registering again failed: %s", error)

    async def _get_client(self) -> PoWebClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect(self.peer.address)
                self._client.pacing = self._pacing
            return self._client
