# SPDX-License-Identifier: MIT
"""The one form in which most peers write the signer of a message, recognised in a single look.

It is that of a certificate in the usual form, SHA-256, two signed attributes and an RSA key of 2048
bits. Only the serial number has no fixed length in it, so the whole skeleton of headers can be
compared at once. Any other form is read element by element.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from awala.asn1 import Octets, values
from awala.cms.signing import CONTENT_TYPE, MESSAGE_DIGEST, attributes_up_to_digest
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm
from awala.pki.usual import USUAL_NAME_OCTETS, USUAL_NAME_PATTERN

USUAL_ATTRIBUTE_TYPES: Final = frozenset(map(values.oid_from, (CONTENT_TYPE, MESSAGE_DIGEST)))
"""The object identifiers of the two attributes that nobody fails to sign."""

USUAL_HASH: Final = HashAlgorithm.SHA256
"""The hash function of the usual form."""

_OUTER_HEADER: Final = 4
_BOTH_HEADERS: Final = 8
_SERIAL_HEADER: Final = 2
_SIGNER: Final = re.compile(
    rb"\x31\x82..\x30\x82..\x02\x01\x01"
    rb"\x30\x81(.)(" + USUAL_NAME_PATTERN + rb")\x02([\x01-\x14])(.{1,20}?)"
    rb"(?:" + re.escape(USUAL_HASH.identifier) + rb"|" + re.escape(USUAL_HASH.identifier_with_null) + rb")"
    rb"\xa0\x4b" + re.escape(attributes_up_to_digest(USUAL_HASH)) + rb"(.{32})"
    + re.escape(SIGNATURE_ALGORITHM_IDENTIFIERS[USUAL_HASH]) + rb"\x04\x82\x01\x00(.{256})",
    re.DOTALL,
)  # fmt: skip


class UsualSigner(NamedTuple):
    """The parts of a signer, each as `awala.asn1` would read it."""

    issuer: bytes
    serial: bytes
    digest: bytes
    signature: bytes


def usual_signer(encoding: bytes) -> UsualSigner | None:
    """Return the parts of the one signer in the set, None if it has any other form."""
    match = _SIGNER.fullmatch(encoding)
    if match is None:
        return None
    identifier_length, issuer, serial_length, serial, digest, signature = match.groups()
    if (
        serial_length[0] != len(serial)
        or identifier_length[0] != USUAL_NAME_OCTETS + _SERIAL_HEADER + len(serial)
        or int.from_bytes(encoding[2:4]) != len(encoding) - _OUTER_HEADER
        or int.from_bytes(encoding[6:8]) != len(encoding) - _BOTH_HEADERS
    ):
        return None
    return UsualSigner(issuer, serial, digest, signature)


def usual_digest(attributes: Octets, hash_algorithm: HashAlgorithm) -> bytes | None:
    """Return the digest in the contents octets of the attributes that we write too, None for any others."""
    octets = bytes(attributes)
    before = attributes_up_to_digest(hash_algorithm)
    if len(octets) != len(before) + hash_algorithm.digest_size or not octets.startswith(before):
        return None
    return octets[len(before) :]
