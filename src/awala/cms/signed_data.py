# SPDX-License-Identifier: MIT
"""Reads and verifies signed data of either deployed stack (RFC 5652 §5, rules §1)."""

from __future__ import annotations

from typing import Final

from awala.asn1 import Asn1Error, Element, Octets, der, values
from awala.cms.content_info import CONTEXT_0, DATA, SIGNED_DATA, only, unwrap
from awala.cms.embedded import recall_embedded, remember_embedded
from awala.cms.errors import CmsError, CmsSignatureError
from awala.cms.signing import CONTENT_TYPE, MESSAGE_DIGEST, signed_attributes
from awala.cms.usual_signer import USUAL_ATTRIBUTE_TYPES, USUAL_HASH, usual_digest, usual_signer
from awala.crypto import CryptoError, HashAlgorithm, hash_of_signature_algorithm
from awala.pki import Certificate, PkiError

MAX_CERTIFICATES: Final = 16
"""How many certificates a message may carry (rules §1)."""

MAX_ATTRIBUTES: Final = 32
"""How many attributes a signature may have; deployed peers have four at most."""

_FEWEST_FIELDS: Final = 4
_USUAL_FIELDS: Final = 5
_FEWEST_SIGNER_FIELDS: Final = 5


class SignedData:
    """Signed data with one signer, whose certificate is embedded.

    `parse` reads it and finds the signer's certificate; only `verify` looks at the signature, and
    nobody but `awala.pki.build_path` says whether the signer is to be trusted.
    """

    __slots__ = (
        "_attributes",
        "_content",
        "_digest",
        "_hash_algorithm",
        "_signature",
        "certificates",
        "signer",
    )

    signer: Certificate
    """The certificate of the signer."""
    certificates: tuple[Certificate, ...]
    """The other certificates, in their order."""

    def __init__(self, fields: list[Element]) -> None:
        if len(fields) < _FEWEST_FIELDS:
            raise CmsError("signed data has parts missing")
        self._content = _content(fields[2])
        self._attributes: Element | None = None
        self._digest: bytes | None = None
        embedded = _certificates(fields[3])
        usual = usual_signer(bytes(fields[4].encoding)) if len(fields) == _USUAL_FIELDS else None
        if usual is None:
            self._read_signer(embedded, fields[3:])
            return
        self.signer = _signer(usual.issuer, usual.serial, embedded)
        self.certificates = _others(self.signer, embedded)
        self._hash_algorithm = USUAL_HASH
        self._digest = usual.digest
        self._signature = usual.signature

    def _read_signer(self, embedded: tuple[Certificate, ...], fields: list[Element]) -> None:
        """Read a signer in any form, element by element."""
        infos = [field for field in fields if field.identifier == der.SET]
        if len(infos) != 1:
            raise CmsError("signed data has no set of signers, or several")
        signer_fields = only(infos[0]).expect(der.SEQUENCE, "a signer").children()
        if len(signer_fields) < _FEWEST_SIGNER_FIELDS:
            raise CmsError("a signer has parts missing")
        _version, identifier, digest_algorithm, *rest = signer_fields
        issuer, serial = identifier.expect(der.SEQUENCE, "the identifier of a signer").children()
        serial.expect(der.INTEGER, "a serial number")
        self.signer = _signer(bytes(issuer.encoding), bytes(serial.content), embedded)
        self.certificates = _others(self.signer, embedded)
        self._attributes = rest.pop(0) if rest[0].identifier == CONTEXT_0 else None
        signature_algorithm, signature = rest[:2]
        self._hash_algorithm = _hash_algorithm(digest_algorithm, signature_algorithm)
        self._signature = values.octet_string(signature)
        if self._attributes is not None:
            self._digest = usual_digest(self._attributes.content, self._hash_algorithm)

    @classmethod
    def parse(cls, data: Octets) -> SignedData:
        """Read a ContentInfo with signed data; octets behind it are ignored.

        Raises `CmsError` if it is malformed, uses an algorithm that is not allowed, has not exactly one
        signer identified by issuer and serial number, or lacks the signer's certificate.
        """
        try:
            return cls(unwrap(data, SIGNED_DATA))
        except (Asn1Error, PkiError) as error:
            raise CmsError(f"signed data is malformed: {error}") from None
        except ValueError:  # fewer or more fields than what is to be taken from a list
            raise CmsError("signed data has parts missing") from None

    @property
    def content(self) -> bytes | None:
        """What was signed, or None if it is kept elsewhere (detached)."""
        return None if self._content is None else bytes(self._content)

    @property
    def content_view(self) -> bytes | memoryview | None:
        """The same without a copy, as a view into the data given to `parse` where that is possible."""
        return self._content

    @property
    def hash_algorithm(self) -> HashAlgorithm:
        """The hash function of the signature."""
        return self._hash_algorithm

    @property
    def attribute_types(self) -> frozenset[str]:
        """The object identifiers of the signed attributes, with dots.

        Raises `CmsError` if the attributes are malformed, which `verify` would have noticed.
        """
        if self._digest is not None:
            return USUAL_ATTRIBUTE_TYPES
        if self._attributes is None:
            return frozenset()
        try:
            return frozenset(values.oid_from(kind) for kind in _by_type(self._attributes))
        except Asn1Error:
            raise CmsError("a signed attribute is malformed") from None

    def verify(self, content: Octets | None = None) -> None:
        """Return if the signer signed the content.

        ``content`` is given if, and only if, it is detached. Raises `CmsSignatureError` if the signature
        does not match, and `CmsError` if detached content is due and missing, or the reverse.
        """
        if (content is None) == (self._content is None):
            raise CmsError("the signed content is due in exactly one place: inside, or beside the signature")
        signed = self._content if content is None else content
        assert signed is not None  # noqa: S101 - one of the two is there
        try:
            if self._digest is not None:
                signed = _usual_attributes(self._digest, self._hash_algorithm, signed)
            elif self._attributes is not None:
                signed = _checked_attributes(self._attributes, self._hash_algorithm.digest(signed))
            self.signer.public_key.verify(self._signature, signed, self._hash_algorithm)
        except (CryptoError, PkiError) as error:
            raise CmsSignatureError(f"signed data is not what its signer signed: {error}") from None


