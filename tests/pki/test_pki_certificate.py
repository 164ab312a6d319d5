# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm, IdentityPublicKey
from awala.pki import CLOCK_TOLERANCE, Certificate, CertificateError, clear_caches
from helpers.cast import certificate, chain, identity_key
from helpers.forgery import CA, constraints, extension, forge, name
from helpers.mutations import mutations
from helpers.vectors import AT, STACKS, vector

KEY = identity_key("js", "igw")
JS_CERTIFICATES = (
    "igwCert",
    "pgwCert",
    "epCert",
    "pda",
    "selfEp",
    "selfPgw",
    "cda",
    "realcda",
    "nonminimal",
)
JVM_CERTIFICATES = ("igwCert", "pgwCert", "epCert", "pda")
ALL = [("js", name) for name in JS_CERTIFICATES] + [("jvm", name) for name in JVM_CERTIFICATES]


def forged(**changes) -> Certificate:
    return Certificate.parse(forge(key=KEY, **changes))


@pytest.mark.parametrize(("stack", "file"), ALL)
def test_reads_every_certificate_of_both_stacks(stack, file):
    data = vector(stack, f"{file}.der")
    read = Certificate.parse(data)
    assert read.encoding == data
    assert read.not_before < read.not_after
    assert read.not_before.tzinfo is UTC
    assert read.public_key.bits == 2048
    assert read.critical_extensions == frozenset()
    assert read.extension_value("2.5.29.14") == der.octet_string(read.public_key.digest)
    if file != "nonminimal":
        assert read.subject_id == read.node_id


@pytest.mark.parametrize(
    ("file", "constraints"),
    [
        ("igwCert", (True, 2)),
        ("pgwCert", (True, 1)),
        ("epCert", (True, 0)),
        ("pda", (False, 0)),
    ],
)
@pytest.mark.parametrize("stack", STACKS)
def test_reads_the_constraints_of_every_role(stack, file, constraints):
    read = certificate(stack, file)
    assert (read.is_ca, read.path_length) == constraints


def test_reads_the_fields_of_a_certificate():
    pda, endpoint = chain("js")[:2]
    assert pda.serial.hex() == "2088dc431a429310"
    assert (pda.not_before, pda.not_after) == (
        datetime(2026, 11, 21, 0, 49, 24, tzinfo=UTC),
        datetime(2026, 12, 21, 0, 49, 24, tzinfo=UTC),
    )
    assert pda.issuer == endpoint.subject
    assert pda.issuer_id == endpoint.subject_id == endpoint.node_id
    assert pda.public_key == identity_key("js", "peer").public_key
    assert not pda.is_self_issued
    assert certificate("js", "igwCert").is_self_issued
    assert repr(pda) == "Certificate(serial=2088dc431a429310)"


def test_certificates_are_equal_by_their_octets():
    one = certificate("js", "pda")
    clear_caches()
    other = certificate("js", "pda")
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert one != certificate("js", "epCert")
    assert one != one.encoding


def test_what_is_around_the_signed_part_makes_no_other_certificate():
    original = certificate("js", "pda")
    tbs, algorithm, signature = parse(original.encoding).children()
    long_form = b"\x03\x83" + len(signature.content).to_bytes(3, "big")
    inside = bytes(tbs.encoding) + bytes(algorithm.encoding) + long_form + bytes(signature.content)
    for encoding in (b"\x30\x80" + inside + b"\0\0", b"\x30\x84" + len(inside).to_bytes(4, "big") + inside):
        read = Certificate.parse(encoding)
        assert read == original
        assert read.encoding == original.encoding
        read.verify_issued_by(certificate("js", "epCert"))


def test_octets_behind_a_certificate_are_ignored():
    data = vector("js", "pda.der")
    assert Certificate.parse(data + b"rest").encoding == data


@pytest.mark.parametrize("stack", STACKS)
def test_each_certificate_was_issued_by_the_next(stack):
    certificates = chain(stack)
    for issued, issuer in zip(certificates, (*certificates[1:], certificates[-1]), strict=True):
        issued.verify_issued_by(issuer)
        issued.verify_issued_by(issuer)


def test_refuses_an_issuer_of_another_name():
    pda, _, gateway, _ = chain("js")
    with pytest.raises(CertificateError, match="another name"):
        pda.verify_issued_by(gateway)


def test_refuses_an_issuer_of_the_same_name_with_another_key():
    pda, endpoint = chain("js")[:2]
    impostor = forged(subject=endpoint.subject)
    for _ in range(2):  # a failure is not remembered as a success
        with pytest.raises(CertificateError, match="not signed by its issuer"):
            pda.verify_issued_by(impostor)


