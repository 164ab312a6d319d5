# SPDX-License-Identifier: MIT
"""Encryption at rest: what a passphrase does to the values in a vault.

A random key encrypts each value with AES-256-GCM, bound to its place in the
vault, so that values cannot be swapped. That key itself is stored encrypted
with a key that scrypt (RFC 7914) derives from the passphrase.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from awala.vault.errors import VaultError, VaultLockedError

SCRYPT_COST: Final = 2**15
"""N: with r = 8, each derivation takes 32 MiB, which a small device has."""

SCRYPT_BLOCK_SIZE: Final = 8
SCRYPT_PARALLELISM: Final = 3

_KEY_SIZE: Final = 32
_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 12
_WRAPPED_KEY_PLACE: Final = ("protection",)


@dataclass(frozen=True, slots=True)
class Lock:
    """What is stored, in clear, to get from the passphrase to the key of the values."""

    salt: bytes
    cost: int
    block_size: int
    parallelism: int
    wrapped_key: bytes


class Protection:
    """Closes values before they are stored and opens them again; without a key it leaves them as they are."""

    def __init__(self, key: bytes | None = None) -> None:
        self._cipher = None if key is None else AESGCM(key)

    def close(self, value: bytes, *place: str) -> bytes:
        """Return the form of the value that is stored at that place."""
        if self._cipher is None:
            return value
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, value, _associated_data(place))

    def open(self, stored: bytes, *place: str) -> bytes:
        """Return the value that is stored at that place.

        Raises VaultError when it was damaged or moved.
        """
        if self._cipher is None:
            return stored
        try:
            return self._cipher.decrypt(stored[:_NONCE_SIZE], stored[_NONCE_SIZE:], _associated_data(place))
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"A value in the vault was damaged or moved ({place[0]})") from error


def new_lock(passphrase: bytes) -> tuple[Lock, Protection]:
    """Make a key for a new vault, locked with a passphrase. Slow on purpose: run it in a thread."""
    key = secrets.token_bytes(_KEY_SIZE)
    salt = secrets.token_bytes(_SALT_SIZE)
    parameters = (salt, SCRYPT_COST, SCRYPT_BLOCK_SIZE, SCRYPT_PARALLELISM)
    wrapping = Protection(_derive(passphrase, *parameters))
    return Lock(*parameters, wrapped_key=wrapping.close(key, *_WRAPPED_KEY_PLACE)), Protection(key)


def unlock(lock: Lock, passphrase: bytes) -> Protection:
    """Return the protection that a lock guards. Slow on purpose: run it in a thread.

    Raises VaultLockedError when the passphrase is wrong, VaultError when the
    lock's parameters are senseless.
    """
    try:
        wrapping_key = _derive(passphrase, lock.salt, lock.cost, lock.block_size, lock.parallelism)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise VaultError("The vault's passphrase parameters are damaged") from error
    try:
        return Protection(Protection(wrapping_key).open(lock.wrapped_key, *_WRAPPED_KEY_PLACE))
    except VaultError as error:
        raise VaultLockedError("The passphrase does not open this vault") from error


def _derive(passphrase: bytes, salt: bytes, cost: int, block_size: int, parallelism: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_SIZE, n=cost, r=block_size, p=parallelism).derive(passphrase)


def _associated_data(place: tuple[str, ...]) -> bytes:
    return json.dumps(place).encode()
