# SPDX-License-Identifier: MIT
"""A strict DER writer: each function returns the octets of one element."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from awala.asn1.errors import Asn1Error
from awala.asn1.reader import Octets

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
VISIBLE_STRING: Final = 0x1A
BMP_STRING: Final = 0x1E
SEQUENCE: Final = 0x30
SET: Final = 0x31

_CONTEXT: Final = 0x80
_CONSTRUCTED: Final = 0x20
_MAX_TAG: Final = 30
_UTC_TIME_YEARS: Final = range(1950, 2050)


@lru_cache(maxsize=4096)
def header(identifier: int, length: int) -> bytes:
    """Return identifier and length octets for contents of ``length`` octets."""
    if length < 0x80:  # noqa: PLR2004 - the short form ends here
        return bytes((identifier, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((identifier, 0x80 | len(octets))) + octets


def tlv(identifier: int, *parts: Octets) -> bytes:
    """Return an element whose contents are the parts, joined."""
    return b"".join((header(identifier, sum(map(len, parts))), *parts))


def sequence(*elements: Octets) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return tlv(SEQUENCE, *elements)


def set_of(*elements: Octets) -> bytes:
    """Return a SET OF encoded elements, sorted as DER requires."""
    return tlv(SET, *sorted(map(bytes, elements)))


def octet_string(content: Octets) -> bytes:
    """Return an OCTET STRING."""
    return header(OCTET_STRING, len(content)) + content


def bit_string(content: Octets) -> bytes:
    """Return a BIT STRING of whole octets."""
    return tlv(BIT_STRING, b"\0", content)


def integer_content(value: int) -> bytes:
    """Return the contents octets of an INTEGER: two's complement, as short as possible."""
    bits = value.bit_length() if value >= 0 else (~value).bit_length()
    return value.to_bytes(bits // 8 + 1, signed=True)


def integer(value: int) -> bytes:
    """Return an INTEGER."""
    return tlv(INTEGER, integer_content(value))


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value itself
    """Return a BOOLEAN."""
    return b"\x01\x01\xff" if value else b"\x01\x01\x00"


def null() -> bytes:
    """Return a NULL."""
    return b"\x05\x00"


@lru_cache(maxsize=256)
def oid_content(dotted: str) -> bytes:
    """Return the contents octets of an OBJECT IDENTIFIER; raise `Asn1Error` if the text is none."""
    arcs = dotted.split(".")
    if len(arcs) < 2 or not all(arc.isascii() and arc.isdecimal() for arc in arcs):  # noqa: PLR2004 - two arcs make the first octet
        raise Asn1Error("an object identifier needs at least two numbers with dots between")
    first, second, *others = map(int, arcs)
    if first > 2 or (first < 2 and second > 39):  # noqa: PLR2004 - X.660: three roots, forty arcs under the first two
        raise Asn1Error("an object identifier starts with arcs that do not exist")
    return b"".join(map(_base_128, (40 * first + second, *others)))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER; raise `Asn1Error` if the text is none."""
    return tlv(OBJECT_IDENTIFIER, oid_content(dotted))


def utf8_string(text: str) -> bytes:
    """Return a UTF8String."""
    return tlv(UTF8_STRING, _encode(text, "utf-8", "UTF8String"))


def visible_string(text: str) -> bytes:
    """Return a VisibleString; raise `Asn1Error` if the text is not printable ASCII."""
    return tlv(VISIBLE_STRING, visible_string_content(text))


def visible_string_content(text: str) -> bytes:
    """Return the contents octets of a VisibleString; raise `Asn1Error` if it is not printable ASCII."""
    if not (text.isascii() and text.isprintable()):
        raise Asn1Error("a VisibleString holds printable ASCII only")
    return text.encode("ascii")


def bmp_string(text: str) -> bytes:
    """Return a BMPString; raise `Asn1Error` if a character lies outside the Basic Multilingual Plane."""
    if any(ord(character) > 0xFFFF for character in text):  # noqa: PLR2004 - the last of the plane
        raise Asn1Error("a BMPString cannot hold a character outside the Basic Multilingual Plane")
    return tlv(BMP_STRING, _encode(text, "utf-16-be", "BMPString"))


def utc_time(at: datetime) -> bytes:
    """Return a UTCTime to the second; raise `Asn1Error` outside 1950 to 2049."""
    at = _utc(at)
    if at.year not in _UTC_TIME_YEARS:
        raise Asn1Error("a UTCTime holds the years 1950 to 2049 only")
    return tlv(UTC_TIME, f"{at.year % 100:02}{at:%m%d%H%M%S}Z".encode())


def generalized_time(at: datetime) -> bytes:
    """Return a GeneralizedTime to the second, in the form of RFC 5280 §4.1.2.5.2."""
    at = _utc(at)
    return tlv(GENERALIZED_TIME, f"{at.year:04}{at:%m%d%H%M%S}Z".encode())


def x509_time(at: datetime) -> bytes:
    """Return a UTCTime up to 2049, else a GeneralizedTime (RFC 5280 §4.1.2.5)."""
    return utc_time(at) if _utc(at).year in _UTC_TIME_YEARS else generalized_time(at)


def implicit(number: int, content: Octets, *, constructed: bool = False) -> bytes:
    """Return a context-specific element around contents octets (IMPLICIT tagging)."""
    return header(context_tag(number, constructed=constructed), len(content)) + content


def implicit_header(number: int, length: int) -> bytes:
    """Return what `implicit` puts before ``length`` contents octets, for those too many to copy twice."""
    return header(context_tag(number), length)


def explicit(number: int, *elements: Octets) -> bytes:
    """Return a context-specific element around encoded elements (EXPLICIT tagging)."""
    return tlv(context_tag(number, constructed=True), *elements)


def context_tag(number: int, *, constructed: bool = False) -> int:
    """Return the identifier octet of a context-specific tag; raise `Asn1Error` above 30."""
    if not 0 <= number <= _MAX_TAG:
        raise Asn1Error("tag numbers above 30 are not in use")
    return _CONTEXT | (_CONSTRUCTED if constructed else 0) | number


def join(elements: Iterable[Octets]) -> bytes:
    """Return encoded elements one behind the other."""
    return b"".join(elements)


def _base_128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


def _encode(text: str, codec: str, kind: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        raise Asn1Error(f"the text does not fit a {kind}") from None


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Asn1Error("a time without a time zone cannot be written")
    return at.astimezone(UTC)
