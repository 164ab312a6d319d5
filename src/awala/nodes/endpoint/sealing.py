# SPDX-License-Identifier: MIT
"""Turns service messages into parcels and back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.crypto import IdentityPrivateKey
from awala.messages import InvalidMessageError, Parcel, Recipient, ServiceMessage
from awala.messages.limits import MAX_SERVICE_MESSAGE, MAX_TTL
from awala.nodes.endpoint.authorizations import Authorizations
from awala.nodes.endpoint.errors import MessageTooLargeError, NotAuthorisedError
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.pki import Certificate, CertificationPath, Role, issue_now
from awala.pki.lifetimes import BACKDATING
from awala.sessions import Sessions

SELF_ISSUED_REUSE = timedelta(days=1)
"""How long one self-issued certificate signs parcels for Internet peers before a new one is made."""

_FRAME = 20
"""More octets than a service message has besides its type and its content."""


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """A service message that came in a parcel."""

    sender_id: str
    recipient_id: str
    message_id: str
    created: datetime
    expires: datetime
    type: str
    content: bytes


class Sealer:
    """Seals and opens the messages of one endpoint."""

    def __init__(
        self, *, key: IdentityPrivateKey, sessions: Sessions, authorizations: Authorizations
    ) -> None:
        self._key = key
        self._sessions = sessions
        self._authorizations = authorizations
        self._self_issued: Certificate | None = None

    async def seal(
        self, message: ServiceMessage, *, peer: Peer, message_id: str, now: datetime, life: timedelta
    ) -> tuple[Parcel, bytes]:
        """Return the parcel that takes a message to a peer, with its octets.

        Raises MessageTooLargeError, NotAuthorisedError, SessionError, and InvalidMessageError
        for a type that cannot be written.
        """
        plaintext = _serialize(message)
        path = await self._sender_path(peer, now)
        payload = await self._sessions.seal(plaintext, own_id=self._key.node_id, peer_id=peer.id, now=now)
        created = (now - BACKDATING).replace(microsecond=0)
        end = min([now + life, *(certificate.not_after for certificate in path.chain)])
        parcel = Parcel(
            recipient=Recipient(peer.id, peer.address),
            message_id=message_id,
            creation_date=created,
            ttl=min(max(int((end - created).total_seconds()), 0), MAX_TTL),
            payload=payload,
            sender_certificate=path.leaf,
            sender_chain=path.authorities,
        )
        return parcel, await asyncio.to_thread(parcel.serialize, self._key)

    async def open(self, parcel: Parcel, now: datetime) -> OpenedMessage:
        """Decrypt a parcel that was judged acceptable; raises SessionError or MessageError."""
        plaintext = await self._sessions.open(
            parcel.payload,
            own_id=self._key.node_id,
            peer_id=parcel.sender_id,
            message_date=parcel.creation_date,
            now=now,
        )
        message = ServiceMessage.parse(plaintext)
        return OpenedMessage(
            sender_id=parcel.sender_id,
            recipient_id=parcel.recipient.id,
            message_id=parcel.message_id,
            created=parcel.creation_date,
            expires=parcel.expiry_date,
            type=message.type,
            content=message.content,
        )

    async def _sender_path(self, peer: Peer, now: datetime) -> CertificationPath:
        if peer.kind is PeerKind.INTERNET:
            return CertificationPath(await self._self_issued_certificate(now), ())
        path = await self._authorizations.given_by(peer.id, now)
        if path is None:
            raise NotAuthorisedError("the peer has not authorised this endpoint, or no longer does")
        return path

    async def _self_issued_certificate(self, now: datetime) -> Certificate:
        """Return the certificate under which we write to Internet peers (RS-002)."""
        current = self._self_issued
        if current is None or not timedelta() <= now - BACKDATING - current.not_before < SELF_ISSUED_REUSE:
            current = await asyncio.to_thread(
                lambda: issue_now(
                    subject_key=self._key.public_key,
                    issuer_key=self._key,
                    issuer=None,
                    role=Role.ENDPOINT,
                    now=now,
                )
            )
            self._self_issued = current
        return current


def _serialize(message: ServiceMessage) -> bytes:
    try:
        return message.serialize()
    except InvalidMessageError as error:
        size = len(message.type) + len(message.content)
        if size <= MAX_SERVICE_MESSAGE - _FRAME:
            raise
        raise MessageTooLargeError(
            f"the message has {size} octets; at most {MAX_SERVICE_MESSAGE} fit, its frame included"
        ) from error
