# SPDX-License-Identifier: MIT
from __future__ import annotations

import subprocess
from base64 import encodebytes
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import x509

from awala.asn1 import Asn1Error, der, parse
from awala.pki import BACKDATING, GATEWAY_LIFE, Certificate, CertificateError, Role, issue
from helpers.cast import certificate, identity_key
from helpers.forgery import forge, name
from helpers.vectors import AT

GATEWAY_KEY = identity_key("js", "igw")
PRIVATE_KEY = identity_key("js", "pgw")
ENDPOINT_KEY = identity_key("js", "ep")
PEER_KEY = identity_key("js", "peer")


def issued(
    subject=GATEWAY_KEY, by=GATEWAY_KEY, issuer=None, role=Role.SELF_ISSUED_GATEWAY, **changes
) -> Certificate:
    dates = {"not_before": AT - BACKDATING, "not_after": AT - BACKDATING + GATEWAY_LIFE}
    return issue(subject_key=subject.public_key, issuer_key=by, issuer=issuer, role=role, **(dates | changes))


def cast() -> tuple[Certificate, ...]:
    gateway = issued()
    private = issued(PRIVATE_KEY, GATEWAY_KEY, gateway, Role.GATEWAY)
    endpoint = issued(ENDPOINT_KEY, PRIVATE_KEY, private, Role.ENDPOINT)
    return issued(PEER_KEY, ENDPOINT_KEY, endpoint, Role.DELIVERY_AUTHORIZATION), endpoint, private, gateway


def test_each_role_has_its_constraints():
    certificates = cast()
    assert [(one.is_ca, one.path_length) for one in certificates] == [
        (False, 0),
        (True, 0),
        (True, 1),
        (True, 2),
    ]
    for role, one in zip(reversed(Role), certificates, strict=True):
        assert role.matches(one)
        assert (role.is_ca, role.path_length) == role.value
        assert [other for other in Role if other.matches(one)] == [role]


def test_issued_certificates_verify():
    pda, endpoint, private, gateway = cast()
    pda.verify_issued_by(endpoint)
    endpoint.verify_issued_by(private)
    private.verify_issued_by(gateway)
    gateway.verify_issued_by(gateway)
    assert pda.node_id == pda.subject_id == PEER_KEY.node_id
    assert pda.issuer_id == ENDPOINT_KEY.node_id
    assert gateway.is_self_issued


def test_the_form_is_that_of_the_deployed_stacks():
    ours, theirs = cast()[0], certificate("js", "pda")
    fields, reference = (parse(one.encoding).children()[0].children() for one in (ours, theirs))
    same = (0, 2, 3, 5, 6, 7)  # all but serial and validity
    assert [bytes(fields[at].encoding) for at in same] == [bytes(reference[at].encoding) for at in same]


def test_the_issuers_name_is_copied_octet_for_octet():
    issuer = Certificate.parse(forge(key=GATEWAY_KEY, subject=name(der.utf8_string("anything"))))
    assert issued(PEER_KEY, GATEWAY_KEY, issuer, Role.GATEWAY).issuer == issuer.subject


@pytest.mark.rule("1.7")
def test_serials_are_random_positive_and_minimal():
    serials = [issued().serial for _ in range(20)]
    assert len(set(serials)) == 20
    for serial in serials:
        value = int.from_bytes(serial, signed=True)
        assert 0 < value < 2**64
        assert der.integer_content(value) == serial


@pytest.mark.parametrize("serial", [1, 127, 128, 2**159 - 1])
def test_a_serial_may_be_given(serial):
    assert int.from_bytes(issued(serial=serial).serial, signed=True) == serial


@pytest.mark.parametrize("serial", [0, -1, 2**159])
def test_refuses_serials_that_are_not_allowed(serial):
    with pytest.raises(CertificateError, match="positive number"):
        issued(serial=serial)


def test_a_random_serial_of_zero_becomes_one(monkeypatch):
    monkeypatch.setattr("awala.pki.issuance.secrets.randbits", lambda _bits: 0)
    assert issued().serial == b"\x01"


