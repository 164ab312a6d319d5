# SPDX-License-Identifier: MIT
"""What signed and enveloped data share: the ContentInfo around them (RFC 5652 §3)."""

from __future__ import annotations

from typing import Final

from awala.asn1 import Element, Octets, der, parse
from awala.cms.errors import CmsError

DATA: Final = der.oid("1.2.840.113549.1.7.1")
SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
ENVELOPED_DATA: Final = der.oid("1.2.840.113549.1.7.3")

CONTEXT_0: Final = 0xA0
CONTEXT_1: Final = 0xA1
CONTEXT_0_PRIMITIVE: Final = 0x80


def wrap(content_type: bytes, *parts: Octets, prefix: bytes = b"") -> bytes:
    """Return a ContentInfo around a SEQUENCE of the parts, behind the prefix; all are copied once."""
    length = sum(map(len, parts))
    inner = headers(length, der.SEQUENCE, CONTEXT_0)
    outer = der.header(der.SEQUENCE, len(content_type) + len(inner) + length)
    return b"".join((prefix, outer, content_type, inner, *parts))


def unwrap(data: Octets, content_type: bytes) -> list[Element]:
    """Return the fields of the SEQUENCE inside a ContentInfo of that type; octets behind it are ignored."""
    fields = parse(data).expect(der.SEQUENCE, "a content info").children()
    if len(fields) < 2 or fields[0].encoding != content_type:  # noqa: PLR2004 - type and content
        raise CmsError("the data is no CMS structure of the type that is due")
    content = only(fields[1].expect(CONTEXT_0, "the content of a content info"))
    return content.expect(der.SEQUENCE, "a CMS structure").children()


def only(element: Element) -> Element:
    """Return the one element inside another."""
    children = element.children()
    if len(children) != 1:
        raise CmsError("a place for one element holds none, or several")
    return children[0]


def headers(length: int, *identifiers: int) -> bytes:
    """Return the headers of elements nested around ``length`` octets; the innermost is given first."""
    nested = b""
    for identifier in identifiers:
        nested = der.header(identifier, len(nested) + length) + nested
    return nested
