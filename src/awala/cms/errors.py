# SPDX-License-Identifier: MIT
"""Errors of signed and enveloped data."""

from __future__ import annotations

from awala.base.errors import AwalaError
from awala.crypto import DecryptionError, InvalidSignatureError


class CmsError(AwalaError):
    """Signed or enveloped data that is malformed, not in a form that Awala allows, or cannot be made."""

    advice = "The data is damaged, or was made by something that does not follow the protocol."


class CmsSignatureError(CmsError, InvalidSignatureError):
    """Signed data whose signature does not match its content or its signer."""

    advice = InvalidSignatureError.advice


class CmsDecryptionError(CmsError, DecryptionError):
    """Enveloped data that the key at hand does not open; why is not said."""

    advice = DecryptionError.advice
