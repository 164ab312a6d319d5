# SPDX-License-Identifier: MIT
"""The spool: the one durable store in which a node keeps messages on their way."""

from __future__ import annotations

from awala.spool.memory import MemorySpool
from awala.spool.model import (
    Arrival,
    Carrier,
    Debt,
    Hop,
    Identity,
    Item,
    Kind,
    Outcome,
    Priority,
    Totals,
    Usage,
)
from awala.spool.port import Spool
from awala.spool.sqlite import SqliteSpool
from awala.spool.timekeeping import ClockState

__all__ = [
    "Arrival",
    "Carrier",
    "ClockState",
    "Debt",
    "Hop",
    "Identity",
    "Item",
    "Kind",
    "MemorySpool",
    "Outcome",
    "Priority",
    "Spool",
    "SqliteSpool",
    "Totals",
    "Usage",
]
