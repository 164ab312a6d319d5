# SPDX-License-Identifier: MIT
"""The order in which the targets of an SRV record set are tried (RFC 2782)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from random import Random

from awala.bindings.addressing.model import Target


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record."""

    priority: int
    weight: int
    target: Target


def order(records: Iterable[ServiceRecord], random: Random) -> list[Target]:
    """Return all targets: lower priorities first, within one by chance in proportion to the weights."""
    ordered: list[Target] = []
    by_priority = sorted(records, key=attrgetter("priority", "weight"))
    for _, group in groupby(by_priority, key=attrgetter("priority")):
        # Weight 0 comes first in the running sum, so that it is drawn rarely but not never.
        remaining = list(group)
        while remaining:
            ordered.append(remaining.pop(_draw(remaining, random)).target)
    return ordered


def _draw(records: list[ServiceRecord], random: Random) -> int:
    drawn = random.randint(0, sum(record.weight for record in records))
    running = 0
    for index, record in enumerate(records):
        running += record.weight
        if running >= drawn:
            return index
    return len(records) - 1  # pragma: no cover - the running sum always reaches the draw
