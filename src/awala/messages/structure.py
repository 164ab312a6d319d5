# SPDX-License-Identifier: MIT
"""Reads and writes what all structures are made of: sequences of fields with implicit context tags from 0.

Fields behind those that are known are ignored, as both deployed stacks do in nearly all structures.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from awala.asn1 import Element, Octets, der, parse
from awala.messages.errors import InvalidMessageError, MalformedMessageError
from awala.pki import Certificate

_DATE_DIGITS: Final = 14
_MAX_TEXT_OCTETS: Final = 4096
_CONSTRUCTED: Final = 0xA0
_PRIMITIVE: Final = 0x80


def sequence_fields(data: Octets, least: int) -> list[Element]:
    """Return the fields of the SEQUENCE in ``data``; octets behind it are ignored."""
    return _at_least(parse(data).expect(der.SEQUENCE, "the structure"), least)


def nested_fields(element: Element, number: int, name: str, least: int = 0) -> list[Element]:
    """Return the fields of a nested sequence, which has context tag ``number``."""
    return _at_least(element.expect(_CONSTRUCTED | number, name), least)


def _at_least(element: Element, least: int) -> list[Element]:
    children = element.children()
    if len(children) < least:
        raise MalformedMessageError(f"A structure has {len(children)} fields where {least} are due")
    return children


def octets_field(element: Element, number: int, name: str) -> bytes:
    """Return the contents octets of a primitive field."""
    return bytes(element.expect(_PRIMITIVE | number, name).content)


def certificate_field(element: Element, number: int, name: str) -> Certificate:
    """Return a certificate inside a primitive field, whose key has been found usable."""
    certificate = Certificate.parse(octets_field(element, number, name))
    _ = certificate.public_key  # raises now rather than where nobody expects it
    return certificate


def text_field(element: Element, number: int, name: str, limit: int = _MAX_TEXT_OCTETS) -> str:
    """Return a text of at most ``limit`` characters.

    The type is VisibleString; deployed parsers take more, so all printable text in UTF-8 is read.
    """
    content = element.expect(_PRIMITIVE | number, name).content
    if len(content) > 4 * limit:
        raise MalformedMessageError(f"The {name} is longer than {limit} characters")
    try:
        text = str(content, "utf-8")
    except UnicodeDecodeError:
        raise MalformedMessageError(f"The {name} is not text") from None
    if len(text) > limit:
        raise MalformedMessageError(f"The {name} is longer than {limit} characters")
    if not text.isprintable():
        raise MalformedMessageError(f"The {name} has characters that cannot be printed")
    return text


def date_field(element: Element, number: int, name: str) -> datetime:
    """Return a date written as 14 digits, in UTC, without a zone (rules §1)."""
    digits = octets_field(element, number, name)
    if len(digits) != _DATE_DIGITS or not digits.isdigit():
        raise MalformedMessageError(f"The {name} is not written in 14 digits")
    try:
        return datetime(
            int(digits[:4]),
            int(digits[4:6]),
            int(digits[6:8]),
            int(digits[8:10]),
            int(digits[10:12]),
            int(digits[12:]),
            tzinfo=UTC,
        )
    except ValueError:
        raise MalformedMessageError(f"The {name} is no date of the calendar") from None


def text_content(text: str, name: str, limit: int = _MAX_TEXT_OCTETS) -> bytes:
    """Return the contents octets of a VisibleString; raise `InvalidMessageError` if it cannot be one."""
    if len(text) > limit:
        raise InvalidMessageError(f"The {name} is longer than {limit} characters")
    if not (text.isascii() and text.isprintable()):
        raise InvalidMessageError(f"The {name} has characters besides printable ASCII")
    return text.encode("ascii")


def date_content(date: datetime, name: str) -> bytes:
    """Return a date as 14 digits, truncated to the second; raise `InvalidMessageError` if it has no zone."""
    if date.tzinfo is None:
        raise InvalidMessageError(f"The {name} has no time zone")
    date = date.astimezone(UTC)
    return b"%04d%02d%02d%02d%02d%02d" % (
        date.year,
        date.month,
        date.day,
        date.hour,
        date.minute,
        date.second,
    )


def as_sequence(element: Element) -> bytes:
    """Return the SEQUENCE that an implicit tag stands for."""
    return der.tlv(der.SEQUENCE, element.content)


def retagged(encoding: Octets, number: int) -> bytes:
    """Return a constructed element in DER with its tag replaced by context tag ``number``."""
    return bytes((_CONSTRUCTED | number,)) + bytes(encoding[1:])
