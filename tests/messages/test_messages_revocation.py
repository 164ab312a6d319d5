# SPDX-License-Identifier: MIT
"""RS-002, gateway certificate revocation: a RAMF message that revokes the certificate which signed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_cast import (
    DAY,
    EP,
    EP_CERT,
    IGW,
    IGW_CERT,
    NOW,
    PGW,
    PGW_CERT,
    PGW_SELF,
    certificate,
    envelope,
    received,
)

from awala.messages import (
    Cargo,
    GatewayCertificateRevocation,
    InvalidMessageError,
    MalformedMessageError,
    MessageType,
    Parcel,
    Recipient,
    recognise,
)
from awala.pki import Role

PREFIX = b"Awala\x11\x00"
REVOCATION = GatewayCertificateRevocation(
    Recipient(IGW.node_id, "example.com"), "id", NOW, 3600, b"", PGW_CERT
)


def test_it_has_the_type_of_rs_002_and_the_envelope_of_all_others():
    octets = REVOCATION.serialize(PGW)
    assert octets.startswith(PREFIX + b"\x30")
    assert recognise(octets) is MessageType.GATEWAY_REVOCATION
    assert GatewayCertificateRevocation.parse(octets) == REVOCATION
    with pytest.raises(MalformedMessageError, match="type 0x11"):
        Parcel.parse(octets)


@settings(max_examples=40, deadline=None)
@given(
    node_id=st.text("0123456789abcdef", max_size=64).map("0a".__add__),
    address=st.sampled_from([None, "example.com", "a.b.xn--p1ai"]),
    message_id=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64),
    date=st.datetimes(timezones=st.just(UTC)),
    ttl=st.integers(0, 15_552_000),
    chain=st.sampled_from([(), (IGW_CERT,), (IGW_CERT, PGW_SELF)]),
)
def test_revocations_are_read_as_written(node_id, address, message_id, date, ttl, chain):
    revocation = GatewayCertificateRevocation(
        Recipient(node_id, address), message_id, date.replace(microsecond=0), ttl, b"", PGW_CERT, chain
    )
    assert received(revocation, PGW) == revocation


def test_its_payload_is_empty():
    GatewayCertificateRevocation.parse(envelope(prefix=PREFIX, changes={4: b"\x84\x00"}))
    with pytest.raises(MalformedMessageError, match="payload is larger than 0"):
        GatewayCertificateRevocation.parse(envelope(prefix=PREFIX, changes={4: b"\x84\x01x"}))
    with pytest.raises(InvalidMessageError, match="payload is larger than 0"):
        replace(REVOCATION, payload=b"x").serialize(PGW)


def test_a_signature_that_does_not_hold_is_refused():
    damaged = bytearray(REVOCATION.serialize(PGW))
    damaged[-1] ^= 1
    with pytest.raises(MalformedMessageError):
        GatewayCertificateRevocation.parse(damaged)


def test_the_issuer_learns_which_of_its_certificates_is_revoked():
    renewed = certificate(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY, end=NOW + 180 * DAY)
    revocation = received(REVOCATION, PGW)
    assert revocation.authorise_at_issuer([IGW_CERT], NOW) == PGW_CERT
    assert revocation.authorise_at_issuer([renewed], NOW) == PGW_CERT


def test_a_private_gateway_learns_that_a_cargo_delivery_authorisation_is_revoked():
    cda = certificate(IGW, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION)
    revocation = GatewayCertificateRevocation(Recipient(PGW.node_id), "id", NOW, 60, b"", cda)
    assert received(revocation, IGW).authorise_at_issuer([PGW_SELF], NOW) == cda


@pytest.mark.parametrize(
    ("changes", "key", "now", "complaint"),
    [
        ({"sender_certificate": PGW_SELF}, PGW, NOW, "self-issued"),
        ({"recipient": Recipient(EP.node_id)}, PGW, NOW, "issued by the recipient"),
        (
            {
                "recipient": Recipient(PGW.node_id),
                "sender_certificate": EP_CERT,
                "sender_chain": (PGW_CERT,),
            },
            EP,
            NOW,
            "by this gateway itself",
        ),
        ({}, PGW, NOW + timedelta(hours=4), "expired"),
        ({}, PGW, NOW - timedelta(hours=4), "future"),
    ],
)
def test_refuses_revocations_that_the_recipient_did_not_issue_or_that_are_not_current(
    changes, key, now, complaint
):
    revocation = received(replace(REVOCATION, **changes), key)
    with pytest.raises(InvalidMessageError, match=complaint):
        revocation.authorise_at_issuer([IGW_CERT], now)


def test_other_messages_may_still_have_payloads():
    cargo = Cargo(Recipient(IGW.node_id, "example.com"), "id", NOW, 60, b"payload", PGW_CERT)
    assert received(cargo, PGW).payload == b"payload"
