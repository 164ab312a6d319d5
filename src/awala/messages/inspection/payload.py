# SPDX-License-Identifier: MIT
"""Explains encrypted payloads, and opens them with whichever key fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from awala.base.errors import AwalaError
from awala.cms import EnvelopedData
from awala.crypto import CryptoError, IdentityPrivateKey, SessionPrivateKey
from awala.messages.errors import WrongKeyError, reading
from awala.messages.inspection import pem
from awala.messages.inspection.values import Report

PrivateKey: TypeAlias = IdentityPrivateKey | SessionPrivateKey


def read_payload(payload: bytes) -> EnvelopedData:
    """Read an encrypted payload; raise `MalformedMessageError`."""
    with reading("encrypted payload"):
        return EnvelopedData.parse(payload)


def describe(enveloped: EnvelopedData, size: int) -> Report:
    """Describe an encrypted payload of ``size`` octets; what a sessionless one lacks is None."""
    session = enveloped.is_session
    return {
        "encryption": "session" if session else "sessionless",
        "content_cipher": enveloped.content_cipher.value.lower(),
        "key_wrap": f"aes-{enveloped.key_wrap.value}-wrap" if session else None,
        "kdf_hash": enveloped.kdf_hash.value.lower().replace("-", "") if session else None,
        "recipient_key_id": enveloped.recipient_key_id.hex() if session else None,
        "originator_key_id": enveloped.originator_key.key_id.hex() if session else None,
        "size": size,
    }


def load_keys(encodings: Iterable[bytes]) -> tuple[PrivateKey, ...]:
    """Load private keys from PKCS#8, in DER or PEM; raise `WrongKeyError` if one is something else."""
    return tuple(_load(pem.without_armour(encoding)) for encoding in encodings)


def load_private_key(encoding: bytes) -> PrivateKey:
    """Load a private session or identity key from PKCS#8 in DER; raise `CryptoError`."""
    try:
        return SessionPrivateKey.load(encoding)
    except CryptoError:
        return IdentityPrivateKey.load(encoding)


def _load(encoding: bytes) -> PrivateKey:
    try:
        return load_private_key(encoding)
    except CryptoError:
        raise WrongKeyError("A key is no private key in PKCS#8, or none for Awala") from None


def open_with(enveloped: EnvelopedData, keys: Sequence[PrivateKey]) -> bytes:
    """Return the plaintext, decrypted with the key that fits; raise `WrongKeyError` if none does."""
    for key in keys:
        try:
            if isinstance(key, SessionPrivateKey):
                return enveloped.decrypt(key)
            return enveloped.decrypt_sessionless(key)
        except AwalaError:
            continue
    raise WrongKeyError("No key at hand opens the payload")
