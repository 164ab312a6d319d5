# SPDX-License-Identifier: MIT
"""What passes through the WebSocket of a parcel collection: challenge, response, deliveries (RS-016 §3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from awala.asn1 import Octets, der
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading
from awala.messages.structure import (
    nested_fields,
    octets_field,
    sequence_fields,
    text_content,
    text_field,
)


@dataclass(frozen=True, slots=True)
class HandshakeChallenge:
    """The server's first message: a nonce, opaque to the client."""

    nonce: bytes

    @classmethod
    def parse(cls, data: Octets) -> HandshakeChallenge:
        """Read a challenge; raise `MalformedMessageError`."""
        with reading("handshake challenge"):
            return cls(octets_field(sequence_fields(data, 1)[0], 0, "nonce"))

    def serialize(self) -> bytes:
        """Return the challenge in DER."""
        return der.sequence(der.implicit(0, self.nonce))


@dataclass(frozen=True, slots=True)
class HandshakeResponse:
    """The client's answer: a detached signature over the nonce for each node that collects."""

    signatures: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> HandshakeResponse:
        """Read a response; raise `MalformedMessageError`, also if it has no signature at all."""
        with reading("handshake response"):
            elements = nested_fields(sequence_fields(data, 1)[0], 0, "signatures")
            if not elements:
                raise MalformedMessageError("A handshake response has no signature")
            return cls(
                tuple(bytes(element.expect(der.OCTET_STRING, "a signature").content) for element in elements)
            )

    def serialize(self) -> bytes:
        """Return the response in DER; raise `InvalidMessageError` if there is no signature."""
        if not self.signatures:
            raise InvalidMessageError("A handshake response needs a signature")
        return der.sequence(
            der.implicit(0, der.join(map(der.octet_string, self.signatures)), constructed=True)
        )


@dataclass(frozen=True, slots=True)
class ParcelDelivery:
    """A parcel on its way to the collector; the acknowledgement is the delivery id in a text frame."""

    delivery_id: str
    parcel: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> ParcelDelivery:
        """Read a delivery, but not the parcel inside; raise `MalformedMessageError`."""
        with reading("parcel delivery"):
            fields = sequence_fields(data, 2)
            return cls(text_field(fields[0], 0, "delivery id"), octets_field(fields[1], 1, "parcel"))

    def serialize(self) -> bytes:
        """Return the delivery in DER; raise `InvalidMessageError` for an id besides printable ASCII."""
        return der.sequence(
            der.implicit(0, text_content(self.delivery_id, "delivery id")), der.implicit(1, self.parcel)
        )
