# SPDX-License-Identifier: MIT
"""Awala: messages between apps, with and without the Internet.

What an app needs is imported from here, as in `from awala import PrivateApp`, and loaded when it is
first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awala.sdk import (
        AwalaError,
        Context,
        GatewayMismatchError,
        Handler,
        IncomingMessage,
        InvalidAuthorizationError,
        Invitation,
        MessageTooLargeError,
        NotAuthorisedError,
        NotRegisteredError,
        Offer,
        PairingRefusedError,
        PairingTextError,
        Peer,
        PeerIdentityChangedError,
        PeerKind,
        PrivateApp,
        RateLimit,
        Ticket,
        TicketState,
        UnknownPeerError,
        UnwantedMessageError,
    )

__all__ = [
    "AwalaError",
    "Context",
    "GatewayMismatchError",
    "Handler",
    "IncomingMessage",
    "InvalidAuthorizationError",
    "Invitation",
    "MessageTooLargeError",
    "NotAuthorisedError",
    "NotRegisteredError",
    "Offer",
    "PairingRefusedError",
    "PairingTextError",
    "Peer",
    "PeerIdentityChangedError",
    "PeerKind",
    "PrivateApp",
    "RateLimit",
    "Ticket",
    "TicketState",
    "UnknownPeerError",
    "UnwantedMessageError",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from awala import sdk  # noqa: PLC0415 - commands and nodes, which need none of this, start sooner

    return getattr(sdk, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
