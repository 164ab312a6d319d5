# SPDX-License-Identifier: MIT
"""Leases of one process, in memory: they end with it, which is what a crash should do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from awala.spool.model import Carrier, Hop, Item


@dataclass(frozen=True, slots=True)
class _Lease:
    version: int
    until: datetime
    expiry: datetime
    online: bool


class Leases:
    """Which versions are reserved, and until when."""

    __slots__ = ("_by_hop", "_hops")

    def __init__(self) -> None:
        self._by_hop: dict[Hop, dict[int, _Lease]] = {}
        self._hops: dict[int, Hop] = {}

    def held(self, hop: Hop, now: datetime) -> set[tuple[int, int]]:
        """Return key and version of what is reserved at a hop; forget what has ended."""
        leases = self._by_hop.get(hop)
        if leases is None:
            return set()
        for key in [key for key, lease in leases.items() if lease.until <= now]:
            self.drop(key)
        return {(key, lease.version) for key, lease in leases.items()}

    def held_in_lane(self, lane: str, now: datetime) -> dict[str, set[tuple[int, int]]]:
        """Return the same for every hop of a lane that has a lease, by its name."""
        held = {hop.name: self.held(hop, now) for hop in list(self._by_hop) if hop.lane == lane}
        return {name: leases for name, leases in held.items() if leases}

    def take(self, item: Item, until: datetime) -> None:
        """Reserve an item."""
        self.drop(item.key)
        self._by_hop.setdefault(item.hop, {})[item.key] = _Lease(
            item.version, until, item.expiry, bool(item.carriers & Carrier.ONLINE)
        )
        self._hops[item.key] = item.hop

    def drop(self, key: int) -> None:
        """End the lease of an item, if there is one."""
        hop = self._hops.pop(key, None)
        if hop is not None:
            leases = self._by_hop[hop]
            del leases[key]
            if not leases:
                del self._by_hop[hop]

    def drop_version(self, item: Item) -> bool:
        """End the lease of exactly this version; say whether there was one."""
        lease = self._by_hop.get(item.hop, {}).get(item.key)
        if lease is None or lease.version != item.version:
            return False
        self.drop(item.key)
        return True

    def next_end(self, lane: str, now: datetime) -> datetime | None:
        """Return when the next lease of a lane ends whose item is then due on-line again."""
        return min(
            (
                lease.until
                for hop, leases in self._by_hop.items()
                if hop.lane == lane
                for lease in leases.values()
                if lease.online and now < lease.until < lease.expiry
            ),
            default=None,
        )

    def purge(self, now: datetime) -> None:
        """Forget every lease that has ended."""
        for hop in list(self._by_hop):
            self.held(hop, now)
