# SPDX-License-Identifier: MIT
"""Session keys and what is enveloped for them, with every algorithm that the reference libraries know."""

from __future__ import annotations

import itertools

import pytest
from interop_cast import described_key, seal

from awala.cms import EnvelopedData
from awala.crypto import (
    ContentCipher,
    Curve,
    HashAlgorithm,
    KeyWrap,
    SessionKey,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
)
from awala.messages import NodeConnectionParams, ServiceMessage
from helpers.json_peer import PeerError
from helpers.kotlin_peer import KotlinPeer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.cell("core-sessions")]

CBC = [cipher for cipher in ContentCipher if not cipher.is_gcm]
GCM = [cipher for cipher in ContentCipher if cipher.is_gcm]
WRAPS_AND_HASHES = list(itertools.product(KeyWrap, HashAlgorithm))
BITS = (128, 192, 256)

CONTENT = bytes(range(256)) * 5
PLAINTEXT = ServiceMessage("octets", CONTENT).serialize()
"""Whole blocks of a service message, which is all that Kotlin's driver can read in an envelope."""


async def read_envelope(peer, cast, octets, private_key):
    """Let the peer decrypt; its private key is DER, and the certificate is what Kotlin's driver wants."""
    return await peer.ask(
        "read",
        kind="envelope",
        octets=octets,
        certificate=cast.endpoint.encoding,
        sessionPrivateKey=private_key,
    )


def description(peer, recipient_key_id, originator_key):
    """Return what the peer tells of an envelope around `PLAINTEXT`; Kotlin's driver tells no id."""
    if isinstance(peer, KotlinPeer):
        return {"payload": {"type": "octets", "content": CONTENT}, "originatorKey": originator_key}
    return {"plaintext": PLAINTEXT, "recipientKeyId": recipient_key_id, "originatorKey": originator_key}


async def make_envelope(peer, key, **options):
    return await peer.ask(
        "make", kind="envelope", plaintext=CONTENT, sessionKey=described_key(key), **options
    )


async def test_we_use_session_keys_that_the_reference_library_made(peer, cast):
    made = await peer.ask("makeSessionKey")
    key = SessionKey(made["keyId"], SessionPublicKey.load(made["publicKey"]))
    octets, our_key = seal(PLAINTEXT, key)

    read = await read_envelope(peer, cast, octets, made["privateKey"])

    assert read == description(peer, made["keyId"], our_key)
    assert SessionPrivateKey.load(made["privateKey"]).public_key == key.public_key


@pytest.mark.parametrize("key_id", [b"\x00", b"\xff" * 8, bytes(40)])
async def test_key_ids_of_any_length_go_both_ways(peer, cast, key_id):
    pair = SessionKeyPair(key_id, SessionPrivateKey.generate())
    octets, our_key = seal(PLAINTEXT, pair.session_key)

    made = await make_envelope(peer, pair.session_key)
    read = await read_envelope(peer, cast, octets, pair.private_key.serialize())

    assert EnvelopedData.parse(made["octets"]).recipient_key_id == key_id
    assert read == description(peer, key_id, our_key)


# ---- ours --------------------------------------------------------------------------------------------


async def check_that_it_decrypts_ours(peer, cast, cipher, key_wrap, kdf_hash):
    octets, our_key = seal(
        PLAINTEXT,
        cast.session.session_key,
        content_cipher=cipher,
        key_wrap=key_wrap,
        kdf_hash=kdf_hash,
    )

    read = await read_envelope(peer, cast, octets, cast.session.private_key.serialize())

    assert read == description(peer, cast.session.key_id, our_key)


@pytest.mark.parametrize(("key_wrap", "kdf_hash"), WRAPS_AND_HASHES)
@pytest.mark.parametrize("cipher", CBC)
async def test_the_reference_library_decrypts_ours(peer, cast, cipher, key_wrap, kdf_hash):
    await check_that_it_decrypts_ours(peer, cast, cipher, key_wrap, kdf_hash)


@pytest.mark.parametrize(("key_wrap", "kdf_hash"), WRAPS_AND_HASHES)
@pytest.mark.parametrize("cipher", GCM)
async def test_the_kotlin_library_decrypts_gcm(kotlin, cast, cipher, key_wrap, kdf_hash):
    await check_that_it_decrypts_ours(kotlin, cast, cipher, key_wrap, kdf_hash)


@pytest.mark.parametrize("cipher", GCM)
async def test_the_javascript_library_does_not_decrypt_gcm(javascript, cast, cipher):
    octets, _ = seal(PLAINTEXT, cast.session.session_key, content_cipher=cipher)

    with pytest.raises(PeerError, match="Decryption failed"):
        await read_envelope(javascript, cast, octets, cast.session.private_key.serialize())


# ---- theirs ------------------------------------------------------------------------------------------


async def check_that_we_decrypt_theirs(peer, cast, bits, **options):
    made = await make_envelope(peer, cast.session.session_key, **options)

    envelope = EnvelopedData.parse(made["octets"])

    originator = SessionPrivateKey.load(made["originatorPrivateKey"])
    assert envelope.decrypt(cast.session.private_key) == CONTENT
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key == SessionKey(made["originatorKeyId"], originator.public_key)
    assert envelope.content_cipher is ContentCipher(f"AES-{bits}-CBC")


@pytest.mark.parametrize("bits", BITS)
async def test_we_decrypt_those_of_the_javascript_library(javascript, cast, bits):
    await check_that_we_decrypt_theirs(javascript, cast, bits, aesKeySize=bits)


@pytest.mark.parametrize("kdf_hash", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("bits", BITS)
async def test_we_decrypt_those_of_the_kotlin_library(kotlin, cast, bits, kdf_hash):
    await check_that_we_decrypt_theirs(kotlin, cast, bits, cipher=f"AES_{bits}", hash=kdf_hash)


@pytest.mark.parametrize("curve", [Curve.P384, Curve.P521])
async def test_the_reference_library_takes_keys_on_other_curves_but_cannot_encrypt_to_them(peer, cast, curve):
    key = SessionKeyPair.generate(curve).session_key
    params = NodeConnectionParams("example.com", cast.igw_key.public_key, key)
    read = await peer.ask("read", kind="nodeConnectionParams", octets=params.serialize())

    assert read["sessionKey"]["keyId"] == key.key_id
    with pytest.raises(PeerError, match=r"not valid for specified curve|wrong domain parameters"):
        await make_envelope(peer, key)
