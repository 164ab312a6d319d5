# SPDX-License-Identifier: MIT
"""What can go wrong at an endpoint."""

from __future__ import annotations

from awala.nodes.errors import NodeError


class NotAuthorisedError(NodeError):
    """The peer has not authorised us to send to it, or its authorisation has ended."""

    advice = "Ask the peer for a new authorisation (pair again)."


class UnknownPeerError(NodeError):
    """No such peer is in the peer book of this endpoint."""

    advice = "Add the peer first, from its connection parameters or by pairing."


class InvalidAuthorizationError(NodeError):
    """An authorisation that was given to us does not hold."""

    advice = "Ask the peer for a new one; this one was made for somebody else, changed, or has expired."


class PeerIdentityChangedError(NodeError):
    """The endpoint at a known Internet address shows another identity key than before."""

    advice = "Ask the operator of the service whether its key was replaced; if so, forget the old peer first."


class MessageTooLargeError(NodeError):
    """A service message that does not fit into a parcel."""

    advice = "Send at most 8 256 501 octets in one message; split what is larger."


class GatewayMismatchError(NodeError):
    """Another private gateway than the known one answers at the gateway's address."""

    advice = "Start the gateway that this app is registered with, or remove the app's data to begin anew."


class NotRegisteredError(NodeError):
    """The endpoint has no valid certificate from its gateway yet."""

    retryable = True
    advice = "Start the private gateway and pair it with an Internet gateway."
