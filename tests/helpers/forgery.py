# SPDX-License-Identifier: MIT
"""Writes certificates with any oddity, which `awala.pki.issue` would rightly refuse to."""

from __future__ import annotations

from datetime import datetime, timedelta

from awala.asn1 import der
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm, IdentityPrivateKey, IdentityPublicKey
from helpers.vectors import AT

VERSION_3 = der.explicit(0, der.integer(2))
PSS = SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA256]
COMMON_NAME = der.oid("2.5.4.3")


def name(text: str | bytes) -> bytes:
    """Return a Name with a common name as BMPString, or with an encoded value as it is."""
    value = der.bmp_string(text) if isinstance(text, str) else text
    return der.sequence(der.set_of(der.sequence(COMMON_NAME, value)))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an extension."""
    flag = (der.boolean(True),) if critical else ()
    return der.sequence(der.oid(dotted), *flag, der.octet_string(value))


def constraints(*fields: bytes) -> bytes:
    """Return a BasicConstraints extension with these fields."""
    return extension("2.5.29.19", der.sequence(*fields), critical=True)


CA = constraints(der.boolean(True))


def forge(
    *,
    key: IdentityPrivateKey,
    subject_key: IdentityPublicKey | None = None,
    version: bytes = VERSION_3,
    serial: bytes = b"\x01",
    algorithm: bytes = PSS,
    outer_algorithm: bytes | None = None,
    issuer: bytes | None = None,
    subject: bytes | None = None,
    not_before: datetime = AT - timedelta(days=1),
    not_after: datetime = AT + timedelta(days=1),
    validity: bytes | None = None,
    spki: bytes | None = None,
    extensions: tuple[bytes, ...] | None = (CA,),
    extra: bytes = b"",
    signature: bytes | None = None,
    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256,
) -> bytes:
    """Return the octets of a certificate signed by ``key``, by itself unless an ``issuer`` is named."""
    subject_key = subject_key or key.public_key
    subject = name(subject_key.node_id) if subject is None else subject
    validity = validity or der.sequence(der.x509_time(not_before), der.x509_time(not_after))
    tbs = der.sequence(
        version,
        der.tlv(der.INTEGER, serial),
        algorithm,
        subject if issuer is None else issuer,
        validity,
        subject,
        subject_key.spki if spki is None else spki,
        extra,
        b"" if extensions is None else der.explicit(3, der.sequence(*extensions)),
    )
    signature = der.bit_string(key.sign(tbs, hash_algorithm)) if signature is None else signature
    return der.sequence(tbs, algorithm if outer_algorithm is None else outer_algorithm, signature)
