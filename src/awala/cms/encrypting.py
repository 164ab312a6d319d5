# SPDX-License-Identifier: MIT
"""Makes enveloped data for a session key: strict DER, one recipient (RFC 5652 §6, RFC 5753, rules §1)."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

from awala.asn1 import Octets, der
from awala.cms.content_info import (
    CONTEXT_0,
    CONTEXT_0_PRIMITIVE,
    CONTEXT_1,
    DATA,
    ENVELOPED_DATA,
    headers,
    wrap,
)
from awala.cms.errors import CmsError
from awala.crypto import (
    ContentCipher,
    Curve,
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

_KEY_WRAPS: Final = {key_wrap.key_octets: key_wrap for key_wrap in KeyWrap}
_VERSION_2: Final = der.integer(2)
_VERSION_3: Final = der.integer(3)
_GCM_TAG_OCTETS: Final = der.integer(16)


def encrypt(
    *plaintext: Octets,
    recipient: SessionKey,
    originator: SessionKeyPair,
    content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
    key_wrap: KeyWrap | None = None,
    kdf_hash: HashAlgorithm = HashAlgorithm.SHA256,
) -> bytes:
    """Return a ContentInfo with data enveloped for the recipient's session key.

    The plaintext may be given in pieces. ``originator`` is our key for this message; its id travels with
    it, so that the peer can answer. ``key_wrap`` is as strong as the content cipher unless given. Raises
    `CmsError` if the two keys lie on different curves.
    """
    if recipient.public_key.curve is not originator.private_key.curve:
        raise CmsError("the session keys of sender and recipient lie on different curves")
    if key_wrap is None:
        key_wrap = _KEY_WRAPS[content_cipher.key_octets]
    entropy = secrets.token_bytes(UKM_OCTETS + content_cipher.key_octets + content_cipher.nonce_octets)
    ukm = entropy[:UKM_OCTETS]
    content_key = entropy[UKM_OCTETS : UKM_OCTETS + content_cipher.key_octets]
    nonce = entropy[UKM_OCTETS + content_cipher.key_octets :]
    secret = originator.private_key.exchange(recipient.public_key)
    shared = shared_info(wrap_algorithm(key_wrap), ukm, key_wrap)
    wrapping_key = derive_key(secret, shared, key_wrap.key_octets, kdf_hash)
    wrapped = wrap_key(wrapping_key, content_key)
    before_point, before_ukm, before_key_id, before_wrapped = _around_recipient(
        originator.private_key.curve, kdf_hash, key_wrap, len(recipient.key_id), len(wrapped)
    )
    before_nonce, behind_nonce = _around_nonce(content_cipher)
    ciphertext = encrypt_to_scratch(content_cipher, content_key, nonce, *plaintext)
    ciphertext_header = der.header(CONTEXT_0_PRIMITIVE, len(ciphertext))
    content_octets = (
        len(before_nonce) + len(nonce) + len(behind_nonce) + len(ciphertext_header) + len(ciphertext)
    )
    return wrap(
        ENVELOPED_DATA,
        _VERSION_2,
        before_point,
        originator.private_key.public_key.point,
        before_ukm,
        ukm,
        before_key_id,
        recipient.key_id,
        before_wrapped,
        wrapped,
        der.header(der.SEQUENCE, content_octets),
        before_nonce,
        nonce,
        behind_nonce,
        ciphertext_header,
        ciphertext,
        _before_originator_key_id(len(originator.key_id)),
        originator.key_id,
    )


@lru_cache(maxsize=len(KeyWrap))
def wrap_algorithm(key_wrap: KeyWrap) -> bytes:
    """Return the AlgorithmIdentifier of a key wrap; it has no parameters (RFC 3565 §2.3.2)."""
    return der.sequence(der.oid(key_wrap.dotted))


def shared_info(algorithm: Octets, ukm: bytes | None, key_wrap: KeyWrap) -> bytes:
    """Return the ECC-CMS-SharedInfo (RFC 5753 §7.2) around the wrap algorithm as it is on the wire."""
    if ukm is None:
        return der.sequence(algorithm, _key_bits(key_wrap))
    before, behind = _around_ukm(bytes(algorithm), len(ukm), key_wrap)
    return before + ukm + behind


@lru_cache(maxsize=64)
def _around_ukm(algorithm: bytes, ukm_octets: int, key_wrap: KeyWrap) -> tuple[bytes, bytes]:
    """Return what stands before and behind the user keying material in ECC-CMS-SharedInfo."""
    behind = _key_bits(key_wrap)
    before = algorithm + headers(ukm_octets, der.OCTET_STRING, CONTEXT_0)
    return der.header(der.SEQUENCE, len(before) + ukm_octets + len(behind)) + before, behind


@lru_cache(maxsize=len(KeyWrap))
def _key_bits(key_wrap: KeyWrap) -> bytes:
    return der.explicit(2, der.octet_string((8 * key_wrap.key_octets).to_bytes(4)))


@lru_cache(maxsize=64)
def _around_recipient(
    curve: Curve, kdf_hash: HashAlgorithm, key_wrap: KeyWrap, key_id_octets: int, wrapped_octets: int
) -> tuple[bytes, bytes, bytes, bytes]:
    """Return what stands before point, keying material, key id and wrapped key in the set of recipients."""
    before_point = curve.identifier + der.header(der.BIT_STRING, 1 + curve.point_octets) + b"\0"
    before_point = (
        _VERSION_3 + headers(len(before_point) + curve.point_octets, CONTEXT_1, CONTEXT_0) + before_point
    )
    before_ukm = headers(UKM_OCTETS, der.OCTET_STRING, CONTEXT_1)
    before_wrapped = der.header(der.OCTET_STRING, wrapped_octets)
    before_key_id = headers(key_id_octets, der.OCTET_STRING, CONTEXT_0)
    encrypted_key = len(before_key_id) + key_id_octets + len(before_wrapped) + wrapped_octets
    key_encryption = der.sequence(AGREEMENT_SCHEMES[kdf_hash], wrap_algorithm(key_wrap))
    before_key_id = key_encryption + headers(encrypted_key, der.SEQUENCE, der.SEQUENCE) + before_key_id
    constant = sum(map(len, (before_point, before_ukm, before_key_id, before_wrapped)))
    varying = curve.point_octets + UKM_OCTETS + key_id_octets + wrapped_octets
    outer = headers(constant + varying, CONTEXT_1, der.SET)
    return outer + before_point, before_ukm, before_key_id, before_wrapped


@lru_cache(maxsize=len(ContentCipher))
def _around_nonce(content_cipher: ContentCipher) -> tuple[bytes, bytes]:
    """Return what stands before and behind the nonce in the encrypted content, up to the ciphertext."""
    before = der.header(der.OCTET_STRING, content_cipher.nonce_octets)
    behind = b""
    if content_cipher.is_gcm:
        behind = _GCM_TAG_OCTETS
        before = der.header(der.SEQUENCE, len(before) + content_cipher.nonce_octets + len(behind)) + before
    before = der.oid(content_cipher.dotted) + before
    length = len(before) + content_cipher.nonce_octets + len(behind)
    return DATA + der.header(der.SEQUENCE, length) + before, behind


@lru_cache(maxsize=64)
def _before_originator_key_id(octets: int) -> bytes:
    """Return the unprotected attributes up to the id of the originator's key, which ends them."""
    value = headers(octets, der.OCTET_STRING, der.SET)
    length = len(ORIGINATOR_KEY_ID) + len(value) + octets
    return headers(length, der.SEQUENCE, CONTEXT_1) + ORIGINATOR_KEY_ID + value
