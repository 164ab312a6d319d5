# SPDX-License-Identifier: MIT
"""Keys, signatures and encryption as Awala allows them, over pyca/cryptography."""

from awala.crypto.agreement import KeyWrap, derive_key, unwrap_key, wrap_key
from awala.crypto.content_cipher import (
    ContentCipher,
    decrypt_content,
    encrypt_content,
    encrypt_to_scratch,
)
from awala.crypto.errors import (
    CryptoError,
    DecryptionError,
    InvalidKeyError,
    InvalidSignatureError,
    UnsupportedAlgorithmError,
)
from awala.crypto.hashes import HashAlgorithm
from awala.crypto.identity_keys import IdentityPrivateKey, IdentityPublicKey
from awala.crypto.pss import IDENTIFIERS as SIGNATURE_ALGORITHM_IDENTIFIERS
from awala.crypto.pss import hash_of_signature_algorithm
from awala.crypto.session_keys import (
    Curve,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
)

__all__ = [
    "SIGNATURE_ALGORITHM_IDENTIFIERS",
    "ContentCipher",
    "CryptoError",
    "Curve",
    "DecryptionError",
    "HashAlgorithm",
    "IdentityPrivateKey",
    "IdentityPublicKey",
    "InvalidKeyError",
    "InvalidSignatureError",
    "KeyWrap",
    "SessionKey",
    "SessionKeyPair",
    "SessionPrivateKey",
    "SessionPublicKey",
    "UnsupportedAlgorithmError",
    "decrypt_content",
    "derive_key",
    "encrypt_content",
    "encrypt_to_scratch",
    "hash_of_signature_algorithm",
    "unwrap_key",
    "wrap_key",
]
