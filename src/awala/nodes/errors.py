# SPDX-License-Identifier: MIT
"""Errors of the nodes' own rules."""

from __future__ import annotations

from awala.base.errors import AwalaError


class NodeError(AwalaError):
    """Base of the errors of nodes."""


class NotPairedError(NodeError):
    """The private gateway has no Internet gateway yet."""

    retryable = True
    advice = "Pair it first: awala gateway pair ADDRESS"


class CertificateExpiredError(NotPairedError):
    """The certificate that the Internet gateway issued has ended, as after a long time without it."""

    advice = (
        "Connect this device to the Internet once, and it registers again by itself; "
        "a courier cannot do that for it."
    )


class PairingError(NodeError):
    """The Internet gateway's answer to the registration does not hold."""

    advice = "Check the address or the parameters file, and ask the operator of the Internet gateway."


class NotInitialisedError(NodeError):
    """The data directory holds no node of this kind."""

    advice = "Run the init command first."