def test_refuses_a_certificate_whose_signed_part_was_changed():
    data = bytearray(vector("js", "pda.der"))
    data[data.index(b"261221004924Z") + 2 : data.index(b"261221004924Z") + 4] = b"11"
    changed = Certificate.parse(data)
    with pytest.raises(CertificateError, match="not signed by its issuer"):
        changed.verify_issued_by(certificate("js", "epCert"))


@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA384, HashAlgorithm.SHA512])
def test_rules_1_verifies_longer_hashes(algorithm):
    identifier = SIGNATURE_ALGORITHM_IDENTIFIERS[algorithm]
    issued = forged(algorithm=identifier, hash_algorithm=algorithm)
    issued.verify_issued_by(issued)


def test_rules_1_refuses_other_signature_algorithms():
    identifier = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())
    issued = forged(algorithm=identifier)
    with pytest.raises(CertificateError, match="RSASSA-PSS"):
        issued.verify_issued_by(issued)


@pytest.mark.parametrize("serial", ["00", "ff", "80", "0001", "ff80", "7f" * 20])
def test_rules_1_takes_any_serial_up_to_20_octets(serial):
    assert forged(serial=bytes.fromhex(serial)).serial.hex() == serial


@pytest.mark.parametrize("serial", [b"", b"\x01" * 21])
def test_refuses_a_serial_without_octets_or_with_too_many(serial):
    with pytest.raises(CertificateError, match="serial number"):
        forged(serial=serial)


@pytest.mark.parametrize(
    "value", [der.utf8_string("some"), der.bmp_string("some"), der.tlv(0x13, b"some"), der.tlv(0x14, b"some")]
)
def test_rules_1_takes_common_names_of_any_type(value):
    assert forged(subject=name(value)).subject_id == "some"


def test_finds_the_common_name_among_others():
    country = der.sequence(der.oid("2.5.4.6"), der.tlv(0x13, b"XX"))
    common_name = der.sequence(der.oid("2.5.4.3"), der.utf8_string("some"))
    assert forged(subject=der.sequence(der.set_of(country), der.set_of(common_name))).subject_id == "some"


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (der.sequence(), "no common name"),
        (der.sequence(der.null()), "malformed"),
        (der.sequence(der.set_of(der.sequence())), "malformed"),
        (name(der.octet_string(b"some")), "malformed"),
    ],
)
def test_refuses_to_tell_a_name_that_is_not_there(subject, message):
    read = forged(subject=subject)
    with pytest.raises(CertificateError, match=message):
        _ = read.subject_id
    assert read.node_id == KEY.node_id


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), (False, None)),
        ((der.boolean(False), der.integer(0)), (False, 0)),
        ((der.boolean(True),), (True, None)),
        ((der.boolean(True), der.integer(5)), (True, 5)),
        ((der.integer(0),), (False, 0)),
    ],
)
def test_reads_constraints_in_every_form(fields, expected):
    read = forged(extensions=(constraints(*fields),))
    assert (read.is_ca, read.path_length) == expected


@pytest.mark.parametrize("extensions", [None, ()])
def test_without_constraints_nobody_is_an_authority(extensions):
    read = forged(extensions=extensions)
    assert (read.is_ca, read.path_length) == (False, None)


def test_a_bogus_constraint_is_refused():
    for bogus in (constraints(der.null()), constraints(der.integer(-1)), extension("2.5.29.19", b"")):
        with pytest.raises(CertificateError):
            forged(extensions=(bogus,))


def test_critical_extensions_that_are_not_known_are_listed():
    read = forged(
        extensions=(
            extension("1.2.3", b"one", critical=True),
            extension("1.2.4", b"two"),
            extension("2.5.29.35", b"three", critical=True),
        )
    )
    assert read.critical_extensions == {"1.2.3"}
    assert read.extension_value("1.2.3") == b"one"
    assert read.extension_value("1.2.4") == b"two"
    assert read.extension_value("1.2.5") is None


def test_an_extension_that_says_it_is_not_critical_is_not():
    plain = der.sequence(der.oid("1.2.3"), der.boolean(False), der.octet_string(b"x"))
    assert forged(extensions=(plain,)).critical_extensions == frozenset()


@pytest.mark.parametrize(
    "extensions",
    [
        (CA, CA),
        (der.sequence(),),
        (der.sequence(der.null(), der.octet_string(b"")),),
        (der.null(),),
        (der.sequence(der.tlv(6, b"\x80\x01"), der.boolean(True), der.octet_string(b"")),),
        tuple(extension(f"1.2.{number}", b"") for number in range(33)),
    ],
)
def test_refuses_malformed_extensions(extensions):
    with pytest.raises(CertificateError):
        forged(extensions=extensions)


