# SPDX-License-Identifier: MIT
"""Identity keys: the RSA keys that name nodes and sign what they send."""

from __future__ import annotations

import hashlib
from typing import Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from awala.asn1 import Octets, der
from awala.crypto.errors import DecryptionError, InvalidKeyError, InvalidSignatureError
from awala.crypto.hashes import HashAlgorithm

MIN_BITS: Final = 2048
"""The shortest identity key that is allowed (rules §1)."""

MAX_BITS: Final = 4096
"""The longest identity key that is allowed (rules §1)."""

MAX_EXPONENT: Final = 2**32
"""The largest public exponent that is allowed: larger ones make verification slow (rules §1)."""

_EXPONENT: Final = 65537
_RSA: Final = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())
_LONG_SEQUENCE: Final = b"\x30\x82"  # with a length in two octets, as DER has it for keys of these sizes
# The lengths in this head, of a key of 2048 bits, leave just five octets for the exponent.
_USUAL_HEAD: Final = bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100")
_USUAL_EXPONENT: Final = bytes.fromhex("0203010001")
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class IdentityPublicKey:
    """An RSA public key that names a node and verifies its signatures.

    It keeps the SubjectPublicKeyInfo as received, since node ids are digests of those octets.
    """

    __slots__ = ("_digest", "_key", "spki")

    spki: bytes
    """The DER of the SubjectPublicKeyInfo, as received."""

    def __init__(self, key: rsa.RSAPublicKey, spki: bytes) -> None:
        self._key = key
        self._digest: bytes | None = None
        self.spki = spki

    @classmethod
    def load(cls, spki: Octets) -> IdentityPublicKey:
        """Read a SubjectPublicKeyInfo.

        Raises `InvalidKeyError` unless it is rsaEncryption with NULL parameters, 2048 to 4096 bits
        and an exponent of at most 2**32 (rules §1).
        """
        octets = bytes(spki)
        if octets[:2] != _LONG_SEQUENCE or octets[4 : 4 + len(_RSA)] != _RSA:
            raise InvalidKeyError("an identity key is a plain RSA key of a fair length")
        try:
            key = serialization.load_der_public_key(octets)
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidKeyError("an identity key cannot be read") from None
        rsa_key = cast("rsa.RSAPublicKey", key)  # as its identifier says
        _check_size(rsa_key.key_size)
        if not (octets.startswith(_USUAL_HEAD) and octets.endswith(_USUAL_EXPONENT)):
            _check_exponent(rsa_key.public_numbers().e)
        return cls(rsa_key, octets)

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of the SubjectPublicKeyInfo: 32 octets."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.spki).digest()
        return self._digest

    @property
    def node_id(self) -> str:
        """The id of the node that has this key: a zero and the digest in hexadecimal (RS-002)."""
        return "0" + self.digest.hex()

    @property
    def bits(self) -> int:
        """The length of the modulus in bits."""
        return self._key.key_size

    def verify(
        self, signature: Octets, message: Octets, hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256
    ) -> None:
        """Return if this key's owner signed ``message``; raise `InvalidSignatureError` otherwise."""
        try:
            self._key.verify(
                bytes(signature), bytes(message), hash_algorithm.padding, hash_algorithm.primitive
            )
        except InvalidSignature:
            raise InvalidSignatureError("a signature does not match") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityPublicKey) and self.spki == other.spki

    def __hash__(self) -> int:
        return hash(self.spki)

    def __repr__(self) -> str:
        return f"IdentityPublicKey({self.bits} bits)"


class IdentityPrivateKey:
    """The RSA private key of a node."""

    __slots__ = ("_key", "public_key")

    public_key: IdentityPublicKey
    """The public half."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        _check_size(key.key_size)
        self._key = key
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = IdentityPublicKey.load(spki)

    @classmethod
    def generate(cls, bits: int = MIN_BITS) -> IdentityPrivateKey:
        """Make a new key; raise `InvalidKeyError` unless it has 2048 to 4096 bits."""
        _check_size(bits)
        return cls(rsa.generate_private_key(_EXPONENT, bits))

    @classmethod
    def load(cls, pkcs8: Octets, *, own: bool = False) -> IdentityPrivateKey:
        """Read the DER of a PKCS#8 PrivateKeyInfo without passphrase.

        ``own`` says that this program wrote it to a place that nobody else writes to: the check of
        its numbers, which takes some 40 ms, is then left out. Raises `InvalidKeyError`.
        """
        octets = bytes(pkcs8)
        key = _load(octets, unchecked=True)
        _check_size(key.key_size)
        if own:
            return cls(key)
        numbers = key.private_numbers()
        if numbers.p * numbers.q != numbers.public_numbers.n:  # else the check of a huge one takes very long
            raise InvalidKeyError("a private identity key cannot be read")
        return cls(_load(octets, unchecked=False))

    def serialize(self) -> bytes:
        """Return the DER of a PKCS#8 PrivateKeyInfo without passphrase."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def node_id(self) -> str:
        """The id of the node that has this key."""
        return self.public_key.node_id

    def sign(self, message: Octets, hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> bytes:
        """Return an RSASSA-PSS signature over ``message`` (rules §1)."""
        return self._key.sign(bytes(message), hash_algorithm.padding, hash_algorithm.primitive)

    def decrypt_oaep(self, ciphertext: Octets) -> bytes:
        """Decrypt RSAES-OAEP with SHA-256, which only the old sessionless envelopes use.

        Raises `DecryptionError`.
        """
        try:
            return self._key.decrypt(bytes(ciphertext), _OAEP)
        except ValueError:
            raise DecryptionError from None

    def __repr__(self) -> str:
        return f"IdentityPrivateKey({self.public_key.bits} bits)"


def _load(pkcs8: bytes, *, unchecked: bool) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=unchecked)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidKeyError("a private identity key cannot be read") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidKeyError("a private identity key is no RSA key")
    return key


def _check_size(bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise InvalidKeyError(f"an identity key has {bits} bits, not {MIN_BITS} to {MAX_BITS}")


def _check_exponent(exponent: int) -> None:
    if not (2 < exponent <= MAX_EXPONENT and exponent & 1):  # noqa: PLR2004 - RFC 8017 §3.1
        raise InvalidKeyError("an identity key has an exponent that is even, too small or too large")
