# SPDX-License-Identifier: MIT
"""The gateway certificate revocation: a gateway gives up its own certificate (RS-002, GCR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from awala.messages.prefix import MessageType
from awala.messages.ramf import RamfMessage
from awala.pki import Certificate


@dataclass(frozen=True, slots=True)
class GatewayCertificateRevocation(RamfMessage):
    """Tells the peer gateway that the certificate which signs the message counts no longer.

    It has an empty payload and travels in cargo alone, so that no courier can pick it out (RS-002).
    Deployed peers do not know it and skip it.
    """

    TYPE: ClassVar[MessageType] = MessageType.GATEWAY_REVOCATION
    NAME: ClassVar[str] = "gateway certificate revocation"
    MAX_PAYLOAD: ClassVar[int] = 0
    EMITTED_PAYLOAD: ClassVar[int] = 0

    def authorise_at_issuer(self, own_certificates: Sequence[Certificate], now: datetime) -> Certificate:
        """Return the certificate that is revoked, which one of ``own_certificates`` issued directly.

        Raises `InvalidMessageError` if the recipient is another node, or the sender's certificate
        was not issued by it or is not valid ``now``, give or take two hours.
        """
        return self.authorise_directly(own_certificates, now)[0]
