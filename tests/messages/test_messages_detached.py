# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from messages_cast import DAY, EP, EP_CERT, IGW_CERT, NOW, PGW, PGW_CERT, PGW_SELF

from awala.cms import SignedData, sign
from awala.messages import (
    DetachedSignature,
    DetachedSignatureType,
    InvalidMessageError,
    MalformedMessageError,
    sign_detached,
)

NONCE = DetachedSignatureType.NONCE
DELIVERY = DetachedSignatureType.PARCEL_DELIVERY


def a_signature(signature_type=NONCE, plaintext=b"nonce", key=PGW, signer=PGW_CERT) -> DetachedSignature:
    return DetachedSignature.parse(sign_detached(signature_type, plaintext, key, signer))


def test_what_is_signed_is_a_sequence_of_identifier_and_octets():
    assert NONCE.signed_text(b"nonce").hex() == "3014800b2b0601040183ca540003018105" + b"nonce".hex()
    assert DELIVERY.signed_text(b"p").hex() == "3010800b2b0601040183ca540003008101" + b"p".hex()
    signed = SignedData.parse(sign_detached(NONCE, b"nonce", PGW, PGW_CERT))
    assert signed.content is None
    signed.verify(NONCE.signed_text(b"nonce"))


@pytest.mark.parametrize("signature_type", DetachedSignatureType)
def test_a_signature_is_authenticated_by_direct_issue(signature_type):
    signature = a_signature(signature_type)
    assert signature.signer == PGW_CERT
    assert signature.authenticate(signature_type, b"nonce", [IGW_CERT], NOW) == PGW_CERT


@pytest.mark.parametrize(
    ("signature", "plaintext"),
    [
        (a_signature(), b"other"),
        (a_signature(DELIVERY), b"nonce"),
        (
            DetachedSignature.parse(sign(b"nonce", key=PGW, signer=PGW_CERT, detached=True)),
            b"nonce",
        ),
    ],
    ids=["other plaintext", "other purpose", "raw plaintext"],
)
def test_refuses_a_signature_over_something_else(signature, plaintext):
    with pytest.raises(MalformedMessageError):
        signature.verify(NONCE, plaintext)
    with pytest.raises(MalformedMessageError):
        signature.authenticate(NONCE, plaintext, [IGW_CERT], NOW)


@pytest.mark.parametrize(
    ("signature", "anchors", "complaint"),
    [
        (a_signature(), [], "no issuer"),
        (a_signature(), [PGW_CERT], "no issuer"),
        (a_signature(signer=PGW_SELF), [PGW_SELF], "self-issued"),
        (a_signature(key=EP, signer=EP_CERT), [IGW_CERT], "no issuer"),
        (
            DetachedSignature.parse(
                sign(
                    NONCE.signed_text(b"nonce"),
                    key=EP,
                    signer=EP_CERT,
                    certificates=[PGW_CERT],
                    detached=True,
                )
            ),
            [IGW_CERT],
            "no issuer",
        ),
    ],
)
def test_refuses_signers_that_no_anchor_issued_directly(signature, anchors, complaint):
    with pytest.raises(InvalidMessageError, match=complaint):
        signature.check_signer(anchors, NOW)


def test_another_certificate_of_the_issuers_key_will_do():
    assert a_signature(key=EP, signer=EP_CERT).check_signer([PGW_SELF], NOW) == EP_CERT


def test_refuses_a_signer_whose_certificate_has_expired():
    with pytest.raises(InvalidMessageError, match="expired"):
        a_signature().check_signer([IGW_CERT], NOW + 40 * DAY)


def test_refuses_a_signature_with_its_content_inside():
    with pytest.raises(MalformedMessageError, match="inside"):
        DetachedSignature.parse(sign(NONCE.signed_text(b"nonce"), key=PGW, signer=PGW_CERT))


@pytest.mark.parametrize("octets", [b"", b"junk", b"\x30\x00", b"\x30\x80"])
def test_refuses_octets_that_are_no_signature(octets):
    with pytest.raises(MalformedMessageError):
        DetachedSignature.parse(octets)


def test_refuses_to_sign_with_the_certificate_of_another_key():
    with pytest.raises(InvalidMessageError):
        sign_detached(NONCE, b"nonce", PGW, EP_CERT)
