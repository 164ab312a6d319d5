# SPDX-License-Identifier: MIT
"""Arrivals and debts by description, for tests of the spool and of what stands on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from awala.spool import Arrival, Carrier, Debt, Hop, Identity, Kind, Priority

NOW = datetime(2026, 5, 4, 12, 30, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
HOP = Hop("gateway", "0aa")
OTHER_HOP = Hop("gateway", "0bb")
LARGE = 64 * 1024 + 1
"""The size from which a body is a file."""


def identity(message_id: str = "m1", **changes: object) -> Identity:
    return Identity(
        **{"kind": Kind.PARCEL, "sender": "0s", "recipient": "0r", "message_id": message_id} | changes
    )


def arrival(
    message_id: str = "m1",
    body: bytes = b"body",
    *,
    created: timedelta = -HOUR,
    expiry: timedelta = 24 * HOUR,
    hop: Hop = HOP,
    carriers: Carrier = Carrier.ANY,
    priority: Priority = Priority.BULK,
    owed_to: str | None = None,
    kind: Kind = Kind.PARCEL,
) -> Arrival:
    """Describe an arrival; times are given from NOW."""
    return Arrival(
        identity(message_id, kind=kind),
        hop,
        NOW + created,
        NOW + expiry,
        body,
        carriers,
        priority,
        owed_to,
    )


def debt(message_id: str = "m1", *, peer: str = "0p", expiry: timedelta = 24 * HOUR) -> Debt:
    return Debt(peer, "0s", "0r", message_id, NOW + expiry)


class Stopwatch:
    """Time that passes when it is told to, whatever a clock shows: a spool's ``monotonic``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def run(self, passed: timedelta) -> None:
        self.seconds += passed.total_seconds()
