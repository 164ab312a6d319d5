# SPDX-License-Identifier: MIT
"""Who may write to a private endpoint: allowed, allowed anew, withdrawn (rules §2, §3, §7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.messages import (
    InvalidMessageError,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    ServiceMessage,
)
from awala.messages.media_types import PDA_PATH
from awala.nodes.background import first_of
from awala.nodes.endpoint.errors import NotAuthorisedError, NotRegisteredError
from awala.nodes.endpoint.identity import EndpointIdentity
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.events import Way
from awala.nodes.lanes import GATEWAY
from awala.nodes.renewal import CHECK_INTERVAL
from awala.nodes.withdrawals import Withdrawals
from awala.pki import CertificationPath
from awala.spool.model import Carrier, Hop, Priority
from awala.vault import Vault

logger = logging.getLogger(__name__)

REPEAT_AFTER = timedelta(days=25)
"""After this an Internet peer is sent its authorisation again: some forget it after 30 days (rules §7)."""

_UNDER_WAY = "withdrawals-under-way"


class Grants:
    """The authorisations that one endpoint gives, and what was given under which certificate.

    Each peer's record says from where it was last allowed, and is written after the papers are durably
    on their way. So whatever stops the program, a peer that has no papers from where this endpoint is
    now gets them, at worst twice.
    """

    def __init__(
        self,
        *,
        identity: EndpointIdentity,
        vault: Vault,
        withdrawals: Withdrawals,
        clock: Clock,
        own_path: Callable[[], CertificationPath],
        gateway_address: Callable[[], str],
    ) -> None:
        self._identity = identity
        self._vault = vault
        self._withdrawals = withdrawals
        self._clock = clock
        self._own_path = own_path
        self._gateway_address = gateway_address
        self._changing = asyncio.Lock()
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Look at once who has to be allowed again: our certificate changed, or a peer can be written to."""
        self._kicked.set()

    async def run(self) -> None:
        """Send authorisations again whenever one is due, until cancelled."""
        while True:
            self._kicked.clear()
            try:
                await self.renew()
            except AwalaError as error:
                logger.warning("authorisations could not be renewed, which will be tried again: %s", error)
            await first_of(self._clock.sleep(CHECK_INTERVAL.total_seconds()), self._kicked.wait())

    async def renew(self) -> None:
        """Send authorisations to all allowed peers to which one is due; raises AwalaError."""
        for peer in await self._identity.peers.all():
            async with self._changing:
                known = await self._identity.peers.get(peer.id)
                if known is None or not self._is_due(known):
                    continue
                try:
                    await self._send(known)
                except NotAuthorisedError:
                    continue  # until it allows us to write to it

    def _is_due(self, peer: Peer) -> bool:
        """Say whether an allowed peer lacks papers from where we are, or may have forgotten them."""
        if peer.granted_until is None:
            return False
        try:
            if peer.granted_under != self._standing():
                return True
        except NotRegisteredError:
            return False
        age = self._clock.now() - (peer.granted_at or datetime.min.replace(tzinfo=peer.granted_until.tzinfo))
        return peer.kind is PeerKind.INTERNET and age >= REPEAT_AFTER

    def _standing(self) -> str:
        """Return what authorisations given now would name: our certificate and where its gateway is."""
        return f"{self._own_path().leaf.serial.hex()}@{self._gateway_address()}"

    async def authorise(self, peer: Peer) -> PrivateEndpointConnectionParams:
        """Allow a peer to send to us for as long as our certificate lives; return the papers."""
        async with self._changing:
            params = await self._issue(peer)
            await self._note(peer, params)
            return params

    async def send_authorization(self, peer: Peer) -> str:
        """Allow a peer to answer, and send it the papers; return the id of that message."""
        async with self._changing:
            return await self._send(peer)

    async def _send(self, peer: Peer) -> str:
        params = await self._issue(peer)
        message = ServiceMessage(PDA_PATH, params.serialize())
        message_id = await self._identity.send(peer.id, message, priority=Priority.CONTROL)
        await self._note(peer, params)
        return message_id

    async def _issue(self, peer: Peer) -> PrivateEndpointConnectionParams:
        now = self._clock.now()
        await self._identity.authorizations.forget_ended(peer.id, now)
        return await self._identity.authorizations.grant(
            peer.key,
            own_path=self._own_path(),
            gateway_address=self._gateway_address(),
            now=now,
            rate_limit=peer.rate_limit,
        )

    async def _note(self, peer: Peer, params: PrivateEndpointConnectionParams) -> None:
        await self._identity.peers.note_grant(
            peer,
            until=params.authorization.leaf.not_after,
            at=self._clock.now(),
            under=f"{params.authorization.authorities[0].serial.hex()}@{params.internet_address}",
        )

    async def withdraw(self, peer_id: str) -> bool:
        """Let a peer send to this endpoint no longer; say whether it could.

        In force here on return, and durably on its way to the gateways; the peer is told nothing
        (rules §3). Raises StorageFullError.
        """
        async with self._changing:
            withdrawal = await self._identity.authorizations.withdrawal(peer_id, self._clock.now())
            if withdrawal is None:
                await self._identity.peers.note_withdrawal(peer_id)  # what has ended is not given again
                return False
            octets = withdrawal.serialize()
            await self._vault.put_record(_UNDER_WAY, peer_id, octets)
            await self._withdraw(peer_id, octets)
            return True

    async def finish_withdrawals(self) -> None:
        """Complete the withdrawals that a stop of the program interrupted."""
        async with self._changing:
            for peer_id, octets in (await self._vault.records(_UNDER_WAY)).items():
                await self._withdraw(peer_id, octets)

    async def _withdraw(self, peer_id: str, octets: bytes) -> None:
        """Do what was noted to be done, and erase the note; any part of it may have been done before."""
        withdrawal = ParcelDeliveryDeauthorization.parse(octets)
        own_id = self._identity.node_id
        await self._identity.peers.note_withdrawal(peer_id)
        with suppress(InvalidMessageError):  # it has ended by itself meanwhile
            await self._withdrawals.put_into_force(withdrawal, octets, gateway_id=own_id, way=Way.POWEB)
            hop = Hop(GATEWAY, own_id)
            await self._withdrawals.pass_on(withdrawal, octets, hop=hop, carriers=Carrier.ONLINE)
            await self._identity.authorizations.forget(peer_id, withdrawal.serials)
        await self._vault.delete_record(_UNDER_WAY, peer_id)
