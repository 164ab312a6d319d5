# SPDX-License-Identifier: MIT
"""Makes signed data: strict DER, one signer, two signed attributes (RFC 5652 §5, rules §1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

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


def sign(
    content: Octets,
    *,
    key: IdentityPrivateKey,
    signer: Certificate,
    certificates: Sequence[Certificate] = (),
    detached: bool = False,
    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256,
) -> bytes:
    """Return a ContentInfo with signed data.

    ``signer`` is embedded first, then ``certificates`` in their order, unsorted: CMS allows that, and
    all deployed peers do so. With ``detached`` the content itself is left out. Only SHA-256 is
    understood by every deployed peer. Raises `CmsError` if ``key`` is not the one in the signer's
    certificate.
    """
    if key.public_key != signer.public_key:
        raise CmsError("the key is not the one in the signer's certificate")
    template = _template(signer, tuple(certificates), hash_algorithm)
    # DER sorts attributes by their octets: the content type, being the shorter one, comes first.
    attributes = template.attributes_up_to_digest + hash_algorithm.digest(content)
    signature = key.sign(der.tlv(der.SET, attributes), hash_algorithm)
    signer_info = der.sequence(
        template.signer_info_up_to_attributes,
        der.tlv(CONTEXT_0, attributes),
        template.signature_algorithm,
        der.octet_string(signature),
    )
    signer_infos = der.tlv(der.SET, signer_info)
    if detached:
        encapsulated: tuple[Octets, ...] = (_NO_CONTENT,)
    else:
        inner = DATA + headers(len(content), der.OCTET_STRING, CONTEXT_0)
        encapsulated = (der.header(der.SEQUENCE, len(inner) + len(content)), inner, content)
    return wrap(SIGNED_DATA, template.up_to_content, *encapsulated, template.certificates, signer_infos)


def clear_caches() -> None:
    """Forget the templates of signers; measurements and tests want that."""
    _template.cache_clear()


@dataclass(frozen=True, slots=True)
class _Template:
    """The octets that stay the same from one message of a signer to the next."""

    up_to_content: bytes
    certificates: bytes
    signer_info_up_to_attributes: bytes
    attributes_up_to_digest: bytes
    signature_algorithm: bytes


@lru_cache(maxsize=_TEMPLATES_KEPT)
def _template(
    signer: Certificate, certificates: tuple[Certificate, ...], hash_algorithm: HashAlgorithm
) -> _Template:
    embedded = dict.fromkeys((signer, *certificates))
    issuer_and_serial = der.sequence(signer.issuer, der.tlv(der.INTEGER, signer.serial))
    return _Template(
        up_to_content=_VERSION_1 + der.tlv(der.SET, hash_algorithm.identifier),
        certificates=der.tlv(CONTEXT_0, *(certificate.encoding for certificate in embedded)),
        signer_info_up_to_attributes=_VERSION_1 + issuer_and_serial + hash_algorithm.identifier,
        attributes_up_to_digest=attributes_up_to_digest(hash_algorithm),
        signature_algorithm=SIGNATURE_ALGORITHM_IDENTIFIERS[hash_algorithm],
    )


@lru_cache(maxsize=len(HashAlgorithm))
def attributes_up_to_digest(hash_algorithm: HashAlgorithm) -> bytes:
    """Return our signed attributes, one behind the other, without the digest that ends them."""
    length = hash_algorithm.digest_size
    before_digest = der.tlv(der.OBJECT_IDENTIFIER, MESSAGE_DIGEST) + headers(
        length, der.OCTET_STRING, der.SET
    )
    return _CONTENT_TYPE_IS_DATA + der.header(der.SEQUENCE, len(before_digest) + length) + before_digest
