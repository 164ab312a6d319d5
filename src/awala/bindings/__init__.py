# SPDX-License-Identifier: MIT
"""The doors of a node: one package for each protocol, and what they share."""

from awala.bindings.errors import (
    BindingError,
    Forbidden,
    Full,
    MalformedError,
    MalformedRequest,
    ProtocolError,
    RefusedError,
    RequestError,
    ServerError,
    TemporarilyUnavailable,
    Unauthenticated,
    UnauthenticatedError,
    Unprocessable,
    UnreachableError,
)

__all__ = [
    "BindingError",
    "Forbidden",
    "Full",
    "MalformedError",
    "MalformedRequest",
    "ProtocolError",
    "RefusedError",
    "RequestError",
    "ServerError",
    "TemporarilyUnavailable",
    "Unauthenticated",
    "UnauthenticatedError",
    "Unprocessable",
    "UnreachableError",
]
