# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from awala.asn1 import der
from awala.base.errors import AwalaError
from awala.cms import CmsDecryptionError, CmsError, EnvelopedData, encrypt
from awala.cms.encrypting import AGREEMENT_SCHEMES, ORIGINATOR_KEY_ID, shared_info
from awala.crypto import (
    ContentCipher,
    Curve,
    DecryptionError,
    HashAlgorithm,
    KeyWrap,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    derive_key,
    encrypt_content,
    wrap_key,
)
from helpers.cast import identity_key, session_key_pair
from helpers.mutations import mutations
from helpers.vectors import STACKS, vector

SERVICE_MESSAGE = vector("js", "serviceMessage.der")
DATA = der.oid("1.2.840.113549.1.7.1")
ENVELOPED_DATA = der.oid("1.2.840.113549.1.7.3")
RECIPIENT = SessionKeyPair.generate()
ORIGINATOR = SessionKeyPair.generate()
PLAINTEXT = b"what is enveloped"
UKM = bytes(range(64))
NONCE = bytes(range(16))
CONTENT_KEY = bytes(range(16))
CBC = der.sequence(der.oid(ContentCipher.AES_128_CBC.dotted), der.octet_string(NONCE))
CIPHERTEXT = encrypt_content(ContentCipher.AES_128_CBC, CONTENT_KEY, NONCE, PLAINTEXT)


def indefinite(identifier: int, *parts: bytes) -> bytes:
    return bytes((identifier, 0x80)) + b"".join(parts) + b"\0\0"


def key_id_attribute(*held: bytes) -> bytes:
    return der.sequence(ORIGINATOR_KEY_ID, der.set_of(*(held or (der.octet_string(ORIGINATOR.key_id),))))


def wrap_identifier(key_wrap: KeyWrap, parameters: bytes = b"") -> bytes:
    return der.sequence(der.oid(key_wrap.dotted), parameters)


def agreement(
    *,
    ukm: bytes | None = UKM,
    scheme=None,
    wrap=None,
    key_wrap=KeyWrap.AES_128,
    kdf_hash=HashAlgorithm.SHA256,
    originator=None,
    recipient=None,
    encrypted_keys=None,
    content_key=CONTENT_KEY,
) -> bytes:
    wrap = wrap_identifier(key_wrap) if wrap is None else wrap
    secret = ORIGINATOR.private_key.exchange(RECIPIENT.private_key.public_key)
    shared = shared_info(wrap, ukm, key_wrap)
    wrapped = wrap_key(derive_key(secret, shared, key_wrap.key_octets, kdf_hash), content_key)
    public_key = ORIGINATOR.private_key.public_key
    if originator is None:
        originator = der.explicit(
            0, der.tlv(0xA1, public_key.curve.identifier, der.bit_string(public_key.point))
        )
    if recipient is None:
        recipient = der.explicit(0, der.octet_string(RECIPIENT.key_id))
    if encrypted_keys is None:
        encrypted_keys = der.sequence(der.sequence(recipient, der.octet_string(wrapped)))
    return der.tlv(
        0xA1,
        der.integer(3),
        originator,
        b"" if ukm is None else der.explicit(1, der.octet_string(ukm)),
        der.sequence(AGREEMENT_SCHEMES[kdf_hash] if scheme is None else scheme, wrap),
        encrypted_keys,
    )


def enveloped(
    *recipients: bytes,
    algorithm=CBC,
    kind=DATA,
    content=None,
    attributes=None,
    originator_info=b"",
    version=2,
) -> bytes:
    content = der.implicit(0, CIPHERTEXT) if content is None else content
    attributes = der.tlv(0xA1, key_id_attribute()) if attributes is None else attributes
    inner = der.sequence(
        der.integer(version),
        originator_info,
        der.tlv(der.SET, *(recipients or (agreement(),))),
        der.sequence(kind, algorithm, content),
        attributes,
    )
    return der.sequence(ENVELOPED_DATA, der.explicit(0, inner))


def opened(data: bytes) -> bytes:
    return EnvelopedData.parse(data).decrypt(RECIPIENT.private_key)


