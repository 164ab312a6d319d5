# SPDX-License-Identifier: MIT
"""The cast of the test vectors: their keys and certificates, loaded once."""

from __future__ import annotations

from functools import cache

from awala.crypto import IdentityPrivateKey, SessionKeyPair, SessionPrivateKey
from awala.pki import Certificate
from helpers.vectors import vector


@cache
def identity_key(stack: str, name: str) -> IdentityPrivateKey:
    """Return the key of ``igw``, ``pgw``, ``ep`` or ``peer``."""
    return IdentityPrivateKey.load(vector(stack, f"{name}.pkcs8.der"), own=True)


@cache
def session_key_pair(stack: str, name: str = "sk") -> SessionKeyPair:
    """Return the session key pair of endpoint A, or another one by its name."""
    key_id = vector(stack, "sk.id") if name == "sk" else b"other id"
    return SessionKeyPair(key_id, SessionPrivateKey.load(vector(stack, f"{name}.pkcs8.der")))


def certificate(stack: str, name: str) -> Certificate:
    """Return a certificate by the name of its file."""
    return Certificate.parse(vector(stack, f"{name}.der"))


def chain(stack: str) -> tuple[Certificate, ...]:
    """Return the PDA of the peer, then endpoint, private gateway and Internet gateway."""
    return tuple(certificate(stack, name) for name in ("pda", "epCert", "pgwCert", "igwCert"))
