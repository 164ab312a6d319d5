# SPDX-License-Identifier: MIT
"""The quarantine: parcels that can go no further, kept for a person to look at, within bounds."""

from __future__ import annotations

import asyncio
import json

from awala.base.clock import Clock
from awala.spool.model import Item
from awala.vault import Vault

QUARANTINE = "quarantine"
"""The vault's namespace of parcels in quarantine."""

MAX_PARCELS = 100
"""Parcels in quarantine at once; the oldest makes room for the newest."""

MAX_OCTETS = 32 * 1024 * 1024
"""Octets that the parcels in quarantine may have together: room for the four largest ones."""


class Quarantine:
    """Keeps the newest parcels that a node could do nothing with."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._sizes: dict[str, int] | None = None
        self._changing = asyncio.Lock()

    async def keep(self, item: Item, body: bytes, reason: str) -> None:
        """Put a parcel aside; it is durable when this returns. Raises StorageError, StorageFullError."""
        name = f"{item.identity.sender}/{item.identity.message_id}"
        record = {
            "reason": reason,
            "since": self._clock.now().isoformat(),
            "expires": item.expiry.isoformat(),
            "sender": item.identity.sender,
            "recipient": item.identity.recipient,
            "parcel": body.hex(),
        }
        async with self._changing:
            sizes = await self._load()
            await self._make_room(sizes, name, len(body))
            await self._vault.put_record(QUARANTINE, name, json.dumps(record).encode())
            sizes.pop(name, None)
            sizes[name] = len(body)

    async def _make_room(self, sizes: dict[str, int], name: str, size: int) -> None:
        """Drop the oldest parcels until one more fits."""
        for oldest in [other for other in sizes if other != name]:
            others = [octets for other, octets in sizes.items() if other != name]
            if len(others) < MAX_PARCELS and sum(others) + size <= MAX_OCTETS:
                return
            await self._vault.delete_record(QUARANTINE, oldest)
            del sizes[oldest]

    async def _load(self) -> dict[str, int]:
        """Return the size of each parcel by its name, oldest first; read once."""
        if self._sizes is None:
            found: list[tuple[str, str, int]] = []
            for name, octets in (await self._vault.records(QUARANTINE)).items():
                since, size = _measure(octets)
                found.append((since, name, size))
            self._sizes = {name: size for _, name, size in sorted(found)}
        return self._sizes


def _measure(record: bytes) -> tuple[str, int]:
    """Return since when a parcel is here and its size; a damaged record is the first to go."""
    try:
        document = json.loads(record)
        return str(document.get("since", "")), len(document["parcel"]) // 2
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", len(record)