@pytest.mark.parametrize(
    ("stack", "file", "key", "kdf_hash", "key_wrap", "content_cipher"),
    [
        ("js", "session", "sk", HashAlgorithm.SHA512, KeyWrap.AES_256, ContentCipher.AES_128_CBC),
        ("js", "big", "big.sk", HashAlgorithm.SHA512, KeyWrap.AES_256, ContentCipher.AES_128_CBC),
        ("jvm", "session", "sk", HashAlgorithm.SHA256, KeyWrap.AES_128, ContentCipher.AES_128_CBC),
        ("jvm", "session.256.512", "sk", HashAlgorithm.SHA512, KeyWrap.AES_256, ContentCipher.AES_256_CBC),
        ("jvm", "session.p384", "sk384", HashAlgorithm.SHA256, KeyWrap.AES_128, ContentCipher.AES_128_CBC),
        ("jvm", "big", "sk", HashAlgorithm.SHA256, KeyWrap.AES_128, ContentCipher.AES_128_CBC),
    ],
)
def test_opens_the_envelopes_of_both_stacks(stack, file, key, kdf_hash, key_wrap, content_cipher):
    data = vector(stack, f"{file}.env.der")
    file_of_key = "big.sk.der" if key == "big.sk" else f"{key}.pkcs8.der"
    private = SessionPrivateKey.load(vector(stack, file_of_key))
    read = EnvelopedData.parse(data + b"rest")
    assert read.is_session
    assert (read.kdf_hash, read.key_wrap, read.content_cipher) == (kdf_hash, key_wrap, content_cipher)
    assert read.originator_key.public_key.curve is private.curve
    assert len(read.originator_key.key_id) == 8
    if key == "sk" and file != "big":
        assert read.recipient_key_id == vector(stack, "sk.id")
    plaintext = read.decrypt(private)
    if file == "big":
        assert len(plaintext) >= 200_000
    else:
        assert plaintext == SERVICE_MESSAGE


def test_reads_the_id_of_the_originators_key():
    read = EnvelopedData.parse(vector("js", "session.env.der"))
    assert read.originator_key.key_id == vector("js", "session.dhKeyId")


@pytest.mark.parametrize("stack", STACKS)
def test_opens_the_sessionless_envelopes_of_both_stacks(stack):
    read = EnvelopedData.parse(vector(stack, "sessionless.env.der"))
    assert not read.is_session
    assert read.decrypt_sessionless(identity_key(stack, "igw")) == SERVICE_MESSAGE
    with pytest.raises(CmsDecryptionError):
        read.decrypt_sessionless(identity_key(stack, "pgw"))
    for ask in (
        lambda: read.recipient_key_id,
        lambda: read.originator_key,
        lambda: read.kdf_hash,
        lambda: read.key_wrap,
        lambda: read.decrypt(RECIPIENT.private_key),
    ):
        with pytest.raises(CmsError, match="not enveloped for a session key"):
            ask()


def test_a_session_envelope_is_not_opened_with_an_identity_key():
    with pytest.raises(CmsError, match="for a session key"):
        EnvelopedData.parse(enveloped()).decrypt_sessionless(identity_key("js", "igw"))


@pytest.mark.parametrize("length", [0, 1, 16, 1000, 70_000])
@pytest.mark.parametrize("content_cipher", ContentCipher)
def test_opens_what_it_made(length, content_cipher):
    plaintext = bytes(length)
    data = encrypt(
        memoryview(plaintext),
        recipient=RECIPIENT.session_key,
        originator=ORIGINATOR,
        content_cipher=content_cipher,
    )
    read = EnvelopedData.parse(data)
    assert read.decrypt(RECIPIENT.private_key) == plaintext
    assert read.recipient_key_id == RECIPIENT.key_id
    assert read.originator_key == ORIGINATOR.session_key
    assert read.content_cipher is content_cipher
    assert read.kdf_hash is HashAlgorithm.SHA256
    assert read.key_wrap.key_octets == content_cipher.key_octets


@pytest.mark.parametrize("curve", Curve)
@pytest.mark.parametrize("kdf_hash", HashAlgorithm)
@pytest.mark.parametrize("key_wrap", KeyWrap)
@pytest.mark.parametrize("content_cipher", ContentCipher)
def test_rules_1_opens_every_combination_of_curve_derivation_wrap_and_cipher(
    curve, kdf_hash, key_wrap, content_cipher
):
    recipient, originator = SessionKeyPair.generate(curve), SessionKeyPair.generate(curve)
    data = encrypt(
        PLAINTEXT,
        recipient=recipient.session_key,
        originator=originator,
        kdf_hash=kdf_hash,
        key_wrap=key_wrap,
        content_cipher=content_cipher,
    )
    read = EnvelopedData.parse(data)
    assert (read.kdf_hash, read.key_wrap, read.content_cipher) == (kdf_hash, key_wrap, content_cipher)
    assert read.originator_key == originator.session_key
    assert read.decrypt(recipient.private_key) == PLAINTEXT


