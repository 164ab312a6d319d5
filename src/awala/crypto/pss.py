# SPDX-License-Identifier: MIT
"""RSASSA-PSS as Awala uses it: MGF1 with the same hash, a salt as long as the digest (rules §1)."""

from __future__ import annotations

from typing import Final

from awala.asn1 import Asn1Error, Element, Octets, der, parse, values
from awala.crypto.errors import UnsupportedAlgorithmError
from awala.crypto.hashes import HashAlgorithm

_RSASSA_PSS: Final = der.oid("1.2.840.113549.1.1.10")
_MGF1: Final = der.oid("1.2.840.113549.1.1.8")
_TRAILER_FIELD: Final = 1
_HASH_TAG, _MASK_TAG, _SALT_TAG, _TRAILER_TAG = 0xA0, 0xA1, 0xA2, 0xA3


def _identifier(algorithm: HashAlgorithm) -> bytes:
    digest = algorithm.identifier_with_null
    return der.sequence(
        _RSASSA_PSS,
        der.sequence(
            der.explicit(0, digest),
            der.explicit(1, der.sequence(_MGF1, digest)),
            der.explicit(2, der.integer(algorithm.digest_size)),
        ),
    )


IDENTIFIERS: Final = {algorithm: _identifier(algorithm) for algorithm in HashAlgorithm}
"""The AlgorithmIdentifier of each signature algorithm, octet for octet as all deployed peers write it."""

_BY_IDENTIFIER: Final = {encoding: algorithm for algorithm, encoding in IDENTIFIERS.items()}


def hash_of_signature_algorithm(encoding: Octets) -> HashAlgorithm:
    """Return the hash function of a signature's AlgorithmIdentifier.

    Raises `UnsupportedAlgorithmError` unless it is RSASSA-PSS with SHA-256, -384 or -512, MGF1 with
    the same function and a salt of the digest's length (rules §1).
    """
    common = _BY_IDENTIFIER.get(bytes(encoding))
    if common is not None:
        return common
    try:
        algorithm = _read(parse(encoding))
    except Asn1Error:
        algorithm = None
    if algorithm is None:
        raise UnsupportedAlgorithmError(
            "the signature algorithm is not RSASSA-PSS with parameters that Awala allows"
        )
    return algorithm


def _read(identifier: Element) -> HashAlgorithm | None:
    scheme, parameters = _pair(identifier)
    if scheme.encoding != _RSASSA_PSS:
        return None
    by_tag = {parameter.identifier: parameter for parameter in parameters.children()}
    if (
        not {_HASH_TAG, _MASK_TAG, _SALT_TAG}
        <= by_tag.keys()
        <= {_HASH_TAG, _MASK_TAG, _SALT_TAG, _TRAILER_TAG}
    ):
        return None
    mask, mask_digest = _pair(_inner(by_tag[_MASK_TAG]))
    algorithm = HashAlgorithm.from_identifier(_inner(by_tag[_HASH_TAG]).encoding)
    if (
        algorithm is None
        or mask.encoding != _MGF1
        or HashAlgorithm.from_identifier(mask_digest.encoding) is not algorithm
        or values.integer(_inner(by_tag[_SALT_TAG])) != algorithm.digest_size
        or (_TRAILER_TAG in by_tag and values.integer(_inner(by_tag[_TRAILER_TAG])) != _TRAILER_FIELD)
    ):
        return None
    return algorithm


def _pair(element: Element) -> tuple[Element, Element]:
    children = element.expect(der.SEQUENCE, "an algorithm identifier").children()
    if len(children) != 2:  # noqa: PLR2004 - a pair
        raise Asn1Error("an algorithm identifier lacks its parameters")
    return children[0], children[1]


def _inner(element: Element) -> Element:
    children = element.children()
    if len(children) != 1:
        raise Asn1Error("an explicit tag stands around anything but one element")
    return children[0]
