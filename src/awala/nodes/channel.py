# SPDX-License-Identifier: MIT
"""What both gateways do alike on their channel by courier: make cargo, take it apart, owe and pay."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.base.errors import AwalaError
from awala.base.files import StorageError
from awala.crypto import IdentityPrivateKey
from awala.messages import (
    Cargo,
    CargoMessageSet,
    MessageType,
    ParcelCollectionAck,
    Recipient,
    recognise,
)
from awala.messages.limits import EMITTED_CARGO_ITEMS, MAX_TTL
from awala.messages.packing import item_cost, room_left
from awala.nodes.background import can_pass, first_of, insist
from awala.nodes.events import Action, EventHub, HopEvent, Way
from awala.nodes.lanes import UNPACK_HOP
from awala.nodes.stored import give_back, readable_body
from awala.pki import Certificate
from awala.pki.lifetimes import BACKDATING
from awala.sessions import Sessions
from awala.spool.model import Debt, Hop, Identity, Item, Kind
from awala.spool.port import Spool

DEBTS_PER_VISIT = 10_000
"""Acknowledgements that leave with one courier; further ones go with the next."""

UNPACK_LEASE = timedelta(hours=1)
"""How long one cargo may take to unpack before another attempt may begin."""

UNPACK_RETRY = timedelta(seconds=30)
"""Wait before a cargo that could not be unpacked for want of room is tried again."""


@dataclass(frozen=True, slots=True)
class CargoRoute:
    """Who a cargo goes to, what it takes, and with which certificate it is signed."""

    recipient: Recipient
    peer_id: str
    hops: tuple[Hop, ...]
    sender_certificate: Certificate
    sender_chain: tuple[Certificate, ...]
    target_size: int


@dataclass(frozen=True, slots=True)
class PreparedCargo:
    """A cargo that is ready to leave, and the debts that are paid once a courier has it."""

    delivery_id: str
    octets: bytes
    debts: tuple[Debt, ...]
    items: int


@dataclass(frozen=True, slots=True)
class _Load:
    """What goes into one cargo: octets of each item, and the latest expiry among them."""

    messages: tuple[bytes, ...]
    expiry: datetime
    debts: tuple[Debt, ...]


class CargoMaker:
    """Packs what rests for a peer into as few cargoes as its target size allows."""

    def __init__(
        self, *, key: IdentityPrivateKey, spool: Spool, sessions: Sessions, clock: Clock, events: EventHub
    ) -> None:
        self._key = key
        self._spool = spool
        self._sessions = sessions
        self._clock = clock
        self._events = events

    async def cargoes(self, route: CargoRoute, control: Sequence[bytes] = ()) -> AsyncIterator[PreparedCargo]:
        """Make the cargoes for a peer one after the other, each just before it leaves.

        Acknowledgements come first, then the ``control`` messages given, then
        parcels in the spool's order. Those that exceed the target alone go last: a peer
        that cannot take them ends the call there (decision 53). Nothing is made when there is nothing to say.
        """
        *full, load = await self._first_loads(route, control)
        for each in full:
            yield await self._seal(route, each)
        last: Item | None = None
        large: list[Item] = []
        while True:
            items = await self._next_items(route, load, last)
            if not items and not load.messages:
                break
            last = items[-1] if items else last
            if len(items) == 1 and item_cost(items[0].size) > room_left((), route.target_size):
                large += items
                continue
            bodies = await self._bodies(items)
            load = _Load(
                (*load.messages, *bodies), max([load.expiry, *(item.expiry for item in items)]), load.debts
            )
            if load.messages:
                yield await self._seal(route, load)
            load = _Load((), self._clock.now(), ())
        for item in large:
            if bodies := await self._bodies([item]):
                yield await self._seal(route, _Load(tuple(bodies), item.expiry, ()))

    async def _first_loads(self, route: CargoRoute, control: Sequence[bytes]) -> list[_Load]:
        """Return what goes first, one load at least; only the last one has room for more.

        That is the acknowledgements that are owed, and control messages behind the last of them.
        """
        now = self._clock.now()
        debts = await self._spool.debts(route.peer_id, now=now, limit=DEBTS_PER_VISIT)
        in_each = EMITTED_CARGO_ITEMS - len(control)
        *full, rest = [debts[start : start + in_each] for start in range(0, len(debts), in_each)] or [[]]
        end_of_control = [route.sender_certificate.not_after] if control else []
        return [
            *(_Load(_acks(batch), max(debt.expiry for debt in batch), tuple(batch)) for batch in full),
            _Load(
                (*_acks(rest), *control),
                max([*end_of_control, *(debt.expiry for debt in rest)], default=now),
                tuple(rest),
            ),
        ]

    async def _next_items(self, route: CargoRoute, load: _Load, last: Item | None) -> list[Item]:
        """List the next items that fit beside what is loaded; alone in a cargo, one of any size fits."""
        room = room_left(map(len, load.messages), route.target_size)
        items = await self._list(route.hops, max(room, 0), last)
        fitting: list[Item] = []
        for item in items[: EMITTED_CARGO_ITEMS - len(load.messages)]:
            room -= item_cost(item.size)
            if room < 0 and (fitting or load.messages):
                break
            fitting.append(item)
        return fitting

    async def _list(self, hops: Sequence[Hop], budget: int, last: Item | None) -> list[Item]:
        """List items after the ``last`` one, of the first hop that has any."""
        begun = hops.index(last.hop) if last is not None else 0
        for hop in hops[begun:]:
            after = last if last is not None and last.hop == hop else None
            items = await self._spool.snapshot(hop, now=self._clock.now(), budget=budget, after=after)
            if items:
                return items
        return []

    async def _bodies(self, items: Sequence[Item]) -> list[bytes]:
        """Read the items' octets and mark those that can be read as offered."""
        present: list[Item] = []
        bodies: list[bytes] = []
        for item in items:
            body = await readable_body(self._spool, item)
            if body is not None:
                present.append(item)
                bodies.append(body)
        await self._spool.offered(present)
        for item in present:
            self._events.emit(
                HopEvent(
                    self._clock.now(),
                    Action.OFFERED,
                    item.identity.kind.value,
                    item.identity.message_id,
                    Way.CARGO,
                    item.size,
                )
            )
        return bodies

    async def _seal(self, route: CargoRoute, load: _Load) -> PreparedCargo:
        now = self._clock.now()
        plaintext = CargoMessageSet(load.messages).serialize()
        payload = await self._sessions.seal(
            plaintext, own_id=self._key.node_id, peer_id=route.peer_id, now=now
        )
        created = (now - BACKDATING).replace(microsecond=0)
        end = min([load.expiry, *(c.not_after for c in (route.sender_certificate, *route.sender_chain))])
        ttl = min(max(int((end - created).total_seconds()), 0), MAX_TTL)
        cargo = Cargo(
            recipient=route.recipient,
            message_id=str(uuid.uuid4()),
            creation_date=created,
            ttl=ttl,
            payload=payload,
            sender_certificate=route.sender_certificate,
            sender_chain=route.sender_chain,
        )
        octets = await asyncio.to_thread(cargo.serialize, self._key)
        return PreparedCargo(str(uuid.uuid4()), octets, load.debts, len(load.messages))