def test_rules_1_emits_strict_der_in_the_form_that_is_understood_by_all():
    data = encrypt(PLAINTEXT, recipient=RECIPIENT.session_key, originator=ORIGINATOR)
    info = cms.ContentInfo.load(data, strict=True)
    assert info.dump(force=True) == data
    content = info["content"]
    assert content["version"].native == "v2"
    (recipient,) = content["recipient_infos"]
    agreed = recipient.chosen
    assert agreed["version"].native == "v3"
    assert len(agreed["ukm"].native) == 64
    assert agreed["key_encryption_algorithm"]["algorithm"].dotted == "1.3.132.1.11.1"
    assert agreed["originator"].chosen["algorithm"]["parameters"].native is not None
    encrypted = content["encrypted_content_info"]
    assert encrypted["content_encryption_algorithm"]["algorithm"].native == "aes128_cbc"
    assert data.endswith(
        der.tlv(
            0xA1,
            der.sequence(der.oid("1.3.6.1.4.1.58708.0.1.0"), der.set_of(der.octet_string(ORIGINATOR.key_id))),
        )
    )


def test_each_envelope_has_a_key_a_nonce_and_keying_material_of_its_own():
    one, other = (
        EnvelopedData.parse(encrypt(PLAINTEXT, recipient=RECIPIENT.session_key, originator=ORIGINATOR))
        for _ in range(2)
    )
    assert one._nonce != other._nonce
    assert one._agreement.ukm != other._agreement.ukm
    assert one._agreement.content_key(RECIPIENT.private_key) != other._agreement.content_key(
        RECIPIENT.private_key
    )


def test_shared_info_is_that_of_rfc_5753():
    expected = "3059300b0609608648016503040105a0420440" + UKM.hex() + "a206040400000080"
    assert shared_info(wrap_identifier(KeyWrap.AES_128), UKM, KeyWrap.AES_128).hex() == expected
    without = shared_info(wrap_identifier(KeyWrap.AES_256), None, KeyWrap.AES_256)
    assert without.hex() == "3015300b060960864801650304012da206040400000100"


def test_refuses_to_encrypt_between_curves():
    other = SessionKeyPair.generate(Curve.P384)
    with pytest.raises(CmsError, match="different curves"):
        encrypt(PLAINTEXT, recipient=other.session_key, originator=ORIGINATOR)


def test_the_plain_form_of_these_tests_is_accepted():
    assert opened(enveloped()) == PLAINTEXT


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_rules_1_accepts_content_in_segments(size):
    segments = [der.octet_string(CIPHERTEXT[at : at + size]) for at in range(0, len(CIPHERTEXT), size)]
    for content in (der.tlv(0xA0, *segments), indefinite(0xA0, *segments)):
        assert opened(enveloped(content=content)) == PLAINTEXT


def test_rules_1_accepts_indefinite_lengths():
    inner = indefinite(
        der.SEQUENCE,
        der.integer(2),
        indefinite(der.SET, agreement()),
        indefinite(der.SEQUENCE, DATA, CBC, indefinite(0xA0, der.octet_string(CIPHERTEXT))),
        indefinite(0xA1, key_id_attribute()),
    )
    assert opened(indefinite(der.SEQUENCE, ENVELOPED_DATA, indefinite(0xA0, inner))) == PLAINTEXT


@pytest.mark.parametrize("ukm", [None, b"", bytes(8), bytes(200)])
def test_keying_material_of_any_length_or_none_is_accepted(ukm):
    assert opened(enveloped(agreement(ukm=ukm))) == PLAINTEXT


@pytest.mark.parametrize("key_wrap", KeyWrap)
def test_a_wrap_with_null_parameters_is_derived_with_them(key_wrap):
    data = enveloped(agreement(wrap=wrap_identifier(key_wrap, der.null()), key_wrap=key_wrap))
    assert opened(data) == PLAINTEXT


@pytest.mark.parametrize("key_id", [b"", bytes(40), bytes(256)])
def test_key_ids_may_have_any_fair_length(key_id):
    recipient, originator = SessionKey(key_id, RECIPIENT.session_key.public_key), ORIGINATOR
    data = encrypt(PLAINTEXT, recipient=recipient, originator=SessionKeyPair(key_id, originator.private_key))
    read = EnvelopedData.parse(data)
    assert read.recipient_key_id == read.originator_key.key_id == key_id


