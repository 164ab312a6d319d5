# SPDX-License-Identifier: MIT
"""From Internet addresses to connections: SRV over DoH, DNSSEC, egress policy, dialling.

What needs dnspython is imported when it is asked for: commands that ask nobody start faster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from awala.bindings.addressing.egress import EgressPolicy
from awala.bindings.addressing.errors import (
    AddressError,
    ForbiddenAddressError,
    InsecureAnswer,
    InvalidAddressError,
    NotFound,
    ResolverUnavailable,
)
from awala.bindings.addressing.model import Resolver, Service, Target, Validation

if TYPE_CHECKING:
    from awala.bindings.addressing.anchors import TrustAnchors
    from awala.bindings.addressing.dialler import Dialler
    from awala.bindings.addressing.resolver import DohResolver

__all__ = [
    "AddressError",
    "Dialler",
    "DohResolver",
    "EgressPolicy",
    "ForbiddenAddressError",
    "InsecureAnswer",
    "InvalidAddressError",
    "NotFound",
    "Resolver",
    "ResolverUnavailable",
    "Service",
    "Target",
    "TrustAnchors",
    "Validation",
]

_LAZY = {
    "Dialler": "awala.bindings.addressing.dialler",
    "DohResolver": "awala.bindings.addressing.resolver",
    "TrustAnchors": "awala.bindings.addressing.anchors",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
