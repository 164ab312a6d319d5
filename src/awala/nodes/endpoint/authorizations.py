# SPDX-License-Identifier: MIT
"""Authorisations (PDAs): what we give to peers, and what they gave to us (rules §3)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

from awala.base.errors import AwalaError
from awala.crypto import IdentityPrivateKey, IdentityPublicKey
from awala.messages import ParcelDeliveryDeauthorization, PrivateEndpointConnectionParams
from awala.nodes.endpoint.errors import InvalidAuthorizationError
from awala.pki import (
    CLOCK_TOLERANCE,
    Certificate,
    CertificationPath,
    RateLimit,
    Role,
    build_path,
    issue_now,
)
from awala.sessions import Sessions
from awala.vault import Vault


class Authorizations:
    """Issues, checks and keeps the authorisations of one endpoint."""

    def __init__(self, *, key: IdentityPrivateKey, vault: Vault, sessions: Sessions) -> None:
        self._key = key
        self._vault = vault
        self._sessions = sessions
        self._namespace = f"authorizations/{key.node_id}"
        self._grants = f"grants/{key.node_id}"

    async def grant(
        self,
        peer_key: IdentityPublicKey,
        *,
        own_path: CertificationPath,
        gateway_address: str,
        now: datetime,
        until: datetime | None = None,
        rate_limit: RateLimit | None = None,
    ) -> PrivateEndpointConnectionParams:
        """Allow a peer to send to us until our certificate ends, or ``until`` if that is earlier.

        The session key inside is bound to that peer and durable on return, and so is the note of what
        was granted, which a withdrawal needs.
        """
        pda = await asyncio.to_thread(
            lambda: issue_now(
                subject_key=peer_key,
                issuer_key=self._key,
                issuer=own_path.leaf,
                role=Role.DELIVERY_AUTHORIZATION,
                now=now,
                until=until,
                rate_limit=rate_limit,
            )
        )
        await self._note(peer_key.node_id, pda)
        session_key = await self._sessions.hand_out(
            own_id=self._key.node_id, peer_id=peer_key.node_id, now=now, until=pda.not_after
        )
        return PrivateEndpointConnectionParams(
            identity_key=self._key.public_key,
            internet_address=gateway_address,
            authorization=CertificationPath(pda, own_path.chain),
            session_key=session_key,
        )

    async def _note(self, peer_id: str, pda: Certificate) -> None:
        record = pda.not_after.isoformat().encode()
        await self._vault.put_record(self._granted_to(peer_id), pda.serial.hex(), record)

    async def withdrawal(self, peer_id: str, now: datetime) -> ParcelDeliveryDeauthorization | None:
        """Return what withdraws all authorisations of ours that a peer can still use, None if it has none."""
        records = await self._vault.records(self._granted_to(peer_id))
        ends = {bytes.fromhex(name): datetime.fromisoformat(end.decode()) for name, end in records.items()}
        live = {serial: end for serial, end in ends.items() if end > now - CLOCK_TOLERANCE}
        if not live:
            return None
        return ParcelDeliveryDeauthorization(self._key.node_id, frozenset(live), max(live.values()))

    async def forget(self, peer_id: str, serials: Collection[bytes]) -> None:
        """Erase the notes of authorisations that were withdrawn."""
        for serial in serials:
            await self._vault.delete_record(self._granted_to(peer_id), serial.hex())

    async def forget_ended(self, peer_id: str, now: datetime) -> None:
        """Erase the notes of authorisations that have ended by themselves."""
        namespace = self._granted_to(peer_id)
        for name, end in (await self._vault.records(namespace)).items():
            if datetime.fromisoformat(end.decode()) <= now - CLOCK_TOLERANCE:
                await self._vault.delete_record(namespace, name)

    def _granted_to(self, peer_id: str) -> str:
        return f"{self._grants}/{peer_id}"

    async def take(
        self, params: PrivateEndpointConnectionParams, *, expected_peer: str, now: datetime, as_of: datetime
    ) -> bool:
        """Keep an authorisation that ``expected_peer`` gave us; say whether it replaced what we had.

        Raises InvalidAuthorizationError; nothing is kept then. It replaces only what ends earlier, what
        ends then and began earlier, or what came through another gateway and began earlier (decisions
        24 and 47). ``as_of`` dates the session key inside: messages dated as ours are, three hours back,
        must not look older than it. The same authorisation again changes nothing.
        """
        path = params.authorization
        self._check(params, expected_peer, now)
        current = await self.given_by(expected_peer, now)
        if current is not None and not _replaces(path, current):
            return False
        await self._sessions.adopt(
            params.session_key, own_id=self._key.node_id, peer_id=expected_peer, as_of=as_of
        )
        await self._vault.put_record(self._namespace, expected_peer, path.serialize())
        return True

    async def given_by(self, peer_id: str, now: datetime) -> CertificationPath | None:
        """Return the authorisation that a peer gave us, if it is still valid."""
        record = await self._vault.get_record(self._namespace, peer_id)
        if record is None:
            return None
        path = CertificationPath.parse(record)
        return path if all(certificate.not_after > now for certificate in path.chain) else None

    def _check(self, params: PrivateEndpointConnectionParams, expected_peer: str, now: datetime) -> None:
        path = params.authorization
        if path.leaf.public_key.spki != self._key.public_key.spki:
            raise InvalidAuthorizationError("the authorisation was made for another endpoint")
        if params.identity_key.node_id != expected_peer:
            raise InvalidAuthorizationError("the authorisation does not come from the peer that sent it")
        if not path.authorities:
            raise InvalidAuthorizationError("the authorisation comes without its issuer's certificate")
        if path.authorities[0].public_key.spki != params.identity_key.spki:
            raise InvalidAuthorizationError("the authorisation was not issued by the peer itself")
        if path.leaf.is_ca or path.leaf.not_after <= now:
            raise InvalidAuthorizationError("the authorisation has expired or is of another kind")
        try:
            chain = build_path(path.leaf, path.authorities[:-1], path.authorities[-1:], at=now)
        except AwalaError as error:
            raise InvalidAuthorizationError(f"the authorisation's path does not hold: {error}") from error
        if chain[1].public_key.spki != params.identity_key.spki:
            raise InvalidAuthorizationError("the authorisation was not issued by the peer itself")


def _replaces(new: CertificationPath, old: CertificationPath) -> bool:
    if _gateways(new) == _gateways(old):
        return _span(new.leaf) > _span(old.leaf)
    return new.leaf.not_before >= old.leaf.not_before


def _gateways(path: CertificationPath) -> list[tuple[str, str]]:
    """Return the gateways on a path, each with its issuer: the Internet gateway need not be on it itself."""
    return [(authority.node_id, authority.issuer_id) for authority in path.authorities[1:]]


def _span(certificate: Certificate) -> tuple[datetime, datetime]:
    return certificate.not_after, certificate.not_before
