# SPDX-License-Identifier: MIT
"""Makes the parcels of strangers, which nodes have to refuse."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from awala.bindings.poweb import PoWebClient
from awala.cms import encrypt
from awala.crypto import IdentityPrivateKey, SessionKeyPair
from awala.messages import (
    DetachedSignatureType,
    Parcel,
    Recipient,
    Registration,
    RegistrationRequest,
    ServiceMessage,
    sign_detached,
)
from awala.pki import Certificate, Role, issue
from awala.pki.lifetimes import BACKDATING

LIFE = timedelta(hours=1)
"""How long what a stranger sends would live."""


@dataclass(frozen=True, slots=True)
class ForgedParcel:
    """A parcel that nobody has authorised, and the id by which it would be known."""

    message_id: str
    octets: bytes


def uninvited(recipient: Recipient) -> ForgedParcel:
    """Return a parcel that is well made, from a sender that the recipient has not authorised."""
    key = IdentityPrivateKey.generate()
    return _parcel(recipient, key, _certify(key, key, None, Role.ENDPOINT))


def contradictory(recipient: Recipient, key: IdentityPrivateKey) -> ForgedParcel:
    """Return a parcel whose chain shows that somebody else than the recipient authorised its sender."""
    other = IdentityPrivateKey.generate()
    endpoint = _certify(other, other, None, Role.ENDPOINT)
    authorization = _certify(key, other, endpoint, Role.DELIVERY_AUTHORIZATION)
    return _parcel(recipient, key, authorization, endpoint)


class Stranger:
    """Somebody with an endpoint behind a private gateway, who sends what should not be sent."""

    def __init__(self, client: PoWebClient) -> None:
        self._client = client
        self.key = IdentityPrivateKey.generate()

    async def send(self, parcel: ForgedParcel) -> None:
        """Register, and hand the parcel to the private gateway; raises BindingError."""
        authorization = await self._client.preregister(self.key.public_key.digest)
        request = RegistrationRequest(self.key.public_key, authorization).serialize(self.key)
        own = Registration.parse(await self._client.register(request)).node_certificate
        signature = sign_detached(DetachedSignatureType.PARCEL_DELIVERY, parcel.octets, self.key, own)
        await self._client.deliver(parcel.octets, signature)


def _parcel(
    recipient: Recipient, key: IdentityPrivateKey, certificate: Certificate, *chain: Certificate
) -> ForgedParcel:
    message_id = str(uuid.uuid4())
    payload = encrypt(
        ServiceMessage("text/plain", b"uninvited").serialize(),
        recipient=SessionKeyPair.generate().session_key,
        originator=SessionKeyPair.generate(),
    )
    created = (datetime.now(UTC) - BACKDATING).replace(microsecond=0)
    ttl = int((BACKDATING + LIFE).total_seconds())
    parcel = Parcel(recipient, message_id, created, ttl, payload, certificate, chain)
    return ForgedParcel(message_id, parcel.serialize(key))


def _certify(
    subject: IdentityPrivateKey, issuer_key: IdentityPrivateKey, issuer: Certificate | None, role: Role
) -> Certificate:
    now = datetime.now(UTC)
    return issue(
        subject_key=subject.public_key,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        not_before=now - BACKDATING,
        not_after=now + LIFE,
    )