def _acks(debts: Sequence[Debt]) -> tuple[bytes, ...]:
    return tuple(ParcelCollectionAck(d.sender, d.recipient, d.message_id).serialize() for d in debts)


UnpackParcel = Callable[[bytes, str], Awaitable[None]]
"""Routes a parcel's octets that came in cargo from the peer named; raises StorageFullError to try later."""

UnpackControl = Callable[[bytes, str], Awaitable[None]]
"""Takes a control message that came in cargo from the peer named; raises StorageFullError to try later."""


class Unpacker:
    """Takes stored cargo apart; it can be stopped anywhere and begun again.

    Every item is taken over by itself, idempotently; the cargo goes last.
    """

    def __init__(
        self,
        *,
        own_id: str,
        spool: Spool,
        sessions: Sessions,
        clock: Clock,
        events: EventHub,
        peer_hops: Callable[[str], Sequence[Hop]],
        on_parcel: UnpackParcel,
        on_control: Mapping[MessageType, UnpackControl],
    ) -> None:
        self._own_id = own_id
        self._spool = spool
        self._sessions = sessions
        self._clock = clock
        self._events = events
        self._peer_hops = peer_hops
        self._on_parcel = on_parcel
        self._on_control = on_control
        self._settled = asyncio.Event()
        self._settled.set()

    async def run(self) -> None:
        """Unpack cargo as it arrives, until cancelled."""
        while True:
            cursor = self._spool.cursor(UNPACK_HOP)
            items = await insist(
                self._clock,
                lambda: self._spool.lease(UNPACK_HOP, now=self._clock.now(), duration=UNPACK_LEASE),
            )
            if items:
                self._settled.clear()
                await self._unpack_item(items[0])
                continue
            self._settled.set()
            await first_of(
                self._spool.changed(UNPACK_HOP, cursor), self._clock.sleep(UNPACK_RETRY.total_seconds())
            )

    async def settle(self) -> None:
        """Return when no stored cargo is waiting to be unpacked, or after a bounded wait."""
        with suppress(TimeoutError, StorageError):
            async with asyncio.timeout(UNPACK_RETRY.total_seconds()):
                while UNPACK_HOP in await self._spool.totals():
                    self._settled.clear()
                    await self._settled.wait()

    async def _unpack_item(self, item: Item) -> None:
        try:
            body = await self._spool.body(item)
            if body is None:
                await give_back(self._spool, [item])
                return
            count = await self._unpack(Cargo.parse(body))
        except asyncio.CancelledError:
            await asyncio.shield(give_back(self._spool, [item]))
            raise
        except AwalaError as error:
            await self._put_aside(item, error)
            return
        await insist(self._clock, lambda: self._spool.release([item], now=self._clock.now()))
        self._report(Action.UNPACKED, item, f"{count} items")

    async def _put_aside(self, item: Item, error: AwalaError) -> None:
        """Wait out a fault that can pass; drop a cargo that can never be read."""
        now = self._clock.now()
        if can_pass(error):
            await insist(self._clock, lambda: self._spool.retry_at(item, now + UNPACK_RETRY))
            self._report(Action.POSTPONED, item, str(error))
        else:
            await insist(self._clock, lambda: self._spool.refuse(item, now=now))
            self._report(Action.DROPPED, item, str(error))

    async def _unpack(self, cargo: Cargo) -> int:
        now = self._clock.now()
        plaintext = await self._sessions.open(
            cargo.payload,
            own_id=self._own_id,
            peer_id=cargo.sender_id,
            message_date=cargo.creation_date,
            now=now,
        )
        messages = CargoMessageSet.parse(plaintext).items
        for message in messages:
            await self._take(message, cargo.sender_id)
        return len(messages)

    async def _take(self, message: bytes, peer_id: str) -> None:
        """Take one item; one that is bad is dropped and leaves the others untouched."""
        try:
            match recognise(message):
                case MessageType.PARCEL:
                    await self._on_parcel(message, peer_id)
                case MessageType.PCA:
                    await self._acknowledge(ParcelCollectionAck.parse(message), peer_id)
                case MessageType() as kind if kind in self._on_control:
                    await self._on_control[kind](message, peer_id)
                case _:
                    self._drop(message, "a message of a kind that is not for this node")
        except AwalaError as error:
            if can_pass(error):
                raise
            self._drop(message, str(error))

    async def _acknowledge(self, ack: ParcelCollectionAck, peer_id: str) -> None:
        identity = Identity(Kind.PARCEL, ack.sender_id, ack.recipient_id, ack.parcel_id)
        now = self._clock.now()
        for hop in self._peer_hops(peer_id):
            if await self._spool.acknowledge(identity, hop=hop, now=now):
                action = Action.ACKNOWLEDGED
                self._events.emit(HopEvent(now, action, Kind.PARCEL.value, ack.parcel_id, Way.CARGO))
                return

    def _drop(self, message: bytes, reason: str) -> None:
        self._events.emit(
            HopEvent(self._clock.now(), Action.DROPPED, "cargo-item", "", Way.CARGO, len(message), reason)
        )

    def _report(self, action: Action, item: Item, reason: str) -> None:
        self._events.emit(
            HopEvent(
                self._clock.now(),
                action,
                item.identity.kind.value,
                item.identity.message_id,
                Way.CARGO,
                item.size,
                reason,
            )
        )
