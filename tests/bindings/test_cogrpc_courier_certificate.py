# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import make_courier_certificate
from awala.bindings.cogrpc.courier_certificate import _certified_addresses
from awala.bindings.errors import ProtocolError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ADDRESSES = [ip_address("192.168.43.1"), ip_address("fd00::1"), ip_address("fe80::1%wlan0")]


@pytest.mark.rule("10.6")
def test_is_valid_from_two_hours_ago_for_a_day_from_now():
    made = make_courier_certificate(ADDRESSES, now=NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)

    assert certificate.not_valid_before_utc == NOW - timedelta(hours=2)
    assert certificate.not_valid_after_utc == NOW + timedelta(hours=24) == made.not_after


@pytest.mark.rule("10.6")
def test_names_every_address_without_its_zone():
    made = make_courier_certificate(ADDRESSES, now=NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [*ADDRESSES[:2], ip_address("fe80::1")]
    assert certificate.subject.rfc4514_string() == "CN=192.168.43.1"


@pytest.mark.rule("10.6")
def test_is_signed_by_its_own_key():
    made = make_courier_certificate(ADDRESSES, now=NOW)
    certificate = x509.load_pem_x509_certificate(made.certificate)
    key = serialization.load_pem_private_key(made.key, None)

    certificate.verify_directly_issued_by(certificate)
    assert key.public_key() == certificate.public_key()
    assert made.tls == (made.certificate, made.key)


def test_every_certificate_has_its_own_key_and_serial():
    first, second = (make_courier_certificate(ADDRESSES, now=NOW) for _ in range(2))

    assert first.key != second.key
    serials = {x509.load_pem_x509_certificate(made.certificate).serial_number for made in (first, second)}
    assert len(serials) == 2


def test_a_courier_without_an_address_gets_none():
    with pytest.raises(ConfigurationError):
        make_courier_certificate([], now=NOW)


def test_what_is_no_certificate_names_no_address():
    with pytest.raises(ProtocolError):
        _certified_addresses(b"no certificate")