def _usual_attributes(digest: bytes, hash_algorithm: HashAlgorithm, content: Octets) -> bytes:
    """Check the digest among attributes that are known to be the usual ones, and return what was signed."""
    if hash_algorithm.digest(content) != digest:
        raise CmsSignatureError("the content is not the one that was signed")
    return signed_attributes(digest, hash_algorithm)


def _checked_attributes(attributes: Element, digest: bytes) -> bytes:
    """Check the two attributes that tie the others to the content (RFC 5652 §5.6).

    Returns the octets that were signed: the attributes as a SET instead of under their tag. They are
    left in their order, which also serves signers that do not sort them.
    """
    by_type = _by_type(attributes)
    if by_type.get(CONTENT_TYPE) != DATA:
        raise CmsSignatureError("the content type was not signed, or is another one")
    if by_type.get(MESSAGE_DIGEST) != der.octet_string(digest):
        raise CmsSignatureError("the content is not the one that was signed")
    return der.tlv(der.SET, attributes.content)


def _content(encapsulated: Element) -> bytes | memoryview | None:
    fields = encapsulated.expect(der.SEQUENCE, "the content of signed data").children()
    if not fields or fields[0].encoding != DATA:
        raise CmsError("signed data is about something else than plain data")
    if len(fields) == 1:
        return None
    content = only(fields[1].expect(CONTEXT_0, "the signed content"))
    if content.identifier & ~0x20 != der.OCTET_STRING:
        raise CmsError("the signed content is no octet string")
    return content.buffer()


def _certificates(element: Element) -> tuple[Certificate, ...]:
    if element.identifier != CONTEXT_0:
        return ()
    encoding = bytes(element.encoding)
    certificates = recall_embedded(encoding)
    if certificates is None:
        listed = element.children()
        if len(listed) > MAX_CERTIFICATES:
            raise CmsError(f"signed data has more than {MAX_CERTIFICATES} certificates")
        certificates = tuple(map(Certificate.from_element, listed))
        remember_embedded(encoding, certificates)
    return certificates


def _signer(issuer: bytes, serial: bytes, certificates: tuple[Certificate, ...]) -> Certificate:
    for certificate in certificates:
        if certificate.serial == serial and certificate.issuer == issuer:
            return certificate
    raise CmsError("signed data lacks the certificate of its signer")


def _others(signer: Certificate, certificates: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    return tuple([one for one in certificates if one is not signer and one != signer])


def _by_type(attributes: Element) -> dict[bytes, bytes]:
    """Return the value of each signed attribute by the contents octets of its type."""
    try:
        listed = attributes.children()
        if not 0 < len(listed) <= MAX_ATTRIBUTES:
            raise CmsError(f"a signature has an empty list of attributes, or more than {MAX_ATTRIBUTES}")
        by_type: dict[bytes, bytes] = {}
        for attribute in listed:
            kind, held = attribute.expect(der.SEQUENCE, "an attribute").children()
            name = bytes(kind.expect(der.OBJECT_IDENTIFIER, "the type of an attribute").content)
            if name in by_type:
                raise CmsError("a signature has an attribute twice")
            by_type[name] = bytes(only(held.expect(der.SET, "the values of an attribute")).encoding)
    except (Asn1Error, ValueError):
        raise CmsError("a signed attribute is malformed") from None
    return by_type


def _hash_algorithm(digest_algorithm: Element, signature_algorithm: Element) -> HashAlgorithm:
    try:
        hash_algorithm = hash_of_signature_algorithm(signature_algorithm.encoding)
    except CryptoError as error:
        raise CmsError(str(error)) from None
    if HashAlgorithm.from_identifier(digest_algorithm.encoding) is not hash_algorithm:
        raise CmsError(
            "the digest and the signature use different hash functions, or one that is not allowed"
        )
    return hash_algorithm
