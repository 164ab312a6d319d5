# SPDX-License-Identifier: MIT
"""Reads the test vectors that the two reference libraries made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "vectors"

AT = datetime(2026, 11, 21, 0, 55, 0, tzinfo=UTC)
"""The moment as of which all vectors but ``realcda.der`` are to be judged."""

REAL_CDA_AT = datetime(2026, 11, 21, 1, 5, 0, tzinfo=UTC)
"""The moment as of which ``realcda.der`` is to be judged."""

STACKS = ("js", "jvm")


def vector(stack: str, name: str) -> bytes:
    """Return the octets of one vector."""
    return (DIRECTORY / stack / name).read_bytes()
