# SPDX-License-Identifier: MIT
"""The seven octets that say what a message is: ``Awala``, its type and its version (RS-001 §3, rules §1)."""

from __future__ import annotations

from enum import Enum
from typing import Final

from awala.asn1 import Octets
from awala.messages.errors import MalformedMessageError

MAGIC: Final = b"Awala"
VERSION: Final = 0
PREFIX_SIZE: Final = 7


class MessageType(Enum):
    """The concrete message types; the value is the type octet."""

    CERTIFICATE_ROTATION = 0x10
    GATEWAY_REVOCATION = 0x11
    PDD = 0x12
    CARGO = 0x43
    CCA = 0x44
    PARCEL = 0x50
    PCA = 0x51

    @property
    def prefix(self) -> bytes:
        """Return the seven octets with which messages of this type begin."""
        return MAGIC + bytes((self.value, VERSION))


_TYPES: Final = {message_type.prefix: message_type for message_type in MessageType}


def recognise(data: Octets) -> MessageType | None:
    """Return the type that the prefix names, or None if it names none that is known."""
    return _TYPES.get(bytes(data[:PREFIX_SIZE]))


def without_prefix(data: Octets, expected: MessageType) -> memoryview:
    """Return a view of what follows the prefix.

    Raises `MalformedMessageError` if the prefix is that of another type or version, or of none.
    """
    if data[:PREFIX_SIZE] != expected.prefix:
        raise MalformedMessageError(_complaint(bytes(data[:PREFIX_SIZE]), expected))
    return memoryview(data)[PREFIX_SIZE:]


def _complaint(start: bytes, expected: MessageType) -> str:
    if len(start) < PREFIX_SIZE:
        return "Message is too short for its prefix"
    if start[: len(MAGIC)] != MAGIC:
        return "Message does not begin with the prefix of Awala messages"
    if start[len(MAGIC)] != expected.value:
        return f"Message has type 0x{start[len(MAGIC)]:02x} where 0x{expected.value:02x} is due"
    return f"Message has version {start[-1]} where {VERSION} is due"
