# SPDX-License-Identifier: MIT
"""The quarantine: parcels that can go no further, kept for a person to look at, within bounds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from awala.base.clock import Clock
from awala.spool.model import Item
from awala.vault import Vault

QUARANTINE = "quarantine"
"""The vault's namespace of parcels in quarantine."""

MAX_PARCELS = 100
"""Parcels in quarantine at once; the oldest makes room for the newest."""

MAX_OCTETS = 32 * 1024 * 1024
"""Octets that the parcels in quarantine may have together: room for the four largest ones."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What must be known of a parcel in quarantine to keep the bounds, and to keep it readable."""

    size: int
    session_key: bytes | None


class Quarantine:
    """Keeps the newest parcels that a node could do nothing with."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._parcels: dict[str, _Kept] | None = None
        self._changing = asyncio.Lock()

    async def keep(self, item: Item, body: bytes, reason: str, session_key: bytes | None = None) -> None:
        """Put a parcel aside; it is durable when this returns. Raises StorageError, StorageFullError.

        ``session_key`` is the id of the key of ours that it takes to open it, if it is for us.
        """
        name = f"{item.identity.sender}/{item.identity.message_id}"
        record = {
            "reason": reason,
            "since": self._clock.now().isoformat(),
            "expires": item.expiry.isoformat(),
            "sender": item.identity.sender,
            "recipient": item.identity.recipient,
            "session_key": None if session_key is None else session_key.hex(),
            "parcel": body.hex(),
        }
        async with self._changing:
            parcels = await self._load()
            await self._make_room(parcels, name, len(body))
            await self._vault.put_record(QUARANTINE, name, json.dumps(record).encode())
            parcels.pop(name, None)
            parcels[name] = _Kept(len(body), session_key)

    async def session_keys(self) -> set[bytes]:
        """Return the ids of the keys of ours that it takes to open what is here (rules §7)."""
        async with self._changing:
            parcels = await self._load()
            return {parcel.session_key for parcel in parcels.values() if parcel.session_key is not None}

    async def _make_room(self, parcels: dict[str, _Kept], name: str, size: int) -> None:
        """Drop the oldest parcels until one more fits."""
        for oldest in [other for other in parcels if other != name]:
            others = [parcel.size for other, parcel in parcels.items() if other != name]
            if len(others) < MAX_PARCELS and sum(others) + size <= MAX_OCTETS:
                return
            await self._vault.delete_record(QUARANTINE, oldest)
            del parcels[oldest]

    async def _load(self) -> dict[str, _Kept]:
        """Return what is known of each parcel by its name, oldest first; read once."""
        if self._parcels is None:
            found: list[tuple[str, str, _Kept]] = []
            for name, octets in (await self._vault.records(QUARANTINE)).items():
                since, parcel = _describe(octets)
                found.append((since, name, parcel))
            found.sort(key=lambda each: each[:2])
            self._parcels = {name: parcel for _, name, parcel in found}
        return self._parcels


def _describe(record: bytes) -> tuple[str, _Kept]:
    """Return since when a parcel is here, and what it is; a damaged record is the first to go."""
    try:
        document = json.loads(record)
        key = document.get("session_key")
        parcel = _Kept(len(document["parcel"]) // 2, None if key is None else bytes.fromhex(key))
        return str(document.get("since", "")), parcel
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", _Kept(len(record), None)
