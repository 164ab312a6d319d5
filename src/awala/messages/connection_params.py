# SPDX-License-Identifier: MIT
"""What one must know to write to a node: connection parameters (RS-000, rules §1)."""

from __future__ import annotations

from dataclasses import dataclass

from awala.asn1 import Octets, der
from awala.crypto import IdentityPublicKey, SessionKey
from awala.messages.errors import reading, writing
from awala.messages.recipient import address_content, address_field
from awala.messages.session_keys import (
    session_key_element,
    session_key_element_in_place,
    session_key_field,
    session_key_field_in_place,
)
from awala.messages.structure import as_sequence, octets_field, retagged, sequence_fields
from awala.pki import CertificationPath, PathForm


@dataclass(frozen=True, slots=True)
class NodeConnectionParams:
    """The address, identity and session key of a node that the Internet can reach (RS-000, NCP)."""

    internet_address: str
    identity_key: IdentityPublicKey
    session_key: SessionKey

    @classmethod
    def parse(cls, data: Octets) -> NodeConnectionParams:
        """Read connection parameters; raise `MalformedMessageError`."""
        with reading("node connection params"):
            fields = sequence_fields(data, 3)
            return cls(
                address_field(fields[0], 0),
                IdentityPublicKey.load(octets_field(fields[1], 1, "identity key")),
                session_key_field(fields[2], 2),
            )

    def serialize(self) -> bytes:
        """Return the parameters in DER; raise `InvalidMessageError` if the address is no domain name."""
        return der.sequence(
            der.implicit(0, address_content(self.internet_address)),
            der.implicit(1, self.identity_key.spki),
            session_key_element(2, self.session_key),
        )


@dataclass(frozen=True, slots=True)
class PrivateEndpointConnectionParams:
    """What a private endpoint gives a peer whom it lets write to it: a PDA, and the way there.

    ``identity_key`` is the endpoint's, ``internet_address`` its Internet gateway's; ``authorization``
    has the PDA as its leaf and the certificate that issued it first among the authorities. The
    structure is in no spec; it travels in a service message or is handed over out of band.
    """

    identity_key: IdentityPublicKey
    internet_address: str
    authorization: CertificationPath
    session_key: SessionKey

    @classmethod
    def parse(cls, data: Octets) -> PrivateEndpointConnectionParams:
        """Read connection parameters; raise `MalformedMessageError`. The path is not validated."""
        with reading("private endpoint connection params"):
            fields = sequence_fields(data, 4)
            return cls(
                IdentityPublicKey.load(as_sequence(fields[0].expect(0xA0, "identity key"))),
                address_field(fields[1], 1),
                CertificationPath.from_element(fields[2].expect(0xA2, "authorization")),
                session_key_field_in_place(fields[3], 3),
            )

    def serialize(self) -> bytes:
        """Return the parameters in DER; raise `InvalidMessageError` if the address is no domain name."""
        with writing("private endpoint connection params"):
            return der.sequence(
                retagged(self.identity_key.spki, 0),
                der.implicit(1, address_content(self.internet_address)),
                der.implicit(2, self.authorization.serialize_content(PathForm.KOTLIN), constructed=True),
                session_key_element_in_place(3, self.session_key),
            )
