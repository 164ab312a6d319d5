# SPDX-License-Identifier: MIT
"""Keys, certificates and envelopes of the vectors, as their README describes them; no file is left out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.cms import EnvelopedData
from awala.crypto import (
    ContentCipher,
    Curve,
    HashAlgorithm,
    IdentityPrivateKey,
    IdentityPublicKey,
    SessionPrivateKey,
    SessionPublicKey,
)
from awala.messages import ServiceMessage
from awala.pki import Certificate, Role
from helpers.vectors import AT, DIRECTORY, REAL_CDA_AT, STACKS, vector

BOTH = ("js", "jvm")
JS, JVM = ("js",), ("jvm",)

CERTIFICATES = {
    "igwCert": (BOTH, "igw", "igwCert", Role.SELF_ISSUED_GATEWAY),
    "pgwCert": (BOTH, "pgw", "igwCert", Role.GATEWAY),
    "epCert": (BOTH, "ep", "pgwCert", Role.ENDPOINT),
    "pda": (BOTH, "peer", "epCert", Role.DELIVERY_AUTHORIZATION),
    "selfEp": (JS, "peer", "selfEp", Role.ENDPOINT),
    "selfPgw": (JS, "pgw", "selfPgw", Role.SELF_ISSUED_GATEWAY),
    "cda": (JS, "igw", "selfPgw", Role.GATEWAY),
}
"""For each: the stacks that made it, whose it is, which certificate issued it, and its constraints."""

SESSION_ENVELOPES = {
    "session": (BOTH, "sk", ContentCipher.AES_128_CBC),
    "session.256.512": (JVM, "sk", ContentCipher.AES_256_CBC),
    "session.p384": (JVM, "sk384", ContentCipher.AES_128_CBC),
}
"""For each: the stacks that made it, the key that opens it, and the cipher."""

KEYS = {"igw": BOTH, "pgw": BOTH, "ep": BOTH, "peer": BOTH, "sk": BOTH, "sk384": JVM}

MESSAGES = {
    **dict.fromkeys(("parcel", "parcelNoAddr", "pca", "rotation"), BOTH),
    **dict.fromkeys(("cms.der", "ccr.der", "ncp.der", "pecp.der", "serviceMessage.der"), BOTH),
    **dict.fromkeys(("pnra.der", "pnrr.der", "pnr.der", "pnrNoSession.der"), BOTH),
    **dict.fromkeys(("challenge.der", "response.der", "nonceSig.der"), BOTH),
    **dict.fromkeys(("countersig.der", "parcelDelivery.der"), BOTH),
    **dict.fromkeys(("cargo", "cca", "realcda.der"), JS),
    "bigparcel": JVM,
}
"""What the other modules about the vectors read."""

OTHERS = {
    "sk.id": BOTH,
    "session.dhKeyId": JS,
    "big.env.der": BOTH,
    "big.sk.der": JS,
    "sessionless.env.der": BOTH,
    "nonminimal.der": JS,
}


def of_each_stack(described):
    return [(stack, name) for name, about in described.items() for stack in about[0]]


def certificate(stack, name):
    return Certificate.parse(vector(stack, f"{name}.der"))


def session_key(stack, name):
    return SessionPrivateKey.load(vector(stack, f"{name}.pkcs8.der"))


@pytest.mark.parametrize("stack", STACKS)
def test_no_file_is_left_out(stack):
    files = {
        **{f"{name}.der": about[0] for name, about in CERTIFICATES.items()},
        **{f"{name}.env.der": about[0] for name, about in SESSION_ENVELOPES.items()},
        **{f"{name}.{half}.der": stacks for name, stacks in KEYS.items() for half in ("pkcs8", "spki")},
        **MESSAGES,
        **OTHERS,
    }

    assert {path.name for path in (DIRECTORY / stack).iterdir()} == {
        name for name, stacks in files.items() if stack in stacks
    }


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", ["igw", "pgw", "ep", "peer"])
def test_identity_keys(stack, name):
    private_key = IdentityPrivateKey.load(vector(stack, f"{name}.pkcs8.der"))
    public_key = IdentityPublicKey.load(vector(stack, f"{name}.spki.der"))

    assert private_key.public_key == public_key
    assert public_key.bits == 2048


@pytest.mark.parametrize(
    ("stack", "name", "curve"),
    [
        ("js", "sk", Curve.P256),
        ("jvm", "sk", Curve.P256),
        ("jvm", "sk384", Curve.P384),
    ],
)
def test_session_keys(stack, name, curve):
    private_key = session_key(stack, name)

    assert private_key.public_key == SessionPublicKey.load(vector(stack, f"{name}.spki.der"))
    assert private_key.curve is curve


@pytest.mark.parametrize(("stack", "name"), of_each_stack(CERTIFICATES))
def test_certificates(stack, name):
    _, subject, issuer, role = CERTIFICATES[name]

    read = certificate(stack, name)

    assert read.spki == vector(stack, f"{subject}.spki.der")
    assert role.matches(read)
    assert read.valid_at(AT, timedelta())
    assert read.is_self_issued == (name == issuer)
    read.verify_issued_by(certificate(stack, issuer))


@pytest.mark.parametrize("stack", STACKS)
def test_the_certificate_of_the_internet_gateway_lives_as_long_as_deployed_ones(stack):
    read = certificate(stack, "igwCert")

    assert read.not_after - read.not_before == timedelta(days=360, hours=3)  # it is back-dated


def test_the_cda_that_a_deployed_gateway_issued_has_the_constraints_of_a_gateway():
    read = certificate("js", "realcda")

    assert Role.GATEWAY.matches(read)
    assert read.valid_at(REAL_CDA_AT, timedelta())


def test_a_serial_number_that_is_not_minimal_keeps_its_octets():
    read = certificate("js", "nonminimal")

    assert len(read.serial) == 8
    assert read.serial[0] == 0
    assert read.serial[1] < 0x80


@pytest.mark.parametrize(("stack", "name"), of_each_stack(SESSION_ENVELOPES))
def test_session_envelopes(stack, name):
    _, key, cipher = SESSION_ENVELOPES[name]

    envelope = EnvelopedData.parse(vector(stack, f"{name}.env.der"))

    assert envelope.decrypt(session_key(stack, key)) == vector(stack, "serviceMessage.der")
    assert envelope.content_cipher is cipher
    if key == "sk":
        assert envelope.recipient_key_id == vector(stack, "sk.id")


def test_the_id_of_the_originators_key_and_the_hash_of_the_key_derivation():
    js, jvm = (EnvelopedData.parse(vector(stack, "session.env.der")) for stack in STACKS)
    strong = EnvelopedData.parse(vector("jvm", "session.256.512.env.der"))

    assert js.originator_key.key_id == vector("js", "session.dhKeyId")
    assert js.kdf_hash is strong.kdf_hash is HashAlgorithm.SHA512
    assert jvm.kdf_hash is HashAlgorithm.SHA256


def test_envelopes_of_many_segments():
    js, jvm = (EnvelopedData.parse(vector(stack, "big.env.der")) for stack in STACKS)

    assert js.decrypt(SessionPrivateKey.load(vector("js", "big.sk.der"))) == b"A" * 200_000
    plaintext = jvm.decrypt(session_key("jvm", "sk"))
    assert ServiceMessage.parse(plaintext) == ServiceMessage("a", bytes(200_000))


@pytest.mark.parametrize("stack", STACKS)
def test_sessionless_envelopes(stack):
    envelope = EnvelopedData.parse(vector(stack, "sessionless.env.der"))
    key = IdentityPrivateKey.load(vector(stack, "igw.pkcs8.der"))

    assert not envelope.is_session
    assert envelope.decrypt_sessionless(key) == vector(stack, "serviceMessage.der")
