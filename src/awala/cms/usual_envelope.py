# SPDX-License-Identifier: MIT
"""The one form in which deployed stacks write the recipient of enveloped data, recognised in a single look.

It is that of keys on P-256, ids of eight octets, a content key of 128 bits and 64 octets of user
keying material. All lengths are fixed in it, so the whole skeleton of headers can be compared at
once. Any other form is read element by element.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from awala.asn1 import der
from awala.cms.encrypting import ORIGINATOR_KEY_ID
from awala.crypto import ContentCipher

_RECIPIENTS: Final = re.compile(
    rb"\x31\x81\xe8\xa1\x81\xe5\x02\x01\x03"
    rb"\xa0\x5b\xa1\x59(\x30\x13.{19})\x03\x42\x00(.{65})"
    rb"\xa1\x42\x04\x40(.{64})"
    rb"(\x30\x15.{21})"
    rb"\x30\x28\x30\x26\xa0\x0a\x04\x08(.{8})\x04\x18(.{24})",
    re.DOTALL,
)
_KEY_ID_OCTETS: Final = 8
_BEFORE_KEY_ID: Final = der.tlv(
    0xA1, der.sequence(ORIGINATOR_KEY_ID, der.set_of(der.octet_string(bytes(_KEY_ID_OCTETS))))
)[:-_KEY_ID_OCTETS]
_NONCE_OCTETS: Final = 16
_CBC: Final = {
    der.sequence(der.oid(cipher.dotted), der.octet_string(bytes(_NONCE_OCTETS)))[:-_NONCE_OCTETS]: cipher
    for cipher in ContentCipher
    if not cipher.is_gcm
}


class UsualRecipient(NamedTuple):
    """The parts of a recipient, each as `awala.asn1` would read it."""

    originator_algorithm: bytes
    originator_point: bytes
    ukm: bytes
    key_encryption: bytes
    recipient_key_id: bytes
    wrapped_key: bytes


def usual_recipient(recipients: bytes) -> UsualRecipient | None:
    """Return the parts of the one recipient in the set, None if it has any other form."""
    match = _RECIPIENTS.fullmatch(recipients)
    return None if match is None else UsualRecipient._make(match.groups())


def usual_originator_key_id(attributes: bytes) -> bytes | None:
    """Return the key id in unprotected attributes that hold nothing else, None for any other form."""
    if len(attributes) != len(_BEFORE_KEY_ID) + _KEY_ID_OCTETS or not attributes.startswith(_BEFORE_KEY_ID):
        return None
    return attributes[-_KEY_ID_OCTETS:]


def usual_cipher(algorithm: bytes) -> tuple[ContentCipher, bytes] | None:
    """Return the CBC cipher that an AlgorithmIdentifier names and its nonce, None for any other form."""
    cipher = _CBC.get(algorithm[:-_NONCE_OCTETS])
    return None if cipher is None else (cipher, algorithm[-_NONCE_OCTETS:])
