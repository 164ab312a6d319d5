# SPDX-License-Identifier: MIT
"""The errors that only CogRPC knows, besides those of ``awala.bindings.errors``."""

from __future__ import annotations

from http import HTTPStatus

from awala.bindings.errors import BindingError, RefusedError, ServerError, TemporarilyUnavailable


class Fulfilled(RefusedError):  # noqa: N818 - named as the answer it becomes, like those of bindings.errors
    """The Cargo Collection Authorization was used up: PERMISSION_DENIED (rules §6).

    A service raises it; a client raises it when its peer says so.
    """

    advice = "Drop this CCA; the gateway that issued it brings another on its next visit."


class WrongRecipient(RefusedError):  # noqa: N818 - named as the answer it becomes
    """The Cargo Collection Authorization is for another gateway: INVALID_ARGUMENT.

    A service raises it; a client raises it when its peer says so.
    """

    advice = "Drop this CCA, or check which gateway its Internet address leads to."


class Busy(TemporarilyUnavailable):
    """The Cargo Collection Authorization is in use by another call: UNAVAILABLE (rules §6)."""


class PeerFullError(ServerError):
    """The peer has no room for more cargo: RESOURCE_EXHAUSTED. What it acknowledged before is safe."""

    advice = "Bring the rest to another courier, or come back when this one has been emptied."

    def __init__(self, message: str) -> None:
        super().__init__(message, status=HTTPStatus.INSUFFICIENT_STORAGE)


class UnsendableError(BindingError):
    """What should be sent breaks a limit of the protocol, so it was not sent."""

    advice = "This is a fault of the program that made it; report it."


class CodecError(BindingError):
    """Octets that are not a message of CogRPC."""
