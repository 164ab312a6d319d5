# SPDX-License-Identifier: MIT
"""From a shared secret to a content key: X9.63 key derivation and AES key wrap (RFC 5753, RFC 3394)."""

from __future__ import annotations

from enum import Enum

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from awala.asn1 import Octets
from awala.crypto.errors import DecryptionError, InvalidKeyError
from awala.crypto.hashes import HashAlgorithm


class KeyWrap(Enum):
    """AES key wrap without padding (RFC 3394); the value is the length of the wrapping key in bits."""

    AES_128 = 128
    AES_192 = 192
    AES_256 = 256

    __hash__ = object.__hash__  # members are compared by identity; the hash of their name costs a call

    dotted: str
    """The object identifier, with dots."""
    key_octets: int
    """The length of the wrapping key in octets."""


for _wrap, _dotted in (
    (KeyWrap.AES_128, "2.16.840.1.101.3.4.1.5"),
    (KeyWrap.AES_192, "2.16.840.1.101.3.4.1.25"),
    (KeyWrap.AES_256, "2.16.840.1.101.3.4.1.45"),
):
    _wrap.dotted = _dotted
    _wrap.key_octets = _wrap.value // 8


def derive_key(
    secret: Octets, shared_info: Octets, octets: int, hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256
) -> bytes:
    """Return ``octets`` of key material by the X9.63 function (SEC 1 §3.6.1)."""
    return X963KDF(hash_algorithm.primitive, octets, bytes(shared_info)).derive(bytes(secret))


def wrap_key(wrapping_key: bytes, key: bytes) -> bytes:
    """Return ``key`` encrypted; raise `InvalidKeyError` for lengths that AES key wrap does not know."""
    try:
        return keywrap.aes_key_wrap(wrapping_key, key)
    except ValueError:
        raise InvalidKeyError("a key has a length that AES key wrap does not know") from None


def unwrap_key(wrapping_key: bytes, wrapped: Octets) -> bytes:
    """Return the key that was wrapped; raise `DecryptionError`."""
    try:
        return keywrap.aes_key_unwrap(wrapping_key, bytes(wrapped))
    except (ValueError, keywrap.InvalidUnwrap):
        raise DecryptionError from None