def test_the_originators_key_id_may_be_an_integer():
    attributes = der.tlv(0xA1, key_id_attribute(der.tlv(der.INTEGER, b"\0\x01\x02")))
    assert EnvelopedData.parse(enveloped(attributes=attributes)).originator_key.key_id == b"\0\x01\x02"


@pytest.mark.parametrize(
    "data",
    [
        enveloped(version=0),
        enveloped(originator_info=der.explicit(0)),
        enveloped(
            attributes=der.tlv(
                0xA1, der.sequence(der.oid("1.2.3"), der.set_of(der.null())), key_id_attribute()
            )
        ),
        enveloped(
            agreement(
                recipient=der.explicit(
                    0,
                    der.octet_string(RECIPIENT.key_id),
                    der.tlv(der.GENERALIZED_TIME, b"20261121000000Z"),
                )
            )
        ),
    ],
)
def test_these_variations_are_accepted(data):
    assert opened(data) == PLAINTEXT


def gcm(*, tag_octets: bytes = der.integer(16), nonce=bytes(12)) -> bytes:
    parameters = der.sequence(der.octet_string(nonce), tag_octets)
    return der.sequence(der.oid(ContentCipher.AES_128_GCM.dotted), parameters)


def test_rules_1_accepts_gcm_with_a_full_tag():
    ciphertext = encrypt_content(ContentCipher.AES_128_GCM, CONTENT_KEY, bytes(12), PLAINTEXT)
    assert opened(enveloped(algorithm=gcm(), content=der.implicit(0, ciphertext))) == PLAINTEXT


POINT = ORIGINATOR.private_key.public_key.point
CURVE = Curve.P256.identifier


def public_key(identifier: bytes = CURVE, point: bytes = POINT) -> bytes:
    return der.explicit(0, der.tlv(0xA1, identifier, der.bit_string(point)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        der.sequence(),
        der.sequence(ENVELOPED_DATA, der.explicit(0, der.sequence())),
        der.sequence(ENVELOPED_DATA, der.explicit(0, der.sequence(der.integer(2)))),
        der.sequence(ENVELOPED_DATA, der.explicit(0, der.sequence(der.integer(2), der.explicit(0)))),
        enveloped(agreement(), agreement()),
        enveloped(der.tlv(0xA2, der.null())),
        enveloped(der.tlv(0xA1)),
        enveloped(der.tlv(0xA1, der.integer(3), public_key())),
        enveloped(kind=ENVELOPED_DATA),
        enveloped(algorithm=der.sequence(der.oid("1.2.840.113549.3.7"), der.octet_string(bytes(8)))),
        enveloped(algorithm=der.sequence(der.oid(ContentCipher.AES_128_CBC.dotted))),
        enveloped(algorithm=der.sequence(der.oid(ContentCipher.AES_128_CBC.dotted), der.null())),
        enveloped(
            algorithm=der.sequence(der.oid(ContentCipher.AES_128_CBC.dotted), der.octet_string(bytes(15)))
        ),
        enveloped(algorithm=gcm(tag_octets=der.integer(12))),
        enveloped(algorithm=gcm(tag_octets=b"")),
        enveloped(algorithm=gcm(nonce=bytes(16))),
        enveloped(content=der.octet_string(CIPHERTEXT)),
        enveloped(content=b""),
        enveloped(attributes=b""),
        enveloped(attributes=der.tlv(0xA1)),
        enveloped(attributes=der.tlv(0xA1, key_id_attribute(), key_id_attribute())),
        enveloped(attributes=der.tlv(0xA1, key_id_attribute(der.integer(1), der.integer(2)))),
        enveloped(attributes=der.tlv(0xA1, key_id_attribute(der.utf8_string("id")))),
        enveloped(attributes=der.tlv(0xA1, key_id_attribute(der.octet_string(bytes(257))))),
        enveloped(attributes=der.tlv(0xA1, der.sequence(ORIGINATOR_KEY_ID))),
        enveloped(attributes=der.tlv(0xA1, der.sequence(der.oid("1.2.3"), der.set_of(der.null())))),
        enveloped(attributes=der.tlv(0xA1, *[der.sequence(der.oid("1.2.3"), der.set_of(der.null()))] * 33)),
        enveloped(attributes=der.tlv(0xA2, key_id_attribute())),
        enveloped(agreement(scheme=der.oid("1.3.132.1.11.0"))),
        enveloped(agreement(scheme=der.oid("1.3.133.16.840.63.0.2"))),
        enveloped(agreement(wrap=der.sequence(der.oid("1.2.840.113549.1.9.16.3.6"), der.null()))),
        enveloped(agreement(originator=public_key(der.sequence(der.oid("1.2.840.10045.2.1"))))),
        enveloped(agreement(originator=public_key(point=POINT[:-1]))),
        enveloped(agreement(originator=public_key(point=POINT[:-1] + bytes((POINT[-1] ^ 1,))))),
        enveloped(agreement(originator=der.explicit(0, der.implicit(0, bytes(20))))),
        enveloped(agreement(originator=der.explicit(0, ORIGINATOR.private_key.public_key.spki))),
        enveloped(agreement(recipient=der.sequence(der.sequence(), der.integer(1)))),
        enveloped(agreement(recipient=der.explicit(0))),
        enveloped(agreement(recipient=der.explicit(0, der.octet_string(bytes(257))))),
        enveloped(agreement(encrypted_keys=der.sequence())),
        enveloped(agreement(encrypted_keys=der.sequence(*[der.sequence()] * 2))),
    ],
)
def test_rules_1_refuses_every_other_form(data):
    with pytest.raises(CmsError):
        EnvelopedData.parse(data)


