# SPDX-License-Identifier: MIT
"""How values look in the output: times, octets, certificates, keys, items of a cargo."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from awala.crypto import IdentityPublicKey, SessionKey, SessionPublicKey
from awala.messages.cargo_message_set import CargoMessageSet
from awala.messages.inspection.kinds import BY_PREFIX
from awala.messages.prefix import recognise
from awala.messages.service_message import ServiceMessage
from awala.pki import Certificate, CertificationPath

Report: TypeAlias = dict[str, Any]
"""Members and their values, as JSON knows them."""


def time(at: datetime) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SSZ``."""
    at = at.astimezone(UTC)
    return f"{at.year:04}-{at:%m-%dT%H:%M:%SZ}"


def base64(octets: bytes) -> str:
    """Return octets in base 64, for members whose name says so."""
    return b64encode(octets).decode("ascii")


def certificate(value: Certificate) -> Report:
    """Describe a certificate; its rate limit, the period of which is in seconds, only if it has one."""
    report: Report = {
        "subject_id": value.subject_id,
        "issuer_id": value.issuer_id,
        "serial": value.serial.hex(),
        "not_before": time(value.not_before),
        "not_after": time(value.not_after),
        "is_ca": value.is_ca,
        "path_length": value.path_length,
    }
    if value.rate_limit is not None:
        seconds = int(value.rate_limit.period.total_seconds())
        report["rate_limit"] = {"limit": value.rate_limit.limit, "period": seconds}
    return report


def path(value: CertificationPath) -> Report:
    """Describe a certification path."""
    return {
        "leaf": certificate(value.leaf),
        "authorities": [certificate(authority) for authority in value.authorities],
    }


def session_key(value: SessionKey) -> Report:
    """Describe a session key of somebody's connection parameters."""
    return {
        "session_key_id": value.key_id.hex(),
        "session_key_curve": value.public_key.curve.value,
    }


def public_key(value: IdentityPublicKey | SessionPublicKey) -> Report:
    """Describe a key; of private ones, the public half alone."""
    if isinstance(value, IdentityPublicKey):
        return {"algorithm": "rsa", "bits": value.bits, "node_id": value.node_id}
    return {"algorithm": "ec", "curve": value.curve.value}


def service_message(value: ServiceMessage) -> Report:
    """Describe a service message."""
    return {"type": value.type, "content_base64": base64(value.content)}


def cargo_items(value: CargoMessageSet) -> Report:
    """Describe what a cargo holds, without reading the items."""
    return {"items": [{"kind": _item_kind(item), "size": len(item)} for item in value.items]}


def node_ids(certificates: Iterable[Certificate]) -> list[str]:
    """Return the node ids of certificates, in order."""
    return [value.node_id for value in certificates]


def _item_kind(item: bytes) -> str:
    message_type = recognise(item)
    return BY_PREFIX[message_type].value if message_type is not None else "unknown"
