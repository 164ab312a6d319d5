# SPDX-License-Identifier: MIT
"""Who sends the parcels that are measured: senders, each with a chain of certificates of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from awala.crypto import IdentityPrivateKey, IdentityPublicKey, SessionKey, SessionKeyPair
from awala.messages import Recipient
from awala.pki import Certificate, Role, issue

INTERNET_ADDRESS: Final = "gateway.example.com"
LIFE: Final = timedelta(days=1)
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender that an endpoint behind a gateway has authorised, and the endpoint's session key."""

    key: IdentityPrivateKey
    authorization: Certificate
    endpoint: Certificate
    private_gateway: Certificate
    session: SessionKeyPair
    recipient: Recipient
    """The endpoint."""
    recipient_key: SessionKey
    """The public half of the endpoint's session key."""

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The authorities that travel with a parcel."""
        return (self.endpoint, self.private_gateway)


@dataclass(frozen=True, slots=True)
class Cast:
    """The senders, and the Internet gateway that serves all the endpoints they write to."""

    gateway: Certificate
    senders: tuple[Sender, ...]
    key_count: int
    """How many identity keys they have between them, the gateway's included."""


def gather(senders: int, now: datetime) -> Cast:
    """Make that many senders, no two with the same key, and no two with a certificate in common.

    Making RSA keys takes long: endpoints and private gateways take turns with an eighth as many.
    """
    few = max(1, senders // 8)
    with ThreadPoolExecutor(_THREADS) as pool:
        keys = list(pool.map(lambda _: IdentityPrivateKey.generate(), range(senders + 2 * few + 1)))
    gateway_key, *rest = keys
    gateway = _issue(gateway_key.public_key, gateway_key, None, Role.SELF_ISSUED_GATEWAY, now)
    endpoints, gateways, people = rest[:few], rest[few : 2 * few], rest[2 * few :]
    return Cast(
        gateway=gateway,
        senders=tuple(
            _sender(
                key=key,
                endpoint_key=endpoints[number % few],
                private_gateway_key=gateways[number // few % few],
                gateway_key=gateway_key,
                gateway=gateway,
                now=now,
            )
            for number, key in enumerate(people)
        ),
        key_count=len(keys),
    )


def _sender(
    *,
    key: IdentityPrivateKey,
    endpoint_key: IdentityPrivateKey,
    private_gateway_key: IdentityPrivateKey,
    gateway_key: IdentityPrivateKey,
    gateway: Certificate,
    now: datetime,
) -> Sender:
    private_gateway = _issue(private_gateway_key.public_key, gateway_key, gateway, Role.GATEWAY, now)
    endpoint = _issue(endpoint_key.public_key, private_gateway_key, private_gateway, Role.ENDPOINT, now)
    authorization = _issue(key.public_key, endpoint_key, endpoint, Role.DELIVERY_AUTHORIZATION, now)
    session = SessionKeyPair.generate()
    recipient = Recipient(endpoint.node_id, INTERNET_ADDRESS)
    return Sender(key, authorization, endpoint, private_gateway, session, recipient, session.session_key)


def _issue(
    subject: IdentityPublicKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None,
    role: Role,
    now: datetime,
) -> Certificate:
    return issue(
        subject_key=subject,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        not_before=now - LIFE,
        not_after=now + LIFE,
    )
