# SPDX-License-Identifier: MIT
"""Who takes part in the protocol's examples: fixed keys, fixed dates, fixed serial numbers.

B writes to A, a private endpoint behind a private gateway and an Internet gateway. Nothing here is
random; the keys are published with the examples and protect nothing.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from awala.crypto import IdentityPrivateKey, SessionKeyPair, SessionPrivateKey
from helpers.vectors import vector

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
"""The moment as of which the examples are to be judged."""

CREATED = AT - timedelta(hours=3)
END = CREATED + timedelta(days=180)

ADDRESS = "gateway.example.com"
MESSAGE_ID = "3f2b1c60-3e0a-4a5e-9b53-6f0f5a1c2d3e"
CARGO_ID = "9f0c8f0e-6f0a-4b1b-8d53-2a7c1de0aa01"
CCA_ID = "5c1d7a52-8f3e-4c39-9d0b-7b7f0f6f2b02"
REVOCATION_ID = "7d4e0c11-52a6-4a0b-9a55-1e6d3b9c4c03"
NONCE = bytes.fromhex("000102030405060708090a0b0c0d0e0f")

IDENTITIES = {"internet-gateway": "igw", "private-gateway": "pgw", "endpoint-a": "ep", "endpoint-b": "peer"}
"""Whose identity key is which one of the test vectors."""

SESSIONS = ("internet-gateway", "private-gateway", "endpoint-a", "endpoint-b")

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def identity_pkcs8(name: str) -> bytes:
    """Return an identity key in PKCS#8."""
    return vector("js", f"{IDENTITIES[name]}.pkcs8.der")


@cache
def identity(name: str) -> IdentityPrivateKey:
    """Return an identity key."""
    return IdentityPrivateKey.load(identity_pkcs8(name))


def session_pkcs8(name: str) -> bytes:
    """Return a session key in PKCS#8: its scalar is a digest of its name."""
    digest = hashlib.sha256(f"Awala example, session key of {name}".encode()).digest()
    scalar = int.from_bytes(digest) % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@cache
def session(name: str) -> SessionKeyPair:
    """Return a session key with its id, which is a digest of its name as well."""
    key_id = hashlib.sha256(f"Awala example, id of the session key of {name}".encode()).digest()[:8]
    return SessionKeyPair(key_id, SessionPrivateKey.load(session_pkcs8(name)))
