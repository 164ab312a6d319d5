# SPDX-License-Identifier: MIT
"""What can go wrong with a channel session."""

from __future__ import annotations

from awala.base.errors import AwalaError


class SessionError(AwalaError):
    """Base of the errors of channel sessions."""


class NoSessionKeyError(SessionError):
    """No session key of the peer is known, so nothing can be encrypted for it."""

    advice = "Register with that peer, or import its connection parameters or authorisation, first."


class UnknownSessionKeyError(SessionError):
    """The payload is encrypted to a key that this node does not have for that sender.

    The key may have been pruned, may never have existed, or may be bound to
    another peer; the sender cannot tell which.
    """

    advice = "Send the peer new connection parameters or a new authorisation, so that it gets a current key."


class PayloadError(SessionError):
    """The payload, or the peer's key, cannot be used: malformed, unsupported or not decryptable."""
