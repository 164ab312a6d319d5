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
from awala.messages import NodeConnectionParams
from helpers.node_peer import PeerError

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell("core-sessions"),
]

CBC = [cipher for cipher in ContentCipher if not cipher.is_gcm]
GCM = [cipher for cipher in ContentCipher if cipher.is_gcm]
PLAINTEXT = bytes(range(256)) * 5


async def test_we_use_session_keys_that_the_reference_library_made(peer):
    made = await peer.ask("makeSessionKey")
    key = SessionKey(made["keyId"], SessionPublicKey.load(made["publicKey"]))
    octets, our_key = seal(PLAINTEXT, key)

    read = await peer.ask("read", kind="envelope", octets=octets, sessionPrivateKey=made["privateKey"])

    assert read == {"plaintext": PLAINTEXT, "recipientKeyId": made["keyId"], "originatorKey": our_key}
    assert SessionPrivateKey.load(made["privateKey"]).public_key == key.public_key


@pytest.mark.parametrize("key_id", [b"\x00", b"\xff" * 8, bytes(40)])
async def test_key_ids_of_any_length_go_both_ways(peer, key_id):
    pair = SessionKeyPair(key_id, SessionPrivateKey.generate())
    made = await peer.ask(
        "make", kind="envelope", plaintext=PLAINTEXT, sessionKey=described_key(pair.session_key)
    )
    octets, _ = seal(PLAINTEXT, pair.session_key)
    read = await peer.ask(
        "read", kind="envelope", octets=octets, sessionPrivateKey=pair.private_key.serialize()
    )

    assert EnvelopedData.parse(made["octets"]).recipient_key_id == read["recipientKeyId"] == key_id


@pytest.mark.parametrize(
    ("cipher", "key_wrap", "kdf_hash"), list(itertools.product(CBC, KeyWrap, HashAlgorithm))
)
async def test_the_reference_library_decrypts_ours(peer, cast, cipher, key_wrap, kdf_hash):
    octets, our_key = seal(
        PLAINTEXT,
        cast.session.session_key,
        content_cipher=cipher,
        key_wrap=key_wrap,
        kdf_hash=kdf_hash,
    )

    read = await peer.ask(
        "read", kind="envelope", octets=octets, sessionPrivateKey=cast.session.private_key.serialize()
    )

    assert read == {
        "plaintext": PLAINTEXT,
        "recipientKeyId": cast.session.key_id,
        "originatorKey": our_key,
    }


@pytest.mark.parametrize("bits", [128, 192, 256])
async def test_we_decrypt_those_of_the_reference_library(peer, cast, bits):
    made = await peer.ask(
        "make",
        kind="envelope",
        plaintext=PLAINTEXT,
        sessionKey=described_key(cast.session.session_key),
        aesKeySize=bits,
    )

    envelope = EnvelopedData.parse(made["octets"])

    originator = SessionPrivateKey.load(made["originatorPrivateKey"])
    assert envelope.decrypt(cast.session.private_key) == PLAINTEXT
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key == SessionKey(made["originatorKeyId"], originator.public_key)
    assert envelope.content_cipher is ContentCipher(f"AES-{bits}-CBC")


@pytest.mark.parametrize("cipher", GCM)
async def test_the_reference_library_does_not_decrypt_gcm(peer, cast, cipher):
    octets, _ = seal(PLAINTEXT, cast.session.session_key, content_cipher=cipher)

    with pytest.raises(PeerError, match="Decryption failed"):
        await peer.ask(
            "read", kind="envelope", octets=octets, sessionPrivateKey=cast.session.private_key.serialize()
        )


@pytest.mark.parametrize("curve", [Curve.P384, Curve.P521])
async def test_the_reference_library_takes_keys_on_other_curves_but_cannot_encrypt_to_them(peer, cast, curve):
    key = SessionKeyPair.generate(curve).session_key
    params = NodeConnectionParams("example.com", cast.igw_key.public_key, key)
    read = await peer.ask("read", kind="nodeConnectionParams", octets=params.serialize())

    assert read["sessionKey"]["keyId"] == key.key_id
    with pytest.raises(PeerError, match="not valid for specified curve"):
        await peer.ask("make", kind="envelope", plaintext=PLAINTEXT, sessionKey=read["sessionKey"])
