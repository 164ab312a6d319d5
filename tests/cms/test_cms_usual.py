# SPDX-License-Identifier: MIT

from __future__ import annotations

from datetime import timedelta

import pytest

import awala.cms.enveloped_data
import awala.cms.signed_data
from awala.asn1 import der, parse
from awala.cms import CmsError, EnvelopedData, SignedData, clear_caches, embedded, encrypt, sign
from awala.cms.content_info import ENVELOPED_DATA, SIGNED_DATA, unwrap
from awala.cms.usual_envelope import usual_cipher, usual_originator_key_id, usual_recipient
from awala.cms.usual_signer import usual_signer
from awala.crypto import ContentCipher, Curve, HashAlgorithm, KeyWrap, SessionKeyPair
from awala.pki import Role, issue
from helpers.cast import chain, identity_key, session_key_pair
from helpers.mutations import mutations
from helpers.vectors import AT, vector

PDA, *OTHERS = chain("js")
KEY = identity_key("js", "peer")
CONTENT = b"what is signed"
OWN_SIGNED = sign(CONTENT, key=KEY, signer=PDA, certificates=OTHERS)
JS_PARCEL = vector("js", "parcel")[7:]
RECIPIENT = session_key_pair("js")


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def by_element(monkeypatch):
    """Read without looking for usual forms."""

    def read(how, data):
        with monkeypatch.context() as context:
            context.setattr(awala.cms.signed_data, "usual_signer", lambda _: None)
            for name in ("usual_recipient", "usual_originator_key_id", "usual_cipher"):
                context.setattr(awala.cms.enveloped_data, name, lambda _: None)
            return how(data)

    return read


def signed_outcome(data):
    """Return all that signed data says, or the error that it is refused with."""
    try:
        read = SignedData.parse(data)
        values = [read.signer, read.certificates, read.hash_algorithm, read.content, read._signature]
        values.append(read.attribute_types)
        read.verify()
        values.append("verified")
    except CmsError as error:
        return [type(error)]
    return values


def enveloped_outcome(data):
    """Return all that enveloped data says, or the error that it is refused with."""
    try:
        read = EnvelopedData.parse(data)
        values = [read.content_cipher, read._nonce, read.is_session]
        if read.is_session:
            values += [read.recipient_key_id, read.originator_key, read.kdf_hash, read.key_wrap]
            values.append(read.decrypt(RECIPIENT.private_key))
    except CmsError as error:
        return [type(error)]
    return values


def enveloped(**options):
    curve = options.pop("curve", Curve.P256)
    recipient = RECIPIENT if curve is Curve.P256 else SessionKeyPair.generate(curve)
    originator = SessionKeyPair.generate(curve)
    return encrypt(b"plaintext", recipient=recipient.session_key, originator=originator, **options)


def usual_signers(data):
    fields = unwrap(data, SIGNED_DATA)
    return len(fields) == 5 and usual_signer(bytes(fields[4].encoding)) is not None


@pytest.mark.parametrize("data", [OWN_SIGNED, JS_PARCEL])
def test_the_usual_signer_reads_the_same_at_once_and_by_element(data, by_element):
    assert usual_signers(data)
    assert signed_outcome(data) == by_element(signed_outcome, data)
    assert signed_outcome(data)[-1] == "verified"


@pytest.mark.parametrize("data", [OWN_SIGNED, JS_PARCEL])
def test_a_damaged_signer_reads_the_same_at_once_and_by_element(data, by_element):
    start = unwrap(data, SIGNED_DATA)[4].start
    recognised = 0
    for end in mutations(data[start:], 1500):
        damaged = data[:start] + end
        outcome = signed_outcome(damaged)
        assert outcome == by_element(signed_outcome, damaged)
        recognised += len(outcome) > 1 or usual_signer(end) is not None

    assert recognised > 300, "hardly any of them were usual, so this has proved nothing"


@pytest.mark.parametrize("serial", [1, 0x80, 2**159 - 1])
def test_a_signer_with_a_serial_number_of_any_length(serial, by_element):
    certificate = issue(
        subject_key=KEY.public_key,
        issuer_key=KEY,
        issuer=None,
        role=Role.ENDPOINT,
        not_before=AT,
        not_after=AT + timedelta(days=1),
        serial=serial,
    )
    data = sign(CONTENT, key=KEY, signer=certificate)

    assert usual_signers(data)
    assert signed_outcome(data) == by_element(signed_outcome, data)
    assert signed_outcome(data)[0] == certificate