@pytest.mark.parametrize("content", [der.oid("2.5.29.14"), der.oid("2.5.29.14") + der.null()])
def test_an_extension_nobody_depends_on_is_read_when_asked_for(content):
    read = forged(extensions=(der.tlv(der.SEQUENCE, content),))
    with pytest.raises(CertificateError, match="malformed"):
        read.extension_value("2.5.29.14")


def test_fields_that_mean_nothing_to_us_are_passed_over():
    assert forged(extra=der.implicit(1, b"\0\x01")).is_ca


@pytest.mark.parametrize(
    "changes",
    [
        {"version": b""},
        {"version": der.explicit(0, der.integer(1))},
        {"outer_algorithm": der.sequence(der.null())},
        {"validity": der.sequence(der.utc_time(AT))},
        {"validity": der.sequence(der.null(), der.null())},
        {"validity": der.null()},
        {"issuer": der.null()},
        {"subject": der.null()},
        {"spki": der.null()},
        {"signature": der.null()},
        {"signature": b""},
        {"signature": der.bit_string(b"") + der.null()},
        {"extensions": None, "extra": der.explicit(3)},
        {"extensions": None, "extra": der.explicit(3, der.null())},
    ],
)
def test_refuses_certificates_with_wrong_parts(changes):
    with pytest.raises(CertificateError):
        forged(**changes)


@pytest.mark.parametrize("data", [b"", b"\x30\x80", der.null(), der.sequence(), b"\x30\x05\x01"])
def test_refuses_what_is_no_certificate(data):
    with pytest.raises(CertificateError, match="certificate"):
        Certificate.parse(data)


def test_refuses_a_certificate_of_excessive_size():
    with pytest.raises(CertificateError, match="16384 octets"):
        forged(extensions=(extension("1.2.3", bytes(16_384)),))


def test_a_key_that_is_no_identity_key_is_refused_when_asked_for():
    read = forged(spki=der.sequence(der.null()))
    for ask in (lambda: read.public_key, lambda: read.node_id, lambda: read.verify_issued_by(read)):
        with pytest.raises(CertificateError, match="a key that cannot be used"):
            ask()


def test_the_key_is_loaded_from_the_octets_as_received():
    read = certificate("js", "pda")
    assert read.public_key == IdentityPublicKey.load(vector("js", "peer.spki.der"))
    assert read.public_key is read.public_key


@pytest.mark.parametrize(
    ("offset", "valid"),
    [
        (-timedelta(days=1) - CLOCK_TOLERANCE - timedelta(seconds=1), False),
        (-timedelta(days=1) - CLOCK_TOLERANCE, True),
        (timedelta(0), True),
        (timedelta(days=1) + CLOCK_TOLERANCE, True),
        (timedelta(days=1) + CLOCK_TOLERANCE + timedelta(seconds=1), False),
    ],
)
def test_rules_2_validity_has_a_tolerance_of_two_hours(offset, valid):
    assert forged().valid_at(AT + offset) is valid


@pytest.mark.parametrize(
    "at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
)
def test_validity_is_judged_at_the_ends_of_the_calendar(at):
    assert not certificate("js", "pda").valid_at(at)


def test_validity_without_tolerance():
    assert forged().valid_at(AT + timedelta(days=1), timedelta(0))
    assert not forged().valid_at(AT + timedelta(days=1, seconds=1), timedelta(0))


def test_validity_may_reach_to_the_ends_of_the_calendar():
    read = forged(
        not_before=datetime(1, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    )
    assert read.valid_at(AT)


def test_a_view_into_a_message_does_not_outlive_it():
    data = bytearray(vector("js", "pda.der"))
    read = Certificate.parse(data)
    data.clear()  # would fail if the certificate still looked into it
    assert read.encoding == vector("js", "pda.der")


def test_damaged_certificates_are_read_or_refused():
    issuer = certificate("js", "epCert")
    refused = 0
    for damaged in mutations(vector("js", "pda.der"), 1500):
        try:
            read = Certificate.parse(damaged)
            _ = (read.subject_id, read.issuer_id, read.node_id, read.extension_value("2.5.29.35"))
            read.verify_issued_by(issuer)
        except AwalaError:
            refused += 1
        else:
            assert bytes(parse(read.encoding).children()[0].encoding) in vector("js", "pda.der")
    assert refused > 1400
