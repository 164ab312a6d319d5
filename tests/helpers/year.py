# SPDX-License-Identifier: MIT
"""Months in the life of a network, in seconds: nodes in memory, a clock that is moved on, a courier.

One device is on-line; the other meets a courier once a month and has no other way. Both write to each
other and to a service every few days, while all certificates and session keys are renewed many times.
Nothing may be refused, dropped or put aside, and every message arrives once.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from awala.messages import NodeConnectionParams, ServiceMessage
from awala.nodes.courier.node import Courier
from awala.nodes.endpoint.internet import IDENTITY_LABEL as INTERNET_LABEL
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.quarantine import QUARANTINE
from awala.spool import MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    OTHER_ENDPOINT,
    OTHER_IGW,
    OTHER_PGW,
    PEER,
    DirectCogRpc,
    DirectPoWeb,
    InternetSide,
    PoHttp,
    PrivateSide,
    Recorder,
    internet_side,
    private_side,
    running,
)

STEP = 4
"""Days from one exchange of messages to the next."""

MONTH = 7
"""Steps from one visit of the courier to the next."""

AWAKE = 1.2 * HOUR
"""How long the nodes run in each step: long enough for every loop that looks once an hour."""

GRAIN = HOUR / 6
"""Whoever should wake within this span wakes together at its end: most loops only look and sleep again."""

PONG = "pong.demo.test"
OTHER_ADDRESS = "igw-b.demo.test"
BAD = {"dropped", "refused"}


class CoarseClock(FakeClock):
    """A fake clock that can also pass by in great steps, as it seems to a machine that is very slow."""

    async def pass_by(self, span: timedelta) -> None:
        target = self._now + span
        while self._now < target:
            self._now = min(self._now + GRAIN, target)
            while self._sleepers and self._sleepers[0][0] <= self._now:
                future = heapq.heappop(self._sleepers)[2]
                if not future.done():
                    future.set_result(None)
            for _ in range(5):
                await self.advance(0)
                await asyncio.sleep(0.001)  # threads need real time


@dataclass
class Device:
    """An app behind a private gateway of its own; its Internet gateway."""

    internet: InternetSide
    gateway: PrivateSide
    app: PrivateEndpoint
    vault: MemoryVault
    heard: Counter = field(default_factory=Counter)
    paths: set = field(default_factory=set)

    async def hear(self, attempt) -> None:
        self.heard[attempt.message.content] += 1

    def note_certificates(self) -> None:
        """Remember which certificates are in use, to count them in the end."""
        now = self.gateway.clock.now()
        credentials = self.gateway.node.credentials
        self.paths |= {
            ("internet gateway", self.internet.node.credentials.current(now)),
            ("private gateway", credentials.uplink_path(now).leaf),
            ("endpoint", self.app.own_path().leaf),
            *(("cda issuer", each) for each in credentials.cda_issuers(now)[:1]),
        }

    def renewals(self) -> Counter:
        """Return how many certificates were in use one after the other, by whose they are."""
        return Counter(whose for whose, _ in self.paths)


class Year:
    """The network, from its beginning on."""

    def __init__(self) -> None:
        self.clock = CoarseClock()
        self.couriers_clients: dict[str, DirectCogRpc] = {}
        self.courier = Courier(
            spool=MemorySpool(monotonic=self.clock.monotonic), clock=self.clock, connect=self._connect
        )
        self.recorders = {"courier": Recorder(self.courier.events)}
        self.expected: dict[str, list[bytes]] = {ENDPOINT.node_id: [], OTHER_ENDPOINT.node_id: []}
        self.published: set[bytes] = set()
        self._number = 0

    async def _connect(self, address):
        return self.couriers_clients[address]

    async def build(self) -> None:
        """Put the network together, and let everybody know each other."""
        self.pong_vault = MemoryVault()
        await self.pong_vault.save_identity(INTERNET_LABEL, PEER)
        await InternetEndpoint.create(self.pong_vault, PONG)
        pohttp = PoHttp()
        self.pong = await InternetEndpoint.open(
            vault=self.pong_vault,
            spool=MemorySpool(monotonic=self.clock.monotonic),
            clock=self.clock,
            client=pohttp,
        )
        self.recorders["pong"] = Recorder(self.pong.events)
        here = await self._device("here", await internet_side(self.clock), ENDPOINT)
        away_internet = await internet_side(self.clock, key=OTHER_IGW, address=OTHER_ADDRESS)
        away = await self._device("away", away_internet, OTHER_ENDPOINT, key=OTHER_PGW)
        self.here, self.away = here, away
        routes = {
            each.internet.node.credentials.address: each.internet.node.internet_door.deliver
            for each in (here, away)
        }
        for client in (pohttp, here.internet.pohttp, away.internet.pohttp):
            client.routes = routes | {PONG: self.pong.deliver}
        await self._introduce()
        away.gateway.uplink.cut = True

    async def _device(self, name, internet, app_key, **changes) -> Device:
        gateway = await private_side(internet, courier=self.courier.door, **changes)
        vault = MemoryVault()
        await vault.save_identity(IDENTITY_LABEL, app_key)
        app = await PrivateEndpoint.open(
            vault=vault,
            spool=MemorySpool(monotonic=self.clock.monotonic),
            clock=self.clock,
            client=DirectPoWeb(gateway.node.local),
        )
        await app.register()
        address = internet.node.credentials.address
        self.couriers_clients[address] = DirectCogRpc(internet.node.courier_door)
        self.recorders |= {
            f"{name} internet gateway": internet.events,
            f"{name} private gateway": gateway.events,
            f"{name} app": Recorder(app.events),
        }
        return Device(internet, gateway, app, vault)

    async def _introduce(self) -> None:
        for one, other in ((self.here, self.away), (self.away, self.here)):
            known = await one.app.identity.peers.get(other.app.node_id)
            peer = Peer(other.app.node_id, PeerKind.PRIVATE, other.app.identity.key.public_key, None)
            params = await one.app.authorise(known or peer)
            await other.app.identity.take_authorization(params, sender_id=one.app.node_id)
            pong = NodeConnectionParams.parse(self.pong.connection_params())
            await one.app.send_authorization(await one.app.identity.add_internet_peer(pong))

    async def answer(self, attempt) -> None:
        """Be the service that answers everything."""
        message = attempt.message
        reply = ServiceMessage("answer", b"answer to " + message.content)
        await self.pong.identity.send(message.sender_id, reply)

    async def live(self, days: int, report=lambda _line: None) -> None:
        """Let so many days pass with everything that happens in them, and judge them."""
        loops = [self.pong.run(self.answer), self.courier.run()]
        for device in (self.here, self.away):
            loops += [device.internet.node.run(), device.gateway.node.run(), device.app.run(device.hear)]
        began = self.clock.now()
        async with running(*loops):
            for step in range(1, max(days // STEP, 1) + 1):
                await self._exchange()
                if step % MONTH == 0:
                    await self._round()
                    report(f"day {(self.clock.now() - began).days}: {self._number} messages")
                await self._sleep()
            for _ in range(2):
                await self._round()
        await self._judge()

    async def _exchange(self) -> None:
        """Write in all directions; what can go on-line has to have arrived soon."""
        soon = await self._send(self.here, PEER.node_id, answered=True)
        await self._send(self.here, self.away.app.node_id)
        await self._send(self.away, self.here.app.node_id)
        await self._send(self.away, PEER.node_id, answered=True)
        await self._until(lambda: self.here.heard[soon])
        for device in (self.here, self.away):
            device.note_certificates()
        self.published.add(NodeConnectionParams.parse(self.pong.connection_params()).session_key.key_id)

    async def _send(self, device: Device, recipient: str, *, answered: bool = False) -> bytes:
        """Send a message, and return what is expected to be heard because of it."""
        self._number += 1
        content = str(self._number).encode()
        await device.app.identity.send(recipient, ServiceMessage("text", content))
        heard = b"answer to " + content if answered else content
        self.expected[device.app.node_id if answered else recipient].append(heard)
        return heard

    async def _round(self) -> None:
        """Have the courier come by, go to the Internet, and come back."""
        for run in (self._visit, self.courier.trip.run, self._visit):
            await self._quiet()
            going = asyncio.ensure_future(_all(run()))
            await self._until(going.done)
            last = going.result()[-1]
            assert not getattr(last, "failures", ()), last
        await self._quiet()

    def _visit(self):
        return self.away.gateway.node.visit.run("courier", 1)

    async def _quiet(self) -> None:
        """Let the nodes finish what they can: threads need real time."""
        for _ in range(15):
            await self.clock.advance(2)
            await asyncio.sleep(0.01)

    async def _until(self, condition) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self.clock.advance(1)
                await asyncio.sleep(0.002)

    async def _sleep(self) -> None:
        self.clock.jump(self.clock.now() + STEP * DAY - AWAKE)
        await self.clock.pass_by(AWAKE)

    async def _judge(self) -> None:
        for name, recorder in self.recorders.items():
            bad = [event for event in recorder.events if event.action.value in BAD]
            assert not bad, f"{name}: {bad[0].action.value} {bad[0].kind}: {bad[0].reason}"
        for device in (self.here, self.away):
            assert device.heard == Counter(self.expected[device.app.node_id])
            assert await device.vault.records(QUARANTINE) == {}
            assert await device.gateway.vault.records(QUARANTINE) == {}
        assert await self.pong_vault.records(QUARANTINE) == {}


async def _all(steps) -> list:
    return [step async for step in steps]


def say(line: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(days: int) -> None:
    """Live through some days, and tell what came of it."""
    began = time.monotonic()
    year = Year()
    await year.build()
    await year.live(days, say)
    for name, device in (("on-line", year.here), ("by courier", year.away)):
        counts = ", ".join(f"{count} of the {whose}" for whose, count in sorted(device.renewals().items()))
        say(f"{name}: {sum(device.heard.values())} messages heard; certificates: {counts}")
    say(f"{len(year.published)} published session keys; {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
