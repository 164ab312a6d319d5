# SPDX-License-Identifier: MIT
"""Makes enveloped data for a session key: strict DER, one recipient (RFC 5652 §6, RFC 5753, rules §1)."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

from awala.asn1 import Octets, der
from awala.cms.content_info import (
    CONTEXT_0_PRIMITIVE,
    CONTEXT_1,
    DATA,
    ENVELOPED_DATA,
    wrap,
)
from awala.cms.errors import CmsError
from awala.crypto import (
    ContentCipher,
    HashAlgorithm,
    KeyWrap,
    SessionKey,
    SessionKeyPair,
    derive_key,
    encrypt_to_scratch,
    wrap_key,
)

UKM_OCTETS: Final = 64
"""How much user keying material goes into each envelope; without any, one deployed stack cannot read it."""

ORIGINATOR_KEY_ID: Final = der.oid("1.3.6.1.4.1.58708.0.1.0")
"""The attribute that holds the id of the originator's session key (RS-003)."""

AGREEMENT_SCHEMES: Final = {
    HashAlgorithm.SHA256: der.oid("1.3.132.1.11.1"),
    HashAlgorithm.SHA384: der.oid("1.3.132.1.11.2"),
    HashAlgorithm.SHA512: der.oid("1.3.132.1.11.3"),
}
"""Standard ECDH with the X9.63 key derivation of each hash function (RFC 5753 §7.1.4)."""

_VERSION_2: Final = der.integer(2)
_VERSION_3: Final = der.integer(3)
_GCM_TAG_OCTETS: Final = der.integer(16)


def encrypt(
    plaintext: Octets,
    *,
    recipient: SessionKey,
    originator: SessionKeyPair,
    content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    key_wrap: KeyWrap | None = None,
    kdf_hash: HashAlgorithm = HashAlgorithm.SHA256,
) -> bytes:
    """Return a ContentInfo with data enveloped for the recipient's session key.

    ``originator`` is our key for this message; its id travels with it, so that the peer can answer.
    ``key_wrap`` is as strong as the content cipher unless given. Raises `CmsError` if the two keys lie
    on different curves.
    """
    if recipient.public_key.curve is not originator.private_key.curve:
        raise CmsError("the session keys of sender and recipient lie on different curves")
    if key_wrap is None:
        key_wrap = KeyWrap(8 * content_cipher.key_octets)
    ukm = secrets.token_bytes(UKM_OCTETS)
    content_key = secrets.token_bytes(content_cipher.key_octets)
    nonce = secrets.token_bytes(content_cipher.nonce_octets)
    algorithm = wrap_algorithm(key_wrap)
    secret = originator.private_key.exchange(recipient.public_key)
    shared = shared_info(algorithm, ukm, key_wrap)
    wrapping_key = derive_key(secret, shared, key_wrap.key_octets, kdf_hash)
    recipient_info = der.tlv(
        CONTEXT_1,
        _VERSION_3,
        der.explicit(0, _public_key(originator)),
        der.explicit(1, der.octet_string(ukm)),
        der.sequence(AGREEMENT_SCHEMES[kdf_hash], algorithm),
        _encrypted_key(recipient.key_id, wrap_key(wrapping_key, content_key)),
    )
    ciphertext = encrypt_to_scratch(content_cipher, content_key, nonce, plaintext)
    before_ciphertext = DATA + _content_algorithm(content_cipher, nonce)
    ciphertext_header = der.header(CONTEXT_0_PRIMITIVE, len(ciphertext))
    length = len(before_ciphertext) + len(ciphertext_header) + len(ciphertext)
    return wrap(
        ENVELOPED_DATA,
        _VERSION_2,
        der.set_of(recipient_info),
        der.header(der.SEQUENCE, length),
        before_ciphertext,
        ciphertext_header,
        ciphertext,
        _originator_key_id(originator.key_id),
    )


@lru_cache(maxsize=len(KeyWrap))
def wrap_algorithm(key_wrap: KeyWrap) -> bytes:
    """Return the AlgorithmIdentifier of a key wrap; it has no parameters (RFC 3565 §2.3.2)."""
    return der.sequence(der.oid(key_wrap.dotted))


def shared_info(algorithm: Octets, ukm: Octets | None, key_wrap: KeyWrap) -> bytes:
    """Return the ECC-CMS-SharedInfo (RFC 5753 §7.2) around the wrap algorithm as it is on the wire."""
    entropy = b"" if ukm is None else der.explicit(0, der.octet_string(ukm))
    return der.sequence(algorithm, entropy, _key_bits(key_wrap))


@lru_cache(maxsize=len(KeyWrap))
def _key_bits(key_wrap: KeyWrap) -> bytes:
    return der.explicit(2, der.octet_string((8 * key_wrap.key_octets).to_bytes(4)))


def _public_key(originator: SessionKeyPair) -> bytes:
    public_key = originator.private_key.public_key
    return der.tlv(CONTEXT_1, public_key.curve.identifier, der.bit_string(public_key.point))


def _encrypted_key(key_id: bytes, wrapped: bytes) -> bytes:
    recipient = der.explicit(0, der.octet_string(key_id))
    return der.sequence(der.sequence(recipient, der.octet_string(wrapped)))


def _content_algorithm(content_cipher: ContentCipher, nonce: bytes) -> bytes:
    parameters = der.octet_string(nonce)
    if content_cipher.is_gcm:
        parameters = der.sequence(parameters, _GCM_TAG_OCTETS)
    return der.sequence(der.oid(content_cipher.dotted), parameters)


def _originator_key_id(key_id: bytes) -> bytes:
    attribute = der.sequence(ORIGINATOR_KEY_ID, der.set_of(der.octet_string(key_id)))
    return der.tlv(CONTEXT_1, attribute)
