# SPDX-License-Identifier: MIT
"""Slow links are waited for as long as octets come through; dead ones are not (rules §8).

The long versions, with the figures of production, are in scripts/soaks/slow_links.py.
"""

from __future__ import annotations

import asyncio

import pytest

from awala.bindings.errors import UnreachableError
from awala.bindings.pohttp import PoHttpClient, pohttp_app
from awala.bindings.poweb import (
    PacedWebSocketProtocol,
    PoWebClient,
    StreamingMode,
    client,
    poweb_app,
    transport,
)
from awala.bindings.serving import serve
from awala.testing import Authority
from helpers.nodes import until
from helpers.poweb import GOOD_COUNTERSIGNATURE, LoopbackDialler, MemoryGateway, sign
from helpers.slow_link import slow_link

pytestmark = pytest.mark.rule("8.3", "9.3")

RATE = 100_000
HOST = "gateway.example.com"


def paced(app, *, interval=0.4, patience=0.3):
    return serve(
        app,
        "127.0.0.1:0",
        grace=1,
        on_drain=app.drain,
        ws=PacedWebSocketProtocol,
        ws_ping_interval=interval,
        ws_ping_timeout=patience,
    )


@pytest.fixture
def gateway():
    return MemoryGateway()


async def test_a_ping_that_waits_behind_a_parcel_on_a_slow_link_does_not_end_the_connection(
    gateway, monkeypatch
):
    monkeypatch.setattr(transport, "RECHECK", 0.05)
    gateway.put(bytes(4 * RATE))
    async with (
        asyncio.timeout(20),
        paced(poweb_app(gateway)) as server,
        slow_link(server.port, RATE) as link,
        PoWebClient.local(f"http://127.0.0.1:{link.port}") as collector,
        collector.collect(sign, StreamingMode.CLOSE_UPON_COMPLETION) as collection,
    ):
        sizes = []
        async for delivery in collection:
            sizes.append(len(delivery.parcel))
            await delivery.acknowledge()

    assert sizes == [4 * RATE]
    assert len(gateway.acknowledged) == 1


async def test_a_link_that_stalls_in_mid_parcel_is_noticed_in_time(gateway, monkeypatch):
    monkeypatch.setattr(transport, "RECHECK", 0.05)
    gateway.put(bytes(20 * RATE))
    async with (
        asyncio.timeout(20),
        paced(poweb_app(gateway)) as server,
        slow_link(server.port, RATE) as link,
        PoWebClient.local(f"http://127.0.0.1:{link.port}") as collector,
    ):
        collecting = asyncio.create_task(anext(collector.collect(sign)))
        await until(lambda: link.carried >= RATE)
        assert gateway.open_collections == 1
        link.stall()
        async with asyncio.timeout(0.4 + 0.3 + 0.3 + 0.3):  # interval, twice the patience, and some
            await gateway.until(lambda: gateway.open_collections == 0)
        collecting.cancel()


async def test_a_trickle_is_no_progress(gateway, monkeypatch):
    monkeypatch.setattr(transport, "RECHECK", 0.05)
    monkeypatch.setattr(transport, "SLOWEST_LINK", 10 * RATE)
    gateway.put(bytes(20 * RATE))
    async with (
        asyncio.timeout(20),
        paced(poweb_app(gateway)) as server,
        slow_link(server.port, RATE) as link,
        PoWebClient.local(f"http://127.0.0.1:{link.port}") as collector,
    ):
        with pytest.raises(UnreachableError):
            await anext(collector.collect(sign))


async def deliver_by_poweb(port: int, parcel: bytes, authority: Authority) -> None:
    dialler = LoopbackDialler(port)
    async with PoWebClient.remote(HOST, 443, authority.client_context(), dialler=dialler) as sender:
        await sender.deliver(parcel, GOOD_COUNTERSIGNATURE)


class _Resolver:
    async def locate(self, _address, _service):
        from awala.bindings.addressing import Target  # noqa: PLC0415 - as apps do without it

        return [Target(HOST, 443)]


async def deliver_by_pohttp(port: int, parcel: bytes, authority: Authority) -> None:
    async with PoHttpClient(
        resolver=_Resolver(),
        tls=authority.client_context(),
        dialler=LoopbackDialler(port),
        idle_timeout=client.IDLE_TIMEOUT,
    ) as sender:
        await sender.deliver("example.com", parcel)


class Taker:
    def __init__(self) -> None:
        self.taken: list[int] = []

    async def deliver(self, parcel: bytes) -> None:
        self.taken.append(len(parcel))


@pytest.mark.parametrize("deliver", [deliver_by_poweb, deliver_by_pohttp])
async def test_a_parcel_goes_out_as_slowly_as_the_link_wants(gateway, deliver, monkeypatch):
    monkeypatch.setattr(client, "IDLE_TIMEOUT", 2.5)
    authority, taker = Authority.create(), Taker()
    app = poweb_app(gateway) if deliver is deliver_by_poweb else pohttp_app(taker)
    async with (
        asyncio.timeout(20),
        serve(app, "127.0.0.1:0", tls=authority.server_context(HOST)) as server,
        slow_link(server.port, 2 * RATE) as link,
    ):
        await deliver(link.port, bytes(10 * RATE), authority)

    assert taker.taken == [10 * RATE] or gateway.count("deliver") == 1


@pytest.mark.parametrize("deliver", [deliver_by_poweb, deliver_by_pohttp])
async def test_a_link_that_stalls_under_a_parcel_is_noticed(gateway, deliver, monkeypatch):
    monkeypatch.setattr(client, "IDLE_TIMEOUT", 0.5)
    authority = Authority.create()
    app = poweb_app(gateway) if deliver is deliver_by_poweb else pohttp_app(Taker())
    async with (
        asyncio.timeout(20),
        serve(app, "127.0.0.1:0", tls=authority.server_context(HOST)) as server,
        slow_link(server.port, RATE) as link,
    ):
        sending = asyncio.create_task(deliver(link.port, bytes(10 * RATE), authority))
        await until(lambda: link.carried >= RATE)
        link.stall()
        async with asyncio.timeout(2):
            with pytest.raises(UnreachableError):
                await sending
