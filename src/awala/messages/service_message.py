# SPDX-License-Identifier: MIT
"""The service message: what an app sends, and the plaintext of every parcel (rules §1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from awala.asn1 import Octets, der
from awala.messages.errors import InvalidMessageError, reading
from awala.messages.limits import MAX_SERVICE_MESSAGE
from awala.messages.structure import octets_field, sequence_fields, text_content, text_field


@dataclass(frozen=True, slots=True)
class ServiceMessage:
    """Content and its type, in DER rather than in the binary layout of RS-000, which nobody speaks."""

    type: str
    content: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> ServiceMessage:
        """Read a service message; raise `MalformedMessageError`."""
        with reading("service message"):
            fields = sequence_fields(data, 2)
            return cls(text_field(fields[0], 0, "type"), octets_field(fields[1], 1, "content"))

    def serialize(self) -> bytes:
        """Return the message in DER; raise as `pieces` does."""
        return b"".join(self.pieces())

    def pieces(self) -> tuple[bytes, bytes]:
        """Return the message in DER, as what stands before the content and the content itself.

        Raises `InvalidMessageError` if it would take more than 8 256 501 octets (rules §1) or has a
        type besides printable ASCII.
        """
        fields = der.implicit(0, text_content(self.type, "type")) + der.implicit_header(1, len(self.content))
        length = len(fields) + len(self.content)
        head = der.header(der.SEQUENCE, length) + fields
        if len(head) + len(self.content) > MAX_SERVICE_MESSAGE:
            raise InvalidMessageError(f"The service message is larger than {MAX_SERVICE_MESSAGE} octets")
        return head, self.content
