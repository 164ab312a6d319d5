# SPDX-License-Identifier: MIT
"""From Internet addresses to connections: SRV over DoH, DNSSEC, egress policy, dialling."""

from awala.bindings.addressing.anchors import TrustAnchors
from awala.bindings.addressing.dialler import Dialler
from awala.bindings.addressing.egress import EgressPolicy
from awala.bindings.addressing.errors import (
    AddressError,
    ForbiddenAddressError,
    InsecureAnswer,
    InvalidAddressError,
    NotFound,
    ResolverUnavailable,
)
from awala.bindings.addressing.model import Resolver, Service, Target
from awala.bindings.addressing.resolver import DohResolver, Validation

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
