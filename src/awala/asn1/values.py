# SPDX-License-Identifier: MIT
"""Reads the values of elements: numbers, identifiers, texts and times."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

from awala.asn1 import der
from awala.asn1.errors import Asn1Error
from awala.asn1.reader import Element, Octets

_MAX_INTEGER_OCTETS: Final = 1024
_MAX_OID_OCTETS: Final = 128
_CODECS: Final = {
    der.UTF8_STRING: "utf-8",
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody reads it
    0x16: "ascii",  # IA5String
    der.VISIBLE_STRING: "ascii",
    0x1C: "utf-32-be",  # UniversalString
    der.BMP_STRING: "utf-16-be",
}
_CONSTRUCTED: Final = 0x20
_TIME_DIGITS: Final = (12, 14)  # with the century: to the minute, to the second
_FIRST_YEAR_OF_UTC_TIME: Final = b"50"


def integer(element: Element) -> int:
    """Return the value of an INTEGER, minimal or not."""
    return integer_from(element.expect(der.INTEGER, "a number").content)


def integer_from(content: Octets) -> int:
    """Return the value of an INTEGER's contents octets; raise `Asn1Error` if there are none or too many."""
    if not 0 < len(content) <= _MAX_INTEGER_OCTETS:
        raise Asn1Error("a number takes no octets, or far too many")
    return int.from_bytes(content, signed=True)


def boolean(element: Element) -> bool:
    """Return the value of a BOOLEAN; any octet but zero means true, as BER has it."""
    content = element.expect(der.BOOLEAN, "a truth value").content
    if len(content) != 1:
        raise Asn1Error("a truth value takes one octet")
    return content[0] != 0


def oid(element: Element) -> str:
    """Return an OBJECT IDENTIFIER with dots."""
    return oid_from(bytes(element.expect(der.OBJECT_IDENTIFIER, "an object identifier").content))


@lru_cache(maxsize=256)
def oid_from(content: bytes) -> str:
    """Return with dots what the contents octets of an OBJECT IDENTIFIER say."""
    if not 0 < len(content) <= _MAX_OID_OCTETS or content[-1] & 0x80:
        raise Asn1Error("an object identifier is cut short, empty or far too long")
    arcs: list[int] = []
    arc = 0
    for octet in content:
        if octet == 0x80 and arc == 0:  # noqa: PLR2004 - a leading zero in base 128
            raise Asn1Error("an object identifier has a number with leading zeros")
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def octet_string(element: Element) -> bytes:
    """Return the contents of an OCTET STRING, in one piece or in segments."""
    if element.identifier & ~_CONSTRUCTED != der.OCTET_STRING:
        raise Asn1Error(f"an octet string has the tag {element.identifier:#04x}")
    return element.octets()


def bit_string(element: Element) -> memoryview:
    """Return the contents of a BIT STRING of whole octets, in one piece."""
    content = element.expect(der.BIT_STRING, "a bit string").content
    if not content or content[0] != 0:
        raise Asn1Error("a bit string is empty or ends inside an octet")
    return content[1:]


def text(element: Element) -> str:
    """Return the text of any of the string types that names are written in."""
    codec = _CODECS.get(element.identifier & ~_CONSTRUCTED)
    if codec is None:
        raise Asn1Error(f"a text has the tag {element.identifier:#04x}")
    try:
        return element.octets().decode(codec)
    except UnicodeDecodeError:
        raise Asn1Error("a text holds octets that its type does not allow") from None


def time(element: Element) -> datetime:
    """Return the UTCTime or GeneralizedTime of a certificate, which must be in UTC.

    Seconds may be missing and fractions of a second are dropped (BER allows both).
    """
    digits, identifier = element.octets(), element.identifier
    if digits[-1:] != b"Z":
        raise Asn1Error("a time does not end with Z")
    digits = digits[:-1]
    if identifier == der.UTC_TIME:
        digits = (b"19" if digits[:2] >= _FIRST_YEAR_OF_UTC_TIME else b"20") + digits
    elif identifier == der.GENERALIZED_TIME:
        digits, dot, fraction = digits.partition(b".")
        if dot and not fraction.isdigit():
            raise Asn1Error("a time has a fraction without digits")
    else:
        raise Asn1Error(f"a time has the tag {identifier:#04x}")
    if len(digits) not in _TIME_DIGITS or not digits.isdigit():
        raise Asn1Error("a time is not written in digits to the minute or second")
    try:
        return datetime.fromisoformat((digits[:8] + b"T" + digits[8:] + b"+00:00").decode())
    except ValueError:
        raise Asn1Error("a time names a moment that does not exist") from None
