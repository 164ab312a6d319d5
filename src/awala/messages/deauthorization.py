# SPDX-License-Identifier: MIT
"""The parcel delivery deauthorization: an endpoint withdraws what it issued (RS-000, PDD; rules §3).

RS-000 gives the structure but no envelope, and nobody else implements it. Ours has the prefix with
type 0x12, which deployed peers skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from awala.asn1 import Element, Octets, der
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading
from awala.messages.limits import MAX_RECIPIENT_ID_LENGTH, MAX_SERIAL_SIZE, MAX_WITHDRAWN_SERIALS
from awala.messages.prefix import MessageType, without_prefix
from awala.messages.structure import (
    date_content,
    date_field,
    nested_fields,
    sequence_fields,
    text_content,
    text_field,
)


@dataclass(frozen=True, slots=True)
class ParcelDeliveryDeauthorization:
    """Withdraws authorisations that the endpoint ``endpoint_id`` issued.

    ``serials`` are the contents octets of serial numbers as they stand in the certificates; none
    means all that it issued. The withdrawal counts until ``expiry``.
    """

    endpoint_id: str
    serials: frozenset[bytes]
    expiry: datetime

    @classmethod
    def parse(cls, data: Octets) -> ParcelDeliveryDeauthorization:
        """Read a withdrawal; raise `MalformedMessageError`."""
        body = without_prefix(data, MessageType.PDD)
        with reading("parcel delivery deauthorization"):
            fields = sequence_fields(body, 3)
            return cls(
                text_field(fields[0], 0, "endpoint id", MAX_RECIPIENT_ID_LENGTH),
                _serials(fields[1]),
                date_field(fields[2], 2, "expiry date"),
            )

    def serialize(self) -> bytes:
        """Return the withdrawal; raise `InvalidMessageError` for values that cannot be written."""
        if len(self.serials) > MAX_WITHDRAWN_SERIALS:
            raise InvalidMessageError(f"More than {MAX_WITHDRAWN_SERIALS} serial numbers")
        if not all(0 < len(serial) <= MAX_SERIAL_SIZE for serial in self.serials):
            raise InvalidMessageError("A serial number has no octets, or too many")
        serials = sorted(der.tlv(der.INTEGER, serial) for serial in self.serials)
        return MessageType.PDD.prefix + der.sequence(
            der.implicit(0, text_content(self.endpoint_id, "endpoint id", MAX_RECIPIENT_ID_LENGTH)),
            der.implicit(1, der.join(serials), constructed=True),
            der.implicit(2, date_content(self.expiry, "expiry date")),
        )

    def withdraws(self, serial: bytes) -> bool:
        """Tell whether the authorisation with this serial number, issued by the endpoint, is withdrawn."""
        return not self.serials or serial in self.serials


def _serials(element: Element) -> frozenset[bytes]:
    elements = nested_fields(element, 1, "serial numbers")
    if len(elements) > MAX_WITHDRAWN_SERIALS:
        raise MalformedMessageError(f"More than {MAX_WITHDRAWN_SERIALS} serial numbers")
    serials = frozenset(bytes(serial.expect(der.INTEGER, "a serial number").content) for serial in elements)
    if not all(0 < len(serial) <= MAX_SERIAL_SIZE for serial in serials):
        raise MalformedMessageError("A serial number has no octets, or too many")
    return serials
