# SPDX-License-Identifier: MIT
"""The hash functions that Awala allows (rules §1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from awala.asn1 import Octets, der


class HashAlgorithm(Enum):
    """A hash function; the value is its usual name."""

    SHA256 = "SHA-256"
    SHA384 = "SHA-384"
    SHA512 = "SHA-512"

    __hash__ = object.__hash__  # members are compared by identity; the hash of their name costs a call

    dotted: str
    """The object identifier, with dots."""
    digest_size: int
    """Octets of a digest, and of the salt that goes with it in a signature."""
    primitive: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
    """The same function for pyca/cryptography."""
    constructor: Callable[[Octets], hashlib._Hash]
    """The same function for the standard library."""
    identifier: bytes
    """The AlgorithmIdentifier, without parameters as RFC 5754 §2 has it."""
    padding: padding.PSS
    """RSASSA-PSS with this function throughout and a salt as long as its digest (rules §1)."""
    identifier_with_null: bytes
    """The AlgorithmIdentifier with a NULL as parameters, which occurs as often."""

    def digest(self, *data: Octets) -> bytes:
        """Return the digest of ``data``, which may come in pieces."""
        state = self.constructor(data[0])
        for piece in data[1:]:
            state.update(piece)
        return state.digest()

    @classmethod
    def from_identifier(cls, encoding: Octets) -> HashAlgorithm | None:
        """Return which function an AlgorithmIdentifier names, or None if it is none of ours."""
        return _BY_IDENTIFIER.get(bytes(encoding))


def _describe(
    algorithm: HashAlgorithm, dotted: str, primitive: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
) -> None:
    algorithm.dotted = dotted
    algorithm.primitive = primitive
    algorithm.constructor = getattr(hashlib, primitive.name)
    algorithm.digest_size = primitive.digest_size
    algorithm.padding = padding.PSS(mgf=padding.MGF1(primitive), salt_length=primitive.digest_size)
    algorithm.identifier = der.sequence(der.oid(dotted))
    algorithm.identifier_with_null = der.sequence(der.oid(dotted), der.null())


_describe(HashAlgorithm.SHA256, "2.16.840.1.101.3.4.2.1", hashes.SHA256())
_describe(HashAlgorithm.SHA384, "2.16.840.1.101.3.4.2.2", hashes.SHA384())
_describe(HashAlgorithm.SHA512, "2.16.840.1.101.3.4.2.3", hashes.SHA512())

_BY_IDENTIFIER = {
    encoding: algorithm
    for algorithm in HashAlgorithm
    for encoding in (algorithm.identifier, algorithm.identifier_with_null)
}
