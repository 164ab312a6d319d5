# SPDX-License-Identifier: MIT
"""One store operation after the other fails; every message arrives once all the same, and no node ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from awala.base.errors import AwalaError, StorageFullError
from awala.base.files import StorageBusyError, StorageError
from awala.messages import NodeConnectionParams, ServiceMessage
from awala.nodes.courier.node import Courier
from awala.nodes.endpoint.internet import IDENTITY_LABEL as SERVICE_LABEL
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.private import IDENTITY_LABEL as APP_LABEL
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.internet_gateway.credentials import IDENTITY_LABEL as INTERNET_LABEL
from awala.nodes.internet_gateway.credentials import Credentials as InternetCredentials
from awala.nodes.lanes import UPLINK
from awala.nodes.private_gateway.credentials import IDENTITY_LABEL as PRIVATE_LABEL
from awala.spool import Kind, MemorySpool
from awala.vault import MemoryVault
from helpers.faults import ANY, Faulty
from helpers.nodes import (
    ADDRESS,
    ENDPOINT,
    IGW,
    PEER,
    PGW,
    DirectCogRpc,
    DirectPoWeb,
    PoHttp,
    drive,
    internet_side,
    private_side,
    running,
)

NODES = ("app", "gateway", "courier", "internet", "service")
SESSIONS = ("own_key", "newest_own_key", "peer_key", "record_opened", "save_own_key")
ONCE = {"acknowledge", "offered", "pay", "seen"}
"""Operations that a journey needs once only."""

JOURNEY = {
    "app-spool": "accept lease body release hops next_due",
    "gateway-spool": "accept lease body release snapshot offered acknowledge debts pay hops next_due totals",
    "courier-spool": "accept body release snapshot totals",
    "internet-spool": "accept lease body release snapshot offered acknowledge debts pay hops next_due seen",
    "service-spool": "accept lease body release hops next_due",
    "app-vault": "get_record",
    "service-vault": "get_record put_record",
}
"""The operations of each store that a journey needs."""

MEETING = {
    "app-vault": "put_record get_record put_record_if_absent save_path",
    "gateway-vault": "put_record",
}
"""Those that are needed before one can begin."""


def places(operations):
    return [(place, method) for place, names in operations.items() for method in names.split()]


MAX_EXCHANGES = 4
"""Journeys of the courier within which everything arrives, whatever fails on one of them."""


class Heard:
    """Messages that were dealt with, by their content."""

    def __init__(self, then=None) -> None:
        self.counts: Counter[bytes] = Counter()
        self._then = then

    async def __call__(self, attempt) -> None:
        if self._then is not None:
            await self._then(attempt.message)
        self.counts[attempt.message.content] += 1


class Net:
    """An app, its private gateway, the Internet gateway and a service, over stores that can fail."""

    step = 2.0
    """Seconds by which time goes on."""

    async def build(self) -> Net:
        self.stores = {
            f"{node}-{kind}": Faulty(make())
            for node in NODES
            for kind, make in (("spool", MemorySpool), ("vault", MemoryVault))
        }
        stores = self.stores
        await stores["internet-vault"].save_identity(INTERNET_LABEL, IGW)
        await InternetCredentials.create(stores["internet-vault"], ADDRESS)
        await stores["gateway-vault"].save_identity(PRIVATE_LABEL, PGW)
        await stores["app-vault"].save_identity(APP_LABEL, ENDPOINT)
        await stores["service-vault"].save_identity(SERVICE_LABEL, PEER)
        self.internet = await internet_side(spool=stores["internet-spool"], vault=stores["internet-vault"])
        self.clock = self.internet.clock
        self.gateway = await private_side(
            self.internet,
            spool=stores["gateway-spool"],
            vault=stores["gateway-vault"],
        )
        self.courier = Courier(spool=stores["courier-spool"], clock=self.clock, connect=self._go_on_line)
        self.gateway.courier.service = self.courier.door
        self.app = await PrivateEndpoint.open(
            vault=stores["app-vault"],
            spool=stores["app-spool"],
            clock=self.clock,
            client=DirectPoWeb(self.gateway.node.local),
        )
        pohttp = PoHttp()
        pohttp.routes[ADDRESS] = self.internet.node.internet_door.deliver
        await InternetEndpoint.create(stores["service-vault"], "pong.demo.test")
        self.service = await InternetEndpoint.open(
            vault=stores["service-vault"], spool=stores["service-spool"], clock=self.clock, client=pohttp
        )
        self.internet.pohttp.routes["pong.demo.test"] = self.service.deliver
        self.answers, self.questions = Heard(), Heard(self._answer)
        return self

    async def _go_on_line(self, _address) -> DirectCogRpc:
        return DirectCogRpc(self.internet.node.courier_door)

    async def _answer(self, message) -> None:
        await self.service.identity.send(message.sender_id, ServiceMessage("answer", message.content))

    def running(self):
        return running(
            self.internet.node.run(),
            self.gateway.node.run(),
            self.app.run(self.answers),
            self.service.run(self.questions),
            self.courier.run(),
        )

    async def until(self, condition) -> None:
        await drive(self.clock, condition, step=self.step)

    async def meet(self) -> None:
        """Let the app know the service, and the service the app."""
        await self.until(self.app.registered.is_set)
        params = NodeConnectionParams.parse(self.service.connection_params())
        peer = await patiently(lambda: self.app.identity.add_internet_peer(params))
        await patiently(lambda: self.app.send_authorization(peer))
        await self.until(lambda: self.gateway.node.uplink.online)

    async def ask(self, content: bytes) -> None:
        message = ServiceMessage("question", content)
        await patiently(lambda: self.app.identity.send(self.service.node_id, message))

    async def exchange(self) -> None:
        """Have the courier come, go to the Internet, and come again; each again if it failed."""
        for errand in (self._visit, self._trip, self._visit):
            await patiently(lambda errand=errand: self._meanwhile(errand()))

    async def _meanwhile(self, errand) -> None:
        task = asyncio.ensure_future(errand)
        await self.until(task.done)
        task.result()

    async def _visit(self) -> None:
        async for _ in self.gateway.node.visit.run("courier", 1):
            pass

    async def _trip(self) -> None:
        async for step in self.courier.trip.run():
            last = step
        if last.failures:
            raise StorageError(last.failures[0])

    async def journey(self) -> None:
        """Ask on-line and be answered; then with the link cut, by courier."""
        await self.ask(b"on-line")
        await self.until(lambda: self.answers.counts[b"on-line"])
        self.gateway.uplink.disconnect()
        await self.ask(b"by courier")
        await self.until(lambda: self.rests("gateway-spool", UPLINK))
        for _ in range(MAX_EXCHANGES):
            await self.exchange()
            for _ in range(20):
                await self.clock.advance(2)
                await asyncio.sleep(0.002)
            if self.answers.counts[b"by courier"]:
                break
        await self.exchange()  # it takes the acknowledgements along
        self.gateway.uplink.cut = False
        self.gateway.node.uplink.kick()
        await self.until(self.is_empty)

    def rests(self, place: str, lane: str) -> bool:
        return any(stored.item.hop.lane == lane for stored in self.stores[place].store._items.values())

    def is_empty(self) -> bool:
        """Say whether no parcel is on its way anywhere; a courier may still have acknowledgements."""
        spools = [store.store._items for place, store in self.stores.items() if "spool" in place]
        kinds = {stored.item.identity.kind for items in spools for stored in items.values()}
        return Kind.PARCEL not in kinds


async def patiently(operation):
    """Do what a person would do again when told that a store failed."""
    for _ in range(4):
        with suppress(AwalaError):
            return await operation()
    pytest.fail("it fails whatever one does")


@pytest.fixture
async def net():
    return await Net().build()


def check(net, tasks) -> None:
    assert not any(task.done() for task in tasks), "a node ended"
    assert net.answers.counts == {b"on-line": 1, b"by courier": 1}
    assert net.questions.counts == {b"on-line": 1, b"by courier": 1}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("place", "method"), places(JOURNEY))
async def test_everything_arrives_once_whichever_operation_fails(net, place, method, number):
    store = net.stores[place]
    error = (StorageError, StorageFullError)[number - 1]("the disk does not answer")
    async with net.running() as tasks:
        await net.meet()
        store.arm((method, range(number, number + 1)), error=error)
        await net.journey()
        check(net, tasks)
    assert store.failed[method] or (number > 1 and method in ONCE)


@pytest.mark.parametrize(("place", "method"), places(MEETING))
async def test_registration_is_repeated_until_the_store_has_kept_it(net, place, method):
    store = net.stores[place]
    store.arm((method, range(1, 2)), error=StorageBusyError("another process has it"))
    async with net.running() as tasks:
        await net.meet()
        await net.journey()
        check(net, tasks)
    assert store.failed[method]


@pytest.mark.parametrize("method", SESSIONS)
@pytest.mark.parametrize("node", ["app", "gateway", "internet", "service"])
async def test_everything_arrives_once_when_session_keys_cannot_be_had(net, node, method):
    store = net.stores[f"{node}-vault"]
    async with net.running() as tasks:
        await net.meet()
        store.arm((f"session_keys.{method}", range(1, 2)))
        await net.journey()
        check(net, tasks)
    assert store.failed


@pytest.mark.parametrize("node", ["app", "gateway", "internet", "service"])
@pytest.mark.parametrize("method", ["retry_at", "return_lease", "release", "lease", "hops"])
async def test_a_second_fault_while_the_first_is_dealt_with_changes_nothing(net, node, method):
    store = net.stores[f"{node}-spool"]
    async with net.running() as tasks:
        await net.meet()
        store.arm(("body", range(1, 3)), (method, range(1, 4)))
        await net.journey()
        check(net, tasks)
    assert store.failed["body"] == 2


@pytest.mark.parametrize("place", [f"{node}-{kind}" for node in NODES for kind in ("spool", "vault")])
async def test_a_store_that_is_away_for_hours_is_not_hammered(net, place, caplog):
    store = net.stores[place]
    async with net.running() as tasks:
        await net.meet()
        store.arm((ANY, range(1, 1_000_000)))
        caplog.clear()
        for _ in range(6):
            await net.clock.advance(1200)
        assert store.failed.total() <= 2 * 3600 / 5, store.failed
        assert len([each for each in caplog.records if each.levelno >= 30]) <= store.failed.total()
        store.disarm()
        net.step = 60.0  # long waits are due now
        for _ in range(10):
            await net.clock.advance(30)
            await asyncio.sleep(0.002)
        await net.journey()
        check(net, tasks)
    assert not [each for each in caplog.records if each.exc_info]
