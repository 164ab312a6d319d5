# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from awala.asn1 import der
from awala.base.errors import AwalaError
from awala.crypto import (
    Curve,
    InvalidKeyError,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
)
from helpers.cast import identity_key, session_key_pair
from helpers.mutations import mutations
from helpers.vectors import STACKS, vector


@pytest.mark.parametrize("stack", STACKS)
def test_loads_the_session_keys_of_both_stacks(stack):
    pair = session_key_pair(stack)
    octets = vector(stack, "sk.spki.der")
    public = SessionPublicKey.load(octets)
    assert pair.session_key == SessionKey(vector(stack, "sk.id"), public)
    assert public.spki == octets
    assert public.curve is pair.private_key.curve is Curve.P256
    assert public.point == octets[-65:]


def test_loads_a_key_on_p384():
    private = SessionPrivateKey.load(vector("jvm", "sk384.pkcs8.der"))
    assert private.curve is Curve.P384
    assert private.public_key == SessionPublicKey.load(vector("jvm", "sk384.spki.der"))


@pytest.mark.parametrize("curve", Curve)
def test_both_sides_agree_on_a_secret_as_long_as_the_field(curve):
    one, other = SessionPrivateKey.generate(curve), SessionPrivateKey.generate(curve)
    secret = one.exchange(other.public_key)
    assert secret == other.exchange(SessionPublicKey.load(one.public_key.spki))
    assert len(secret) == {"P-256": 32, "P-384": 48, "P-521": 66}[curve.value]


@pytest.mark.parametrize("curve", Curve)
def test_serializes_and_loads(curve):
    key = SessionPrivateKey.generate(curve)
    again = SessionPrivateKey.load(key.serialize())
    assert again.public_key == key.public_key
    assert hash(again.public_key) == hash(key.public_key)
    assert again.curve is curve
    octets = key._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key.spki == octets


def test_a_key_from_a_point_equals_the_one_from_its_spki():
    public = SessionPrivateKey.generate().public_key
    assert SessionPublicKey.from_point(Curve.P256.identifier, public.point) == public


def test_keys_differ_from_other_keys_and_other_things():
    one, other = SessionPrivateKey.generate().public_key, SessionPrivateKey.generate().public_key
    assert one != other
    assert one != one.spki


def test_refuses_an_exchange_between_curves():
    with pytest.raises(InvalidKeyError, match="different curves"):
        SessionPrivateKey.generate(Curve.P256).exchange(SessionPrivateKey.generate(Curve.P384).public_key)


def test_pairs_have_random_ids_of_eight_octets():
    one, other = SessionKeyPair.generate(), SessionKeyPair.generate(Curve.P384)
    assert len(one.key_id) == len(other.key_id) == 8
    assert one.key_id != other.key_id
    assert other.private_key.curve is Curve.P384
    assert one.session_key == SessionKey(one.key_id, one.private_key.public_key)


def spki(identifier: bytes, point: bytes) -> bytes:
    return der.sequence(identifier, der.bit_string(point))


def test_refuses_points_that_are_not_uncompressed_or_not_on_the_curve():
    public = SessionPrivateKey.generate().public_key
    compressed = public._key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    for point in (
        b"",
        b"\0",
        compressed,
        public.point[:-1],
        public.point[:-1] + bytes((public.point[-1] ^ 1,)),
    ):
        with pytest.raises(InvalidKeyError):
            SessionPublicKey.load(spki(Curve.P256.identifier, point))
        with pytest.raises(InvalidKeyError):
            SessionPublicKey.from_point(Curve.P256.identifier, point)


def test_rules_1_refuses_other_curves_and_keys_without_one():
    other = ec.generate_private_key(ec.SECP256K1())
    octets = other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = SessionPrivateKey.generate().public_key.point
    for refused in (octets, spki(der.sequence(der.oid("1.2.840.10045.2.1")), point)):
        with pytest.raises(InvalidKeyError, match="no curve that Awala allows"):
            SessionPublicKey.load(refused)
    with pytest.raises(InvalidKeyError, match="no curve that Awala allows"):
        SessionPrivateKey.load(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def test_refuses_what_is_no_session_key():
    for refused in (b"", der.null(), der.sequence(), identity_key("js", "igw").public_key.spki):
        with pytest.raises(InvalidKeyError):
            SessionPublicKey.load(refused)
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    for refused in (b"", encrypted, vector("js", "igw.pkcs8.der")):
        with pytest.raises(InvalidKeyError):
            SessionPrivateKey.load(refused)


def test_damaged_keys_are_loaded_or_refused():
    for name, load in (("sk.spki.der", SessionPublicKey.load), ("sk.pkcs8.der", SessionPrivateKey.load)):
        refused = 0
        for damaged in mutations(vector("js", name), 300):
            try:
                load(damaged)
            except AwalaError:
                refused += 1
        assert refused > 100


def test_reprs_show_the_curve_only():
    key = SessionPrivateKey.generate()
    assert repr(key) == "SessionPrivateKey(P-256)"
    assert repr(key.public_key) == "SessionPublicKey(P-256)"
