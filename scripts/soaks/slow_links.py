# SPDX-License-Identifier: MIT
"""Large messages over a link of 400 kB/s, with the npm client and ours; a stalled peer is noticed in time."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

SIZE = 8_000_000
"""Octets of a message."""

RATE: Final = 400_000
"""Octets per second that the link carries."""

NOTICED_WITHIN: Final = 10.0
"""Seconds in which a stalled peer must be noticed."""

TIME_LIMIT: Final = 300.0
"""Seconds after which one check counts as failed."""

HOST: Final = "gateway.example.com"


def run(size: int, root: Path) -> bool:
    """Run every check with messages of ``size`` octets; print each outcome."""
    sys.path.insert(0, str(root / "tests"))
    subprocess.run([sys.executable, root / "scripts" / "node_peer.py"], check=True)
    return asyncio.run(_run(size))


async def _run(size: int) -> bool:
    held = True
    with tempfile.TemporaryDirectory() as directory:
        async with _gateway(Path(directory)) as gateway:
            for check in (npm_collects, we_collect, a_stalled_collector_is_noticed):
                held &= await _report(check, gateway, size)
    for exchange in (poweb_delivers, pohttp_delivers, cogrpc_delivers, cogrpc_collects):
        held &= await _report(exchange, size)
    return held


async def _report(check: Callable[..., Awaitable[str]], *arguments: object) -> bool:
    name = getattr(check, "__name__", "")
    begin = time.monotonic()
    try:
        async with asyncio.timeout(TIME_LIMIT):
            figure = await check(*arguments)
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide the others
        print(f"{name:<32} FAILED {time.monotonic() - begin:6.1f} s {error!r}", flush=True)
        return False
    print(f"{name:<32} ok     {time.monotonic() - begin:6.1f} s {figure}", flush=True)
    return True


@dataclass(frozen=True, slots=True)
class _Gateway:
    """An Internet gateway with one private gateway, which is made of the reference libraries."""

    node: Any
    app: Any
    port: int
    peer: Any
    private: dict[str, Any]

    async def put(self, size: int) -> None:
        """Put a parcel of that many octets into the private gateway's mailbox."""
        model, lanes = _modules("awala.spool", "awala.nodes.lanes")
        now = datetime.now(UTC)
        identity = model.Identity(model.Kind.PARCEL, "0s", "0r", str(time.monotonic_ns()))
        hop = model.Hop(lanes.GATEWAY, self.private["id"])
        day = timedelta(days=1)
        await self.node._spool.accept(  # noqa: SLF001 - stands for a parcel that came in by a door
            [model.Arrival(identity, hop, now - day, now + day, bytes(size))], now=now
        )

    async def npm_collect(self, port: int) -> list[dict[str, Any]]:
        """Let the npm client collect until there is no more."""
        signer = {"privateKey": self.private["privateKey"], "certificate": self.private["nodeCertificate"]}
        found: dict[str, Any] = await self.peer.ask("collectParcels", door={"port": port}, signers=[signer])
        parcels: list[dict[str, Any]] = found["parcels"]
        return parcels


@asynccontextmanager
async def _gateway(directory: Path) -> AsyncIterator[_Gateway]:
    config, root, poweb, peers = _modules(
        "awala.nodes.config", "awala.nodes.internet_gateway.root", "awala.bindings.poweb", "helpers.node_peer"
    )
    storage = config.StorageConfig(directory=directory)
    await root.create_internet_gateway(storage, HOST)
    door = config.DoorConfig(listen="127.0.0.1:0")
    settings = root.InternetGatewayConfig(storage=storage, poweb=door, pohttp=door, cogrpc=door)
    async with root.run_internet_gateway(settings) as running, peers.NodePeer() as peer:
        app = poweb.poweb_app(running.node.gateway_door)
        async with poweb.serve_poweb(app, "127.0.0.1:0") as server:
            key = await peer.ask("makeIdentityKey")
            registered = await peer.ask("register", door={"port": server.port}, privateKey=key["privateKey"])
            yield _Gateway(running.node, app, server.port, peer, {**key, **registered})


async def npm_collects(gateway: _Gateway, size: int) -> str:
    """Let the npm client, which leaves after seven seconds without a ping, collect a large parcel."""
    (links,) = _modules("helpers.slow_link")
    await gateway.put(size)
    async with links.slow_link(gateway.port, RATE) as link:
        collected = await gateway.npm_collect(link.port)
    _check([len(each["parcel"]) for each in collected] == [size], "the parcel did not arrive whole")
    _check(not await gateway.npm_collect(gateway.port), "the parcel is there again")
    return f"{size} octets"


