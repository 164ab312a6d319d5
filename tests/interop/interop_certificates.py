# SPDX-License-Identifier: MIT
"""Certificates among the cast, issued by us or by a peer, and the paths that peers find through them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from interop_cast import Cast, Example, example

from awala.crypto import IdentityPrivateKey
from awala.messages import Recipient
from awala.pki import Certificate, Role, issue
from helpers.json_peer import JsonPeer

DAY = timedelta(days=1)
INTERNET_ENDPOINT = "ping.example.com"


def encodings(certificates: Iterable[Certificate]) -> list[bytes]:
    return [certificate.encoding for certificate in certificates]


def issued_by_us(
    cast: Cast,
    role: Role,
    subject: IdentityPrivateKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None = None,
    **options: Any,
) -> Certificate:
    """Issue what is valid from when our messages are dated until tomorrow; ``options`` are `issue`'s."""
    values: dict[str, Any] = {
        "subject_key": subject.public_key,
        "issuer_key": issuer_key,
        "issuer": issuer,
        "role": role,
        "not_before": cast.creation_date,
        "not_after": (cast.now + DAY).replace(microsecond=0),
    }
    return issue(**(values | options))


async def issued_by_peer(
    peer: JsonPeer,
    cast: Cast,
    role: str,
    subject: IdentityPrivateKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None = None,
    **options: Any,
) -> Certificate:
    """Let the peer issue with the same dates; ``role`` and ``options`` are as it names them."""
    made = await peer.ask(
        "make",
        kind="certificate",
        role=role,
        subjectPublicKey=subject.public_key.spki,
        issuerPrivateKey=issuer_key.serialize(),
        issuerCertificate=issuer.encoding if issuer else None,
        notBefore=cast.creation_date.isoformat(),
        notAfter=(cast.now + DAY).replace(microsecond=0).isoformat(),
        **options,
    )
    return Certificate.parse(made["octets"])


async def found_by_peer(
    peer: JsonPeer, leaf: Certificate, chain: Iterable[Certificate], trusted: Iterable[Certificate]
) -> list[bytes]:
    """Return the path that the peer finds; raise `PeerError` if it finds none."""
    path: list[bytes] = await peer.ask(
        "findPath", certificate=leaf.encoding, chain=encodings(chain), trusted=encodings(trusted)
    )
    return path


def renewed_private_gateway(cast: Cast) -> Certificate:
    """Return a later certificate of the private gateway."""
    return issued_by_us(
        cast, Role.GATEWAY, cast.pgw_key, cast.igw_key, cast.igw, not_after=cast.pgw.not_after
    )


def from_anybody(key: IdentityPrivateKey, cast: Cast) -> Example:
    """Return the example of a parcel, sent by the holder of ``key`` to an Internet endpoint."""
    return replace(
        example("parcel", cast),
        recipient=Recipient(cast.endpoint_key.node_id, INTERNET_ENDPOINT),
        key=key,
        path=(issued_by_us(cast, Role.ENDPOINT, key, key),),
        chain=(),
    )
