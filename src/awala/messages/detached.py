# SPDX-License-Identifier: MIT
"""Detached signatures of PoWeb: over a handshake nonce, and over a parcel that is delivered.

What is signed is a sequence of an object identifier and the octets, so that a signature made for one
purpose is worthless for the other. RS-000 and RS-016 do not mention it; all deployed nodes do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from awala.asn1 import Octets, der
from awala.cms import SignedData, sign
from awala.crypto import IdentityPrivateKey
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading, writing
from awala.pki import Certificate, PathError, build_path


class DetachedSignatureType(Enum):
    """What a signature is for; the value is the object identifier that is signed along."""

    PARCEL_DELIVERY = "1.3.6.1.4.1.58708.0.3.0"
    NONCE = "1.3.6.1.4.1.58708.0.3.1"

    def signed_text(self, plaintext: Octets) -> bytes:
        """Return the octets that the signature covers."""
        return der.sequence(der.implicit(0, der.oid_content(self.value)), der.implicit(1, plaintext))


def sign_detached(
    signature_type: DetachedSignatureType,
    plaintext: Octets,
    key: IdentityPrivateKey,
    certificate: Certificate,
) -> bytes:
    """Return a signature over ``plaintext`` that brings the signer's ``certificate`` along.

    Raises `InvalidMessageError` if the certificate is for another key.
    """
    with writing("detached signature"):
        return sign(signature_type.signed_text(plaintext), key=key, signer=certificate, detached=True)


@dataclass(frozen=True, slots=True)
class DetachedSignature:
    """A signature that was read; it proves nothing until it is verified and its signer checked."""

    signed_data: SignedData = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> DetachedSignature:
        """Read a signature; raise `MalformedMessageError`, also if the content is inside."""
        with reading("detached signature"):
            signed_data = SignedData.parse(data)
            _ = signed_data.signer.public_key  # raises now rather than where nobody expects it
        if signed_data.content_view is not None:
            raise MalformedMessageError("The signature has its content inside where it should be detached")
        return cls(signed_data)

    @property
    def signer(self) -> Certificate:
        """The certificate that the signature claims to be made with."""
        return self.signed_data.signer

    def verify(self, signature_type: DetachedSignatureType, plaintext: Octets) -> None:
        """Check the signature over ``plaintext``; raise `MalformedMessageError` if it does not hold."""
        with reading("detached signature"):
            self.signed_data.verify(signature_type.signed_text(plaintext))

    def check_signer(self, anchors: Sequence[Certificate], now: datetime) -> Certificate:
        """Check that one of ``anchors`` issued the signer's certificate directly (rules §3, §8).

        This needs no plaintext, so it can be done before a body is read. Returns the signer's
        certificate; raises `InvalidMessageError`.
        """
        if self.signer.is_self_issued:
            raise InvalidMessageError("The signer's certificate is self-issued, which proves nothing")
        try:
            build_path(self.signer, (), anchors, at=now)
        except PathError as error:
            raise InvalidMessageError(f"The signer is not trusted: {error}") from error
        return self.signer

    def authenticate(
        self,
        signature_type: DetachedSignatureType,
        plaintext: Octets,
        anchors: Sequence[Certificate],
        now: datetime,
    ) -> Certificate:
        """Check the signer and the signature, and return the signer's certificate.

        Raises `InvalidMessageError` for the signer, `MalformedMessageError` for the signature.
        """
        signer = self.check_signer(anchors, now)
        self.verify(signature_type, plaintext)
        return signer
