# SPDX-License-Identifier: MIT
"""Certificates as received: read leniently, kept octet for octet, compared by their octets (RS-002)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from awala.asn1 import Asn1Error, Element, Octets, der, parse, values
from awala.crypto import CryptoError, IdentityPublicKey, hash_of_signature_algorithm
from awala.pki.errors import CertificateError
from awala.pki.lifetimes import CLOCK_TOLERANCE
from awala.pki.rate_limit import RATE_LIMIT, RateLimit
from awala.pki.usual import USUAL_SIGNATURE_ALGORITHM, read_usual

BASIC_CONSTRAINTS: Final = "2.5.29.19"
AUTHORITY_KEY_IDENTIFIER: Final = "2.5.29.35"
SUBJECT_KEY_IDENTIFIER: Final = "2.5.29.14"

MAX_SERIAL_OCTETS: Final = 20
"""The longest serial number (RFC 5280 §4.1.2.2)."""

MAX_CERTIFICATE_OCTETS: Final = 16_384
"""Ten times what certificates of Awala take; it bounds what the caches can hold."""

MAX_EXTENSIONS: Final = 32
"""More extensions than any certificate of Awala needs."""

_COMMON_NAME: Final = der.oid("2.5.4.3")
_VERSION_3: Final = der.explicit(0, der.integer(2))
_EXTENSIONS_TAG: Final = 0xA3
_FIELDS_BEFORE_EXTENSIONS: Final = 7
_PARSED_KEPT: Final = 512
_VERIFIED_KEPT: Final = 2048
_BASIC_CONSTRAINTS: Final = der.oid(BASIC_CONSTRAINTS)
_RATE_LIMIT: Final = der.oid(RATE_LIMIT)
_LEFT_UNREAD: Final = frozenset(
    {der.oid(AUTHORITY_KEY_IDENTIFIER), der.oid(SUBJECT_KEY_IDENTIFIER), _RATE_LIMIT}
)
"""Extensions that are known, though nothing here depends on them until somebody asks for them."""


class Certificate:
    """An X.509 certificate of version 3.

    Equal certificates are those with equal octets, once what is around the signed part is in DER: that
    nobody signed, and anybody could write it in another form. What the deployed implementations get wrong is
    read all the same: serial numbers that are not minimal, zero or negative, names of any string
    type, constraints with encoded defaults (rules §1).
    """

    __slots__ = (
        "_extensions",
        "_public_key",
        "_rate_limit",
        "_signature",
        "_signature_algorithm",
        "_spki",
        "_tbs",
        "critical_extensions",
        "encoding",
        "is_ca",
        "issuer",
        "not_after",
        "not_before",
        "path_length",
        "serial",
        "subject",
    )

    encoding: bytes
    """The certificate as received, but in DER around its signed part."""
    serial: bytes
    """The contents octets of the serial number as received."""
    issuer: bytes
    """The issuer's Name as received."""
    subject: bytes
    """The subject's Name as received."""
    not_before: datetime
    """The first moment of validity."""
    not_after: datetime
    """The last moment of validity."""
    is_ca: bool
    """Whether BasicConstraints allow the subject to issue certificates."""
    path_length: int | None
    """How many authorities may follow in a path; None if BasicConstraints do not say."""
    critical_extensions: frozenset[str]
    """The object identifiers of critical extensions that are not known here."""

    def __init__(self, encoding: bytes) -> None:
        self.encoding = encoding
        self._public_key: IdentityPublicKey | None = None
        self._extensions: dict[bytes, bytes] | None = None
        self._rate_limit: bytes | None = None  # the extension, which the usual form does not have
        usual = read_usual(encoding)
        if usual is None:
            self._read()
            return
        self._signature_algorithm = USUAL_SIGNATURE_ALGORITHM
        self.critical_extensions = frozenset()
        (
            self._tbs,
            self.serial,
            self.issuer,
            self.not_before,
            self.not_after,
            self.subject,
            self._spki,
            self.is_ca,
            self.path_length,
            self._signature,
        ) = usual

    def _read(self) -> None:
        """Read what has any form, element by element."""
        tbs, signature_algorithm, signature = self._wrapped_in_der()
        fields = tbs.expect(der.SEQUENCE, "the signed part of a certificate").children()
        version, serial, algorithm, issuer, validity, subject, spki = fields[:_FIELDS_BEFORE_EXTENSIONS]
        if version.encoding != _VERSION_3:
            raise CertificateError("a certificate is not of version 3")
        self._signature_algorithm = bytes(signature_algorithm.encoding)
        if algorithm.encoding != self._signature_algorithm:
            raise CertificateError("a certificate names two different signature algorithms")
        self.serial = bytes(serial.expect(der.INTEGER, "a serial number").content)
        if not 0 < len(self.serial) <= MAX_SERIAL_OCTETS:
            raise CertificateError(f"a serial number takes no octets, or more than {MAX_SERIAL_OCTETS}")
        self.issuer = bytes(issuer.expect(der.SEQUENCE, "the name of an issuer").encoding)
        self.subject = bytes(subject.expect(der.SEQUENCE, "the name of a subject").encoding)
        not_before, not_after = validity.expect(der.SEQUENCE, "a validity").children()
        self.not_before = values.time(not_before)
        self.not_after = values.time(not_after)
        self._tbs = slice(tbs.start, tbs.end)
        spki.expect(der.SEQUENCE, "a public key")
        self._spki = slice(spki.start, spki.end)
        self._signature = slice(signature.content_start + 1, signature.content_end)
        self._read_extensions(fields[_FIELDS_BEFORE_EXTENSIONS:])

    def _wrapped_in_der(self) -> list[Element]:
        """Return the three parts, with the only lengths around the signed part that DER has for them."""
        parts = parse(self.encoding).expect(der.SEQUENCE, "a certificate").children()
        tbs, signature_algorithm, signature = parts
        encoding = der.sequence(
            tbs.encoding, signature_algorithm.encoding, der.bit_string(values.bit_string(signature))
        )
        if encoding == self.encoding:
            return parts
        self.encoding = encoding
        return parse(encoding).children()

    @classmethod
    def parse(cls, encoding: Octets) -> Certificate:
        """Read a certificate; octets behind it are ignored.

        Its signature is not looked at, nor is the key until it is asked for. Raises `CertificateError`.
        """
        try:
            return cls.from_element(parse(encoding))
        except Asn1Error as error:
            raise CertificateError(f"a certificate is malformed: {error}") from None

    @classmethod
    def from_element(cls, element: Element) -> Certificate:
        """Do what `parse` does, for an element already read."""
        encoding = element.encoding
        if len(encoding) > MAX_CERTIFICATE_OCTETS:
            raise CertificateError(f"a certificate takes more than {MAX_CERTIFICATE_OCTETS} octets")
        return _parse(bytes(encoding))

    def _read_extensions(self, fields: list[Element]) -> None:
        self.is_ca = False
        self.path_length = None
        unknown: set[str] = set()
        self._extensions = _extensions(fields)
        for name, content in self._extensions.items():
            if name == _BASIC_CONSTRAINTS:
                self.is_ca, self.path_length = _basic_constraints(content)
            elif name not in _LEFT_UNREAD and _is_critical(content):
                unknown.add(values.oid_from(name[2:]))
        self._rate_limit = self._extensions.get(_RATE_LIMIT)
        self.critical_extensions = frozenset(unknown)

    @property
    def spki(self) -> bytes:
        """The subject's SubjectPublicKeyInfo as received; nothing says that it can be used."""
        return self.encoding[self._spki]

    @property
    def public_key(self) -> IdentityPublicKey:
        """The subject's key; raises `CertificateError` if it is none that may be an identity key."""
        if self._public_key is None:
            try:
                self._public_key = IdentityPublicKey.load(self.spki)
            except CryptoError as error:
                raise CertificateError(f"a certificate has a key that cannot be used: {error}") from None
        return self._public_key

    @property
    def node_id(self) -> str:
        """The id of the node whose key this is, whatever the name says; raises as `public_key` does."""
        return self.public_key.node_id

    @property
    def subject_id(self) -> str:
        """The subject's common name; raises `CertificateError` if there is none."""
        return _common_name(self.subject)

    @property
    def issuer_id(self) -> str:
        """The issuer's common name; raises `CertificateError` if there is none."""
        return _common_name(self.issuer)

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer have the same name."""
        return self.subject == self.issuer

    @property
    def rate_limit(self) -> RateLimit | None:
        """How many parcels the subject may send, or None if the certificate does not say (RS-002).

        Whoever judges by it learns here that it is malformed, by a `CertificateError`.
        """
        return None if self._rate_limit is None else RateLimit.decode(_checked_value(self._rate_limit))

    def extension_value(self, dotted: str) -> bytes | None:
        """Return the octets inside an extension, or None if the certificate does not have it.

        Raises `CertificateError` if it is malformed.
        """
        if self._extensions is None:
            tbs = parse(self.encoding).children()[0]
            self._extensions = _extensions(tbs.children()[_FIELDS_BEFORE_EXTENSIONS:])
        content = self._extensions.get(der.oid(dotted))
        return None if content is None else _checked_value(content)

    def verify_issued_by(self, issuer: Certificate) -> None:
        """Return if ``issuer`` issued this certificate: it has the name, and its key made the signature.

        Neither dates nor the issuer's right to issue are looked at. Raises `CertificateError`.
        """
        if self.issuer != issuer.subject:
            raise CertificateError("a certificate was issued under another name")
        _verify(self, issuer.public_key)

    def valid_at(self, at: datetime, tolerance: timedelta = CLOCK_TOLERANCE) -> bool:
        """Return whether ``at`` lies within the validity, give or take ``tolerance`` (rules §2)."""
        return self.not_before - at <= tolerance and at - self.not_after <= tolerance

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.encoding == other.encoding

    def __hash__(self) -> int:
        return hash(self.encoding)

    def __repr__(self) -> str:
        return f"Certificate(serial={self.serial.hex()})"


def clear_certificates() -> None:
    """Forget which certificates were read and verified."""
    _parse.cache_clear()
    _verify.cache_clear()
    _common_name.cache_clear()


@lru_cache(maxsize=_PARSED_KEPT)
def _parse(encoding: bytes) -> Certificate:
    try:
        return Certificate(encoding)
    except Asn1Error as error:
        raise CertificateError(f"a certificate is malformed: {error}") from None
    except ValueError:  # a list of children that is shorter or longer than what is to be taken from it
        raise CertificateError("a certificate has parts missing, or too many") from None


@lru_cache(maxsize=_VERIFIED_KEPT)
def _verify(certificate: Certificate, key: IdentityPublicKey) -> None:
    """Verify a signature; only success is remembered, since an exception is no result."""
    try:
        algorithm = hash_of_signature_algorithm(certificate._signature_algorithm)  # noqa: SLF001 - kept out of the class for the cache
        octets, signed, signature = certificate.encoding, certificate._tbs, certificate._signature  # noqa: SLF001 - the same
        key.verify(octets[signature], octets[signed], algorithm)
    except CryptoError as error:
        raise CertificateError(f"a certificate was not signed by its issuer: {error}") from None


@lru_cache(maxsize=_PARSED_KEPT)
def _common_name(name: bytes) -> str:
    try:
        for relative_name in parse(name).children():
            for attribute in relative_name.children():
                kind, value = attribute.children()
                if kind.encoding == _COMMON_NAME:
                    return values.text(value)
    except (Asn1Error, ValueError):
        raise CertificateError("a name is malformed") from None
    raise CertificateError("a name has no common name in it")


def _extensions(fields: list[Element]) -> dict[bytes, bytes]:
    """Return the contents of each extension by the encoding of its name."""
    found: dict[bytes, bytes] = {}
    for field in fields:
        if field.identifier == _EXTENSIONS_TAG:
            (extensions,) = field.children()
            listed = extensions.expect(der.SEQUENCE, "the extensions").children()
            if len(listed) > MAX_EXTENSIONS:
                raise CertificateError(f"a certificate has more than {MAX_EXTENSIONS} extensions")
            for extension in listed:
                content = bytes(extension.expect(der.SEQUENCE, "an extension").content)
                name = _extension_name(content)
                if name in found:
                    raise CertificateError("a certificate has an extension twice")
                found[name] = content
            break
    return found


def _extension_name(content: bytes) -> bytes:
    """Return the encoding of an extension's object identifier, which comes first in it."""
    if len(content) < 2 or content[0] != der.OBJECT_IDENTIFIER:  # noqa: PLR2004 - tag and length
        raise CertificateError("an extension of a certificate has no name")
    return content[: 2 + content[1]]


def _extension_fields(content: bytes) -> list[Element]:
    return parse(der.tlv(der.SEQUENCE, content)).children()


def _extension_value(content: bytes) -> bytes:
    return values.octet_string(_extension_fields(content)[-1])


def _checked_value(content: bytes) -> bytes:
    try:
        return _extension_value(content)
    except (Asn1Error, IndexError):
        raise CertificateError("an extension of a certificate is malformed") from None


def _is_critical(content: bytes) -> bool:
    fields = _extension_fields(content)
    return len(fields) > 2 and values.boolean(fields[1])  # noqa: PLR2004 - name and value only


@lru_cache(maxsize=64)
def _basic_constraints(content: bytes) -> tuple[bool, int | None]:
    is_ca = False
    path_length = None
    value = parse(_extension_value(content)).expect(der.SEQUENCE, "basic constraints")
    for field in value.children():
        if field.identifier == der.BOOLEAN:
            is_ca = values.boolean(field)
        else:
            path_length = values.integer(field)
    if path_length is not None and path_length < 0:
        raise CertificateError("basic constraints limit the path to a negative length")
    return is_ca, path_length
