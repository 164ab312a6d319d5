# SPDX-License-Identifier: MIT
"""A certificate together with the authorities above it, in both encodings that are in use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from awala.asn1 import Asn1Error, Element, Octets, der, parse, values
from awala.pki.certificate import Certificate
from awala.pki.errors import CertificateError
from awala.pki.paths import MAX_INTERMEDIATES

_LEAF_IN_OCTETS: Final = 0x80
_LEAF_IN_PLACE: Final = 0xA0
_AUTHORITIES: Final = 0xA1


class PathForm(Enum):
    """The two encodings of a certification path; parsers read both."""

    RS002 = "rs-002"
    """Each certificate inside an octet string, as RS-002 has it."""
    KOTLIN = "kotlin"
    """Each certificate in place, as the Kotlin library has it, and as connection parameters have it."""


@dataclass(frozen=True, slots=True)
class CertificationPath:
    """A leaf certificate and the authorities that lead to its anchor, nearest first as a rule."""

    leaf: Certificate
    authorities: tuple[Certificate, ...] = ()

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The leaf, then the authorities."""
        return (self.leaf, *self.authorities)

    def serialize(self, form: PathForm = PathForm.RS002) -> bytes:
        """Return the DER in the given form (rules §1)."""
        return der.tlv(der.SEQUENCE, self.serialize_content(form))

    def serialize_content(self, form: PathForm = PathForm.RS002) -> bytes:
        """Return the same without the outer header, for structures that put a tag of their own there."""
        if form is PathForm.RS002:
            leaf = der.implicit(0, self.leaf.encoding)
            authorities = [der.octet_string(authority.encoding) for authority in self.authorities]
        else:
            leaf = der.implicit(0, parse(self.leaf.encoding).content, constructed=True)
            authorities = [authority.encoding for authority in self.authorities]
        return leaf + der.explicit(1, *authorities)

    @classmethod
    def parse(cls, data: Octets) -> CertificationPath:
        """Read a path in either form; octets behind it and further fields are ignored.

        Only the syntax is looked at: use `build_path` to learn whether the path is good. Raises
        `CertificateError`.
        """
        try:
            return cls.from_element(parse(data).expect(der.SEQUENCE, "a certification path"))
        except Asn1Error as error:
            raise CertificateError(f"a certification path is malformed: {error}") from None

    @classmethod
    def from_element(cls, element: Element) -> CertificationPath:
        """Read the path inside an element, whatever its tag; raise `CertificateError`."""
        try:
            fields = element.children()
            if len(fields) < 2:  # noqa: PLR2004 - leaf and authorities
                raise CertificateError("a certification path has parts missing")
            listed = fields[1].expect(_AUTHORITIES, "the authorities of a path").children()
            if len(listed) > MAX_INTERMEDIATES:
                raise CertificateError(f"a certification path has more than {MAX_INTERMEDIATES} authorities")
            return cls(_leaf(fields[0]), tuple(map(_authority, listed)))
        except Asn1Error as error:
            raise CertificateError(f"a certification path is malformed: {error}") from None


def _leaf(element: Element) -> Certificate:
    if element.identifier == _LEAF_IN_OCTETS:
        return Certificate.parse(element.content)
    element.expect(_LEAF_IN_PLACE, "the leaf of a certification path")
    return Certificate.parse(der.tlv(der.SEQUENCE, element.content))


def _authority(element: Element) -> Certificate:
    if element.identifier == der.SEQUENCE:
        return Certificate.from_element(element)
    return Certificate.parse(values.octet_string(element))
