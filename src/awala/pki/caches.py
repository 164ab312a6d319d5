# SPDX-License-Identifier: MIT
"""Forgets what this package remembers about certificates."""

from __future__ import annotations

from awala.pki.certificate import clear_certificates
from awala.pki.known_paths import clear_known_paths


def clear_caches() -> None:
    """Forget what was read, verified and found; measurements and tests want that."""
    clear_certificates()
    clear_known_paths()
