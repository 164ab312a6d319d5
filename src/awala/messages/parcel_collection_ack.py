# SPDX-License-Identifier: MIT
"""The parcel collection acknowledgement: "I have this parcel; you may let go of it" (RS-000, PCA)."""

from __future__ import annotations

from dataclasses import dataclass

from awala.asn1 import Octets, der
from awala.messages.errors import reading
from awala.messages.limits import MAX_MESSAGE_ID_LENGTH, MAX_RECIPIENT_ID_LENGTH
from awala.messages.prefix import MessageType, without_prefix
from awala.messages.structure import sequence_fields, text_content, text_field


@dataclass(frozen=True, slots=True)
class ParcelCollectionAck:
    """Acknowledges a parcel that came in cargo; it travels in cargo as well."""

    sender_id: str
    recipient_id: str
    parcel_id: str

    @classmethod
    def parse(cls, data: Octets) -> ParcelCollectionAck:
        """Read an acknowledgement; raise `MalformedMessageError`."""
        body = without_prefix(data, MessageType.PCA)
        with reading("parcel collection acknowledgement"):
            fields = sequence_fields(body, 3)
            return cls(
                text_field(fields[0], 0, "sender id", MAX_RECIPIENT_ID_LENGTH),
                text_field(fields[1], 1, "recipient id", MAX_RECIPIENT_ID_LENGTH),
                text_field(fields[2], 2, "parcel id", MAX_MESSAGE_ID_LENGTH),
            )

    def serialize(self) -> bytes:
        """Return the acknowledgement; raise `InvalidMessageError` for ids that cannot be written."""
        return MessageType.PCA.prefix + der.sequence(
            der.implicit(0, text_content(self.sender_id, "sender id", MAX_RECIPIENT_ID_LENGTH)),
            der.implicit(1, text_content(self.recipient_id, "recipient id", MAX_RECIPIENT_ID_LENGTH)),
            der.implicit(2, text_content(self.parcel_id, "parcel id", MAX_MESSAGE_ID_LENGTH)),
        )
