# SPDX-License-Identifier: MIT
"""Forgets what this package remembers about senders."""

from __future__ import annotations

from awala.cms.embedded import clear_embedded
from awala.cms.signing import clear_templates


def clear_caches() -> None:
    """Forget signers and certificates of earlier messages; measurements and tests want that."""
    clear_templates()
    clear_embedded()
