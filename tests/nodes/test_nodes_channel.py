# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from awala.base.errors import StorageFullError
from awala.base.sqlite import StorageError
from awala.messages import (
    Cargo,
    CargoMessageSet,
    CertificateRotation,
    MalformedMessageError,
    MessageType,
    ParcelCollectionAck,
    Recipient,
)
from awala.messages.limits import CARGO_TARGET_INTERNET, MAX_PARCEL_SIZE, MAX_SDU
from awala.nodes import channel as module
from awala.nodes.channel import CargoMaker, CargoRoute, Unpacker
from awala.nodes.events import Action, EventHub
from awala.nodes.lanes import UNPACK_HOP
from awala.pki import CertificationPath, Role
from awala.sessions import Sessions
from awala.spool import Arrival, Carrier, Hop, Identity, Kind, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    HOUR,
    IGW,
    IGW_CERT,
    NOW,
    PGW,
    PGW_CERT,
    Recorder,
    certify,
    drive,
    parcel,
    running,
    until,
)
from helpers.spool_items import debt

HOP = Hop("uplink", IGW.node_id)
ROTATION = CertificateRotation(CertificationPath(PGW_CERT, (IGW_CERT,))).serialize()


class Channel:
    """A private gateway that makes cargo, and an Internet gateway that takes it apart."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.spool, self.far_spool = MemorySpool(), MemorySpool()
        self.sessions, self.far_sessions = (
            Sessions(MemoryVault().session_keys),
            Sessions(MemoryVault().session_keys),
        )
        hub, far_hub = EventHub(), EventHub()
        self.events, self.far_events = Recorder(hub), Recorder(far_hub)
        self.maker = CargoMaker(key=PGW, spool=self.spool, sessions=self.sessions, clock=clock, events=hub)
        self.parcels: list[bytes] = []
        self.rotations: list[bytes] = []
        self.errors: dict[bytes, Exception] = {}
        self.unpacker = Unpacker(
            own_id=IGW.node_id,
            spool=self.far_spool,
            sessions=self.far_sessions,
            clock=clock,
            events=far_hub,
            peer_hops=lambda peer_id: [Hop("gateway", peer_id)],
            on_parcel=self._on_parcel,
            on_control={MessageType.CERTIFICATE_ROTATION: self._on_rotation},
        )

    async def _on_parcel(self, octets, peer_id):
        assert peer_id == PGW.node_id
        if octets in self.errors:
            raise self.errors[octets]
        self.parcels.append(octets)

    async def _on_rotation(self, octets, peer_id):
        assert peer_id == PGW.node_id
        self.rotations.append(octets)

    def route(self, target=CARGO_TARGET_INTERNET, certificate=PGW_CERT):
        return CargoRoute(Recipient(IGW.node_id, ADDRESS), IGW.node_id, (HOP,), certificate, (), target)

    async def put(self, *bodies, expiry=DAY, first=0):
        arrivals = [
            Arrival(Identity(Kind.PARCEL, "0s", "0r", f"m{number}"), HOP, NOW - HOUR, NOW + expiry, body)
            for number, body in enumerate(bodies, first)
        ]
        await self.spool.accept(arrivals, now=self.clock.now())

    async def make(self, target=CARGO_TARGET_INTERNET, control=(), **changes):
        return [each async for each in self.maker.cargoes(self.route(target, **changes), control)]

    async def read(self, octets):
        """Open a cargo as its recipient would."""
        cargo = Cargo.parse(octets)
        cargo.validate(self.clock.now())
        plaintext = await self.far_sessions.open(
            cargo.payload,
            own_id=IGW.node_id,
            peer_id=PGW.node_id,
            message_date=cargo.creation_date,
            now=self.clock.now(),
        )
        return CargoMessageSet.parse(plaintext).items

    async def store(self, octets, message_id="c1", created=-HOUR):
        await self.far_spool.accept(
            [
                Arrival(
                    Identity(Kind.CARGO, PGW.node_id, IGW.node_id, message_id),
                    UNPACK_HOP,
                    NOW + created,
                    NOW + 5 * DAY,
                    octets,
                )
            ],
            now=self.clock.now(),
        )

    async def bring(self, *messages, message_id="c1"):
        """Store a cargo with these messages at the recipient."""
        payload = await self.sessions.seal(
            CargoMessageSet(messages).serialize(), own_id=PGW.node_id, peer_id=IGW.node_id, now=NOW
        )
        octets = Cargo(
            Recipient(IGW.node_id, ADDRESS), message_id, NOW - HOUR, 86_400, payload, PGW_CERT
        ).serialize(PGW)
        await self.store(octets, message_id)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def channel(clock):
    channel = Channel(clock)
    key = await channel.far_sessions.hand_out(
        own_id=IGW.node_id, peer_id=PGW.node_id, now=NOW, until=NOW + DAY
    )
    await channel.sessions.adopt(key, own_id=PGW.node_id, peer_id=IGW.node_id, as_of=NOW - 3 * HOUR)
    return channel


async def test_nothing_is_made_when_there_is_nothing_to_say(channel):
    assert await channel.make() == []


async def test_small_parcels_share_a_cargo(channel):
    await channel.put(b"a", b"b", b"c")

    [prepared] = await channel.make()

    assert await channel.read(prepared.octets) == (b"a", b"b", b"c")
    assert prepared.items == 3
    assert [event.action for event in channel.events.events] == [Action.OFFERED] * 3


@pytest.mark.rule("1.15")
async def test_parcels_are_spread_over_cargoes_of_the_target_size(channel):
    await channel.put(*(bytes([n]) * 400 for n in range(7)))

    cargoes = await channel.make(target=1300)
    contents = [await channel.read(each.octets) for each in cargoes]

    assert [len(content) for content in contents] == [3, 3, 1]
    assert sorted(item[0] for content in contents for item in content) == list(range(7))


@pytest.mark.rule("1.15")
async def test_a_parcel_larger_than_the_target_travels_alone(channel):
    await channel.put(b"a" * 100, b"L" * 5000, b"b" * 100)
    await channel.spool.owe([debt("d", peer=IGW.node_id, expiry=timedelta(days=300))])

    contents = [await channel.read(each.octets) for each in await channel.make(target=1000)]

    [large] = [content for content in contents if b"L" * 5000 in content]
    assert len(large) == 1
    assert sum(len(content) for content in contents) == 4


async def test_a_parcel_larger_than_the_target_goes_last_so_that_who_cannot_take_it_gets_the_rest(channel):
    large, target = bytes(5_000), 4_000
    small = [bytes([number]) * 1_500 for number in range(5)]
    await channel.put(small[0], large, *small[1:])

    cargoes = await channel.make(target)

    *sets, alone = [await channel.read(each.octets) for each in cargoes]
    assert [item for each in sets for item in each] == small
    assert alone == (large,)


async def test_a_full_cargo_never_exceeds_what_a_set_may_hold(channel):
    size = MAX_SDU // 400  # what the items cost besides their octets is more than what is left
    count = 405
    await channel.put(*(n.to_bytes(4) + bytes(size - 4) for n in range(count)))

    cargoes = await channel.make()

    assert len(cargoes) == 2
    assert sum(each.items for each in cargoes) == count


async def test_the_largest_parcel_fits_a_cargo(channel):
    await channel.put(bytes(MAX_PARCEL_SIZE))

    [prepared] = await channel.make()

    assert prepared.items == 1


@pytest.mark.rule("4.5")
async def test_acknowledgements_go_first_and_are_paid_by_whoever_took_them(channel):
    owed = [debt(f"d{n}", peer=IGW.node_id, expiry=timedelta(days=300)) for n in range(2)]
    await channel.spool.owe([*owed, debt("x", peer="0other", expiry=timedelta(days=300))])
    await channel.put(b"parcel")

    [prepared] = await channel.make()

    items = await channel.read(prepared.octets)
    assert [ParcelCollectionAck.parse(item).parcel_id for item in items[:2]] == ["d0", "d1"]
    assert items[2] == b"parcel"
    assert [each.message_id for each in prepared.debts] == ["d0", "d1"]
    assert len(await channel.spool.debts(IGW.node_id, now=NOW, limit=9)) == 2


async def test_a_cargo_has_no_more_items_than_every_peer_can_read(channel, monkeypatch):
    monkeypatch.setattr(module, "EMITTED_CARGO_ITEMS", 3)
    await channel.spool.owe([debt(f"d{n}", peer=IGW.node_id, expiry=DAY) for n in range(5)])
    await channel.put(b"one", b"two", b"three")

    cargoes = await channel.make(control=[ROTATION])

    assert [[each.message_id for each in cargo.debts] for cargo in cargoes] == [
        ["d0", "d1"],
        ["d2", "d3"],
        ["d4"],
        [],
    ]
    read = [await channel.read(each.octets) for each in cargoes]
    assert [len(items) for items in read] == [2, 2, 3, 2]
    assert read[2][1:] == (ROTATION, b"one")
    assert read[3] == (b"two", b"three")


async def test_acknowledgements_alone_make_a_cargo_that_lives_as_long_as_they_matter(channel):
    await channel.spool.owe([debt("d", peer=IGW.node_id, expiry=timedelta(days=300))])

    [prepared] = await channel.make()

    assert Cargo.parse(prepared.octets).expiry_date > NOW + 100 * DAY


async def test_a_rotation_alone_makes_a_cargo_that_survives_the_way(channel):
    [prepared] = await channel.make(control=[ROTATION])

    cargo = Cargo.parse(prepared.octets)
    assert await channel.read(prepared.octets) == (ROTATION,)
    assert cargo.expiry_date > NOW + 30 * DAY


async def test_only_the_first_cargo_has_what_is_said_once(channel):
    await channel.put(b"a" * 600, b"b" * 600)
    first, second = [
        await channel.read(c.octets) for c in await channel.make(target=2500, control=[ROTATION])
    ]

    assert ROTATION in first
    assert ROTATION not in second


@pytest.mark.rule("2.10")
async def test_a_cargo_expires_with_its_contents_or_its_certificate(channel):
    await channel.put(b"short", expiry=HOUR)
    short = certify(PGW, IGW, IGW_CERT, Role.GATEWAY, life=2 * DAY)
    [soon] = await channel.make()
    await channel.put(b"long", expiry=100 * DAY, first=5)
    [capped] = await channel.make(certificate=short)

    assert Cargo.parse(soon.octets).expiry_date == NOW + HOUR
    assert Cargo.parse(capped.octets).expiry_date == short.not_after


async def test_cargoes_are_made_one_by_one_as_they_are_taken(channel):
    await channel.put(b"a" * 600, b"b" * 600)
    cargoes = channel.maker.cargoes(channel.route(target=1000))

    await anext(cargoes)
    assert len(channel.events.events) == 1
    await cargoes.aclose()


async def test_a_parcel_that_went_on_line_meanwhile_is_left_out(channel, monkeypatch):
    await channel.put(b"a", b"b")
    read = channel.spool.body

    async def gone(item):
        return None if item.identity.message_id == "m0" else await read(item)

    monkeypatch.setattr(channel.spool, "body", gone)
    [prepared] = await channel.make()
    assert await channel.read(prepared.octets) == (b"b",)

    monkeypatch.setattr(channel.spool, "body", lambda _: asyncio.sleep(0))
    assert await channel.make() == []


async def test_unpacks_every_kind_of_item(channel):
    _, octets = parcel()
    ack = ParcelCollectionAck("0" + "a" * 64, "0" + "b" * 64, "gone").serialize()
    await channel.bring(ack, octets, ROTATION)
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)

    assert (channel.parcels, channel.rotations) == ([octets], [ROTATION])
    assert channel.far_events.events[-1].reason == "3 items"
    assert not await channel.far_spool.totals()


async def test_a_bad_item_leaves_the_others(channel):
    _, octets = parcel()
    bad = parcel()[1]
    channel.errors[bad] = MalformedMessageError("damaged")
    await channel.bring(b"rubbish", bad, b"Awala\x51\x00broken acknowledgement", octets)
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)

    assert channel.parcels == [octets]
    assert channel.far_events.actions.count("dropped") == 3


@pytest.mark.parametrize("octets", [b"rubbish", b""])
async def test_poison_is_dropped_and_the_next_cargo_unpacked(channel, octets):
    await channel.store(octets, "poison")
    good = parcel()[1]
    await channel.bring(good, message_id="good")
    async with running(channel.unpacker.run()):
        await until(lambda: channel.parcels)
        async with asyncio.timeout(5):
            await channel.unpacker.settle()

    assert channel.far_events.actions == ["dropped", "unpacked"]


async def test_a_cargo_in_an_unknown_session_is_dropped(channel):
    await channel.store(
        Cargo(Recipient(IGW.node_id), "c9", NOW - HOUR, 86_400, b"not sealed", PGW_CERT).serialize(PGW)
    )
    async with running(channel.unpacker.run()):
        await until(lambda: channel.far_events.actions == ["dropped"])


@pytest.mark.rule("4.13")
async def test_want_of_room_postpones_the_cargo_and_takes_nothing_twice(channel, clock, monkeypatch):
    monkeypatch.setattr(module, "UNPACK_RETRY", timedelta(seconds=0.05))
    first, second = parcel()[1], parcel()[1]
    channel.errors[second] = StorageFullError("full")
    await channel.bring(first, second)
    async with running(channel.unpacker.run()):
        await until(lambda: "postponed" in channel.far_events.actions)
        channel.errors.clear()
        await drive(clock, lambda: "unpacked" in channel.far_events.actions)

    assert channel.parcels[-2:] == [first, second]


async def test_a_store_that_fails_for_a_while_neither_stops_the_node_nor_loses_the_cargo(
    channel, clock, monkeypatch
):
    monkeypatch.setattr(module, "UNPACK_RETRY", timedelta(seconds=0.05))
    octets = parcel()[1]
    await channel.bring(octets)
    read = channel.far_spool.body

    async def fail(_item):
        raise StorageError("the disk does not answer")

    monkeypatch.setattr(channel.far_spool, "body", fail)
    async with running(channel.unpacker.run()):
        await until(lambda: "postponed" in channel.far_events.actions)
        monkeypatch.setattr(channel.far_spool, "body", read)
        await drive(clock, lambda: "unpacked" in channel.far_events.actions)

    assert channel.parcels == [octets]


@pytest.mark.rule("4.12")
async def test_the_senders_key_is_kept_before_its_cargo_is_unpacked_and_again_without_harm(
    channel, clock, monkeypatch
):
    monkeypatch.setattr(module, "UNPACK_RETRY", timedelta(seconds=0.05))
    octets = parcel()[1]
    channel.errors[octets] = StorageFullError("full")
    await channel.bring(octets)
    ends = {"own_id": IGW.node_id, "peer_id": PGW.node_id}
    async with running(channel.unpacker.run()):
        await until(lambda: "postponed" in channel.far_events.actions)
        answer = await channel.far_sessions.seal(b"an answer", **ends, now=clock.now())
        channel.errors.clear()
        await drive(clock, lambda: "unpacked" in channel.far_events.actions)

    own = {"own_id": PGW.node_id, "peer_id": IGW.node_id}
    assert await channel.sessions.open(answer, **own, message_date=NOW, now=clock.now()) == b"an answer"
    assert channel.parcels == [octets]


@pytest.mark.rule("4.12")
async def test_no_cargo_leaves_before_the_key_that_opens_the_answer_is_kept(channel, monkeypatch):
    await channel.put(b"a", b"b")
    store = channel.sessions._store

    async def fail(*_, **__):
        raise StorageError("the disk does not answer")

    with monkeypatch.context() as context:
        context.setattr(store, "save_own_key", fail)
        with pytest.raises(StorageError):
            await anext(channel.maker.cargoes(channel.route()))

    [prepared] = await channel.make()
    assert await channel.read(prepared.octets) == (b"a", b"b")


@pytest.mark.rule("4.13")
async def test_a_stop_in_the_middle_gives_the_cargo_to_the_next_run(channel):
    octets = parcel()[1]
    await channel.bring(octets)
    started, never = asyncio.Event(), asyncio.Event()
    on_parcel = channel.unpacker._on_parcel

    async def stuck(*_):
        started.set()
        await never.wait()

    channel.unpacker._on_parcel = stuck
    async with running(channel.unpacker.run()):
        await started.wait()
    channel.unpacker._on_parcel = on_parcel
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)

    assert channel.parcels == [octets]


async def test_cargo_that_is_gone_when_its_turn_comes_is_passed_over(channel, monkeypatch):
    await channel.bring(parcel()[1])
    read = channel.far_spool.body
    answers = [None]

    async def body(item):
        return answers.pop() if answers else await read(item)

    monkeypatch.setattr(channel.far_spool, "body", body)
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)


@pytest.mark.parametrize(("offered", "released"), [(True, True), (False, False)])
async def test_an_acknowledgement_releases_only_what_was_offered(channel, offered, released):
    identity = Identity(Kind.PARCEL, "0" + "a" * 64, "0" + "b" * 64, "p1")
    hop = Hop("gateway", PGW.node_id)
    await channel.far_spool.accept(
        [Arrival(identity, hop, NOW - HOUR, NOW + DAY, b"x", carriers=Carrier.ANY)], now=NOW
    )
    if offered:
        await channel.far_spool.offered(await channel.far_spool.snapshot(hop, now=NOW, budget=1))
    await channel.bring(ParcelCollectionAck(identity.sender, identity.recipient, "p1").serialize())
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)

    assert (hop not in await channel.far_spool.totals()) is released
    assert ("acknowledged" in channel.far_events.actions) is released


@pytest.mark.rule("3.8")
async def test_an_acknowledgement_releases_nothing_of_another_peer(channel):
    identity = Identity(Kind.PARCEL, "0" + "a" * 64, "0" + "b" * 64, "p1")
    hop = Hop("gateway", "0" + "c" * 64)
    await channel.far_spool.accept([Arrival(identity, hop, NOW - HOUR, NOW + DAY, b"x")], now=NOW)
    await channel.far_spool.offered(await channel.far_spool.snapshot(hop, now=NOW, budget=1))
    await channel.bring(ParcelCollectionAck(identity.sender, identity.recipient, "p1").serialize())
    async with running(channel.unpacker.run()):
        await until(lambda: "unpacked" in channel.far_events.actions)

    assert hop in await channel.far_spool.totals()


async def test_settle_returns_when_all_is_unpacked(channel):
    for number in range(3):
        await channel.bring(parcel()[1], message_id=f"c{number}")
    async with running(channel.unpacker.run()), asyncio.timeout(5):
        await channel.unpacker.settle()

    assert len(channel.parcels) == 3


async def test_settle_does_not_wait_for_ever(channel, monkeypatch):
    monkeypatch.setattr(module, "UNPACK_RETRY", timedelta(seconds=0.02))
    await channel.bring(parcel()[1])

    async with asyncio.timeout(5):
        await channel.unpacker.settle()
