# SPDX-License-Identifier: MIT
"""Pairing with an Internet gateway, and renewing the certificate that it issues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from awala.base.clock import Clock
from awala.bindings.poweb import PoWebClient
from awala.messages import (
    MessageError,
    NodeConnectionParams,
    Registration,
    RegistrationRequest,
    normalise_address,
)
from awala.nodes.errors import PairingError
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.trusted_time import confirm_by
from awala.pki import CertificationPath, PathError, build_path
from awala.pki.lifetimes import BACKDATING
from awala.sessions import Sessions
from awala.spool.port import Spool

Connect = Callable[[str], Awaitable[PoWebClient]]
"""Finds the Internet gateway of an address and returns a client for it."""


class Pairing:
    """Registers this private gateway with an Internet gateway, first and again."""

    def __init__(
        self, *, credentials: Credentials, sessions: Sessions, spool: Spool, clock: Clock, connect: Connect
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._spool = spool
        self._clock = clock
        self._connect = connect

    async def pair(self, address: str, params: NodeConnectionParams | None = None) -> InternetGatewayPeer:
        """Register with the Internet gateway at ``address``; ``params`` pins its identity.

        Raises AddressError, BindingError or PairingError; nothing is changed then.
        """
        client = await self._connect(address)
        try:
            registration = await self._register(client)
        finally:
            await client.aclose()
        now = self._clock.now()
        peer = self._check(registration, now)
        if peer.address != normalise_address(address):
            raise PairingError("the Internet gateway goes by another address than the one it was found at")
        if params is not None and params.identity_key.spki != peer.identity_key.spki:
            raise PairingError("the Internet gateway's key is not the one in the connection parameters")
        for known in self._credentials.known_gateways():
            if known.address == peer.address and known.node_id != peer.node_id:
                raise PairingError("the Internet gateway at this address has changed its identity")
        await self._keep(registration, peer, now)
        await self._credentials.save_peer(peer)
        return peer

    async def renew(self, client: PoWebClient) -> None:
        """Get a new certificate from the paired Internet gateway; its key must be the known one."""
        registration = await self._register(client)
        now = self._clock.now()
        peer = self._check(registration, now)
        if peer.identity_key.spki != self._credentials.peer.identity_key.spki:
            raise PairingError("the Internet gateway has changed its identity")
        await self._keep(registration, self._credentials.peer, now)

    async def _register(self, client: PoWebClient) -> Registration:
        key = self._credentials.key
        authorization = await client.preregister(key.public_key.digest)
        request = RegistrationRequest(key.public_key, authorization).serialize(key)
        answer = await client.register(request)
        try:
            return Registration.parse(answer)
        except MessageError as error:
            raise PairingError(f"the Internet gateway's answer cannot be read: {error}") from error

    def _check(self, registration: Registration, now: datetime) -> InternetGatewayPeer:
        """Return who registered us, if what it issued is ours and holds."""
        gateway = registration.gateway_certificate
        if registration.node_certificate.public_key.spki != self._credentials.key.public_key.spki:
            raise PairingError("the certificate from the Internet gateway is for another key")
        if registration.session_key is None:
            raise PairingError("the Internet gateway gave no session key")
        try:
            build_path(registration.node_certificate, (), (gateway,), at=now)
        except PathError as error:
            raise PairingError(f"the certificate from the Internet gateway does not hold: {error}") from error
        address = normalise_address(registration.internet_address)
        return InternetGatewayPeer(gateway.node_id, address, gateway.public_key)

    async def _keep(self, registration: Registration, peer: InternetGatewayPeer, now: datetime) -> None:
        """Keep what the Internet gateway gave us.

        It made our certificate just now and by its own clock, which so confirms the time (rules §2).
        """
        if registration.session_key is None:  # pragma: no cover - refused by _check
            raise PairingError("the Internet gateway gave no session key")
        await self._sessions.adopt(
            registration.session_key,
            own_id=self._credentials.node_id,
            peer_id=peer.node_id,
            as_of=now - BACKDATING,
        )
        await self._credentials.save_uplink_path(
            CertificationPath(registration.node_certificate, (registration.gateway_certificate,))
        )
        await confirm_by(self._spool, registration.node_certificate.not_before, now)
