# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.asn1 import der
from awala.crypto import SessionKeyPair
from awala.messages import PrivateEndpointConnectionParams
from awala.pki import CertificationPath
from awala.sdk import Invitation, Offer, PairingTextError
from awala.sdk.pairing import INVITATION_PREFIX, MAX_TEXT, NONCE_SIZE, OFFER_PREFIX, _encode
from helpers.nodes import ADDRESS, ENDPOINT, PDA, PDA_CHAIN, PEER

NONCE = bytes(range(NONCE_SIZE))
OFFER = Offer(PEER.public_key, ADDRESS, NONCE)
PARAMS = PrivateEndpointConnectionParams(
    ENDPOINT.public_key, ADDRESS, CertificationPath(PDA, PDA_CHAIN), SessionKeyPair.generate().session_key
)
INVITATION = Invitation(PARAMS, NONCE)


def test_an_offer_is_read_as_it_was_written():
    read = Offer.parse(OFFER.to_text())

    assert (read.key.spki, read.address, read.nonce) == (PEER.public_key.spki, ADDRESS, NONCE)


def test_an_invitation_is_read_as_it_was_written():
    read = Invitation.parse(INVITATION.to_text())

    assert read.nonce == NONCE
    assert read.params.serialize() == PARAMS.serialize()
    assert read.params.authorization.leaf == PDA


def test_texts_are_one_line_that_survives_being_broken_and_indented():
    text = OFFER.to_text()
    broken = "\n  ".join(text[n : n + 60] for n in range(0, len(text), 60))

    assert "\n" not in text
    assert text.startswith(OFFER_PREFIX)
    assert Offer.parse(f"  {broken}\r\n").nonce == NONCE
    assert INVITATION.to_text().startswith(INVITATION_PREFIX)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        OFFER_PREFIX,
        OFFER_PREFIX + "!!!!",
        OFFER_PREFIX + "ü",
        OFFER_PREFIX + "A",
        OFFER.to_text()[:-20],
        OFFER.to_text().replace(OFFER_PREFIX, INVITATION_PREFIX),
        INVITATION.to_text(),
        OFFER_PREFIX + "A" * MAX_TEXT,
        Offer(PEER.public_key, "nodots", NONCE).to_text(),
        Offer(PEER.public_key, ADDRESS, b"short").to_text(),
        Offer(PEER.public_key, "a\x7f.test", NONCE).to_text(),
    ],
)
def test_refuses_what_is_no_offer(text):
    with pytest.raises(PairingTextError):
        Offer.parse(text)


@pytest.mark.parametrize(
    "text", ["", OFFER.to_text(), INVITATION.to_text()[:-40], INVITATION_PREFIX + OFFER.to_text()[12:]]
)
def test_refuses_what_is_no_invitation(text):
    with pytest.raises(PairingTextError):
        Invitation.parse(text)


def test_refuses_a_key_that_is_none():
    octets = der.sequence(der.implicit(0, b"no key"), der.implicit(1, b"a.test"), der.implicit(2, NONCE))
    with pytest.raises(PairingTextError):
        Offer.parse(OFFER_PREFIX + _encode(octets))


@given(position=st.integers(0, len(OFFER.to_text()) - 1), character=st.characters())
def test_a_damaged_offer_raises_nothing_but_its_own_error(position, character):
    text = OFFER.to_text()
    damaged = text[:position] + character + text[position + 1 :]
    try:
        read = Offer.parse(damaged)
    except PairingTextError:
        return
    assert isinstance(read, Offer)


@given(position=st.integers(0, len(INVITATION.to_text()) - 1), character=st.characters())
def test_a_damaged_invitation_raises_nothing_but_its_own_error(position, character):
    text = INVITATION.to_text()
    damaged = text[:position] + character + text[position + 1 :]
    try:
        read = Invitation.parse(damaged)
    except PairingTextError:
        return
    assert isinstance(read, Invitation)
