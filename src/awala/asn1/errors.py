# SPDX-License-Identifier: MIT
"""The one error of this package."""

from __future__ import annotations

from awala.base.errors import AwalaError


class Asn1Error(AwalaError):
    """Octets that are not the ASN.1 value that was due, or a value that DER cannot hold."""

    advice = "The data is damaged, or was made by something that does not follow the protocol."
