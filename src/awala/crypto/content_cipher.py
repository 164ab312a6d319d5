# SPDX-License-Identifier: MIT
"""Encryption of contents: AES-CBC with PKCS#7 padding, and AES-GCM (RFC 3565, RFC 5084)."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from awala.asn1 import Octets
from awala.crypto.errors import DecryptionError, InvalidKeyError

BLOCK_OCTETS: Final = 16
"""The block of AES, and the length of a CBC initialisation vector."""

GCM_NONCE_OCTETS: Final = 12
"""The length of a GCM nonce (RFC 5084 §3.2)."""

GCM_TAG_OCTETS: Final = 16
"""The length of a GCM tag, which follows the ciphertext (rules §1)."""

_PADDING: Final = tuple(bytes((octets,)) * octets for octets in range(BLOCK_OCTETS + 1))
_KEPT_SCRATCH: Final = 2 * 1024 * 1024


class ContentCipher(Enum):
    """A cipher for contents; the value is its usual name."""

    AES_128_CBC = "AES-128-CBC"
    AES_192_CBC = "AES-192-CBC"
    AES_256_CBC = "AES-256-CBC"
    AES_128_GCM = "AES-128-GCM"
    AES_192_GCM = "AES-192-GCM"
    AES_256_GCM = "AES-256-GCM"

    __hash__ = object.__hash__  # members are compared by identity; the hash of their name costs a call

    dotted: str
    """The object identifier, with dots."""
    key_octets: int
    """The length of the key in octets."""
    is_gcm: bool
    """Whether it is AES-GCM."""
    nonce_octets: int
    """The length of the initialisation vector or nonce in octets."""


for _number, _cipher in enumerate(ContentCipher):
    _bits = (128, 192, 256)[_number % 3]
    _cipher.is_gcm = _number > 2  # noqa: PLR2004 - the last three
    _cipher.key_octets = _bits // 8
    _cipher.nonce_octets = GCM_NONCE_OCTETS if _cipher.is_gcm else BLOCK_OCTETS
    # RFC 3565 §4.1 and RFC 5084 §3.2: an arc of twenty for each key length
    _cipher.dotted = f"2.16.840.1.101.3.4.1.{20 * (_number % 3) + (6 if _cipher.is_gcm else 2)}"


class _Scratch(threading.local):
    """One buffer per thread for the cipher's output.

    Memory fresh from the system costs more, page by page, than the encryption itself.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, octets: int) -> memoryview:
        """Return a buffer, which is good until the next call in this thread."""
        if octets > _KEPT_SCRATCH:
            return memoryview(bytearray(octets))
        if octets > len(self._buffer):
            self._buffer = bytearray(min(2 * octets, _KEPT_SCRATCH))
        return memoryview(self._buffer)


_scratch = _Scratch()


def encrypt_content(cipher: ContentCipher, key: bytes, nonce: bytes, plaintext: Octets) -> bytes:
    """Return ``plaintext`` encrypted, with padding (CBC) or with the tag behind it (GCM).

    Raises `InvalidKeyError` for a key or nonce of the wrong length.
    """
    return bytes(encrypt_to_scratch(cipher, key, nonce, plaintext))


def encrypt_to_scratch(cipher: ContentCipher, key: bytes, nonce: bytes, *plaintext: Octets) -> memoryview:
    """Do what `encrypt_content` does, but return a view that the next call in this thread overwrites.

    For callers that copy the ciphertext into a larger structure at once. The plaintext may come in
    pieces, which need not be joined.
    """
    _check_lengths(cipher, key, nonce)
    octets = sum(map(len, plaintext))
    buffer = _scratch.take(octets + 2 * BLOCK_OCTETS)
    length = 0
    if cipher.is_gcm:
        gcm = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        for piece in plaintext:
            length += gcm.update_into(piece, buffer[length:])
        gcm.finalize()
        end = length + GCM_TAG_OCTETS
        buffer[length:end] = gcm.tag
        return buffer[:end]
    cbc = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
    for piece in (*plaintext, _PADDING[BLOCK_OCTETS - octets % BLOCK_OCTETS]):
        length += cbc.update_into(piece, buffer[length:])
    return buffer[:length]


def decrypt_content(cipher: ContentCipher, key: bytes, nonce: bytes, ciphertext: Octets) -> bytes:
    """Return what was encrypted; raise `DecryptionError`, which never says why."""
    try:
        _check_lengths(cipher, key, nonce)
    except InvalidKeyError:
        raise DecryptionError from None
    return _decrypt_gcm(key, nonce, ciphertext) if cipher.is_gcm else _decrypt_cbc(key, nonce, ciphertext)


def _decrypt_gcm(key: bytes, nonce: bytes, ciphertext: Octets) -> bytes:
    length = len(ciphertext) - GCM_TAG_OCTETS
    if length < 0:
        raise DecryptionError
    view = memoryview(ciphertext)
    gcm = Cipher(algorithms.AES(key), modes.GCM(nonce, bytes(view[length:]))).decryptor()
    buffer = _scratch.take(length + BLOCK_OCTETS)
    gcm.update_into(view[:length], buffer)
    try:
        gcm.finalize()
    except InvalidTag:
        raise DecryptionError from None
    return bytes(buffer[:length])


def _decrypt_cbc(key: bytes, nonce: bytes, ciphertext: Octets) -> bytes:
    length = len(ciphertext)
    if length == 0 or length % BLOCK_OCTETS:
        raise DecryptionError
    cbc = Cipher(algorithms.AES(key), modes.CBC(nonce)).decryptor()
    buffer = _scratch.take(length + BLOCK_OCTETS)
    cbc.update_into(ciphertext, buffer)
    # How long this takes may depend on the padding: a verified signature stands above every message.
    padding = buffer[length - 1]
    end = length - padding
    if not 1 <= padding <= BLOCK_OCTETS or buffer[end:length] != bytes((padding,)) * padding:
        raise DecryptionError
    return bytes(buffer[:end])


def _check_lengths(cipher: ContentCipher, key: bytes, nonce: bytes) -> None:
    if len(key) != cipher.key_octets or len(nonce) != cipher.nonce_octets:
        raise InvalidKeyError("a key or nonce does not fit the cipher")