@pytest.mark.rule("2.4")
def test_validity_is_cut_at_both_ends_to_the_issuers():
    gateway = issued()
    private = issued(
        PRIVATE_KEY,
        GATEWAY_KEY,
        gateway,
        Role.GATEWAY,
        not_before=gateway.not_before - timedelta(days=1),
        not_after=gateway.not_after + timedelta(days=1),
    )
    assert (private.not_before, private.not_after) == (gateway.not_before, gateway.not_after)


def test_validity_inside_the_issuers_is_kept_to_the_second():
    gateway = issued()
    begin = gateway.not_before + timedelta(hours=1, microseconds=5)
    private = issued(
        PRIVATE_KEY,
        GATEWAY_KEY,
        gateway,
        Role.GATEWAY,
        not_before=begin,
        not_after=begin + timedelta(hours=1),
    )
    begin = begin.replace(microsecond=0)
    assert (private.not_before, private.not_after) == (begin, begin + timedelta(hours=1))


def test_refuses_to_issue_what_is_never_valid():
    gateway = issued()
    for not_before, not_after in (
        (AT, AT),
        (AT, AT + timedelta(microseconds=999_999)),
        (AT, AT - timedelta(1)),
        (gateway.not_after, gateway.not_after + timedelta(days=1)),
    ):
        with pytest.raises(CertificateError, match="no time of validity"):
            issued(
                PRIVATE_KEY, GATEWAY_KEY, gateway, Role.GATEWAY, not_before=not_before, not_after=not_after
            )


def test_refuses_times_without_a_zone():
    with pytest.raises(Asn1Error, match="time zone"):
        issued(not_before=AT.replace(tzinfo=None), not_after=AT.replace(tzinfo=None) + timedelta(1))


def test_times_from_2050_on_are_written_as_generalized_time():
    end = datetime(2050, 1, 1, tzinfo=UTC)
    long_lived = issued(not_after=end)
    assert b"20500101000000Z" in long_lived.encoding
    assert long_lived.not_after == end


def test_refuses_a_key_that_is_not_the_issuers():
    with pytest.raises(CertificateError, match="key is not the one"):
        issued(PRIVATE_KEY, PEER_KEY, issued(), Role.GATEWAY)
    with pytest.raises(CertificateError, match="key is not the one"):
        issued(PRIVATE_KEY, GATEWAY_KEY, None)


def test_refuses_an_issuer_that_is_no_authority():
    pda = cast()[0]
    with pytest.raises(CertificateError, match="no authority"):
        issued(ENDPOINT_KEY, PEER_KEY, pda, Role.DELIVERY_AUTHORIZATION)


def test_another_library_reads_the_same():
    pda = cast()[0]
    read = x509.Certificate.load(pda.encoding, strict=True)
    assert read.dump(force=True) == pda.encoding
    assert read.subject.native == {"common_name": pda.subject_id}
    assert read.issuer.native == {"common_name": pda.issuer_id}
    assert read.not_valid_after == pda.not_after
    assert read.key_identifier == PEER_KEY.public_key.digest
    assert read.authority_key_identifier == ENDPOINT_KEY.public_key.digest
    assert read.basic_constraints_value.native == {"ca": False, "path_len_constraint": 0}
    assert read.critical_extensions == {"basic_constraints"}


def pem(one: Certificate) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{encodebytes(one.encoding).decode()}-----END CERTIFICATE-----\n"


@pytest.mark.requires("openssl")
def test_openssl_accepts_the_whole_path(tmp_path):
    pda, endpoint, private, gateway = cast()
    (tmp_path / "anchor.pem").write_text(pem(gateway))
    (tmp_path / "chain.pem").write_text(pem(private) + pem(endpoint))
    (tmp_path / "leaf.pem").write_text(pem(pda))
    command = ["openssl", "verify", "-attime", str(int(AT.timestamp()))]
    command += ["-CAfile", "anchor.pem", "-untrusted", "chain.pem", "leaf.pem"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
