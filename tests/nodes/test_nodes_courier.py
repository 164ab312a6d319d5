# SPDX-License-Identifier: MIT
"""The courier: what it holds, its door for private gateways, its trips, and a private gateway's visits."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress

import pytest

from awala.base.errors import ConfigurationError, StorageFullError
from awala.bindings.cogrpc import Fulfilled
from awala.bindings.cogrpc.limits import MAX_EMITTED_METADATA
from awala.bindings.errors import (
    MalformedRequest,
    ServerError,
    Unauthenticated,
    Unprocessable,
    UnreachableError,
)
from awala.messages import Cargo, CargoCollectionAuthorization, InvalidMessageError, MessageError, Recipient
from awala.nodes.config import DoorConfig, NetworkConfig, StorageConfig
from awala.nodes.courier import root as courier_root
from awala.nodes.courier import trip
from awala.nodes.courier.node import Courier, open_courier
from awala.nodes.courier.root import CourierConfig
from awala.nodes.courier.trip import Stage, Trip
from awala.nodes.intake import identify
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY, UNPACK_HOP, UPLINK
from awala.nodes.private_gateway import visit
from awala.nodes.private_gateway.root import PrivateGatewayConfig
from awala.nodes.private_gateway.visit import CourierVisit
from awala.nodes.private_gateway.visit import Stage as VisitStage
from awala.pki import Role
from awala.spool import Arrival, Hop, Kind, MemorySpool
from awala.testing import FakeClock
from helpers.cogrpc import Service, gateway_server, plain_client
from helpers.nodes import (
    ADDRESS,
    DAY,
    HOUR,
    IGW,
    IGW_CERT,
    NOW,
    OTHER_IGW,
    OTHER_PGW,
    PGW,
    DirectCogRpc,
    Recorder,
    authorised_parcel,
    cargo,
    cca,
    certify,
    internet_side,
    private_side,
    running,
    to_internet,
    until,
)

FROM_INTERNET = certify(
    IGW, PGW, certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY), Role.DELIVERY_AUTHORIZATION
)
TO_IGW = Hop(TO_INTERNET_GATEWAY, ADDRESS)
TO_PGW = Hop(TO_PRIVATE_GATEWAY, PGW.node_id)


def inbound(**changes):
    """Make a cargo for the private gateway."""
    defaults = {"key": IGW, "certificate": FROM_INTERNET, "recipient": Recipient(PGW.node_id)}
    return cargo(**(defaults | changes))


class Journey:
    """A courier in memory, and the Internet gateways that it reaches by their addresses."""

    def __init__(self, clock=None, spool=None) -> None:
        self.clock = clock or FakeClock()
        self.spool = spool or MemorySpool(monotonic=self.clock.monotonic)
        self.clients: dict[str, DirectCogRpc] = {}
        self.node = Courier(spool=self.spool, clock=self.clock, connect=self._connect)
        self.events = Recorder(self.node.events)

    async def _connect(self, address):
        if address not in self.clients:
            raise UnreachableError("no such gateway")
        return self.clients[address]

    async def trip(self):
        steps = []

        async def go():
            steps.extend([step async for step in self.node.trip.run()])

        going = asyncio.ensure_future(go())
        while not going.done():
            await asyncio.sleep(0.001)
            if self.clock.sleepers:
                await self.clock.advance(5)
        await going
        return steps

    async def deliver(self, *octets):
        for each in octets:
            await self.node.door.deliver(each)

    async def handout(self, octets, *, acknowledge=True):
        call = await self.node.door.collect(octets)
        found = []
        async for each in call.cargoes():
            found.append(each.cargo)
            if acknowledge:
                await call.acknowledge(each.delivery_id)
        await call.finish(complete=True)
        return found


@pytest.fixture
def courier():
    return Journey()


class TestHold:
    async def test_sorts_cargo_by_where_it_goes(self, courier):
        await courier.deliver(cargo(), inbound())

        assert sorted(await courier.spool.totals()) == [TO_IGW, TO_PGW]
        status = await courier.node.status()
        assert (status.to_internet_gateways.items, status.to_private_gateways.items) == (1, 1)

    @pytest.mark.parametrize(
        "octets",
        [
            cargo(recipient=Recipient("0abc", ADDRESS)),
            cargo(created=-10 * HOUR, ttl=60),
            cargo(created=3 * HOUR),
        ],
        ids=["no node id", "expired", "in the future"],
    )
    async def test_refuses_what_can_never_arrive(self, courier, octets):
        with pytest.raises(Unprocessable):
            await courier.deliver(octets)
        assert not await courier.spool.totals()

    @pytest.mark.parametrize("octets", [b"", b"rubbish", cargo()[:-1], cca()])
    async def test_refuses_what_it_cannot_read(self, courier, octets):
        with pytest.raises(MalformedRequest):
            await courier.deliver(octets)

    async def test_says_when_it_is_full(self):
        with pytest.raises(StorageFullError):
            await Journey(spool=MemorySpool(quota=100)).deliver(cargo())

    @pytest.mark.rule("6.3")
    async def test_keeps_the_newest_authorisation_of_each_gateway(self, courier):
        for created in (-5, -3, -4):
            await courier.handout(cca(created=created * HOUR, message_id=f"at{created}"))
        other = cca(
            key=OTHER_PGW,
            certificate=certify(
                OTHER_PGW, IGW, certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY), Role.GATEWAY
            ),
        )
        await courier.handout(other)
        await courier.handout(cca(recipient=Recipient(IGW.node_id, "igw-b.demo.test")))

        assert (await courier.node.status()).requests.items == 3
        [kept] = await courier.spool.snapshot(
            Hop(REQUESTS, f"{PGW.node_id}@{ADDRESS}"), now=NOW, budget=10**6
        )
        assert kept.identity.message_id == "at-3"

    @pytest.mark.parametrize(
        "octets",
        [b"rubbish", cargo(), cca(recipient=Recipient(IGW.node_id)), cca(created=-9 * HOUR, ttl=60), None],
        ids=["rubbish", "cargo", "no address", "expired", "none"],
    )
    async def test_refuses_a_collection_without_a_good_authorisation(self, courier, octets):
        with pytest.raises(Unauthenticated):
            await courier.node.door.collect(octets)


class TestHandout:
    async def test_lets_go_of_what_was_acknowledged(self, courier):
        octets = [inbound(), inbound()]
        await courier.deliver(*octets)

        assert sorted(await courier.handout(cca())) == sorted(octets)
        assert TO_PGW not in await courier.spool.totals()

    async def test_keeps_what_was_not(self, courier):
        await courier.deliver(inbound())
        await courier.handout(cca(), acknowledge=False)

        assert len(await courier.handout(cca())) == 1

    async def test_gives_what_some_gateways_cannot_take_last(self, courier):
        small = [inbound(payload=bytes(1_000_000), message_id=f"small-{number}") for number in range(2)]
        large = inbound(payload=bytes(5_000_000), message_id="large")
        for octets in (small[0], large, small[1]):
            await courier.node.door.deliver(octets)

        call = await courier.node.door.collect(cca())

        assert [each.cargo async for each in call.cargoes()] == [*small, large]

    async def test_gives_nothing_of_another_gateway(self, courier):
        await courier.deliver(inbound(recipient=Recipient(OTHER_PGW.node_id)), cargo())

        assert await courier.handout(cca()) == []

    async def test_passes_over_what_is_gone_and_ids_that_it_did_not_give(self, courier, monkeypatch):
        await courier.deliver(inbound())
        monkeypatch.setattr(courier.spool, "body", lambda _: asyncio.sleep(0))
        assert await courier.handout(cca()) == []
        call = await courier.node.door.collect(cca())
        await call.acknowledge("unknown")


class TestTrip:
    @pytest.fixture
    async def internet(self, courier):
        side = await internet_side(courier.clock)
        courier.clients[ADDRESS] = DirectCogRpc(side.node.courier_door)
        return side

    @pytest.fixture
    async def gateway(self, internet, courier):
        return await private_side(internet, courier=courier.node.door)

    async def test_an_empty_trip_is_over_at_once(self, courier):
        assert [step.stage for step in await courier.trip()] == [
            Stage.DELIVERING,
            Stage.COLLECTING,
            Stage.DONE,
        ]

    @pytest.mark.rule("6.10")
    async def test_passes_on_an_authorisation_that_is_larger_than_ours_are(self, courier):
        with_chain = cca(bytes(2000), chain=(IGW_CERT,))
        assert 4 * len(with_chain) / 3 > MAX_EMITTED_METADATA
        await courier.handout(with_chain)
        internet_gateway = Service()
        async with gateway_server(internet_gateway) as server, plain_client(server) as client:
            courier.clients[ADDRESS] = client

            last = (await courier.trip())[-1]

        assert last.failures == ()
        assert internet_gateway.ccas == [with_chain]
        assert await courier.spool.totals() == {}

    @pytest.mark.rule("6.8")
    async def test_delivers_pauses_and_collects(self, courier, internet, gateway):
        await internet.node.internet_door.deliver(authorised_parcel(gateway)[1])
        await courier.deliver(cargo(certificate=gateway.own_certificate()))
        await courier.handout(await gateway.node.freight.authorization())
        before = courier.clock.now()

        steps = await courier.trip()

        assert [step.stage for step in steps] == [
            Stage.DELIVERING,
            Stage.DELIVERING,
            Stage.WAITING,
            Stage.COLLECTING,
            Stage.COLLECTING,
            Stage.DONE,
        ]
        assert (steps[-1].delivered, steps[-1].collected, steps[-1].failures) == (1, 1, ())
        assert (courier.clock.now() - before).total_seconds() == 5
        assert list(await courier.spool.totals()) == [TO_PGW]
        assert UNPACK_HOP in await internet.spool.totals()
        assert courier.clients[ADDRESS].closed == 2

    async def test_does_not_pause_if_nothing_is_to_be_collected(self, courier, internet, gateway):
        await courier.deliver(cargo(certificate=gateway.own_certificate()))
        assert Stage.WAITING not in {step.stage for step in await courier.trip()}
        del internet

    async def test_a_gateway_that_cannot_be_reached_does_not_hold_up_another(
        self, courier, internet, gateway
    ):
        far = Recipient(OTHER_IGW.node_id, "a-away.demo.test")
        await courier.deliver(cargo(recipient=far), cargo(certificate=gateway.own_certificate()))
        await courier.handout(cca(recipient=far))

        [*_, last] = await courier.trip()

        assert last.delivered == 1
        assert [failure.partition(":")[0] for failure in last.failures] == ["a-away.demo.test"] * 2
        assert (await courier.node.status()).to_internet_gateways.items == 1
        assert (await courier.node.status()).requests.items == 1
        del internet

    @pytest.mark.rule("6.1")
    async def test_an_authorisation_that_was_used_up_elsewhere_is_dropped(self, courier, internet, gateway):
        octets = await gateway.node.freight.authorization()
        await courier.handout(octets)
        call = await internet.node.courier_door.collect(octets)
        await call.finish(complete=True)

        [*_, last] = await courier.trip()

        assert last.failures == ()
        assert (await courier.node.status()).requests.items == 0

    @pytest.mark.rule("6.1")
    async def test_a_collection_that_was_cut_is_taken_up_on_the_next_trip(self, courier, internet, gateway):
        await internet.node.internet_door.deliver(authorised_parcel(gateway)[1])
        await courier.handout(await gateway.node.freight.authorization())
        courier.clients[ADDRESS].cut_after = 0
        [*_, cut] = await courier.trip()
        courier.clients[ADDRESS].cut_after = None
        [*_, whole] = await courier.trip()

        assert (cut.collected, len(cut.failures)) == (0, 1)
        assert (whole.collected, whole.failures) == (1, ())

    async def test_what_a_gateway_sends_that_is_no_cargo_is_dropped(
        self, courier, internet, gateway, monkeypatch
    ):
        await internet.node.internet_door.deliver(authorised_parcel(gateway)[1])
        await courier.handout(await gateway.node.freight.authorization())

        async def refuse(_octets, **_):
            raise InvalidMessageError("not for anybody")

        monkeypatch.setattr(courier.node.trip._hold, "load", refuse)
        [*_, last] = await courier.trip()

        assert last.failures == ()
        assert "dropped" in courier.events.actions

    async def test_cargo_that_the_gateway_did_not_acknowledge_stays(
        self, courier, internet, gateway, monkeypatch
    ):
        await courier.deliver(cargo(certificate=gateway.own_certificate()))

        async def full(_octets):
            raise StorageFullError("full")

        monkeypatch.setattr(internet.node.courier_door, "deliver", full)
        [*_, last] = await courier.trip()

        assert len(last.failures) == 1
        assert (await courier.node.status()).to_internet_gateways.items == 1

    async def test_passes_over_what_is_gone(self, courier, internet, monkeypatch):
        await courier.deliver(cargo())
        await courier.handout(cca())
        monkeypatch.setattr(courier.spool, "body", lambda _: asyncio.sleep(0))
        [*_, last] = await courier.trip()
        assert (last.delivered, last.collected) == (0, 0)
        del internet

    async def test_sweeps_what_has_expired(self, courier):
        await courier.deliver(cargo(ttl=4 * 3600))
        async with running(courier.node.run()):
            await courier.clock.advance(51 * 3600)
        assert not await courier.spool.totals()

    async def test_opens_its_store_and_closes_it(self, tmp_path):
        async with open_courier(StorageConfig(directory=tmp_path), clock=FakeClock(), connect=None) as node:
            await node.door.deliver(cargo())
        async with open_courier(StorageConfig(directory=tmp_path), clock=FakeClock(), connect=None) as node:
            assert (await node.status()).to_internet_gateways.items == 1


class TestVisit:
    @pytest.fixture
    async def internet(self, courier):
        side = await internet_side(courier.clock)
        courier.clients[ADDRESS] = DirectCogRpc(side.node.courier_door)
        return side

    @pytest.fixture
    async def side(self, internet, courier):
        return await private_side(internet, courier=courier.node.door)

    async def visit(self, side):
        steps = []

        async def go():
            steps.extend([step async for step in side.node.visit.run("127.0.0.1", 1)])

        async with running(side.node._unpacker.run()):
            going = asyncio.ensure_future(go())
            while not going.done():
                await asyncio.sleep(0.001)
                if steps and steps[-1].stage is VisitStage.DONE:
                    break
                if side.clock.sleepers:
                    await side.clock.advance(5)
            await going
        return steps

    async def send(self, side):
        message, octets = to_internet()
        await side.spool.accept(
            [
                Arrival(
                    identify(message, Kind.PARCEL), Hop(UPLINK, IGW.node_id), NOW - HOUR, NOW + DAY, octets
                )
            ],
            now=NOW,
        )
        return octets

    async def test_hands_over_what_rests_and_an_authorisation(self, side, courier):
        await self.send(side)

        steps = await self.visit(side)

        assert [step.stage for step in steps] == [
            VisitStage.COLLECTING,
            VisitStage.DELIVERING,
            VisitStage.DELIVERING,
            VisitStage.DONE,
        ]
        status = await courier.node.status()
        assert (status.to_internet_gateways.items, status.requests.items) == (1, 1)
        assert (await side.node.status()).outgoing.items == 1  # kept until it is acknowledged
        assert side.courier.closed == 1

    @pytest.mark.rule("6.4", "6.8")
    async def test_the_whole_way_and_back_each_thing_arrives_once(self, side, courier, internet):
        octets = await self.send(side)
        _, answer = authorised_parcel(side)
        await internet.node.internet_door.deliver(answer)
        await self.visit(side)
        async with running(internet.node._unpacker.run()):
            await courier.trip()
            await until(lambda: "unpacked" in internet.events.actions)
        came = await self.visit(side)
        async with running(internet.node._unpacker.run()):
            await courier.trip()
            await until(lambda: internet.events.actions.count("unpacked") == 2)

        assert came[-1].collected == 1
        assert VisitStage.WAITING in {step.stage for step in came}
        assert (await side.node.status()).incoming.items == 1
        assert (await internet.node.status()).to_private_gateways.items == 0
        assert (await internet.node.status()).to_internet.items == 1
        assert octets
        await self.visit(side)
        assert (await side.node.status()).outgoing.items == 0
        assert side.events.actions.count("duplicate") == 0

    async def test_cargo_for_somebody_else_is_dropped_and_acknowledged(self, side, courier):
        self_issued = certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY)
        await courier.deliver(inbound(key=OTHER_IGW, certificate=self_issued))

        await self.visit(side)

        assert "dropped" in side.events.actions
        assert UNPACK_HOP not in await side.spool.totals()
        assert (await courier.node.status()).to_private_gateways.items == 0

    async def test_a_full_gateway_still_hands_over_and_leaves_the_rest_with_the_courier(
        self, side, courier, internet, monkeypatch
    ):
        await self.visit(side)
        await internet.node.internet_door.deliver(authorised_parcel(side)[1])
        await courier.trip()
        await self.send(side)
        accept = side.spool.accept

        async def full(batch, **arguments):
            if batch[0].hop == UNPACK_HOP:
                raise StorageFullError("full")
            return await accept(batch, **arguments)

        monkeypatch.setattr(side.spool, "accept", full)
        [*_, last] = await self.visit(side)

        assert (last.collected, last.delivered) == (0, 1)
        assert (await courier.node.status()).to_private_gateways.items == 1

    async def test_an_authorisation_already_used_ends_the_collection_only(self, side, courier, monkeypatch):
        await self.send(side)

        async def used(_octets):
            raise Fulfilled("used")

        monkeypatch.setattr(courier.node.door, "collect", used)
        [*_, last] = await self.visit(side)
        assert last.delivered == 1

    async def test_a_courier_that_leaves_in_the_middle_is_an_error_that_costs_nothing(self, side, courier):
        await self.send(side)
        side.courier.cut = True
        with pytest.raises(UnreachableError):
            await self.visit(side)
        assert side.courier.closed == 1

        side.courier.cut = False
        [*_, last] = await self.visit(side)
        assert last.delivered == 1
        del courier

    async def test_debts_are_kept_until_a_courier_has_them(self, side, courier, monkeypatch):
        await side.node.uplink._incoming.from_cargo(authorised_parcel(side)[1], IGW.node_id)

        async def full(_octets):
            raise StorageFullError("full")

        with monkeypatch.context() as patched:
            patched.setattr(courier.node.door, "deliver", full)
            with suppress(ServerError):
                await self.visit(side)
        assert await side.spool.debts(IGW.node_id, now=NOW, limit=9)
        await self.visit(side)
        assert not await side.spool.debts(IGW.node_id, now=NOW, limit=9)

    async def test_the_collection_authorisation_is_small_and_lives_long(self, side):
        octets = await side.node.freight.authorization()
        request = CargoCollectionAuthorization.parse(octets)

        assert request.recipient == Recipient(IGW.node_id, ADDRESS)
        assert request.expiry_date > NOW + 80 * DAY
        assert len(octets) * 4 // 3 < 5_400
        with pytest.raises(MessageError):
            Cargo.parse(octets)


@pytest.mark.rule("6.8")
@pytest.mark.parametrize(
    "kind",
    [StorageConfig, NetworkConfig, DoorConfig, CourierConfig, PrivateGatewayConfig, Trip, CourierVisit],
)
def test_nothing_lets_the_pause_be_configured(kind):
    assert not [name for name in inspect.signature(kind).parameters if "pause" in name]
    assert (trip.PAUSE_SECONDS, visit.PAUSE_SECONDS) == (5.0, 5.0)


@pytest.mark.rule("10.6")
async def test_a_certificate_that_cannot_be_shown_yet_is_shown_soon(tmp_path):
    clock, times = FakeClock(), []

    class Server:
        async def replace_certificate(self, certificate, key):
            assert (b"CERTIFICATE" in certificate, b"KEY" in key) == (True, True)
            times.append(clock.now())
            if len(times) == 1:
                raise ConfigurationError("the port is taken")

    config = CourierConfig(storage=StorageConfig(directory=tmp_path))
    async with running(courier_root._renew(Server(), config, clock)):
        await clock.advance(6 * 3600)
        assert len(times) == 1
        await clock.advance(1)
        assert len(times) == 2
        await clock.advance(6 * 3600)

    assert len(times) == 3
