# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import random
import time
from math import gcd, prod

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.crypto import (
    DecryptionError,
    HashAlgorithm,
    IdentityPrivateKey,
    IdentityPublicKey,
    InvalidKeyError,
    InvalidSignatureError,
)
from helpers.cast import identity_key
from helpers.mutations import mutations
from helpers.vectors import STACKS, vector

RSA = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())


def spki(modulus: int, exponent: int, algorithm: bytes = RSA) -> bytes:
    return der.sequence(algorithm, der.bit_string(der.sequence(der.integer(modulus), der.integer(exponent))))


def modulus() -> int:
    return identity_key("js", "igw").public_key._key.public_numbers().n


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", ["igw", "pgw", "ep", "peer"])
def test_loads_the_keys_of_both_stacks(stack, name):
    private = IdentityPrivateKey.load(vector(stack, f"{name}.pkcs8.der"))
    octets = vector(stack, f"{name}.spki.der")
    public = IdentityPublicKey.load(octets)
    assert private.public_key == public
    assert hash(private.public_key) == hash(public)
    assert public.spki == octets
    assert public.bits == 2048
    assert public.digest == hashlib.sha256(octets).digest()
    assert public.node_id == private.node_id == "0" + hashlib.sha256(octets).hexdigest()


def test_keys_differ_from_other_keys_and_other_things():
    key = identity_key("js", "igw").public_key
    assert key != identity_key("js", "pgw").public_key
    assert key != key.spki


@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
def test_verifies_what_it_signed(hash_algorithm):
    key = identity_key("js", "igw")
    signature = key.sign(b"message", hash_algorithm)
    key.public_key.verify(signature, memoryview(b"message"), hash_algorithm)
    for wrong in (
        lambda: key.public_key.verify(signature, b"massage", hash_algorithm),
        lambda: key.public_key.verify(signature[:-1], b"message", hash_algorithm),
        lambda: key.public_key.verify(b"", b"message", hash_algorithm),
        lambda: identity_key("js", "pgw").public_key.verify(signature, b"message", hash_algorithm),
    ):
        with pytest.raises(InvalidSignatureError, match="does not match"):
            wrong()


def test_rules_1_only_a_salt_of_the_digests_length_is_accepted():
    key = identity_key("js", "igw")
    for scheme in (
        padding.PSS(padding.MGF1(hashes.SHA256()), 20),
        padding.PSS(padding.MGF1(hashes.SHA256()), 64),
        padding.PSS(padding.MGF1(hashes.SHA384()), 32),
        padding.PKCS1v15(),
    ):
        signature = key._key.sign(b"message", scheme, hashes.SHA256())
        with pytest.raises(InvalidSignatureError):
            key.public_key.verify(signature, b"message")


def test_a_signature_with_one_hash_does_not_pass_for_another():
    key = identity_key("js", "igw")
    with pytest.raises(InvalidSignatureError):
        key.public_key.verify(key.sign(b"message", HashAlgorithm.SHA384), b"message", HashAlgorithm.SHA512)


def test_generates_serializes_and_loads():
    key = IdentityPrivateKey.generate()
    assert key.public_key.bits == 2048
    assert key.public_key._key.public_numbers().e == 65537
    again = IdentityPrivateKey.load(key.serialize(), own=True)
    assert again.public_key == key.public_key
    again.public_key.verify(key.sign(b"x"), b"x")


@pytest.mark.parametrize("bits", [1024, 2047, 4097, 8192])
def test_rules_1_generates_no_key_outside_2048_to_4096_bits(bits):
    with pytest.raises(InvalidKeyError, match=str(bits)):
        IdentityPrivateKey.generate(bits)


