# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from awala.asn1 import der
from awala.crypto import (
    SIGNATURE_ALGORITHM_IDENTIFIERS,
    ContentCipher,
    DecryptionError,
    HashAlgorithm,
    InvalidKeyError,
    KeyWrap,
    UnsupportedAlgorithmError,
    decrypt_content,
    derive_key,
    encrypt_content,
    encrypt_to_scratch,
    hash_of_signature_algorithm,
    unwrap_key,
    wrap_key,
)

PSS = der.oid("1.2.840.113549.1.1.10")
MGF1 = der.oid("1.2.840.113549.1.1.8")
SHA1 = der.sequence(der.oid("1.3.14.3.2.26"), der.null())
SHA256 = HashAlgorithm.SHA256.identifier_with_null
SHA384 = HashAlgorithm.SHA384.identifier_with_null
SHA512 = HashAlgorithm.SHA512.identifier_with_null
SHA224 = der.sequence(der.oid("2.16.840.1.101.3.4.2.4"), der.null())
MD5 = der.sequence(der.oid("1.2.840.113549.2.5"), der.null())


def pss(digest=SHA256, mask_digest=SHA256, salt=32, trailer=None, scheme=PSS, mask=MGF1) -> bytes:
    fields = [
        der.explicit(0, digest),
        der.explicit(1, der.sequence(mask, mask_digest)),
        der.explicit(2, der.integer(salt)),
    ]
    if trailer is not None:
        fields.append(der.explicit(3, der.integer(trailer)))
    return der.sequence(scheme, der.sequence(*fields))


def test_the_signature_algorithm_is_written_as_deployed_peers_write_it():
    assert SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA256].hex() == (
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    )


@pytest.mark.rule("1.3")
@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_rules_1_reads_pss_with_a_salt_of_the_digests_length(algorithm):
    assert hash_of_signature_algorithm(SIGNATURE_ALGORITHM_IDENTIFIERS[algorithm]) is algorithm
    for digest in (algorithm.identifier, algorithm.identifier_with_null):
        for trailer in (None, 1):
            identifier = pss(digest, algorithm.identifier, algorithm.digest_size, trailer)
            assert hash_of_signature_algorithm(memoryview(identifier)) is algorithm


@pytest.mark.rule("1.3")
@pytest.mark.parametrize(
    "identifier",
    [
        pss(salt=20),
        pss(salt=64),
        pss(digest=SHA1, mask_digest=SHA1, salt=20),
        pss(digest=MD5, mask_digest=MD5, salt=16),
        pss(digest=SHA224, mask_digest=SHA224, salt=28),
        pss(digest=SHA384, mask_digest=SHA384),
        pss(digest=SHA512, mask_digest=SHA512, salt=48),
        pss(mask_digest=SHA384),
        pss(digest=SHA384, salt=48),
        pss(trailer=2),
        pss(scheme=der.oid("1.2.840.113549.1.1.11")),
        pss(mask=PSS),
        der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null()),
        der.sequence(PSS),
        der.sequence(PSS, der.null()),
        der.sequence(PSS, der.sequence()),
        der.sequence(
            PSS, der.sequence(der.explicit(0, SHA256), der.explicit(1, der.null()), der.explicit(2))
        ),
        der.sequence(
            PSS,
            der.sequence(
                der.explicit(0), der.explicit(1, der.sequence(MGF1, SHA256)), der.explicit(2, der.integer(32))
            ),
        ),
        b"",
        b"\x30",
    ],
)
def test_rules_1_refuses_every_other_signature_algorithm(identifier):
    with pytest.raises(UnsupportedAlgorithmError, match="RSASSA-PSS"):
        hash_of_signature_algorithm(identifier)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [(HashAlgorithm.SHA256, "sha256"), (HashAlgorithm.SHA384, "sha384"), (HashAlgorithm.SHA512, "sha512")],
)
def test_digests(algorithm, name):
    assert algorithm.digest(b"abc") == hashlib.new(name, b"abc").digest()
    assert algorithm.digest_size == hashlib.new(name).digest_size
    assert HashAlgorithm.from_identifier(algorithm.identifier) is algorithm
    assert HashAlgorithm.from_identifier(algorithm.identifier_with_null) is algorithm
    assert HashAlgorithm.from_identifier(SHA1) is None


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("octets", [16, 24, 32, 100])
def test_key_derivation_is_that_of_sec_1(algorithm, octets):
    secret, shared = b"secret", b"shared info"
    blocks = b"".join(
        algorithm.digest(secret + struct.pack(">I", counter) + shared) for counter in range(1, 9)
    )
    assert derive_key(secret, shared, octets, algorithm) == blocks[:octets]


def test_key_wrap_is_that_of_rfc_3394():
    data = bytes.fromhex("00112233445566778899aabbccddeeff")
    wrapped = bytes.fromhex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5")
    assert wrap_key(bytes(range(16)), data) == wrapped
    assert unwrap_key(bytes(range(16)), memoryview(wrapped)) == data


def test_key_wraps_are_described():
    assert [(wrap.key_octets, wrap.dotted) for wrap in KeyWrap] == [
        (16, "2.16.840.1.101.3.4.1.5"),
        (24, "2.16.840.1.101.3.4.1.25"),
        (32, "2.16.840.1.101.3.4.1.45"),
    ]


def test_wrapping_refuses_lengths_that_it_does_not_know():
    for wrapping_key, key in ((bytes(15), bytes(16)), (bytes(16), bytes(15)), (bytes(16), bytes(8))):
        with pytest.raises(InvalidKeyError):
            wrap_key(wrapping_key, key)


