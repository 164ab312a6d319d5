# SPDX-License-Identifier: MIT
"""The apps of a gateway that is measured: one that sends, one that collects, and parcels made beforehand."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from awala.bindings.poweb import PoWebClient
from awala.crypto import IdentityPrivateKey
from awala.messages import (
    DetachedSignatureType,
    Parcel,
    Recipient,
    Registration,
    RegistrationRequest,
    sign_detached,
)
from awala.pki import Certificate, Role, issue_now

FAR: Final = Recipient("0" + "b" * 64, "service.example.com")
"""An endpoint on the Internet."""

_TTL: Final = 7 * 24 * 3600
_AGE: Final = timedelta(hours=3)
_THREADS: Final = 2
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registered endpoint."""

    key: IdentityPrivateKey
    certificate: Certificate

    @classmethod
    async def register(cls, client: PoWebClient) -> Endpoint:
        """Register a new one."""
        key = IdentityPrivateKey.generate()
        authorization = await client.preregister(key.public_key.digest)
        answer = await client.register(RegistrationRequest(key.public_key, authorization).serialize(key))
        return cls(key, Registration.parse(answer).node_certificate)

    def sign_nonce(self, nonce: bytes) -> Sequence[bytes]:
        """Answer the handshake of a collection."""
        return [sign_detached(DetachedSignatureType.NONCE, nonce, self.key, self.certificate)]


@dataclass(frozen=True, slots=True)
class Countersigned:
    """A parcel as it is delivered."""

    parcel: bytes
    countersignature: bytes


class Apps:
    """Makes the parcels of one endpoint: to the Internet, and to another endpoint of the same gateway."""

    def __init__(self, sender: Endpoint, collector: Endpoint, octets: int) -> None:
        self.sender = sender
        self.collector = collector
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._authorization = issue_now(
            subject_key=sender.key.public_key,
            issuer_key=collector.key,
            issuer=collector.certificate,
            role=Role.DELIVERY_AUTHORIZATION,
            now=self._now,
        )
        self._octets = octets

    def make(self, count: int, *, near: bool) -> Iterator[Countersigned]:
        """Make so many parcels, all for the near endpoint or all for the far one."""
        recipient, certificate = FAR, self.sender.certificate
        chain: tuple[Certificate, ...] = ()
        if near:
            recipient, certificate = Recipient(self.collector.key.node_id), self._authorization
            chain = (self.collector.certificate,)
        overhead = len(self._parcel(recipient, certificate, chain, b""))
        payload = secrets.token_bytes(max(self._octets - overhead, 1))
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(
                lambda _: self._countersigned(self._parcel(recipient, certificate, chain, payload)),
                range(count),
            )

    def _parcel(
        self, recipient: Recipient, certificate: Certificate, chain: tuple[Certificate, ...], payload: bytes
    ) -> bytes:
        return Parcel(
            recipient=recipient,
            message_id=f"{next(_numbers):032x}",
            creation_date=self._now - _AGE,
            ttl=_TTL,
            payload=payload,
            sender_certificate=certificate,
            sender_chain=chain,
        ).serialize(self.sender.key)

    def _countersigned(self, parcel: bytes) -> Countersigned:
        return Countersigned(
            parcel,
            sign_detached(
                DetachedSignatureType.PARCEL_DELIVERY, parcel, self.sender.key, self.sender.certificate
            ),
        )
