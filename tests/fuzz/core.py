# SPDX-License-Identifier: MIT
"""Targets for ASN.1, keys, certificates and CMS."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import awala.cms.enveloped_data
import awala.cms.signed_data
import awala.pki.certificate
from awala.asn1 import Asn1Error, Element, der, parse, values
from awala.cms import CmsError, EnvelopedData, SignedData, encrypt, sign
from awala.crypto import (
    SIGNATURE_ALGORITHM_IDENTIFIERS,
    ContentCipher,
    CryptoError,
    Curve,
    DecryptionError,
    HashAlgorithm,
    IdentityPrivateKey,
    IdentityPublicKey,
    InvalidKeyError,
    InvalidSignatureError,
    SessionKeyPair,
    SessionPrivateKey,
    SessionPublicKey,
    UnsupportedAlgorithmError,
    decrypt_content,
    encrypt_content,
    hash_of_signature_algorithm,
    unwrap_key,
    wrap_key,
)
from awala.pki import (
    Certificate,
    CertificateError,
    CertificationPath,
    PathError,
    PathForm,
    RateLimit,
    Role,
    build_path,
    issue,
)
from awala.pki.usual import read_usual
from fuzz.target import Target
from helpers.cast import certificate, chain, identity_key, session_key_pair
from helpers.vectors import AT, STACKS

ANCHORS = tuple(certificate(stack, "igwCert") for stack in STACKS)
SESSION_KEYS = (
    session_key_pair("js").private_key,
    session_key_pair("jvm").private_key,
    session_key_pair("jvm", "sk384").private_key,
)
CONTENT = b"what is signed"
KEY_OCTETS = bytes(range(32))

# ASN.1

WALKED = 16
READERS = (
    values.integer,
    values.boolean,
    values.oid,
    values.octet_string,
    values.bit_string,
    values.text,
    values.time,
    Element.buffer,
    Element.octets,
    lambda element: values.integer_from(element.content),
    lambda element: values.oid_from(bytes(element.content)),
)
WRITERS = {
    values.integer: der.integer,
    values.boolean: der.boolean,
    values.oid: der.oid,
    values.octet_string: der.octet_string,
    values.bit_string: der.bit_string,
    values.time: der.generalized_time,
}


def walk(data: bytes) -> None:
    """Read every element and, of the first ones, the value in every way; write and read again what can be."""
    try:
        waiting = [parse(data)]
    except Asn1Error:
        return
    walked = 0
    while waiting:
        element = waiting.pop()
        assert element.encoding.obj is data
        if element.is_constructed:
            try:
                children = element.children()
            except Asn1Error:
                continue
            assert b"".join(child.encoding for child in children) == element.content
            waiting += children
        walked += 1
        if walked < WALKED:
            read_values(element)


def read_values(element: Element) -> None:
    for reader in READERS:
        try:
            value = reader(element)
        except Asn1Error:
            continue
        writer = WRITERS.get(reader)
        if writer is not None:
            assert reader(parse(writer(value))) == value


# Keys and algorithms


def identity_public_key(data: bytes) -> None:
    try:
        key = IdentityPublicKey.load(data)
    except InvalidKeyError:
        return
    assert IdentityPublicKey.load(key.spki) == key
    assert len(key.node_id) == 65
    assert 2048 <= key.bits <= 4096
    try:
        key.verify(bytes(key.bits // 8), CONTENT)
    except InvalidSignatureError:
        return
    raise AssertionError("a signature of zeros holds")


def identity_private_key(data: bytes) -> None:
    """Check the numbers of some keys only, which are the same ones every time: it takes 40 ms."""
    try:
        key = IdentityPrivateKey.load(data, own=zlib.crc32(data) % 256 != 0)
        octets = key.serialize()
    except InvalidKeyError:
        return
    assert IdentityPrivateKey.load(octets, own=True).public_key == key.public_key


def session_public_key(data: bytes) -> None:
    try:
        key = SessionPublicKey.load(data)
    except InvalidKeyError:
        return
    assert SessionPublicKey.load(key.spki) == key
    assert SessionPublicKey.from_point(key.curve.identifier, key.point).point == key.point
    for own in SESSION_KEYS:
        if own.curve is key.curve:
            own.exchange(key)


def session_private_key(data: bytes) -> None:
    try:
        key = SessionPrivateKey.load(data)
    except InvalidKeyError:
        return
    assert SessionPrivateKey.load(key.serialize()).public_key == key.public_key


def signature_algorithm(data: bytes) -> None:
    try:
        algorithm = hash_of_signature_algorithm(data)
    except UnsupportedAlgorithmError:
        return
    assert hash_of_signature_algorithm(SIGNATURE_ALGORITHM_IDENTIFIERS[algorithm]) is algorithm


CIPHERS = tuple(ContentCipher)


def decryption(data: bytes) -> None:
    """The first octet chooses the cipher; the nonce and what was encrypted follow, or a wrapped key."""
    if not data:
        return
    cipher = CIPHERS[data[0] % len(CIPHERS)]
    nonce, ciphertext = data[1 : 1 + cipher.nonce_octets], data[1 + cipher.nonce_octets :]
    key = KEY_OCTETS[: cipher.key_octets]
    try:
        plaintext = decrypt_content(cipher, key, nonce, ciphertext)
    except DecryptionError:
        pass
    else:
        assert encrypt_content(cipher, key, nonce, plaintext) == ciphertext
    try:
        unwrapped = unwrap_key(key, data[1:])
    except CryptoError:
        return
    assert wrap_key(key, unwrapped) == data[1:]


def ciphertexts() -> Iterator[bytes]:
    for number, cipher in enumerate(CIPHERS):
        key, nonce = KEY_OCTETS[: cipher.key_octets], KEY_OCTETS[: cipher.nonce_octets]
        yield bytes((number,)) + nonce + encrypt_content(cipher, key, nonce, CONTENT)
        yield bytes((number,)) + wrap_key(key, KEY_OCTETS)


# Certificates

EXTENSIONS = ("2.5.29.14", "2.5.29.19", "2.5.29.35", "2.5.29.15")
READ = (
    *("serial", "issuer", "subject", "not_before", "not_after", "is_ca", "path_length"),
    *("critical_extensions", "_signature_algorithm", "_tbs", "_spki", "_signature"),
)


@contextmanager
def by_element() -> Iterator[None]:
    """Read element by element what has a usual form as well."""
    patched = [
        (awala.pki.certificate, "read_usual"),
        (awala.cms.signed_data, "usual_signer"),
        *((awala.cms.enveloped_data, name) for name in ENVELOPE_FORMS),
    ]
    usual = [(module, name, getattr(module, name)) for module, name in patched]
    for module, name in patched:
        setattr(module, name, lambda _: None)
    try:
        yield
    finally:
        for module, name, function in usual:
            setattr(module, name, function)


ENVELOPE_FORMS = ("usual_recipient", "usual_originator_key_id", "usual_cipher")


def certificates(data: bytes) -> None:
    try:
        read = Certificate.parse(data)
    except CertificateError:
        return
    assert Certificate.parse(read.encoding) == read
    if read_usual(read.encoding) is not None:
        with by_element():
            other = Certificate(read.encoding)
        assert [getattr(read, name) for name in READ] == [getattr(other, name) for name in READ]
    ask(read)


def limited() -> Iterator[bytes]:
    """An authorisation with a rate limit, which no deployed stack makes."""
    endpoint = chain("js")[1]
    yield issue(
        subject_key=identity_key("js", "peer").public_key,
        issuer_key=identity_key("js", "ep"),
        issuer=endpoint,
        role=Role.DELIVERY_AUTHORIZATION,
        not_before=endpoint.not_before,
        not_after=endpoint.not_after,
        rate_limit=RateLimit(10, timedelta(minutes=1)),
    ).encoding


def ask(read: Certificate) -> None:
    """Ask a certificate everything that may raise."""
    for extension in EXTENSIONS:
        try:
            read.extension_value(extension)
        except CertificateError:
            continue
    for question in (
        lambda: read.node_id,
        lambda: read.subject_id,
        lambda: read.issuer_id,
        lambda: read.rate_limit,
        lambda: read.verify_issued_by(read),
        lambda: read.verify_issued_by(ANCHORS[0]),
    ):
        try:
            question()
        except CertificateError:
            continue
    read.valid_at(AT)


def certification_path(data: bytes) -> None:
    try:
        path = CertificationPath.parse(data)
    except CertificateError:
        return
    for form in PathForm:
        try:
            octets = path.serialize(form)
        except CertificateError:
            continue
        again = CertificationPath.parse(octets)
        if form is PathForm.RS002 or path.leaf.encoding[0] == der.SEQUENCE:
            assert again.authorities == path.authorities
            assert again.leaf.subject == path.leaf.subject
    try:
        found = build_path(path.leaf, path.authorities, ANCHORS, at=AT)
    except PathError:
        return
    assert found[0] == path.leaf
    assert found[-1] in ANCHORS


# CMS


def signed_data(data: bytes) -> None:
    outcome = signed_values(data)
    if outcome is not None:
        with by_element():
            assert signed_values(data) == outcome, "the usual form says something else"


def signed_values(data: bytes) -> list[object] | None:
    """Return all that signed data says, None if it is refused."""
    try:
        signed = SignedData.parse(data)
    except CmsError:
        return None
    said = [signed.signer, signed.certificates, signed.hash_algorithm, signed.content]
    try:
        signed.verify(None if signed.content_view is not None else CONTENT)
    except CmsError:
        said.append("not verified")
    else:
        said.append(signed.attribute_types)
    return said


def enveloped_data(data: bytes) -> None:
    outcome = enveloped_values(data)
    if outcome is not None:
        with by_element():
            assert enveloped_values(data) == outcome, "the usual form says something else"


def enveloped_values(data: bytes) -> list[object] | None:
    """Return all that enveloped data says, and what each key makes of it; None if it is refused."""
    try:
        enveloped = EnvelopedData.parse(data)
    except CmsError:
        return None
    said: list[object] = [enveloped.content_cipher, enveloped.is_session]
    if enveloped.is_session:
        said += [enveloped.recipient_key_id, enveloped.originator_key, enveloped.kdf_hash, enveloped.key_wrap]
        for key in SESSION_KEYS:
            if key.curve is enveloped.originator_key.public_key.curve:
                said.append(opened(enveloped.decrypt, key))
    else:
        said.append(opened(enveloped.decrypt_sessionless, identity_key("js", "igw")))
    return said


def opened(decrypt, key) -> bytes | None:
    try:
        return decrypt(key)
    except CmsError:
        return None


def signed_forms() -> Iterator[bytes]:
    signer, *others = chain("js")
    for algorithm in HashAlgorithm:
        for detached in (False, True):
            yield sign(
                CONTENT,
                key=identity_key("js", "peer"),
                signer=signer,
                certificates=others[:1],
                detached=detached,
                hash_algorithm=algorithm,
            )


def enveloped_forms() -> Iterator[bytes]:
    for key in SESSION_KEYS:
        recipient = SessionKeyPair(b"an id", key).session_key
        for cipher in (ContentCipher.AES_128_CBC, ContentCipher.AES_256_GCM):
            originator = SessionKeyPair.generate(key.curve)
            yield encrypt(CONTENT, recipient=recipient, originator=originator, content_cipher=cipher)


def private_keys() -> Iterator[bytes]:
    for curve in Curve:
        yield SessionPrivateKey.generate(curve).serialize()


def public_keys() -> Iterator[bytes]:
    for curve in Curve:
        yield SessionPrivateKey.generate(curve).public_key.spki


CERTIFICATES = ("*/*Cert.der", "*/pda.der", "js/self*.der", "js/*cda.der", "js/nonminimal.der")

TARGETS = (
    Target(
        "asn1",
        walk,
        ("*/pnra.der", "*/serviceMessage.der", "js/ep.spki.der", "*/session*.env.der"),
        max_len=512,
    ),
    Target("identity-public-key", identity_public_key, ("*/ep.spki.der", "*/sk.spki.der"), max_len=1024),
    Target("identity-private-key", identity_private_key, ("*/ep.pkcs8.der", "*/sk.pkcs8.der")),
    Target(
        "session-public-key",
        session_public_key,
        ("*/sk*.spki.der", "js/ep.spki.der"),
        public_keys,
        max_len=512,
    ),
    Target("session-private-key", session_private_key, ("*/sk*.pkcs8.der",), private_keys, max_len=1024),
    Target(
        "signature-algorithm",
        signature_algorithm,
        made=SIGNATURE_ALGORITHM_IDENTIFIERS.values,
        max_len=256,
    ),
    Target("decryption", decryption, made=ciphertexts, max_len=512),
    Target("certificate", certificates, CERTIFICATES, limited),
    Target(
        "certification-path",
        certification_path,
        made=lambda: (
            CertificationPath(chain(stack)[0], chain(stack)[1:authorities]).serialize(form)
            for stack in STACKS
            for authorities in (1, 3)
            for form in PathForm
        ),
    ),
    Target("signed-data", signed_data, ("*/countersig.der", "*/nonceSig.der"), signed_forms, max_len=6144),
    Target("enveloped-data", enveloped_data, ("*/session*.env.der",), enveloped_forms, max_len=1024),
)
