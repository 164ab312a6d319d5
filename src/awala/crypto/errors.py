# SPDX-License-Identifier: MIT
"""Errors of keys, signatures and encryption."""

from __future__ import annotations

from awala.base.errors import AwalaError


class CryptoError(AwalaError):
    """Base of the errors of this package."""


class InvalidKeyError(CryptoError):
    """A key that cannot be read, or that Awala does not allow (rules §1)."""

    advice = "Use an RSA key of 2048 to 4096 bits as identity, and a key on P-256 for sessions."


class UnsupportedAlgorithmError(CryptoError):
    """An algorithm, or a parameter of one, that Awala does not allow (rules §1)."""

    advice = "The peer's software is too old, too new, or not made for Awala."


class InvalidSignatureError(CryptoError):
    """A signature that does not match; which part of it is wrong is not said."""

    advice = "The data was changed on its way, or signed with another key."


class DecryptionError(CryptoError):
    """Data that cannot be decrypted; why is not said, because the answer would help an attacker."""

    advice = "The data was changed on its way, or encrypted for another key."

    def __init__(self) -> None:
        super().__init__("the data cannot be decrypted")