def test_rules_1_loads_no_key_outside_2048_to_4096_bits():
    short = rsa.generate_private_key(65537, 1024)
    with pytest.raises(InvalidKeyError, match="1024"):
        IdentityPrivateKey.load(short.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InvalidKeyError):
        IdentityPublicKey.load(
            short.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
    for bits in (2000, 5000):
        with pytest.raises(InvalidKeyError, match=str(bits)):
            IdentityPublicKey.load(spki(2 ** (bits - 1) + 1, 65537))


@pytest.mark.parametrize("bits", [3072, 4096])
def test_rules_1_loads_longer_keys(bits):
    key = IdentityPublicKey.load(spki(2 ** (bits - 1) + 1, 65537))
    assert key.bits == bits


@pytest.mark.parametrize("exponent", [3, 17, 2**32 - 1])
def test_rules_1_loads_exponents_up_to_2_to_the_32(exponent):
    octets = spki(modulus(), exponent)
    assert IdentityPublicKey.load(octets).spki == octets


@pytest.mark.parametrize("exponent", [1, 65536, 2**32 + 1, (2**32 + 1) << 40 | 0x0203010001])
def test_rules_1_refuses_other_exponents(exponent):
    with pytest.raises(InvalidKeyError):
        IdentityPublicKey.load(spki(modulus(), exponent))


def test_loads_the_spki_octets_from_any_buffer():
    octets = identity_key("js", "igw").public_key.spki
    assert IdentityPublicKey.load(memoryview(octets)).spki == octets


@pytest.mark.parametrize(
    "algorithm",
    [
        der.sequence(der.oid("1.2.840.113549.1.1.1")),
        der.sequence(der.oid("1.2.840.113549.1.1.10"), der.null()),
        der.sequence(der.oid("1.2.840.113549.1.1.10")),
    ],
)
def test_rules_1_refuses_other_identifiers_of_rsa_keys(algorithm):
    with pytest.raises(InvalidKeyError, match="plain RSA"):
        IdentityPublicKey.load(spki(modulus(), 65537, algorithm))


def test_refuses_keys_of_other_kinds():
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(InvalidKeyError):
        IdentityPublicKey.load(
            other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
    with pytest.raises(InvalidKeyError, match="no RSA key"):
        IdentityPrivateKey.load(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def test_refuses_private_keys_that_need_a_passphrase():
    encrypted = identity_key("js", "igw")._key.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    with pytest.raises(InvalidKeyError, match="cannot be read"):
        IdentityPrivateKey.load(encrypted)


def test_refuses_octets_that_are_no_keys():
    octets = identity_key("js", "igw").public_key.spki
    for damaged in (b"", b"\x30", octets[:-1], octets[:40], der.sequence(RSA, der.bit_string(bytes(260)))):
        with pytest.raises(InvalidKeyError):
            IdentityPublicKey.load(damaged)
    with pytest.raises(InvalidKeyError):
        IdentityPrivateKey.load(b"\x30\x03\x02\x01\x00")


def test_damaged_keys_are_loaded_or_refused():
    refused = 0
    for damaged in mutations(vector("js", "igw.spki.der"), 300):
        try:
            IdentityPublicKey.load(damaged)
        except AwalaError:
            refused += 1
    assert refused > 50


def test_oaep():
    key = identity_key("js", "igw")
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    ciphertext = key.public_key._key.encrypt(b"key", scheme)
    assert key.decrypt_oaep(ciphertext) == b"key"
    for damaged in (ciphertext[:-1], bytes(256), b"\xff" * 256, b""):
        with pytest.raises(DecryptionError, match="the data cannot be decrypted"):
            key.decrypt_oaep(damaged)


def test_reprs_show_neither_ids_nor_numbers():
    key = identity_key("js", "igw")
    assert repr(key) == "IdentityPrivateKey(2048 bits)"
    assert repr(key.public_key) == "IdentityPublicKey(2048 bits)"


def test_the_usual_head_of_a_key_leaves_five_octets_for_the_exponent():
    octets = spki(modulus(), 65537)
    assert octets == identity_key("js", "igw").public_key.spki
    assert parse(octets).content_end == len(octets)


def without_small_factors(bits, seed):
    chance = random.Random(seed)
    product = prod(range(3, 20_000, 2))  # trial division goes that far
    while gcd(number := chance.getrandbits(bits) | 1 | 1 << (bits - 1), product) != 1:
        pass
    return number


@pytest.mark.parametrize(("modulus_bits", "factor_bits"), [(2048, 16_000), (20_000, 10_000)])
def test_a_private_key_of_huge_numbers_is_refused_before_they_are_checked(modulus_bits, factor_bits):
    factors = without_small_factors(factor_bits, 1), without_small_factors(factor_bits, 2)
    modulus = factors[0] * factors[1] if modulus_bits == 2 * factor_bits else without_small_factors(2048, 3)
    numbers = (0, modulus, 65537, without_small_factors(2000, 4), *factors, 3, 5, 7)
    algorithm = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())
    key = der.sequence(*map(der.integer, numbers))
    pkcs8 = der.sequence(der.integer(0), algorithm, der.octet_string(key))

    begin = time.process_time()
    with pytest.raises(InvalidKeyError):
        IdentityPrivateKey.load(pkcs8)

    assert time.process_time() - begin < 0.2
