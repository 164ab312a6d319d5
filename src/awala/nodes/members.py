# SPDX-License-Identifier: MIT
"""The nodes that registered with a gateway: listed for its owner, who can refuse any of them (rules §11)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from awala.base.errors import ConfigurationError
from awala.bindings.errors import Forbidden, Unauthenticated
from awala.messages import InvalidMessageError, is_routable_id
from awala.vault import Vault


@dataclass(frozen=True, slots=True)
class Member:
    """A node that registered; ``valid_until`` is the end of the certificate it got last.

    Both dates are None for one that was refused before it ever registered.
    """

    id: str
    registered_at: datetime | None
    valid_until: datetime | None
    refused: bool


class Members:
    """Who registered, in the vault; and who is refused, in memory too, since every request asks."""

    def __init__(self, vault: Vault, namespace: str, refused: frozenset[str]) -> None:
        self._vault = vault
        self._namespace = namespace
        self._refused = refused
        self._open: WeakKeyDictionary[asyncio.Event, frozenset[str]] = WeakKeyDictionary()

    @classmethod
    async def load(cls, vault: Vault, namespace: str) -> Members:
        """Read from the vault who is refused."""
        return cls(vault, namespace, frozenset(await vault.records(_refusals(namespace))))

    async def note(self, node_id: str, *, valid_until: datetime, now: datetime) -> None:
        """Remember that a node registered."""
        record = {"registered_at": now.isoformat(), "valid_until": valid_until.isoformat()}
        await self._vault.put_record(self._namespace, node_id, json.dumps(record).encode())

    async def all(self) -> list[Member]:
        """Return every node that registered or is refused, by its id."""
        records = await self._vault.records(self._namespace)
        return [self._member(node_id, records.get(node_id)) for node_id in sorted({*records, *self._refused})]

    async def is_known(self, node_id: str) -> bool:
        """Say whether this node ever registered, and is not refused."""
        return node_id not in self._refused and (
            await self._vault.get_record(self._namespace, node_id) is not None
        )

    async def refuse(self, node_id: str) -> None:
        """Serve this node no longer, from now on and durably; raises ConfigurationError for what is no id."""
        if not is_routable_id(node_id):
            raise ConfigurationError(f"{node_id!r} is not the id of a node")
        await self._vault.put_record(_refusals(self._namespace), node_id, b"")
        self._refused |= {node_id}
        for event, node_ids in self._open.items():
            if node_id in node_ids:
                event.set()

    async def admit(self, node_id: str) -> None:
        """Serve this node again; nothing happens if it is not refused."""
        await self._vault.delete_record(_refusals(self._namespace), node_id)
        self._refused -= {node_id}

    def refusal(self, node_ids: Iterable[str]) -> asyncio.Event:
        """Return an event that is set when one of these nodes is refused: what it has open ends then."""
        event = asyncio.Event()
        self._open[event] = frozenset(node_ids)
        return event

    def require(self, node_id: str) -> None:
        """Raise Unauthenticated if a node that shows a certificate of ours is refused."""
        if node_id in self._refused:
            raise Unauthenticated("this gateway no longer serves the node")

    def require_admission(self, node_id: str) -> None:
        """Raise Forbidden if a node that wants to register is refused."""
        if node_id in self._refused:
            raise Forbidden("this gateway does not serve the node")

    def require_served(self, node_id: str) -> None:
        """Raise InvalidMessageError if a message is for, from or by way of a node that is refused."""
        if node_id in self._refused:
            raise InvalidMessageError(
                "This gateway no longer serves the node that the message is for or from"
            )

    def _member(self, node_id: str, record: bytes | None) -> Member:
        document = json.loads(record) if record is not None else {}
        dates = [_date(document.get(name)) for name in ("registered_at", "valid_until")]
        return Member(node_id, dates[0], dates[1], node_id in self._refused)


def _refusals(namespace: str) -> str:
    return f"{namespace}/refused"


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
