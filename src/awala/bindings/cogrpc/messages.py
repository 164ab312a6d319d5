# SPDX-License-Identifier: MIT
"""The two protobuf messages of CogRPC (RS-008): a cargo under a delivery id, and its acknowledgement.

Unknown fields are skipped, a repeated field counts by its last value and a missing one is empty, as protobuf
has it; whatever breaks the encoding or a limit is a :class:`CodecError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from awala.bindings.cogrpc.errors import CodecError
from awala.bindings.cogrpc.limits import MAX_DELIVERY_ID, MAX_FIELDS, MAX_MESSAGE


class _WireType(IntEnum):
    """How a field's value is laid out; proto3 has no groups."""

    VARINT = 0
    FIXED64 = 1
    LENGTH_DELIMITED = 2
    FIXED32 = 5


_ID_FIELD: Final = 1
_CARGO_FIELD: Final = 2

_MAX_VARINT_OCTETS: Final = 10
_CONTINUES: Final = 0x80


@dataclass(frozen=True, slots=True)
class CargoDelivery:
    """A cargo on its way."""

    delivery_id: str
    cargo: bytes

    def serialize(self) -> bytes:
        """Return the message as protobuf.

        Raises:
            CodecError: the id or the whole is too long.
        """
        encoding = _field(_ID_FIELD, _encode_id(self.delivery_id)) + _field(_CARGO_FIELD, self.cargo)
        if len(encoding) > MAX_MESSAGE:
            raise CodecError("The cargo is too large for a CogRPC message")
        return encoding

    @classmethod
    def parse(cls, data: bytes) -> CargoDelivery:
        """Read the message.

        Raises:
            CodecError: it is not such a message.
        """
        delivery_id = cargo = b""
        for number, value in _fields(data):
            if number == _ID_FIELD:
                delivery_id = value
            elif number == _CARGO_FIELD:
                cargo = value
        return cls(_decode_id(delivery_id), cargo)


@dataclass(frozen=True, slots=True)
class CargoDeliveryAck:
    """The receiver's word that a cargo is safe."""

    delivery_id: str

    def serialize(self) -> bytes:
        """Return the message as protobuf.

        Raises:
            CodecError: the id is too long.
        """
        return _field(_ID_FIELD, _encode_id(self.delivery_id))

    @classmethod
    def parse(cls, data: bytes) -> CargoDeliveryAck:
        """Read the message.

        Raises:
            CodecError: it is not such a message.
        """
        delivery_id = b""
        for number, value in _fields(data):
            if number == _ID_FIELD:
                delivery_id = value
        return cls(_decode_id(delivery_id))


def _encode_id(delivery_id: str) -> bytes:
    try:
        encoding = delivery_id.encode()
    except UnicodeEncodeError as error:
        raise CodecError("The delivery id cannot be written in UTF-8") from error
    if len(encoding) > MAX_DELIVERY_ID:
        raise CodecError("The delivery id is too long")
    return encoding


def _decode_id(octets: bytes) -> str:
    if len(octets) > MAX_DELIVERY_ID:
        raise CodecError("The delivery id is too long")
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise CodecError("The delivery id is not UTF-8") from error


def _field(number: int, value: bytes) -> bytes:
    return b"".join((bytes((number << 3 | _WireType.LENGTH_DELIMITED,)), _encode_varint(len(value)), value))


def _encode_varint(value: int) -> bytes:
    octets = bytearray()
    while value >= _CONTINUES:
        octets.append(value & 0x7F | _CONTINUES)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields; check and skip the others."""
    if len(data) > MAX_MESSAGE:
        raise CodecError("The message is too large")
    position = count = 0
    while position < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise CodecError("The message has too many fields")
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:
            raise CodecError("The message has an impossible field number")
        start, position = _extent(data, position, wire_type)
        if position > len(data):
            raise CodecError("The message ends within a field")
        if wire_type == _WireType.LENGTH_DELIMITED:
            yield number, data[start:position]


def _extent(data: bytes, position: int, wire_type: int) -> tuple[int, int]:
    """Return where the value at ``position`` starts and ends."""
    match wire_type:
        case _WireType.VARINT:
            return position, _varint(data, position)[1]
        case _WireType.FIXED64:
            return position, position + 8
        case _WireType.LENGTH_DELIMITED:
            length, position = _varint(data, position)
            return position, position + length
        case _WireType.FIXED32:
            return position, position + 4
        case _:
            raise CodecError("The message has a field of an unknown wire type")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number at ``position`` and the position after it."""
    value = 0
    for index, octet in enumerate(data[position : position + _MAX_VARINT_OCTETS]):
        value |= (octet & 0x7F) << 7 * index
        if octet < _CONTINUES:
            return value, position + index + 1
    raise CodecError("The message has an unfinished or overlong number")
