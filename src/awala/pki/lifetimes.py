# SPDX-License-Identifier: MIT
"""How long things are valid, and when they are renewed (rules §2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

CLOCK_TOLERANCE: Final = timedelta(hours=2)
"""How far the clocks of two honest nodes may be apart (RS-000)."""

BACKDATING: Final = timedelta(hours=3)
"""How far in the past validity begins in what we issue and send."""

MAX_CERTIFICATE_LIFE: Final = timedelta(days=180)
"""The longest life of a certificate that we issue, from its beginning to its end (RS-002)."""

GATEWAY_LIFE: Final = MAX_CERTIFICATE_LIFE
"""Life of a gateway's certificate, self-issued or issued to a private gateway."""

INTERNET_GATEWAY_RENEWAL_INTERVAL: Final = timedelta(days=30)
"""How often an Internet gateway renews its self-issued certificate."""

RENEWAL_THRESHOLD: Final = timedelta(days=90)
"""How much life is left when private gateways, endpoints and CDA issuers renew theirs."""

CARGO_DELIVERY_AUTHORIZATION_LIFE: Final = timedelta(days=90)
"""Life of a CDA, and of the CCA that carries it."""

MAX_MESSAGE_LIFE: Final = timedelta(days=180)
"""The longest time from creation to expiry of a message: 15 552 000 seconds (RS-001)."""


def validity(now: datetime, until: datetime | None = None) -> tuple[datetime, datetime]:
    """Return from when and until when a certificate is valid that is issued ``now`` (rules §2).

    It begins three hours ago and lives for 180 days in all, or until ``until`` if that comes first.
    """
    not_before = now - BACKDATING
    longest = not_before + MAX_CERTIFICATE_LIFE
    return not_before, min(until, longest) if until else longest