def test_decryption_never_says_why_it_failed():
    other = SessionKeyPair.generate()
    other_curve = SessionKeyPair.generate(Curve.P384)
    wrong_key_length = enveloped(agreement(content_key=bytes(24)))
    cut = enveloped(content=der.implicit(0, CIPHERTEXT[:-1]))
    wrong_padding = enveloped(content=der.implicit(0, CIPHERTEXT[:-16]))
    cases = [
        (enveloped(), other.private_key),
        (enveloped(), other_curve.private_key),
        (wrong_key_length, RECIPIENT.private_key),
        (cut, RECIPIENT.private_key),
        (wrong_padding, RECIPIENT.private_key),
    ]
    messages = set()
    for data, key in cases:
        with pytest.raises(CmsDecryptionError) as caught:
            EnvelopedData.parse(data).decrypt(key)
        assert isinstance(caught.value, DecryptionError)
        messages.add((str(caught.value), type(caught.value)))
    assert messages == {("the data cannot be decrypted", CmsDecryptionError)}


def transport(algorithm: bytes, encrypted: bytes) -> bytes:
    rid = der.sequence(der.sequence(), der.integer(1))
    return der.sequence(der.integer(0), rid, algorithm, der.octet_string(encrypted))


def oaep(digest: bytes, mask_digest: bytes, scheme="1.2.840.113549.1.1.7") -> bytes:
    mask = der.sequence(der.oid("1.2.840.113549.1.1.8"), mask_digest)
    return der.sequence(der.oid(scheme), der.sequence(der.explicit(0, digest), der.explicit(1, mask)))


def test_the_sessionless_form_allows_oaep_with_sha_256_only():
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    key = identity_key("js", "igw")
    encrypted = key.public_key._key.encrypt(CONTENT_KEY, scheme)
    sha256 = HashAlgorithm.SHA256
    for digest in (sha256.identifier, sha256.identifier_with_null):
        data = enveloped(transport(oaep(digest, digest), encrypted), attributes=b"", version=0)
        assert EnvelopedData.parse(data).decrypt_sessionless(key) == PLAINTEXT
    sha1 = der.sequence(der.oid("1.3.14.3.2.26"), der.null())
    for algorithm in (
        oaep(sha1, sha1),
        oaep(sha256.identifier, HashAlgorithm.SHA384.identifier),
        der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()),
    ):
        with pytest.raises(CmsError, match="key transport"):
            EnvelopedData.parse(enveloped(transport(algorithm, encrypted)))
    with pytest.raises(CmsError, match="parts missing"):
        EnvelopedData.parse(enveloped(der.sequence(der.integer(0))))


@pytest.mark.parametrize(
    ("stack", "file"),
    [("js", "session"), ("jvm", "session"), ("jvm", "session.256.512"), ("js", "sessionless")],
)
def test_damaged_envelopes_are_refused_or_opened(stack, file):
    key = session_key_pair(stack).private_key
    refused = 0
    for damaged in mutations(vector(stack, f"{file}.env.der"), 800):
        try:
            read = EnvelopedData.parse(damaged)
            if read.is_session:
                read.decrypt(key)
            else:
                read.decrypt_sessionless(identity_key(stack, "igw"))
        except AwalaError:
            refused += 1
    assert refused > 500