def test_unwrapping_never_says_why_it_failed():
    wrapped = wrap_key(bytes(16), bytes(16))
    messages = set()
    for wrapping_key, data in (
        (bytes(16), b""),
        (bytes(16), wrapped[:-1]),
        (bytes(16), bytes(24)),
        (b"x" * 16, wrapped),
        (bytes(15), wrapped),
    ):
        with pytest.raises(DecryptionError) as caught:
            unwrap_key(wrapping_key, data)
        messages.add(str(caught.value))
    assert messages == {"the data cannot be decrypted"}


@pytest.mark.parametrize(
    ("cipher", "dotted", "key_octets", "nonce_octets"),
    [
        (ContentCipher.AES_128_CBC, "2.16.840.1.101.3.4.1.2", 16, 16),
        (ContentCipher.AES_192_CBC, "2.16.840.1.101.3.4.1.22", 24, 16),
        (ContentCipher.AES_256_CBC, "2.16.840.1.101.3.4.1.42", 32, 16),
        (ContentCipher.AES_128_GCM, "2.16.840.1.101.3.4.1.6", 16, 12),
        (ContentCipher.AES_192_GCM, "2.16.840.1.101.3.4.1.26", 24, 12),
        (ContentCipher.AES_256_GCM, "2.16.840.1.101.3.4.1.46", 32, 12),
    ],
)
def test_ciphers_are_described(cipher, dotted, key_octets, nonce_octets):
    assert (cipher.dotted, cipher.key_octets, cipher.nonce_octets) == (dotted, key_octets, nonce_octets)
    assert cipher.is_gcm == cipher.value.endswith("GCM")


def key_and_nonce(cipher: ContentCipher) -> tuple[bytes, bytes]:
    return bytes(range(cipher.key_octets)), bytes(range(cipher.nonce_octets))


@pytest.mark.parametrize("cipher", ContentCipher)
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 1000, 100_000, 3_000_000])
def test_decrypts_what_it_encrypted(cipher, length):
    key, nonce = key_and_nonce(cipher)
    plaintext = bytes(length)
    ciphertext = encrypt_content(cipher, key, nonce, plaintext)
    assert len(ciphertext) == (length + 16 if cipher.is_gcm else length // 16 * 16 + 16)
    assert decrypt_content(cipher, key, nonce, memoryview(ciphertext)) == plaintext


@given(st.binary(max_size=600))
def test_gcm_is_what_another_interface_makes(plaintext):
    key, nonce = key_and_nonce(ContentCipher.AES_256_GCM)
    ciphertext = encrypt_content(ContentCipher.AES_256_GCM, key, nonce, plaintext)
    assert ciphertext == AESGCM(key).encrypt(nonce, plaintext, None)


def test_cbc_is_that_of_sp_800_38a():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plaintext = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    ciphertext = encrypt_content(ContentCipher.AES_128_CBC, key, bytes(range(16)), plaintext)
    assert ciphertext[:16].hex() == "7649abac8119b246cee98e9b12e9197d"
    assert len(ciphertext) == 32


def test_the_scratch_is_used_again_within_a_thread():
    key, nonce = key_and_nonce(ContentCipher.AES_128_CBC)
    first = encrypt_to_scratch(ContentCipher.AES_128_CBC, key, nonce, bytes(100))
    kept = bytes(first)
    encrypt_to_scratch(ContentCipher.AES_128_CBC, key, nonce, b"x" * 100)
    assert bytes(first) != kept


@pytest.mark.parametrize("cipher", ContentCipher)
def test_refuses_keys_and_nonces_that_do_not_fit(cipher):
    key, nonce = key_and_nonce(cipher)
    for wrong in ((key[:-1], nonce), (key, nonce[:-1])):
        with pytest.raises(InvalidKeyError):
            encrypt_content(cipher, *wrong, b"plaintext")
        with pytest.raises(DecryptionError):
            decrypt_content(cipher, *wrong, bytes(32))


@pytest.mark.parametrize("cipher", ContentCipher)
def test_decryption_never_says_why_it_failed(cipher):
    key, nonce = key_and_nonce(cipher)
    ciphertext = encrypt_content(cipher, key, nonce, b"0123456789abcdef!")
    cases = [b"", ciphertext[:-1], ciphertext + b"\0", bytes(len(ciphertext))]
    messages = set()
    for damaged in cases:
        with pytest.raises(DecryptionError) as caught:
            decrypt_content(cipher, key, nonce, damaged)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        messages.add(str(caught.value))
    assert messages == {"the data cannot be decrypted"}


def raw_cbc(key: bytes, nonce: bytes, padded: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


@pytest.mark.parametrize(
    "end", [b"\0", b"\x11", b"\xff", b"\x01\x02", b"\x02\x03\x03"], ids=lambda octets: octets.hex()
)
def test_refuses_padding_that_is_wrong(end):
    key, nonce = key_and_nonce(ContentCipher.AES_128_CBC)
    padded = b"x" * (32 - len(end)) + end
    with pytest.raises(DecryptionError):
        decrypt_content(ContentCipher.AES_128_CBC, key, nonce, raw_cbc(key, nonce, padded))


def test_a_block_of_padding_alone_is_an_empty_content():
    key, nonce = key_and_nonce(ContentCipher.AES_128_CBC)
    assert decrypt_content(ContentCipher.AES_128_CBC, key, nonce, raw_cbc(key, nonce, b"\x10" * 16)) == b""


def test_padding_that_reaches_before_the_content_is_refused():
    key, nonce = key_and_nonce(ContentCipher.AES_128_CBC)
    with pytest.raises(DecryptionError):
        decrypt_content(ContentCipher.AES_128_CBC, key, nonce, raw_cbc(key, nonce, b"\x11" * 16))
