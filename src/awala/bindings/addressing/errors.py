# SPDX-License-Identifier: MIT
"""What can go wrong between a name and an address."""

from __future__ import annotations

from awala.base.errors import AwalaError


class AddressError(AwalaError):
    """Base: a name could not be turned into something to connect to.

    Attributes:
        name: the name asked for; it stays out of the message, which may be logged.

    """

    retryable = True
    advice = "It is tried again until the message expires. If that lasts, check [resolver] url."

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class InvalidAddressError(AddressError):
    """The text is no domain name, so asking for it again cannot help."""

    retryable = False
    advice = "Correct the Internet address."


class NotFound(AddressError):  # noqa: N818 - the established name of this answer
    """The name or the service does not exist, as far as the resolver can tell."""

    advice = "Check the Internet address; its owner may not have published it yet."


class InsecureAnswer(AddressError):  # noqa: N818 - reads as what came
    """The answer is not proven by DNSSEC: unsigned, forged, expired, or an absence without proof."""

    advice = "The zone has to be signed with DNSSEC, and nobody on the way may alter answers."


class ResolverUnavailable(AddressError):  # noqa: N818 - reads as the state it is
    """The DoH resolver could not be reached, failed, or answered unintelligibly."""

    advice = "Check the Internet connection and the setting [resolver] url."


class ForbiddenAddressError(AddressError):
    """The name leads to addresses that this node must not connect to (rules §10)."""

    advice = "If this network is meant to be reached, add it to [resolver] allow_networks."
