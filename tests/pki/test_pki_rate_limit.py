# SPDX-License-Identifier: MIT
"""RS-002, PDA rate limiting: an endpoint says how many parcels a peer may send it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awala.asn1 import der
from awala.pki import Certificate, CertificateError, RateLimit, Role, build_path, issue
from awala.pki.rate_limit import MAX_RATE_LIMIT, RATE_LIMIT
from helpers.cast import identity_key
from helpers.forgery import constraints, extension, forge
from helpers.mutations import mutations
from helpers.vectors import AT

DAY = timedelta(days=1)
ENDPOINT_KEY = identity_key("js", "ep")
PEER_KEY = identity_key("js", "peer")
ONE_A_DAY = RateLimit(1, DAY)
PDA_CONSTRAINTS = constraints(der.integer(0))


def issued(rate_limit=None, *, role=Role.DELIVERY_AUTHORIZATION, by=ENDPOINT_KEY, issuer=None, to=PEER_KEY):
    return issue(
        subject_key=to.public_key,
        issuer_key=by,
        issuer=issuer,
        role=role,
        not_before=AT - DAY,
        not_after=AT + DAY,
        rate_limit=rate_limit,
    )


ENDPOINT = issued(to=ENDPOINT_KEY, role=Role.ENDPOINT)


def forged(value: bytes, *, critical: bool = False) -> Certificate:
    """Return an authorisation with this value in the extension."""
    limit = extension(RATE_LIMIT, value, critical=critical)
    return Certificate.parse(
        forge(
            key=ENDPOINT_KEY,
            subject_key=PEER_KEY.public_key,
            issuer=ENDPOINT.subject,
            extensions=(PDA_CONSTRAINTS, limit),
        )
    )


def test_it_is_written_with_the_identifier_and_the_syntax_of_rs_002():
    pda = issued(ONE_A_DAY, issuer=ENDPOINT)
    assert (
        bytes.fromhex("060b2b0601040183ca54000000" + "040a" + "3008" + "020101" + "0203015180")
        in pda.encoding
    )
    assert pda.rate_limit == ONE_A_DAY
    assert pda.critical_extensions == frozenset()
    assert build_path(pda, (), [ENDPOINT], at=AT) == (pda, ENDPOINT)


def test_an_authorisation_without_one_has_no_limit():
    assert issued(issuer=ENDPOINT).rate_limit is None
    assert forged(b"").extension_value("1.2.3") is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, MAX_RATE_LIMIT), st.integers(1, MAX_RATE_LIMIT))
def test_limits_are_read_as_written(limit, seconds):
    rate_limit = RateLimit(limit, timedelta(seconds=seconds))
    assert RateLimit.decode(rate_limit.encode()) == rate_limit
    assert issued(rate_limit, issuer=ENDPOINT).rate_limit == rate_limit


@pytest.mark.parametrize(
    "value",
    [
        der.sequence(der.implicit(0, b"\x01"), der.implicit(1, b"\x01\x51\x80")),
        der.sequence(der.integer(1), der.integer(86400), der.octet_string(b"more")),
        der.sequence(der.tlv(der.INTEGER, b"\0\0\1"), der.integer(86400)),
        b"\x30\x80" + der.integer(1) + der.integer(86400) + b"\0\0",
    ],
)
@pytest.mark.parametrize("critical", [False, True])
def test_other_forms_are_read_and_known_when_critical(value, critical):
    pda = forged(value, critical=critical)
    assert pda.rate_limit == ONE_A_DAY
    assert build_path(pda, (), [ENDPOINT], at=AT) == (pda, ENDPOINT)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"junk",
        der.integer(1),
        der.sequence(),
        der.sequence(der.integer(1)),
        der.sequence(der.integer(1), der.boolean(value=True)),
        der.sequence(der.implicit(1, b"\1"), der.implicit(0, b"\1")),
        der.sequence(der.implicit(0, b""), der.implicit(1, b"\1")),
        der.sequence(der.integer(-1), der.integer(1)),
        der.sequence(der.integer(1), der.integer(0)),
        der.sequence(der.integer(1), der.integer(-60)),
        der.sequence(der.integer(2**31), der.integer(1)),
        der.sequence(der.integer(1), der.integer(2**31)),
        der.sequence(der.tlv(der.INTEGER, bytes(2000)), der.integer(1)),
    ],
)
def test_a_malformed_limit_is_noticed_by_whoever_judges_by_it_alone(value):
    pda = forged(value)
    assert build_path(pda, (), [ENDPOINT], at=AT) == (pda, ENDPOINT)
    with pytest.raises(CertificateError):
        _ = pda.rate_limit


def test_an_extension_without_a_value_is_malformed():
    pda = Certificate.parse(forge(key=PEER_KEY, extensions=(der.sequence(der.oid(RATE_LIMIT)),)))
    with pytest.raises(CertificateError, match="malformed"):
        _ = pda.rate_limit


@pytest.mark.parametrize(
    "rate_limit",
    [
        RateLimit(-1, DAY),
        RateLimit(1, timedelta(0)),
        RateLimit(1, -DAY),
        RateLimit(1, timedelta(milliseconds=1500)),
        RateLimit(MAX_RATE_LIMIT + 1, DAY),
        RateLimit(1, timedelta(seconds=MAX_RATE_LIMIT + 1)),
    ],
)
def test_refuses_to_issue_what_cannot_be_read(rate_limit):
    with pytest.raises(CertificateError, match="rate limit"):
        issued(rate_limit, issuer=ENDPOINT)


@pytest.mark.parametrize("role", [Role.ENDPOINT, Role.GATEWAY, Role.SELF_ISSUED_GATEWAY])
def test_other_certificates_than_authorisations_have_no_limit(role):
    with pytest.raises(CertificateError, match="delivery authorisation"):
        issued(ONE_A_DAY, role=role, to=ENDPOINT_KEY)


def test_damaged_limits_are_read_or_refused():
    outcomes = set()
    for damaged in mutations(ONE_A_DAY.encode(), 400):
        try:
            outcomes.add(type(RateLimit.decode(damaged)))
        except CertificateError:
            outcomes.add(CertificateError)
    assert outcomes == {RateLimit, CertificateError}
