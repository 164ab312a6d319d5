# SPDX-License-Identifier: MIT
"""The peers of an endpoint: who they are, where they are reached, what we allowed them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from awala.crypto import IdentityPublicKey
from awala.pki import RateLimit
from awala.vault import Vault


class PeerKind(Enum):
    """How a peer is reached."""

    INTERNET = "internet"
    """An Internet endpoint: anybody may send to it."""

    PRIVATE = "private"
    """An endpoint behind a private gateway: it must have authorised us."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of one of our endpoints.

    ``address`` is the Internet address of the peer, or of the Internet gateway
    that it is behind; None until it has told us. ``granted_until`` is the end
    of what we last allowed it, or None; ``granted_at`` is when that was, and
    ``granted_under`` names what we were reached under then. ``rate_limit`` goes into what we allow it.
    """

    id: str
    kind: PeerKind
    key: IdentityPublicKey
    address: str | None
    granted_until: datetime | None = None
    name: str = ""
    granted_at: datetime | None = None
    granted_under: str = ""
    rate_limit: RateLimit | None = None


Outcome = TypeVar("Outcome", Peer, Peer | None)


class PeerBook:
    """The peers of one endpoint, kept in the vault."""

    def __init__(self, vault: Vault, own_id: str) -> None:
        self._vault = vault
        self._namespace = f"peers/{own_id}"
        self._changing = asyncio.Lock()

    async def get(self, peer_id: str) -> Peer | None:
        """Return a peer, or None if it is not known."""
        record = await self._vault.get_record(self._namespace, peer_id)
        return None if record is None else _read(record)

    async def all(self) -> list[Peer]:
        """Return all peers."""
        records = await self._vault.records(self._namespace)
        return [_read(record) for record in records.values()]

    async def save(self, peer: Peer) -> None:
        """Add a peer, or replace what was known of it."""
        await self._vault.put_record(self._namespace, peer.id, _write(peer))

    async def update(self, peer_id: str, change: Callable[[Peer | None], Outcome]) -> Outcome:
        """Save what ``change`` makes of what is known of a peer, as one step; None changes nothing."""
        async with self._changing:
            peer = change(await self.get(peer_id))
            if peer is not None:
                await self.save(peer)
            return peer

    async def note_grant(self, peer: Peer, *, until: datetime, at: datetime, under: str) -> None:
        """Remember until when a peer may send to us, when we said so, and what we are reached under."""
        grant: dict[str, Any] = {"granted_until": until, "granted_at": at, "granted_under": under}
        await self.update(peer.id, lambda known: replace(known or peer, **grant))

    async def note_withdrawal(self, peer_id: str) -> None:
        """Remember that a peer may no longer send to us."""
        await self.update(peer_id, lambda known: replace(known, granted_until=None) if known else None)

    async def forget(self, peer_id: str) -> None:
        """Remove a peer."""
        await self._vault.delete_record(self._namespace, peer_id)


def _write(peer: Peer) -> bytes:
    document = {
        "id": peer.id,
        "kind": peer.kind.value,
        "key": peer.key.spki.hex(),
        "address": peer.address,
        "granted_until": peer.granted_until.isoformat() if peer.granted_until else None,
        "name": peer.name,
        "granted_at": peer.granted_at.isoformat() if peer.granted_at else None,
        "granted_under": peer.granted_under,
        "rate_limit": _write_limit(peer.rate_limit),
    }
    return json.dumps(document).encode()


def _read(record: bytes) -> Peer:
    document = json.loads(record)
    until, at = document["granted_until"], document.get("granted_at")
    return Peer(
        id=document["id"],
        kind=PeerKind(document["kind"]),
        key=IdentityPublicKey.load(bytes.fromhex(document["key"])),
        address=document["address"],
        granted_until=datetime.fromisoformat(until) if until else None,
        name=document["name"],
        granted_at=datetime.fromisoformat(at) if at else None,
        granted_under=document.get("granted_under", ""),
        rate_limit=_read_limit(document.get("rate_limit")),
    )


def _write_limit(limit: RateLimit | None) -> list[float] | None:
    return None if limit is None else [limit.limit, limit.period.total_seconds()]


def _read_limit(numbers: list[float] | None) -> RateLimit | None:
    return None if numbers is None else RateLimit(int(numbers[0]), timedelta(seconds=numbers[1]))
