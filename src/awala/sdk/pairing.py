# SPDX-License-Identifier: MIT
"""What two people exchange to pair their apps without any server: an offer, then an invitation."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from awala.asn1 import Asn1Error, der, parse
from awala.base.errors import AwalaError
from awala.crypto import IdentityPublicKey
from awala.messages import (
    PrivateEndpointConnectionParams,
    is_internet_address,
    normalise_address,
)

OFFER_PREFIX = "awala-offer:"
INVITATION_PREFIX = "awala-invitation:"
NONCE_SIZE = 16
MAX_TEXT = 65_536
"""Characters of an offer or an invitation."""

_FIELDS = 3
_INVITATION_FIELDS = 2


class PairingTextError(AwalaError):
    """A text that is no offer or invitation, or was damaged on its way."""

    advice = "Copy the whole text again; it begins with awala-offer: or awala-invitation:."


@dataclass(frozen=True, slots=True)
class Offer:
    """The public key of an endpoint, where it is, and a nonce by which the answer is recognised."""

    key: IdentityPublicKey
    address: str
    nonce: bytes

    def to_text(self) -> str:
        """Return the offer as one line to copy, or to put into a QR code."""
        octets = der.sequence(
            der.implicit(0, self.key.spki),
            der.implicit(1, self.address.encode("ascii")),
            der.implicit(2, self.nonce),
        )
        return OFFER_PREFIX + _encode(octets)

    @classmethod
    def parse(cls, text: str) -> Offer:
        """Read an offer; raises PairingTextError."""
        spki, address, nonce = _fields(text, OFFER_PREFIX, _FIELDS)
        try:
            key = IdentityPublicKey.load(spki)
            name = normalise_address(address.decode("ascii"))
        except (AwalaError, UnicodeDecodeError) as error:
            raise PairingTextError("the offer's key or address cannot be used") from error
        if not is_internet_address(name) or len(nonce) != NONCE_SIZE:
            raise PairingTextError("the offer's address or nonce cannot be used")
        return cls(key, name, nonce)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An authorisation for who made the offer, with the offer's nonce."""

    params: PrivateEndpointConnectionParams
    nonce: bytes

    def to_text(self) -> str:
        """Return the invitation as one line to copy."""
        octets = der.sequence(der.implicit(0, self.params.serialize()), der.implicit(1, self.nonce))
        return INVITATION_PREFIX + _encode(octets)

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Read an invitation; raises PairingTextError."""
        params, nonce = _fields(text, INVITATION_PREFIX, _INVITATION_FIELDS)
        try:
            return cls(PrivateEndpointConnectionParams.parse(params), nonce)
        except AwalaError as error:
            raise PairingTextError("the invitation's authorisation cannot be read") from error


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def _fields(text: str, prefix: str, count: int) -> list[bytes]:
    text = "".join(text.split())
    if not text.startswith(prefix) or len(text) > MAX_TEXT:
        raise PairingTextError(f"this is not a text that begins with {prefix}")
    encoded = text.removeprefix(prefix)
    try:
        octets = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        fields = parse(octets).children()
        values = [field.octets() for field in fields[:count]]
    except (binascii.Error, ValueError, Asn1Error) as error:
        raise PairingTextError("the text was damaged on its way") from error
    if len(values) != count or any(field.identifier != 0x80 + n for n, field in enumerate(fields[:count])):
        raise PairingTextError("the text was damaged on its way")
    return values
