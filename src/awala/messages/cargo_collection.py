# SPDX-License-Identifier: MIT
"""What lets a courier collect cargo: the CCA, and the request inside (RS-000, CCA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from awala.asn1 import Octets, der
from awala.messages.errors import InvalidMessageError, reading
from awala.messages.prefix import MessageType
from awala.messages.ramf import RamfMessage
from awala.messages.structure import certificate_field, sequence_fields
from awala.pki import Certificate, PkiError, Role

_ACCEPTED_ROLES = (Role.DELIVERY_AUTHORIZATION, Role.GATEWAY)


@dataclass(frozen=True, slots=True)
class CargoCollectionAuthorization(RamfMessage):
    """A private gateway's leave for a courier to collect its cargo (RS-000, CCA).

    The plaintext is a `CargoCollectionRequest`. It travels in gRPC metadata, which is small: embed no
    chain (rules §3, §6).
    """

    TYPE: ClassVar[MessageType] = MessageType.CCA
    NAME: ClassVar[str] = "cargo collection authorization"

    def authorise_at_internet_gateway(
        self, own_certificates: Sequence[Certificate], now: datetime
    ) -> tuple[Certificate, Certificate]:
        """Check that one of ``own_certificates`` issued the sender's directly (rules §3).

        Returns the sender's certificate and that one. Raises `InvalidMessageError`.
        """
        return self.authorise_directly(own_certificates, now)


@dataclass(frozen=True, slots=True)
class CargoCollectionRequest:
    """The plaintext of a CCA: the certificate with which the peer signs the cargo asked for (a CDA)."""

    cargo_delivery_authorization: Certificate

    @classmethod
    def parse(cls, data: Octets) -> CargoCollectionRequest:
        """Read a request; raise `MalformedMessageError`. The certificate is not judged: see `check`."""
        with reading("cargo collection request"):
            fields = sequence_fields(data, 1)
            return cls(certificate_field(fields[0], 0, "cargo delivery authorization"))

    def serialize(self) -> bytes:
        """Return the request in DER."""
        return der.sequence(der.implicit(0, self.cargo_delivery_authorization.encoding))

    def check(self, *, sender: Certificate, own_id: str, now: datetime) -> None:
        """Check that the CDA lets the node ``own_id`` send cargo to the CCA's ``sender`` (rules §3).

        Its issuer must have the key of the sender, its subject must be this node; it must be valid
        now and have the constraints (false, 0), or (true, 1) as some deployed gateways issue it.

        Raises `InvalidMessageError`.
        """
        authorization = self.cargo_delivery_authorization
        if authorization.node_id != own_id:
            raise InvalidMessageError("The cargo delivery authorization is for another gateway")
        if not authorization.valid_at(now):
            raise InvalidMessageError("The cargo delivery authorization has expired or is not valid yet")
        if not any(role.matches(authorization) for role in _ACCEPTED_ROLES):
            raise InvalidMessageError("The cargo delivery authorization has the constraints of another role")
        try:
            authorization.verify_issued_by(sender)
        except PkiError as error:
            raise InvalidMessageError(
                "The cargo delivery authorization was not issued by the sender of the CCA"
            ) from error
