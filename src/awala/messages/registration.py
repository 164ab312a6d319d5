# SPDX-License-Identifier: MIT
"""How a private node registers with its gateway: authorisation, request, registration (RS-000, rules §1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from awala.asn1 import Octets, der
from awala.crypto import IdentityPrivateKey, IdentityPublicKey, SessionKey
from awala.messages.errors import InvalidMessageError, reading
from awala.messages.recipient import address_content, address_field
from awala.messages.session_keys import session_key_element, session_key_field
from awala.messages.structure import (
    certificate_field,
    date_content,
    date_field,
    octets_field,
    sequence_fields,
)
from awala.pki import Certificate

_AUTHORIZATION_OID: Final = "1.3.6.1.4.1.58708.0.2.0"
_COUNTERSIGNATURE_OID: Final = "1.3.6.1.4.1.58708.0.2.1"


@dataclass(frozen=True, slots=True)
class RegistrationAuthorization:
    """A gateway's leave to register within seconds (PNRA).

    ``gateway_data`` means something to the gateway alone. ``signature`` is present when it was read.
    """

    expiry: datetime
    gateway_data: bytes
    signature: bytes = field(default=b"", repr=False, compare=False)

    @classmethod
    def parse(cls, data: Octets) -> RegistrationAuthorization:
        """Read an authorisation, not yet verified; raise `MalformedMessageError`."""
        with reading("registration authorization"):
            fields = sequence_fields(data, 3)
            return cls(
                date_field(fields[0], 0, "expiry date"),
                octets_field(fields[1], 1, "gateway data"),
                octets_field(fields[2], 2, "signature"),
            )

    def serialize(self, key: IdentityPrivateKey) -> bytes:
        """Return the authorisation signed with the gateway's ``key``."""
        fields = self._content()
        return der.sequence(
            der.implicit(0, fields[0]),
            der.implicit(1, fields[1]),
            der.implicit(2, key.sign(_authorization_text(*fields))),
        )

    def verify(self, key: IdentityPublicKey, now: datetime) -> None:
        """Check that the holder of ``key`` signed this and that it has not expired.

        Raises `MalformedMessageError` for the signature, `InvalidMessageError` once it has expired.
        Whether it was used before is for the caller to know.
        """
        with reading("registration authorization"):
            key.verify(self.signature, _authorization_text(*self._content()))
        if self.expiry < now:
            raise InvalidMessageError("The registration authorization has expired")

    def _content(self) -> tuple[bytes, bytes]:
        return date_content(self.expiry, "expiry date"), self.gateway_data


def _authorization_text(expiry: bytes, gateway_data: bytes) -> bytes:
    """Return what the gateway signs."""
    return der.sequence(
        der.implicit(0, der.oid_content(_AUTHORIZATION_OID)),
        der.implicit(1, expiry),
        der.implicit(2, gateway_data),
    )


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """A node's request to be registered (PNRR): its key, and the authorisation as it got it."""

    node_key: IdentityPublicKey
    authorization: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> RegistrationRequest:
        """Read a request and verify that the node holds its key; raise `MalformedMessageError`."""
        with reading("registration request"):
            fields = sequence_fields(data, 3)
            key = IdentityPublicKey.load(octets_field(fields[0], 0, "node key"))
            authorization = octets_field(fields[1], 1, "authorization")
            countersignature = octets_field(fields[2], 2, "countersignature")
            key.verify(countersignature, _countersigned_text(authorization))
            return cls(key, authorization)

    def serialize(self, node_private_key: IdentityPrivateKey) -> bytes:
        """Return the request, countersigned; raise `InvalidMessageError` if the key is another one."""
        if node_private_key.public_key.spki != self.node_key.spki:
            raise InvalidMessageError("The private key is not that of the node to be registered")
        return der.sequence(
            der.implicit(0, self.node_key.spki),
            der.implicit(1, self.authorization),
            der.implicit(2, node_private_key.sign(_countersigned_text(self.authorization))),
        )


def _countersigned_text(authorization: bytes) -> bytes:
    """Return what the node signs."""
    return der.sequence(
        der.implicit(0, der.oid_content(_COUNTERSIGNATURE_OID)), der.implicit(1, authorization)
    )


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registered node gets (PNR): its certificate, its gateway's, and the Internet gateway's address.

    ``gateway_certificate`` is the one that issued ``node_certificate``. An Internet gateway adds a
    session key, bound to the node; a private gateway does not.
    """

    node_certificate: Certificate
    gateway_certificate: Certificate
    internet_address: str
    session_key: SessionKey | None = None

    @classmethod
    def parse(cls, data: Octets) -> Registration:
        """Read a registration; raise `MalformedMessageError`."""
        with reading("registration"):
            fields = sequence_fields(data, 3)
            return cls(
                certificate_field(fields[0], 0, "node certificate"),
                certificate_field(fields[1], 1, "gateway certificate"),
                address_field(fields[2], 2),
                session_key_field(fields[3], 3) if len(fields) > 3 else None,  # noqa: PLR2004 - the fourth
            )

    def serialize(self) -> bytes:
        """Return the registration in DER; raise `InvalidMessageError` if the address is no domain name."""
        fields = [
            der.implicit(0, self.node_certificate.encoding),
            der.implicit(1, self.gateway_certificate.encoding),
            der.implicit(2, address_content(self.internet_address)),
        ]
        if self.session_key is not None:
            fields.append(session_key_element(3, self.session_key))
        return der.sequence(*fields)
