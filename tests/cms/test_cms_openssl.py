# SPDX-License-Identifier: MIT
"""OpenSSL's command as a second opinion on what we make, and we on what it makes."""

from __future__ import annotations

import shutil
import subprocess
from base64 import encodebytes

import pytest

from awala.cms import EnvelopedData, SignedData, encrypt, sign
from awala.crypto import ContentCipher, Curve, HashAlgorithm, KeyWrap, SessionKeyPair
from helpers.cast import chain, identity_key
from helpers.vectors import AT

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.requires("openssl")

CONTENT = b"what is signed or enveloped\r\n\0"
KEY = identity_key("js", "peer")
SIGNER, *OTHERS = chain("js")


def pem(label: str, octets: bytes) -> str:
    return f"-----BEGIN {label}-----\n{encodebytes(octets).decode()}-----END {label}-----\n"


def openssl(directory, *arguments: str) -> bytes:
    result = subprocess.run(
        [str(OPENSSL), *arguments], cwd=directory, capture_output=True, check=False, timeout=30
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "anchor.pem").write_text(pem("CERTIFICATE", OTHERS[-1].encoding))
    (tmp_path / "signer.pem").write_text(pem("CERTIFICATE", SIGNER.encoding))
    (tmp_path / "signer.key").write_text(pem("PRIVATE KEY", KEY.serialize()))
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
@pytest.mark.parametrize("detached", [False, True])
def test_openssl_verifies_what_we_signed_up_to_the_anchor(directory, hash_algorithm, detached):
    data = sign(
        CONTENT,
        key=KEY,
        signer=SIGNER,
        certificates=OTHERS[:-1],
        detached=detached,
        hash_algorithm=hash_algorithm,
    )
    (directory / "signed").write_bytes(data)
    content = ("-content", "content") if detached else ()
    command = ("cms", "-verify", "-binary", "-inform", "DER", "-in", "signed", *content)
    trust = ("-CAfile", "anchor.pem", "-purpose", "any", "-attime", str(int(AT.timestamp())))
    assert openssl(directory, *command, *trust) == CONTENT


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("options", [("-nodetach",), ("-nodetach", "-noattr"), ()])
def test_we_verify_what_openssl_signed(directory, digest, options):
    command = ("cms", "-sign", "-binary", "-in", "content", "-outform", "DER", "-md", digest, *options)
    scheme = ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest")
    data = openssl(directory, *command, "-signer", "signer.pem", "-inkey", "signer.key", *scheme)
    read = SignedData.parse(data)
    read.verify(None if options else CONTENT)
    assert read.signer == SIGNER
    assert bool(read.attribute_types) == ("-noattr" not in options)


@pytest.mark.parametrize("curve", Curve)
@pytest.mark.parametrize(
    ("kdf_hash", "key_wrap", "content_cipher"),
    [
        (HashAlgorithm.SHA256, None, ContentCipher.AES_128_CBC),
        (HashAlgorithm.SHA384, KeyWrap.AES_192, ContentCipher.AES_192_CBC),
        (HashAlgorithm.SHA512, KeyWrap.AES_256, ContentCipher.AES_256_CBC),
    ],
)
def test_openssl_opens_what_we_enveloped(directory, curve, kdf_hash, key_wrap, content_cipher):
    recipient, originator = SessionKeyPair.generate(curve), SessionKeyPair.generate(curve)
    data = encrypt(
        CONTENT,
        recipient=recipient.session_key,
        originator=originator,
        kdf_hash=kdf_hash,
        key_wrap=key_wrap,
        content_cipher=content_cipher,
    )
    (directory / "enveloped").write_bytes(data)
    (directory / "key").write_text(pem("PRIVATE KEY", recipient.private_key.serialize()))
    command = ("cms", "-decrypt", "-binary", "-inform", "DER", "-in", "enveloped", "-inkey", "key")
    assert openssl(directory, *command) == CONTENT


def test_we_open_the_sessionless_envelopes_of_openssl(directory):
    options = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
    command = ("cms", "-encrypt", "-binary", "-in", "content", "-outform", "DER", "-aes128")
    data = openssl(directory, *command, "-recip", "signer.pem", *options)
    assert EnvelopedData.parse(data).decrypt_sessionless(KEY) == CONTENT