@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA384, HashAlgorithm.SHA512])
def test_other_hash_functions_are_read_by_element(algorithm):
    data = sign(CONTENT, key=KEY, signer=PDA, hash_algorithm=algorithm)

    assert not usual_signers(data)
    assert signed_outcome(data)[-1] == "verified"


def test_other_content_than_was_signed_is_refused_in_the_usual_form():
    assert signed_outcome(OWN_SIGNED.replace(CONTENT, CONTENT.upper())) != signed_outcome(OWN_SIGNED)
    with pytest.raises(CmsError, match="not the one that was signed"):
        SignedData.parse(OWN_SIGNED.replace(CONTENT, CONTENT.upper())).verify()


def test_certificates_are_read_once():
    first, second = SignedData.parse(OWN_SIGNED), SignedData.parse(OWN_SIGNED)

    assert first.signer is second.signer


def test_certificates_that_only_end_alike_are_read_anew():
    octets = b"A" * 100

    embedded.remember_embedded(octets, (PDA,))

    assert embedded.recall_embedded(octets) == (PDA,)
    assert embedded.recall_embedded(b"B" + octets[1:]) is None


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(embedded, "_KEPT", 3)

    for number in range(10):
        embedded.remember_embedded(bytes((number,)) * 100, (PDA,))
        assert 0 < len(embedded._known) <= 3
    embedded.remember_embedded(b"L" * 10_000, (PDA,))
    assert embedded.recall_embedded(b"L" * 10_000) is None


ENVELOPES = [
    enveloped(),
    enveloped(content_cipher=ContentCipher.AES_128_CBC, key_wrap=KeyWrap.AES_256),
    enveloped(kdf_hash=HashAlgorithm.SHA512),
    enveloped(content_cipher=ContentCipher.AES_256_CBC),
    enveloped(content_cipher=ContentCipher.AES_128_GCM),
    vector("js", "session.env.der"),
]


@pytest.mark.parametrize("data", ENVELOPES)
def test_an_envelope_reads_the_same_at_once_and_by_element(data, by_element):
    assert enveloped_outcome(data) == by_element(enveloped_outcome, data)
    assert len(enveloped_outcome(data)) > 1


@pytest.mark.parametrize("data", [ENVELOPES[0], ENVELOPES[-1]])
def test_a_damaged_envelope_reads_the_same_at_once_and_by_element(data, by_element):
    for damaged in mutations(data, 1500):
        assert enveloped_outcome(damaged) == by_element(enveloped_outcome, damaged)


@pytest.mark.parametrize("curve", [Curve.P384, Curve.P521])
def test_keys_on_other_curves_are_read_by_element(curve):
    recipients = unwrap(enveloped(curve=curve), ENVELOPED_DATA)[1]

    assert usual_recipient(bytes(recipients.encoding)) is None


def test_what_we_write_by_default_is_usual():
    _, recipients, content, attributes = unwrap(ENVELOPES[0], ENVELOPED_DATA)
    algorithm = content.children()[1]

    assert usual_recipient(bytes(recipients.encoding)) is not None
    assert usual_originator_key_id(bytes(attributes.encoding)) is not None
    assert usual_cipher(bytes(algorithm.encoding)) is not None


def test_a_nonce_of_another_length_is_not_usual():
    cipher = der.oid(ContentCipher.AES_128_CBC.dotted)
    usual = der.sequence(cipher, der.octet_string(bytes(16)))

    assert usual_cipher(usual) == (ContentCipher.AES_128_CBC, bytes(16))
    assert usual_cipher(der.sequence(cipher, der.octet_string(bytes(15)))) is None
    assert usual_cipher(usual + b"\0") is None


@pytest.mark.parametrize("key_id", [b"", b"1", b"seven..", bytes(200)])
def test_key_ids_of_other_lengths(key_id, by_element):
    key = SessionKeyPair(key_id, RECIPIENT.private_key)
    data = encrypt(b"plaintext", recipient=key.session_key, originator=key)

    assert enveloped_outcome(data) == by_element(enveloped_outcome, data)
    assert EnvelopedData.parse(data).recipient_key_id == key_id
    assert EnvelopedData.parse(data).originator_key == key.session_key


def test_a_prefix_stands_before_what_is_signed():
    data = sign(CONTENT, key=KEY, signer=PDA, prefix=b"prefix")

    assert data[:6] == b"prefix"
    assert parse(data[6:]).end == len(data) - 6
    assert signed_outcome(data[6:])[-1] == "verified"
