# SPDX-License-Identifier: MIT
"""The traps that deployed implementations lay for payloads, by the number that each has in our records."""

from __future__ import annotations

import pytest

from awala.asn1 import der, parse
from awala.cms import CmsDecryptionError, EnvelopedData, encrypt
from awala.cms.encrypting import shared_info
from awala.crypto import (
    ContentCipher,
    HashAlgorithm,
    KeyWrap,
    SessionKeyPair,
    SessionPrivateKey,
    decrypt_content,
    derive_key,
    unwrap_key,
)
from helpers.vectors import STACKS, vector

RECIPIENT = SessionKeyPair.generate()
ORIGINATOR = SessionKeyPair.generate()
PLAINTEXT = b"what is enveloped"


def sealed(**options) -> bytes:
    return encrypt(PLAINTEXT, recipient=RECIPIENT.session_key, originator=ORIGINATOR, **options)


def parts(data: bytes):
    """Return the fields of the enveloped data, and those of its recipient."""
    fields = parse(data).children()[1].children()[0].children()
    return fields, fields[1].children()[0].children()


def test_trap_02_payloads_are_in_cbc_with_padding_unless_gcm_is_chosen():
    fields, _ = parts(sealed())
    algorithm, ciphertext = fields[2].children()[1:]
    assert algorithm.children()[0].encoding == der.oid("2.16.840.1.101.3.4.1.2")
    assert len(algorithm.children()[1].content) == 16
    assert len(ciphertext.content) == 32
    assert EnvelopedData.parse(sealed()).content_cipher is ContentCipher.AES_128_CBC


def test_trap_08_keying_material_of_64_octets_goes_into_each_key():
    data = sealed()
    _, recipient = parts(data)
    ukm = recipient[2].children()[0]
    assert (recipient[2].identifier, ukm.identifier, len(ukm.content)) == (0xA1, der.OCTET_STRING, 64)
    damaged = bytearray(data)
    damaged[data.index(bytes(ukm.content))] ^= 1
    with pytest.raises(CmsDecryptionError):
        EnvelopedData.parse(damaged).decrypt(RECIPIENT.private_key)


@pytest.mark.parametrize("key_wrap", KeyWrap)
@pytest.mark.parametrize("cipher", [ContentCipher.AES_128_CBC, ContentCipher.AES_256_CBC])
def test_trap_08_the_length_that_goes_into_a_key_is_that_of_the_wrapping_key_in_bits(key_wrap, cipher):
    fields, recipient = parts(sealed(key_wrap=key_wrap, content_cipher=cipher))
    wrap = der.sequence(der.oid(key_wrap.dotted))
    ukm = bytes(recipient[2].children()[0].content)
    info = der.sequence(
        wrap,
        der.explicit(0, der.octet_string(ukm)),
        der.explicit(2, der.octet_string(key_wrap.value.to_bytes(4))),
    )
    assert shared_info(wrap, ukm, key_wrap) == info
    secret = RECIPIENT.private_key.exchange(ORIGINATOR.private_key.public_key)
    wrapped = recipient[4].children()[0].children()[1].content
    content_key = unwrap_key(derive_key(secret, info, key_wrap.key_octets), wrapped)
    algorithm, ciphertext = fields[2].children()[1:]
    nonce = bytes(algorithm.children()[1].content)
    assert decrypt_content(cipher, content_key, nonce, bytes(ciphertext.content)) == PLAINTEXT


@pytest.mark.parametrize("key_wrap", KeyWrap)
def test_trap_09_the_identifier_of_the_wrap_has_no_null(key_wrap):
    _, recipient = parts(sealed(key_wrap=key_wrap))
    assert recipient[3].children()[1].encoding == der.sequence(der.oid(key_wrap.dotted))


@pytest.mark.parametrize(
    ("stack", "kdf_hash", "key_wrap"),
    [("js", HashAlgorithm.SHA512, KeyWrap.AES_256), ("jvm", HashAlgorithm.SHA256, KeyWrap.AES_128)],
)
def test_trap_10_peers_derive_and_wrap_in_their_own_way(stack, kdf_hash, key_wrap):
    enveloped = EnvelopedData.parse(vector(stack, "session.env.der"))
    assert (enveloped.kdf_hash, enveloped.key_wrap) == (kdf_hash, key_wrap)
    assert enveloped.content_cipher is ContentCipher.AES_128_CBC
    assert enveloped.decrypt(SessionPrivateKey.load(vector(stack, "sk.pkcs8.der")))


def test_trap_11_the_id_of_the_originators_key_is_an_octet_string_outside_what_is_protected():
    fields, _ = parts(sealed())
    assert fields[3].identifier == 0xA1
    kind, held = fields[3].children()[0].children()
    assert kind.encoding == der.oid("1.3.6.1.4.1.58708.0.1.0")
    assert held.content == der.octet_string(ORIGINATOR.key_id)


@pytest.mark.parametrize("stack", STACKS)
def test_trap_11_both_stacks_write_it_so(stack):
    fields, _ = parts(vector(stack, "session.env.der"))
    value = fields[3].children()[0].children()[1].children()[0]
    assert value.identifier == der.OCTET_STRING
    assert value.content == EnvelopedData.parse(vector(stack, "session.env.der")).originator_key.key_id
