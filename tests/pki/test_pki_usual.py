# SPDX-License-Identifier: MIT

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import awala.pki.certificate
from awala.asn1 import der
from awala.pki import Certificate, CertificateError, Role, clear_caches, issue
from awala.pki.usual import read_usual
from helpers.cast import identity_key
from helpers.mutations import mutations
from helpers.vectors import AT, STACKS, vector

READ = (
    "serial",
    "issuer",
    "subject",
    "not_before",
    "not_after",
    "is_ca",
    "path_length",
    "critical_extensions",
    "rate_limit",
)
EXTENSIONS = ("2.5.29.14", "2.5.29.19", "2.5.29.35")
OF_VECTORS = [
    vector(stack, f"{name}.der") for stack in STACKS for name in ("pda", "epCert", "pgwCert", "igwCert")
]


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def read_by_element(monkeypatch):
    """Read a certificate without looking for the usual form."""

    def read(encoding):
        with monkeypatch.context() as context:
            context.setattr(awala.pki.certificate, "read_usual", lambda _: None)
            clear_caches()
            return outcome(encoding)

    return read


def outcome(encoding):
    """Return all that a certificate says, or the error that it is refused with."""
    clear_caches()
    try:
        read = Certificate.parse(encoding)
        values = [getattr(read, name) for name in READ]
        values += [read.extension_value(dotted) for dotted in EXTENSIONS]
        values += [read.encoding[part] for part in (read._tbs, read._spki, read._signature)]
        values.append(read._signature_algorithm)
    except CertificateError as error:
        return type(error)
    return values


def own(role=Role.ENDPOINT, *, end=AT + timedelta(days=30), serial=None):
    key = identity_key("js", "ep")
    issued = issue(
        subject_key=key.public_key,
        issuer_key=key,
        issuer=None,
        role=role,
        not_before=AT - timedelta(days=1),
        not_after=end,
        serial=serial,
    )
    return issued.encoding


@pytest.mark.parametrize("encoding", [*OF_VECTORS, *map(own, Role)])
def test_what_deployed_stacks_and_we_write_is_usual(encoding, read_by_element):
    assert read_usual(encoding) is not None
    assert outcome(encoding) == read_by_element(encoding)


@pytest.mark.parametrize("encoding", [OF_VECTORS[0], OF_VECTORS[5], own()])
def test_damage_reads_the_same_at_once_and_by_element(encoding, read_by_element):
    recognised = 0
    for damaged in mutations(encoding, 3000):
        recognised += read_usual(damaged) is not None
        assert outcome(damaged) == read_by_element(damaged)

    assert recognised > 500, "hardly any of them were usual, so this has proved nothing"


@pytest.mark.parametrize("serial", [1, 0x7F, 0x80, 2**63, 2**64, 2**151, 2**159 - 1])
def test_serial_numbers_of_any_length(serial, read_by_element):
    encoding = own(serial=serial)

    assert read_usual(encoding) is not None
    assert outcome(encoding) == read_by_element(encoding)
    assert Certificate.parse(encoding).serial == der.integer_content(serial)


def test_a_serial_number_that_ends_like_what_follows_it(read_by_element):
    encoding = own(serial=int.from_bytes(b"\x01\x30\x41\x06\x09"))

    assert read_usual(encoding) is not None
    assert outcome(encoding) == read_by_element(encoding)


@pytest.mark.parametrize("at", [0, 3, 4, 7, 14])
def test_a_wrong_length_is_not_usual(at):
    encoding = bytearray(own())
    encoding[at] ^= 1

    assert read_usual(bytes(encoding)) is None


@pytest.mark.parametrize(
    ("digits", "moment"),
    [
        (b"491231235959", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"500101000000", datetime(1950, 1, 1, tzinfo=UTC)),
        (b"261301000000", None),
        (b"260230000000", None),
    ],
)
def test_years_of_two_digits(digits, moment, read_by_element):
    end = der.utc_time(AT + timedelta(days=30))
    encoding = own().replace(end, end[:2] + digits + b"Z")

    usual = read_usual(encoding)

    assert outcome(encoding) == read_by_element(encoding)
    assert (usual is None) == (moment is None)
    assert usual is None or usual[4] == moment


def test_extensions_of_the_usual_form_are_read_when_asked_for():
    read = Certificate.parse(OF_VECTORS[0])

    assert read.extension_value("2.5.29.19") == der.sequence(der.integer(0))
    assert read.extension_value("2.5.29.15") is None
