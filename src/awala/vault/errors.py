# SPDX-License-Identifier: MIT
"""What can go wrong with a vault."""

from __future__ import annotations

from awala.base.errors import AwalaError


class VaultError(AwalaError):
    """The vault cannot be used as asked, or holds what cannot be read."""


class VaultLockedError(VaultError):
    """The vault is protected, and the passphrase is missing or wrong."""

    advice = "Give the passphrase with which the vault was created."
