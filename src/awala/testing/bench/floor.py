# SPDX-License-Identifier: MIT
"""The floor of sealing and opening: the same OpenSSL operations in sequence, and nothing around them.

This is the one place besides `awala.crypto` that calls pyca/cryptography, since it has to be bare.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from awala.asn1 import Octets, parse, values
from awala.crypto import IdentityPrivateKey
from awala.testing.bench.cast import Cast, Sender

_load_rsa: Final = cast("Callable[[bytes], rsa.RSAPublicKey]", serialization.load_der_public_key)
_SHA256: Final = hashes.SHA256()
_PSS: Final = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)
_CURVE: Final = ec.SECP256R1()
_ECDH: Final = ec.ECDH()
_BLOCK: Final = 16
_KEY_OCTETS: Final = 16
_SHARED_INFO: Final = bytes(92)
_SIGNED_ATTRIBUTES: Final = bytes(75)
"""As many octets as the signed attributes of a message take."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signature of one key of the chain, which is loaded afresh unless ``kept`` is there."""

    spki: bytes
    kept: rsa.RSAPublicKey | None
    signature: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class VerifyMaterial:
    """What it takes to verify a message of somebody who is known."""

    key: rsa.RSAPublicKey
    signature: bytes


@dataclass(frozen=True, slots=True)
class FloorMaterial:
    """What the bare operations need in place of one parcel."""

    signing_key: rsa.RSAPrivateKey
    peer_key: ec.EllipticCurvePublicKey
    session_key: ec.EllipticCurvePrivateKey
    plaintext: bytes
    signatures: tuple[_Signed, ...]
    originator_point: bytes
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes


def verify_material(key: IdentityPrivateKey) -> VerifyMaterial:
    """Prepare the verification of messages signed by ``key``: a signature over as many octets."""
    signing_key = serialization.load_der_private_key(key.serialize(), None)
    assert isinstance(signing_key, rsa.RSAPrivateKey)  # noqa: S101 - it is of this kind
    return VerifyMaterial(signing_key.public_key(), signing_key.sign(_SIGNED_ATTRIBUTES, _PSS, _SHA256))


def bare_verify(material: VerifyMaterial, content: Octets) -> None:
    """Digest the content and verify one signature."""
    hashlib.sha256(content).digest()
    material.key.verify(material.signature, _SIGNED_ATTRIBUTES, _PSS, _SHA256)


def floor_material(people: Cast, sender: Sender, plaintext: bytes) -> FloorMaterial:
    """Prepare the bare operations for one parcel: equal keys, and signatures over as many octets."""
    signing_key = serialization.load_der_private_key(sender.key.serialize(), None)
    session_key = serialization.load_der_private_key(sender.session.private_key.serialize(), None)
    assert isinstance(signing_key, rsa.RSAPrivateKey)  # noqa: S101 - it is of this kind
    assert isinstance(session_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - the same
    originator = ec.generate_private_key(_CURVE)
    content_key, nonce = secrets.token_bytes(_KEY_OCTETS), secrets.token_bytes(_BLOCK)
    wrapping_key = _derive(originator.exchange(_ECDH, session_key.public_key()))
    buffer = bytearray(len(plaintext) + 2 * _BLOCK)
    length = _encrypt(content_key, nonce, plaintext, buffer)
    return FloorMaterial(
        signing_key=signing_key,
        peer_key=session_key.public_key(),
        session_key=session_key,
        plaintext=plaintext,
        signatures=_signatures(people, sender, signing_key),
        originator_point=originator.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        ),
        wrapped_key=keywrap.aes_key_wrap(wrapping_key, content_key),
        nonce=nonce,
        ciphertext=bytes(buffer[:length]),
    )


def _signatures(people: Cast, sender: Sender, signing_key: rsa.RSAPrivateKey) -> tuple[_Signed, ...]:
    """Return the four signatures of a parcel at a gateway: the message, and three certificates.

    The keys of the three embedded certificates are new to who receives them; the gateway's own is not.
    """
    owners = (sender.authorization, sender.endpoint, sender.private_gateway, people.gateway)
    signed = [_message_signature(owners[0].public_key.spki, signing_key)]
    for issuer, certificate in zip(owners[1:], owners[:-1], strict=True):
        tbs, _algorithm, signature = parse(certificate.encoding).children()
        octets = bytes(values.bit_string(signature))
        signed.append(_Signed(issuer.public_key.spki, None, octets, bytes(tbs.encoding)))
    last = signed.pop()
    return (*signed, _Signed(last.spki, _load_rsa(last.spki), last.signature, last.message))


def _message_signature(spki: bytes, key: rsa.RSAPrivateKey) -> _Signed:
    return _Signed(spki, None, key.sign(_SIGNED_ATTRIBUTES, _PSS, _SHA256), _SIGNED_ATTRIBUTES)


def bare_seal(material: FloorMaterial, buffer: bytearray) -> None:
    """Make a key, agree, derive, wrap, encrypt, digest and sign."""
    originator = ec.generate_private_key(_CURVE)
    wrapping_key = _derive(originator.exchange(_ECDH, material.peer_key))
    content_key, nonce = secrets.token_bytes(_KEY_OCTETS), secrets.token_bytes(_BLOCK)
    keywrap.aes_key_wrap(wrapping_key, content_key)
    length = _encrypt(content_key, nonce, material.plaintext, buffer)
    hashlib.sha256(memoryview(buffer)[:length]).digest()
    material.signing_key.sign(_SIGNED_ATTRIBUTES, _PSS, _SHA256)


def bare_open(material: FloorMaterial, buffer: bytearray) -> None:
    """Digest, verify four signatures, decode the point, agree, derive, unwrap and decrypt."""
    hashlib.sha256(material.ciphertext).digest()
    for signed in material.signatures:
        key = signed.kept or _load_rsa(signed.spki)
        key.verify(signed.signature, signed.message, _PSS, _SHA256)
    originator = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, material.originator_point)
    wrapping_key = _derive(material.session_key.exchange(_ECDH, originator))
    content_key = keywrap.aes_key_unwrap(wrapping_key, material.wrapped_key)
    cipher = Cipher(algorithms.AES(content_key), modes.CBC(material.nonce)).decryptor()
    cipher.update_into(material.ciphertext, buffer)


def new_buffer(plaintext: Octets) -> bytearray:
    """Return a buffer that takes the ciphertext of ``plaintext`` and what the cipher wants beyond."""
    return bytearray(len(plaintext) + 4 * _BLOCK)


def _derive(secret: bytes) -> bytes:
    return X963KDF(_SHA256, _KEY_OCTETS, _SHARED_INFO).derive(secret)


def _encrypt(key: bytes, nonce: bytes, plaintext: bytes, buffer: bytearray) -> int:
    cipher = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
    length = cipher.update_into(plaintext, buffer)
    padding_octets = _BLOCK - len(plaintext) % _BLOCK
    return length + cipher.update_into(bytes((padding_octets,)) * padding_octets, memoryview(buffer)[length:])
