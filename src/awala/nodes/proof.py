# SPDX-License-Identifier: MIT
"""How both gateways check who stands at their PoWeb door: countersignatures and signed nonces (rules §3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from awala.base.errors import AwalaError
from awala.bindings.errors import Unauthenticated
from awala.messages import DetachedSignature, DetachedSignatureType, HandshakeResponse
from awala.pki import Certificate


def recognise_countersigner(
    countersignature: bytes, anchors: Sequence[Certificate], now: datetime
) -> DetachedSignature:
    """Check that a node of ours countersigned, before what it signed is read; raises Unauthenticated."""
    try:
        signature = DetachedSignature.parse(countersignature)
        signature.check_signer(anchors, now)
    except AwalaError as error:
        raise Unauthenticated(f"the countersignature cannot be trusted: {error}") from error
    return signature


def require_countersignature(countersignature: DetachedSignature, parcel: bytes) -> None:
    """Check that a countersignature is one of this parcel; raises Unauthenticated."""
    try:
        countersignature.verify(DetachedSignatureType.PARCEL_DELIVERY, parcel)
    except AwalaError as error:
        raise Unauthenticated("the countersignature is not one of this parcel") from error


def identify_collectors(
    nonce: bytes, response: bytes, anchors: Sequence[Certificate], now: datetime
) -> list[str]:
    """Return the ids of the nodes that signed the nonce, each once; every signature must hold.

    Raises Unauthenticated.
    """
    try:
        signers = [
            DetachedSignature.parse(signature).authenticate(DetachedSignatureType.NONCE, nonce, anchors, now)
            for signature in HandshakeResponse.parse(response).signatures
        ]
        ids = list(dict.fromkeys(signer.node_id for signer in signers))
    except AwalaError as error:
        raise Unauthenticated(f"the handshake cannot be trusted: {error}") from error
    if not ids:
        raise Unauthenticated("the handshake names no node")
    return ids