async def we_collect(gateway: _Gateway, size: int) -> str:
    """Collect a large parcel with our client."""
    links, poweb, messages, keys = _modules(
        "helpers.slow_link", "awala.bindings.poweb", "awala.messages", "awala.crypto"
    )
    key = keys.IdentityPrivateKey.load(gateway.private["privateKey"])
    (pki,) = _modules("awala.pki")
    certificate = pki.Certificate.parse(gateway.private["nodeCertificate"])

    def sign(nonce: bytes) -> list[bytes]:
        return [messages.sign_detached(messages.DetachedSignatureType.NONCE, nonce, key, certificate)]

    await gateway.put(size)
    sizes = []
    async with (
        links.slow_link(gateway.port, RATE) as link,
        poweb.PoWebClient.local(f"http://127.0.0.1:{link.port}") as client,
        client.collect(sign, poweb.StreamingMode.CLOSE_UPON_COMPLETION) as collection,
    ):
        async for delivery in collection:
            sizes.append(len(delivery.parcel))
            await delivery.acknowledge()
    _check(sizes == [size], "the parcel did not arrive whole")
    return f"{size} octets"


async def a_stalled_collector_is_noticed(gateway: _Gateway, size: int) -> str:
    """Stall the link under a large parcel."""
    (links,) = _modules("helpers.slow_link")
    await gateway.put(size)
    async with links.slow_link(gateway.port, RATE) as link:
        collecting = asyncio.create_task(gateway.npm_collect(link.port))
        while link.carried < size / 2:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0.1)
        _check(gateway.app.live_collections == 1, "there is no collection to stall")
        link.stall()
        begin = time.monotonic()
        while gateway.app.live_collections:  # noqa: ASYNC110 - nor does the server
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - begin
    await asyncio.gather(collecting, return_exceptions=True)
    _check(seconds <= NOTICED_WITHIN, f"noticed only after {seconds:.1f} s")
    return f"noticed after {seconds:.1f} s"


async def poweb_delivers(size: int) -> str:
    """Deliver a large parcel by PoWeb over TLS."""
    poweb, helpers = _modules("awala.bindings.poweb", "helpers.poweb")
    gateway = helpers.MemoryGateway()
    async with _link_to(poweb.poweb_app(gateway)) as (port, tls):
        dialler = helpers.LoopbackDialler(port)
        async with poweb.PoWebClient.remote(HOST, 443, tls, dialler=dialler) as client:
            await client.deliver(bytes(size), helpers.GOOD_COUNTERSIGNATURE)
    _check(gateway.count("deliver") == 1, "the parcel did not arrive")
    return f"{size} octets"


async def pohttp_delivers(size: int) -> str:
    """Deliver a large parcel by PoHTTP."""
    pohttp, addressing, helpers = _modules(
        "awala.bindings.pohttp", "awala.bindings.addressing", "helpers.poweb"
    )
    taken = []

    class Service:
        async def deliver(self, parcel: bytes) -> None:
            taken.append(len(parcel))

    class Resolver:
        async def locate(self, _address: str, _service: object) -> list[Any]:
            return [addressing.Target(HOST, 443)]

    async with (
        _link_to(pohttp.pohttp_app(Service())) as (port, tls),
        pohttp.PoHttpClient(resolver=Resolver(), tls=tls, dialler=helpers.LoopbackDialler(port)) as client,
    ):
        await client.deliver(HOST, bytes(size))
    _check(taken == [size], "the parcel did not arrive whole")
    return f"{size} octets"


@asynccontextmanager
async def _link_to(app: Any) -> AsyncIterator[tuple[int, Any]]:
    links, serving, testing = _modules("helpers.slow_link", "awala.bindings.serving", "awala.testing")
    authority = testing.Authority.create()
    async with (
        serving.serve(app, "127.0.0.1:0", tls=authority.server_context(HOST)) as server,
        links.slow_link(server.port, RATE) as link,
    ):
        yield link.port, authority.client_context()


async def cogrpc_delivers(size: int) -> str:
    """Deliver a large cargo by CogRPC."""
    links, cogrpc, helpers = _modules("helpers.slow_link", "awala.bindings.cogrpc", "helpers.cogrpc")
    service = helpers.Service()
    async with (
        helpers.courier_server(service) as server,
        links.slow_link(helpers.port_of(server), RATE) as link,
        cogrpc.CogRpcClient.plain("127.0.0.1", link.port) as client,
    ):
        acknowledged = [each async for each in client.deliver(helpers.stream(helpers.outgoing(1, size)))]
    _check(len(acknowledged) == 1 and len(service.delivered[0]) == size, "the cargo did not arrive whole")
    return f"{size} octets"


async def cogrpc_collects(size: int) -> str:
    """Collect a large cargo by CogRPC."""
    links, cogrpc, helpers = _modules("helpers.slow_link", "awala.bindings.cogrpc", "helpers.cogrpc")
    service = helpers.Service(helpers.Collection(helpers.outgoing(1, size)))
    sizes = []
    async with (
        helpers.courier_server(service) as server,
        links.slow_link(helpers.port_of(server), RATE) as link,
        cogrpc.CogRpcClient.plain("127.0.0.1", link.port) as client,
    ):
        async for incoming in client.collect(b"cca"):
            sizes.append(len(incoming.cargo))
            await incoming.acknowledge()
    _check(sizes == [size], "the cargo did not arrive whole")
    return f"{size} octets"


def _modules(*names: str) -> list[Any]:
    """Import what the tests share, which is found only once their folder is on the path."""
    return [importlib.import_module(name) for name in names]


def _check(condition: object, problem: str) -> None:
    if not condition:
        raise AssertionError(problem)
