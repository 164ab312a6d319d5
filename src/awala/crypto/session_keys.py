# SPDX-License-Identifier: MIT
"""Session keys: the elliptic-curve keys that messages are encrypted to (RS-003)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from awala.asn1 import Asn1Error, Octets, der, parse, values
from awala.crypto.errors import InvalidKeyError

KEY_ID_OCTETS: Final = 8
"""How long the ids of our session keys are; those of peers may have any length."""

_EC_PUBLIC_KEY: Final = der.oid("1.2.840.10045.2.1")
_UNCOMPRESSED: Final = 0x04


class Curve(Enum):
    """A curve that session keys may lie on; only P-256 works with every deployed peer."""

    P256 = "P-256"
    P384 = "P-384"
    P521 = "P-521"

    __hash__ = object.__hash__  # members are compared by identity; the hash of their name costs a call

    primitive: ec.EllipticCurve
    """The same curve for pyca/cryptography."""
    identifier: bytes
    """The AlgorithmIdentifier of keys on this curve."""
    point_octets: int
    """The length of an uncompressed point."""

    @classmethod
    def from_identifier(cls, encoding: Octets) -> Curve | None:
        """Return which curve the AlgorithmIdentifier of a key names, or None if it is none of ours."""
        return _BY_IDENTIFIER.get(bytes(encoding))


def _describe(curve: Curve, dotted: str, primitive: ec.EllipticCurve) -> None:
    curve.primitive = primitive
    curve.identifier = der.sequence(_EC_PUBLIC_KEY, der.oid(dotted))
    curve.point_octets = 1 + 2 * ((primitive.key_size + 7) // 8)


_describe(Curve.P256, "1.2.840.10045.3.1.7", ec.SECP256R1())
_describe(Curve.P384, "1.3.132.0.34", ec.SECP384R1())
_describe(Curve.P521, "1.3.132.0.35", ec.SECP521R1())

_BY_IDENTIFIER = {curve.identifier: curve for curve in Curve}
_BY_NAME = {curve.primitive.name: curve for curve in Curve}


class SessionPublicKey:
    """The public half of a session key."""

    __slots__ = ("_key", "_spki", "curve")

    curve: Curve
    """The curve that the key lies on."""

    def __init__(self, key: ec.EllipticCurvePublicKey, curve: Curve, spki: bytes | None = None) -> None:
        self._key = key
        self._spki = spki
        self.curve = curve

    @classmethod
    def load(cls, spki: Octets) -> SessionPublicKey:
        """Read a SubjectPublicKeyInfo.

        Raises `InvalidKeyError` unless it holds an uncompressed point on a named curve that Awala allows.
        """
        octets = bytes(spki)
        try:
            identifier, point = parse(octets).children()
            return cls._from_parts(identifier.encoding, values.bit_string(point), octets)
        except (Asn1Error, ValueError):
            raise InvalidKeyError("a session key cannot be read") from None

    @classmethod
    def from_point(cls, identifier: Octets, point: Octets) -> SessionPublicKey:
        """Make a key from the AlgorithmIdentifier of its curve and an uncompressed point.

        Raises `InvalidKeyError` as `load` does.
        """
        try:
            return cls._from_parts(identifier, point, None)
        except ValueError:
            raise InvalidKeyError("a session key cannot be read") from None

    @classmethod
    def _from_parts(cls, identifier: Octets, point: Octets, spki: bytes | None) -> SessionPublicKey:
        curve = Curve.from_identifier(identifier)
        if curve is None:
            raise InvalidKeyError("a session key lies on no curve that Awala allows")
        octets = bytes(point)
        if not octets or octets[0] != _UNCOMPRESSED:
            raise InvalidKeyError("a session key is no uncompressed point")
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve.primitive, octets)
        return cls(key, curve, spki)

    @property
    def spki(self) -> bytes:
        """The DER of the SubjectPublicKeyInfo, as received if it was received."""
        if self._spki is None:
            self._spki = der.sequence(self.curve.identifier, der.bit_string(self.point))
        return self._spki

    @property
    def point(self) -> bytes:
        """The uncompressed point."""
        return self._key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionPublicKey) and self.spki == other.spki

    def __hash__(self) -> int:
        return hash(self.spki)

    def __repr__(self) -> str:
        return f"SessionPublicKey({self.curve.value})"


class SessionPrivateKey:
    """The private half of a session key."""

    __slots__ = ("_key", "_public_key", "curve")

    curve: Curve
    """The curve that the key lies on."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, curve: Curve) -> None:
        self._key = key
        self._public_key: SessionPublicKey | None = None
        self.curve = curve

    @classmethod
    def generate(cls, curve: Curve = Curve.P256) -> SessionPrivateKey:
        """Make a new key."""
        return cls(ec.generate_private_key(curve.primitive), curve)

    @classmethod
    def load(cls, pkcs8: Octets) -> SessionPrivateKey:
        """Read the DER of a PKCS#8 PrivateKeyInfo without passphrase; raise `InvalidKeyError`."""
        try:
            key = serialization.load_der_private_key(bytes(pkcs8), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidKeyError("a private session key cannot be read") from None
        curve = _BY_NAME.get(key.curve.name) if isinstance(key, ec.EllipticCurvePrivateKey) else None
        if curve is None or not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InvalidKeyError("a private session key lies on no curve that Awala allows")
        return cls(key, curve)

    def serialize(self) -> bytes:
        """Return the DER of a PKCS#8 PrivateKeyInfo without passphrase."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_key(self) -> SessionPublicKey:
        """The public half."""
        if self._public_key is None:
            self._public_key = SessionPublicKey(self._key.public_key(), self.curve)
        return self._public_key

    def exchange(self, peer: SessionPublicKey) -> bytes:
        """Return the secret shared with ``peer``: the x-coordinate, as long as the curve's field.

        Raises `InvalidKeyError` if the keys lie on different curves.
        """
        if peer.curve is not self.curve:
            raise InvalidKeyError("two session keys lie on different curves")
        return self._key.exchange(ec.ECDH(), peer._key)  # noqa: SLF001 - the two halves belong together

    def __repr__(self) -> str:
        return f"SessionPrivateKey({self.curve.value})"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A public session key and the id that envelopes name it by."""

    key_id: bytes
    public_key: SessionPublicKey


@dataclass(frozen=True, slots=True)
class SessionKeyPair:
    """A private session key and the id that envelopes name it by."""

    key_id: bytes
    private_key: SessionPrivateKey

    @property
    def session_key(self) -> SessionKey:
        """What may be handed out."""
        return SessionKey(self.key_id, self.private_key.public_key)

    @classmethod
    def generate(cls, curve: Curve = Curve.P256) -> SessionKeyPair:
        """Make a new key with a random id of eight octets."""
        return cls(secrets.token_bytes(KEY_ID_OCTETS), SessionPrivateKey.generate(curve))
