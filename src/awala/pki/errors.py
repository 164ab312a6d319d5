# SPDX-License-Identifier: MIT
"""Errors of certificates and certification paths."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from awala.base.errors import AwalaError

if TYPE_CHECKING:
    from awala.pki.certificate import Certificate


class PkiError(AwalaError):
    """Base of the errors of this package."""


class CertificateError(PkiError):
    """A certificate that cannot be read, issued, or traced to the issuer that was named."""

    advice = "Ask whoever issued the certificate for a new one."


class PathProblem(Enum):
    """Why no certification path was found; the value completes a sentence about a certificate."""

    NO_ISSUER = "has no issuer among the certificates at hand"
    BAD_SIGNATURE = "does not have the signature of the issuer that it names"
    NOT_YET_VALID = "is not valid yet"
    EXPIRED = "has expired"
    NOT_AN_AUTHORITY = "may not issue certificates"
    PATH_TOO_LONG = "may not stand above so many others"
    UNKNOWN_CRITICAL_EXTENSION = "has a critical extension that is not known here"
    WRONG_ROLE = "does not have the role that its place in the path asks for"
    TOO_MANY_CERTIFICATES = "comes with more certificates than any path needs"


class PathError(PkiError):
    """No certification path that the policy allows; it names the certificate where the best try failed."""

    advice = "Check the clocks of both sides; if they are right, the sender has to renew its certificates."

    def __init__(self, certificate: Certificate | None, reason: PathProblem) -> None:
        which = (
            "a certificate"
            if certificate is None
            else f"the certificate with serial {certificate.serial.hex()}"
        )
        super().__init__(f"{which} {reason.value}")
        self.certificate = certificate
        """The certificate that failed."""
        self.reason = reason
        """What was wrong with it."""
