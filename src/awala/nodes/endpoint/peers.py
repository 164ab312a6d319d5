# SPDX-License-Identifier: MIT
"""The peers of an endpoint: who they are, where they are reached, what we allowed them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from awala.crypto import IdentityPublicKey
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
    of what we last allowed it, or None.
    """

    id: str
    kind: PeerKind
    key: IdentityPublicKey
    address: str | None
    granted_until: datetime | None = None
    name: str = ""


class PeerBook:
    """The peers of one endpoint, kept in the vault."""

    def __init__(self, vault: Vault, own_id: str) -> None:
        self._vault = vault
        self._namespace = f"peers/{own_id}"

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

    async def note_grant(self, peer: Peer, until: datetime) -> Peer:
        """Remember until when a peer may send to us."""
        updated = replace(peer, granted_until=until)
        await self.save(updated)
        return updated

    async def note_withdrawal(self, peer_id: str) -> None:
        """Remember that a peer may no longer send to us."""
        peer = await self.get(peer_id)
        if peer is not None and peer.granted_until is not None:
            await self.save(replace(peer, granted_until=None))

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
    }
    return json.dumps(document).encode()


def _read(record: bytes) -> Peer:
    document = json.loads(record)
    granted = document["granted_until"]
    return Peer(
        id=document["id"],
        kind=PeerKind(document["kind"]),
        key=IdentityPublicKey.load(bytes.fromhex(document["key"])),
        address=document["address"],
        granted_until=datetime.fromisoformat(granted) if granted else None,
        name=document["name"],
    )
