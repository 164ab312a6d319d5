# SPDX-License-Identifier: MIT
"""Issues certificates in the form that all deployed peers accept (RS-002, rules §1)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Final

from awala.asn1 import der
from awala.crypto import (
    SIGNATURE_ALGORITHM_IDENTIFIERS,
    HashAlgorithm,
    IdentityPrivateKey,
    IdentityPublicKey,
)
from awala.pki.certificate import (
    AUTHORITY_KEY_IDENTIFIER,
    BASIC_CONSTRAINTS,
    MAX_SERIAL_OCTETS,
    SUBJECT_KEY_IDENTIFIER,
    Certificate,
)
from awala.pki.errors import CertificateError
from awala.pki.lifetimes import validity
from awala.pki.rate_limit import RATE_LIMIT, RateLimit

_SERIAL_BITS: Final = 64
_VERSION_3: Final = der.explicit(0, der.integer(2))
_COMMON_NAME: Final = der.oid("2.5.4.3")
_SIGNATURE_ALGORITHM: Final = SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA256]


class Role(Enum):
    """What a certificate's subject is; the value is the pair of BasicConstraints that says so (RS-002)."""

    SELF_ISSUED_GATEWAY = (True, 2)
    """A gateway, by itself."""
    GATEWAY = (True, 1)
    """A gateway, by another gateway."""
    ENDPOINT = (True, 0)
    """An endpoint, by its gateway or itself."""
    DELIVERY_AUTHORIZATION = (False, 0)
    """Somebody who may send to the issuer: PDA and CDA."""

    def __init__(self, is_ca: bool, path_length: int) -> None:  # noqa: FBT001 - the first of a pair
        self.is_ca = is_ca
        """Whether the subject may issue certificates."""
        self.path_length = path_length
        """How many authorities may follow in a path."""

    def matches(self, certificate: Certificate) -> bool:
        """Return whether the certificate has exactly the constraints of this role."""
        return certificate.path_length == self.path_length and certificate.is_ca == self.is_ca


def issue(
    *,
    subject_key: IdentityPublicKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None,
    role: Role,
    not_before: datetime,
    not_after: datetime,
    serial: int | None = None,
    rate_limit: RateLimit | None = None,
) -> Certificate:
    """Issue a certificate; without an ``issuer`` the subject issues it to itself.

    The validity is cut at both ends to the issuer's, and to whole seconds. ``serial`` is a random
    positive number of 64 bits unless given; ``rate_limit`` goes into delivery authorisations alone.

    Raises `CertificateError` if the issuer's key is not its certificate's, the issuer may not issue, no
    time of validity is left, ``serial`` is no positive number of at most 20 octets, or the rate limit is
    out of range or out of place; `awala.asn1.Asn1Error` for a time without a zone.
    """
    subject_name = der.sequence(
        der.tlv(der.SET, der.sequence(_COMMON_NAME, der.bmp_string(subject_key.node_id)))
    )
    issuer_name = subject_name
    if issuer is not None:
        if not issuer.is_ca:
            raise CertificateError("the issuer is no authority that may issue certificates")
        issuer_name = issuer.subject
        not_before = max(not_before, issuer.not_before)
        not_after = min(not_after, issuer.not_after)
    if issuer_key.public_key != (subject_key if issuer is None else issuer.public_key):
        raise CertificateError("the issuer's key is not the one in its certificate")
    not_before = not_before.replace(microsecond=0)
    not_after = not_after.replace(microsecond=0)
    if not_after <= not_before:
        raise CertificateError("no time of validity is left")
    signed = der.sequence(
        _VERSION_3,
        der.integer(_checked_serial(serial)),
        _SIGNATURE_ALGORITHM,
        issuer_name,
        der.sequence(der.x509_time(not_before), der.x509_time(not_after)),
        subject_name,
        subject_key.spki,
        der.explicit(3, der.sequence(*_extensions(subject_key, issuer_key.public_key, role, rate_limit))),
    )
    signature = der.bit_string(issuer_key.sign(signed))
    return Certificate.parse(der.sequence(signed, _SIGNATURE_ALGORITHM, signature))


def issue_now(
    *,
    subject_key: IdentityPublicKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None,
    role: Role,
    now: datetime,
    until: datetime | None = None,
    rate_limit: RateLimit | None = None,
) -> Certificate:
    """Issue a certificate with the validity that rules §2 give it: this is how nodes issue all of theirs.

    It begins three hours ago, or with its issuer if that is later, and ends after 180 days in all, with
    its issuer, or at ``until``, whichever comes first. Raises what `issue` raises.
    """
    not_before, not_after = validity(now, until)
    return issue(
        subject_key=subject_key,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        not_before=not_before,
        not_after=not_after,
        rate_limit=rate_limit,
    )


def _checked_serial(serial: int | None) -> int:
    if serial is None:
        return secrets.randbits(_SERIAL_BITS) or 1
    if not 0 < serial < 1 << (8 * MAX_SERIAL_OCTETS - 1):
        raise CertificateError(f"a serial number is no positive number of at most {MAX_SERIAL_OCTETS} octets")
    return serial


def _extensions(
    subject_key: IdentityPublicKey, issuer_key: IdentityPublicKey, role: Role, rate_limit: RateLimit | None
) -> Iterator[bytes]:
    # DER leaves a default out, so no authority means no first field
    constraints = (der.boolean(True),) if role.is_ca else ()  # noqa: FBT003 - the value itself
    yield from (
        der.sequence(
            der.oid(BASIC_CONSTRAINTS),
            der.boolean(True),  # noqa: FBT003 - critical
            der.octet_string(der.sequence(*constraints, der.integer(role.path_length))),
        ),
        der.sequence(
            der.oid(AUTHORITY_KEY_IDENTIFIER),
            der.octet_string(der.sequence(der.implicit(0, issuer_key.digest))),
        ),
        der.sequence(
            der.oid(SUBJECT_KEY_IDENTIFIER),
            der.octet_string(der.octet_string(subject_key.digest)),
        ),
    )
    if rate_limit is not None:
        if role is not Role.DELIVERY_AUTHORIZATION:
            raise CertificateError("only a delivery authorisation has a rate limit")
        yield der.sequence(der.oid(RATE_LIMIT), der.octet_string(rate_limit.encode()))
