# SPDX-License-Identifier: MIT
"""Makes signed data: strict DER, one signer, two signed attributes (RFC 5652 §5, rules §1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from awala.asn1 import Octets, der
from awala.cms.content_info import CONTEXT_0, DATA, SIGNED_DATA, headers, wrap
from awala.cms.errors import CmsError
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm, IdentityPrivateKey
from awala.pki import Certificate

CONTENT_TYPE: Final = der.oid_content("1.2.840.113549.1.9.3")
MESSAGE_DIGEST: Final = der.oid_content("1.2.840.113549.1.9.4")

_VERSION_1: Final = der.integer(1)
_CONTENT_TYPE_IS_DATA: Final = der.sequence(der.tlv(der.OBJECT_IDENTIFIER, CONTENT_TYPE), der.set_of(DATA))
_NO_CONTENT: Final = der.sequence(DATA)
_TEMPLATES_KEPT: Final = 128
_SHORT_HEADER: Final = 2  # serial numbers have 20 octets at most


def sign(
    *content: Octets,
    key: IdentityPrivateKey,
    signer: Certificate,
    certificates: Sequence[Certificate] = (),
    detached: bool = False,
    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256,
    prefix: bytes = b"",
) -> bytes:
    """Return a ContentInfo with signed data, behind the ``prefix`` if there is one.

    The content may be given in pieces, which are then copied only once. ``signer`` is embedded first,
    then ``certificates`` in their order, unsorted: CMS allows that, and all deployed peers do so. With
    ``detached`` the content itself is left out. Only SHA-256 is understood by every deployed peer.

    Raises `CmsError` if ``key`` is not the one in the signer's certificate.
    """
    if key.public_key.spki != signer.spki:
        raise CmsError("the key is not the one in the signer's certificate")
    template = _template(signer, tuple(certificates), hash_algorithm, key.public_key.bits)
    digest = hash_algorithm.digest(*content)
    signature = key.sign(signed_attributes(digest, hash_algorithm), hash_algorithm)
    if detached:
        encapsulated: tuple[Octets, ...] = (_NO_CONTENT,)
    else:
        length = sum(map(len, content))
        inner = DATA + headers(length, der.OCTET_STRING, CONTEXT_0)
        encapsulated = (der.header(der.SEQUENCE, len(inner) + length), inner, *content)
    return wrap(
        SIGNED_DATA,
        template.up_to_content,
        *encapsulated,
        template.up_to_digest,
        digest,
        template.up_to_signature,
        signature,
        prefix=prefix,
    )


def clear_templates() -> None:
    """Forget the templates of signers."""
    _template.cache_clear()


class _Template(NamedTuple):
    """The octets that stay the same from one message of a signer to the next."""

    up_to_content: bytes
    """All before the content."""
    up_to_digest: bytes
    """From behind the content to the digest of it."""
    up_to_signature: bytes
    """From behind the digest to the signature, which is the end."""


@lru_cache(maxsize=_TEMPLATES_KEPT)
def _template(
    signer: Certificate, certificates: tuple[Certificate, ...], hash_algorithm: HashAlgorithm, bits: int
) -> _Template:
    embedded = [certificate.encoding for certificate in dict.fromkeys((signer, *certificates))]
    serial = signer.serial
    identifier_octets = len(signer.issuer) + len(serial) + _SHORT_HEADER
    identifier = (_VERSION_1, der.header(der.SEQUENCE, identifier_octets), signer.issuer)
    up_to_content, before_digest, up_to_signature, varying = _constants(hash_algorithm, bits)
    before_digest = b"".join((*identifier, der.header(der.INTEGER, len(serial)), serial, before_digest))
    signer_octets = len(before_digest) + len(up_to_signature) + varying
    certificates_header = der.header(CONTEXT_0, sum(map(len, embedded)))
    signer_headers = headers(signer_octets, der.SEQUENCE, der.SET)
    return _Template(
        up_to_content,
        b"".join((certificates_header, *embedded, signer_headers, before_digest)),
        up_to_signature,
    )


@lru_cache(maxsize=64)
def _constants(hash_algorithm: HashAlgorithm, bits: int) -> tuple[bytes, bytes, bytes, int]:
    """Return what is the same in all templates: three pieces, and the octets of digest and signature."""
    # DER sorts attributes by their octets: the content type, being the shorter one, comes first.
    attributes = attributes_up_to_digest(hash_algorithm)
    attributes = der.header(CONTEXT_0, len(attributes) + hash_algorithm.digest_size) + attributes
    signature_octets = (bits + 7) // 8
    return (
        _VERSION_1 + der.tlv(der.SET, hash_algorithm.identifier),
        hash_algorithm.identifier + attributes,
        SIGNATURE_ALGORITHM_IDENTIFIERS[hash_algorithm] + der.header(der.OCTET_STRING, signature_octets),
        hash_algorithm.digest_size + signature_octets,
    )


def signed_attributes(digest: bytes, hash_algorithm: HashAlgorithm) -> bytes:
    """Return what is signed: the SET of our attributes, which holds the digest of the content."""
    return _set_up_to_digest(hash_algorithm) + digest


@lru_cache(maxsize=len(HashAlgorithm))
def _set_up_to_digest(hash_algorithm: HashAlgorithm) -> bytes:
    attributes = attributes_up_to_digest(hash_algorithm)
    return der.header(der.SET, len(attributes) + hash_algorithm.digest_size) + attributes


@lru_cache(maxsize=len(HashAlgorithm))
def attributes_up_to_digest(hash_algorithm: HashAlgorithm) -> bytes:
    """Return our signed attributes, one behind the other, without the digest that ends them."""
    length = hash_algorithm.digest_size
    before_digest = der.tlv(der.OBJECT_IDENTIFIER, MESSAGE_DIGEST) + headers(
        length, der.OCTET_STRING, der.SET
    )
    return _CONTENT_TYPE_IS_DATA + der.header(der.SEQUENCE, len(before_digest) + length) + before_digest
