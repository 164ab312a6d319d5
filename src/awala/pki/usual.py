# SPDX-License-Identifier: MIT
"""The one form in which all deployed stacks write certificates, recognised in a single look.

Opening a message from a new sender means reading three certificates, and element by element that
takes about as long as verifying one of them. Here the whole skeleton of headers, whose lengths are
fixed but for the serial number, is compared at once. What has any other form is none of this
module's business and is read element by element.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, TypeAlias

from awala.asn1 import der
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm

_OUTER_HEADER: Final = 4
_BOTH_HEADERS: Final = 8  # that of the certificate, and that of its signed part
_SPKI, _BEHIND_SIGNED = 7, 11  # the empty groups in the pattern, which mark places
_SPKI_OCTETS: Final = 294
_SIGNATURE_OCTETS: Final = 256

USUAL_SIGNATURE_ALGORITHM: Final = SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA256]
"""The AlgorithmIdentifier in certificates of the usual form."""

_ALGORITHM: Final = re.escape(USUAL_SIGNATURE_ALGORITHM)
USUAL_NAME_PATTERN: Final = re.escape(bytes.fromhex("30819031818d30818a06035504031e8182")) + rb".{130}"
"""A regular expression for a Name that is one common name of 65 characters in a BMPString: a node's id."""

USUAL_NAME_OCTETS: Final = 147
"""How long such a Name is."""

_TIME: Final = rb"\x17\x0d([0-9]{12})Z"
_EXTENSION_NAME: Final = {number: re.escape(der.oid(f"2.5.29.{number}")) for number in (14, 19, 35)}
_CRITICAL: Final = rb"\x01\x01\xff"
_AUTHORITY_KEY: Final = rb"\x30\x2b" + _EXTENSION_NAME[35] + rb"\x04\x24\x30\x22\x80\x20.{32}"
_SUBJECT_KEY: Final = rb"\x30\x29" + _EXTENSION_NAME[14] + rb"\x04\x22\x04\x20.{32}"
_CONSTRAINTS: Final = _EXTENSION_NAME[19] + _CRITICAL
_CERTIFICATE: Final = re.compile(
    rb"\x30\x82..\x30\x82..\xa0\x03\x02\x01\x02"
    rb"\x02([\x01-\x14])(.{1,20}?)" + _ALGORITHM +
    rb"(" + USUAL_NAME_PATTERN + rb")\x30\x1e" + _TIME + _TIME + rb"(" + USUAL_NAME_PATTERN + rb")"
    rb"()\x30\x82\x01\x22.{290}"
    rb"(?:\xa3\x6e\x30\x6c\x30\x12" + _CONSTRAINTS + rb"\x04\x08\x30\x06\x01\x01(.)\x02\x01([\x00-\x7f])"
    rb"|\xa3\x6b\x30\x69\x30\x0f" + _CONSTRAINTS + rb"\x04\x05\x30\x03\x02\x01([\x00-\x7f]))"
    rb"(?:" + _AUTHORITY_KEY + _SUBJECT_KEY + rb"|" + _SUBJECT_KEY + _AUTHORITY_KEY + rb")()"
    + _ALGORITHM + rb"\x03\x82\x01\x01\x00.{256}",
    re.DOTALL,
)  # fmt: skip


UsualCertificate: TypeAlias = tuple[slice, bytes, bytes, datetime, datetime, bytes, slice, bool, int, slice]
"""The parts of a certificate, each as `awala.asn1` would read it; slices say where in it they are.

The signed part, the serial number, the issuer, first and last moment of validity, the subject, its
key, whether it is an authority and of what path length, the signature.
"""


def read_usual(encoding: bytes) -> UsualCertificate | None:
    """Return the parts of a certificate in the usual form, None for any other octets."""
    match = _CERTIFICATE.fullmatch(encoding)
    if match is None:
        return None
    length, serial, issuer, not_before, not_after, subject, _, is_ca, limit, only_limit, _ = match.groups()
    spki_start, signed_end, end = match.start(_SPKI), match.start(_BEHIND_SIGNED), len(encoding)
    if (
        length[0] != len(serial)
        or int.from_bytes(encoding[2:4]) != end - _OUTER_HEADER
        or int.from_bytes(encoding[6:8]) != signed_end - _BOTH_HEADERS
    ):
        return None
    try:
        return (
            slice(_OUTER_HEADER, signed_end),
            serial,
            issuer,
            _moment(not_before),
            _moment(not_after),
            subject,
            slice(spki_start, spki_start + _SPKI_OCTETS),
            is_ca is not None and is_ca != b"\0",
            (limit or only_limit)[0],
            slice(end - _SIGNATURE_OCTETS, end),
        )
    except ValueError:  # no date of the calendar
        return None


def _moment(digits: bytes) -> datetime:
    """Return what the twelve digits of a UTCTime say (RFC 5280 §4.1.2.5.1)."""
    text = digits.decode()
    return datetime.fromisoformat(f"{'19' if text >= '50' else '20'}{text[:6]}T{text[6:]}Z")
