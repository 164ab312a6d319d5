# SPDX-License-Identifier: MIT
"""The envelope of parcels, cargo and CCAs: the Abstract Message Format (RS-001, rules §1 to §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Self

from awala.asn1 import Element, Octets, der
from awala.cms import SignedData, sign
from awala.crypto import IdentityPrivateKey
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading, writing
from awala.messages.limits import (
    EMITTED_PAYLOAD_MAX,
    EMITTED_RAMF_MAX,
    MAX_CERTIFICATES,
    MAX_MESSAGE_ID_LENGTH,
    MAX_PAYLOAD_SIZE,
    MAX_RAMF_SIZE,
    MAX_TTL,
)
from awala.messages.prefix import MessageType, without_prefix
from awala.messages.recipient import Recipient
from awala.messages.structure import (
    date_content,
    date_field,
    octets_field,
    sequence_fields,
    text_content,
    text_field,
)
from awala.pki import CLOCK_TOLERANCE, Certificate, PathError, build_path

_FIELDS: Final = 5
_MAX_TTL_OCTETS: Final = 16
_END_OF_TIME: Final = datetime.max.replace(microsecond=0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RamfMessage:
    """A message in the Abstract Message Format (RS-001).

    ``creation_date`` is aware and goes on the wire to the second; ``ttl`` is in seconds. The
    sender's certificate and those in ``sender_chain`` travel with the message. A message that was
    read also has its octets as received (``encoding``) and the object identifiers of the signed
    attributes, which betray the stack that made it; neither takes part in comparisons.
    """

    recipient: Recipient
    message_id: str
    creation_date: datetime
    ttl: int
    payload: bytes = field(repr=False)
    sender_certificate: Certificate
    sender_chain: tuple[Certificate, ...] = ()
    signed_attribute_types: frozenset[str] = field(
        default=frozenset(), compare=False, repr=False, kw_only=True
    )
    encoding: bytes | None = field(default=None, compare=False, repr=False, kw_only=True)

    TYPE: ClassVar[MessageType]
    NAME: ClassVar[str]
    MAX_SIZE: ClassVar[int] = MAX_RAMF_SIZE
    EMITTED_MAX: ClassVar[int] = EMITTED_RAMF_MAX
    MAX_PAYLOAD: ClassVar[int] = MAX_PAYLOAD_SIZE
    EMITTED_PAYLOAD: ClassVar[int] = EMITTED_PAYLOAD_MAX

    @property
    def expiry_date(self) -> datetime:
        """The end of the message's life: creation date and ttl (RS-001 §4)."""
        try:
            return self.creation_date + timedelta(seconds=self.ttl)
        except OverflowError:
            return _END_OF_TIME

    @property
    def sender_id(self) -> str:
        """The id of the node that signed the message."""
        return self.sender_certificate.node_id

    @classmethod
    def parse(cls, data: Octets) -> Self:
        """Read a message and verify its signature, in this order: size, prefix, CMS, fields.

        Dates and authorisation are not looked at: see `validate` and `authorise`. Raises
        `MalformedMessageError`.
        """
        if len(data) > cls.MAX_SIZE:
            raise MalformedMessageError(f"The {cls.NAME} is larger than {cls.MAX_SIZE} octets")
        envelope = without_prefix(data, cls.TYPE)
        with reading(cls.NAME):
            signed = SignedData.parse(envelope)
            content = signed.content_view
            if content is None:
                raise MalformedMessageError("The signature is detached where the message should be inside")
            signed.verify()
            return cls._of_signed(content, signed, bytes(data))

    @classmethod
    def _of_signed(cls, content: Octets, signed: SignedData, encoding: bytes) -> Self:
        """Read the fields in the content that ``signed`` proves to come from its signer."""
        fields = sequence_fields(content, _FIELDS)
        return cls(
            recipient=Recipient.decode(fields[0]),
            message_id=text_field(fields[1], 1, "message id", MAX_MESSAGE_ID_LENGTH),
            creation_date=date_field(fields[2], 2, "creation date"),
            ttl=_ttl(fields[3]),
            payload=_payload(fields[4], cls.MAX_PAYLOAD),
            sender_certificate=signed.signer,
            sender_chain=signed.certificates,
            signed_attribute_types=signed.attribute_types,
            encoding=encoding,
        )

    def serialize(self, key: IdentityPrivateKey) -> bytes:
        """Return the message signed with ``key``, which must be that of the sender's certificate.

        Raises `InvalidMessageError` for values that deployed parsers would refuse.
        """
        if len(self.sender_chain) >= MAX_CERTIFICATES:
            raise InvalidMessageError(f"More than {MAX_CERTIFICATES} certificates would be embedded")
        fields = self._encode_fields()
        with writing(self.NAME):
            message = sign(
                *fields,
                key=key,
                signer=self.sender_certificate,
                certificates=self.sender_chain,
                prefix=self.TYPE.prefix,
            )
        if len(message) > self.EMITTED_MAX:
            raise InvalidMessageError(f"The {self.NAME} is larger than {self.EMITTED_MAX} octets")
        return message

    def _encode_fields(self) -> tuple[bytes, bytes]:
        """Return the octets of all fields but the payload's, and the payload, which need not be copied."""
        if not 0 <= self.ttl <= MAX_TTL:
            raise InvalidMessageError(f"The ttl is not between 0 and {MAX_TTL} seconds")
        if len(self.payload) > self.EMITTED_PAYLOAD:
            raise InvalidMessageError(f"The payload is larger than {self.EMITTED_PAYLOAD} octets")
        fields = der.join(
            (
                self.recipient.encode(),
                der.implicit(1, text_content(self.message_id, "message id", MAX_MESSAGE_ID_LENGTH)),
                der.implicit(2, date_content(self.creation_date, "creation date")),
                der.implicit(3, der.integer_content(self.ttl)),
                der.implicit_header(4, len(self.payload)),
            )
        )
        return der.header(der.SEQUENCE, len(fields) + len(self.payload)) + fields, self.payload

    def validate(self, now: datetime) -> None:
        """Check that message and sender certificate are good at ``now``, give or take two hours (rules §2).

        Raises `InvalidMessageError`. Nothing is said about whether the sender may write to the recipient.
        """
        if self.creation_date - now > CLOCK_TOLERANCE:
            raise InvalidMessageError("The message is dated in the future")
        if now - self.expiry_date > CLOCK_TOLERANCE:
            raise InvalidMessageError("The message has expired")
        if not self.sender_certificate.valid_at(now):
            raise InvalidMessageError("The sender's certificate has expired or is not valid yet")

    def authorise(self, anchors: Sequence[Certificate], now: datetime) -> tuple[Certificate, ...]:
        """Check that the recipient lets the sender write to it, and return the path that proves it.

        Besides what `validate` checks, a path must lead from the sender's certificate through
        embedded ones to one of ``anchors``, and the issuer of the sender's certificate must be the
        recipient (RS-001 §4.4, rules §3). A self-issued sender is never authorised in this way. The
        path has the sender's certificate first and the anchor last.

        Raises `InvalidMessageError`.
        """
        self.validate(now)
        if self.sender_certificate.is_self_issued:
            raise InvalidMessageError("The sender's certificate is self-issued, which authorises nothing")
        try:
            path = build_path(self.sender_certificate, self.sender_chain, anchors, at=now)
        except PathError as error:
            raise InvalidMessageError(f"The sender is not authorised: {error}") from error
        if path[1].node_id != self.recipient.id:
            raise InvalidMessageError("The sender's certificate was not issued by the recipient")
        return path

    def authorise_directly(
        self, own_certificates: Sequence[Certificate], now: datetime
    ) -> tuple[Certificate, Certificate]:
        """Do what `authorise` does, and insist that one of ``own_certificates`` issued the sender's directly.

        Returns the sender's certificate and that one. Raises `InvalidMessageError`.
        """
        path = self.authorise(own_certificates, now)
        if len(path) != 2:  # noqa: PLR2004 - sender and anchor
            raise InvalidMessageError("The sender's certificate was not issued by this gateway itself")
        return path[0], path[1]


def _ttl(element: Element) -> int:
    """Return the ttl; it is read as signed, and need not be minimal (rules §1)."""
    content = octets_field(element, 3, "ttl")
    if not 0 < len(content) <= _MAX_TTL_OCTETS:
        raise MalformedMessageError("The ttl is no number")
    ttl = int.from_bytes(content, signed=True)
    if not 0 <= ttl <= MAX_TTL:
        raise MalformedMessageError(f"The ttl is not between 0 and {MAX_TTL} seconds")
    return ttl


def _payload(element: Element, limit: int) -> bytes:
    if len(element.content) > limit:
        raise MalformedMessageError(f"The payload is larger than {limit} octets")
    return octets_field(element, 4, "payload")
