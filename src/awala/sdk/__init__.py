# SPDX-License-Identifier: MIT
"""The public API for apps and services."""

from awala.base.errors import AwalaError
from awala.nodes.endpoint.errors import (
    GatewayMismatchError,
    InvalidAuthorizationError,
    MessageTooLargeError,
    NotAuthorisedError,
    NotRegisteredError,
    PeerIdentityChangedError,
    UnknownPeerError,
)
from awala.nodes.endpoint.inbox import UnwantedMessageError
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.pki import RateLimit
from awala.sdk.app import PairingRefusedError, PrivateApp
from awala.sdk.context import Context
from awala.sdk.handlers import Handler
from awala.sdk.messages import IncomingMessage, Ticket, TicketState
from awala.sdk.pairing import Invitation, Offer, PairingTextError

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
