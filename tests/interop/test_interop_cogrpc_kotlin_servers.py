# SPDX-License-Identifier: MIT
"""Our CogRPC client against servers over the Kotlin library's definition of the service."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
import pytest_asyncio
from interop_kotlin_gateways import HOST, open_distant_gateway

from awala.base.clock import SystemClock
from awala.bindings.cogrpc import (
    CogRpcClient,
    Fulfilled,
    OutgoingCargo,
    PeerFullError,
    WrongRecipient,
    make_courier_certificate,
)
from awala.bindings.errors import MalformedError, ServerError, UnauthenticatedError, UnreachableError
from awala.testing import ChaosProxy
from helpers.kotlin_peer import KotlinPeer

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-cogrpc"),
]

COUNTS = (0, 1, 30)
LOOPBACK = "127.0.0.1"
LARGE = 100_000
SOME = 5
"""Cargoes that are acknowledged before a link is cut."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer():
    async with KotlinPeer() as kotlin_peer:
        yield kotlin_peer


@pytest.fixture
def distant(peer):
    return open_distant_gateway(peer)


class Server:
    """A server of the peer; once it has stopped, what happened to it."""

    def __init__(self, port):
        self.port = port
        self.report = {}


@asynccontextmanager
async def serving(peer, certificate, key, offered=(), **options):
    cargoes = [{"id": f"id-{number}", "cargo": cargo} for number, cargo in enumerate(offered)]
    started = await peer.ask(
        "startCargoRelay", host=LOOPBACK, offered=cargoes, certificate=certificate, key=key, **options
    )
    server = Server(started["port"])
    try:
        yield server
    finally:
        server.report |= await peer.ask("stopCargoRelay", port=server.port)


@asynccontextmanager
async def courier(peer, offered=(), **options):
    """Run a courier, whose certificate is self-signed, and give our client of it."""
    tls = make_courier_certificate([ip_address(LOOPBACK)], now=SystemClock().now()).tls
    async with serving(peer, *tls, offered, **options) as server:
        yield server, await CogRpcClient.for_courier(LOOPBACK, server.port)


@asynccontextmanager
async def internet_gateway(peer, authority, offered=(), **options):
    """Run an Internet gateway, whose certificate is by the authority, and give our client of it."""
    issued = authority.issue(HOST)
    async with serving(peer, issued.certificate_pem, issued.key_pem, offered, **options) as server:
        yield server, client_of_gateway(authority, server.port)


def client_of_gateway(authority, port):
    return CogRpcClient.for_internet_gateway(
        HOST, port, root_certificates=authority.ca_pem, addresses=[LOOPBACK]
    )


@asynccontextmanager
async def relay(role, peer, authority, offered=()):
    """Run either of them, and give what connects our client to it, or to a link that leads to it."""
    node = courier(peer, offered) if role == "courier" else internet_gateway(peer, authority, offered)
    async with node as (server, client):
        await client.close()

        async def connect(port=server.port):
            if role == "courier":
                return await CogRpcClient.for_courier(LOOPBACK, port)
            return client_of_gateway(authority, port)

        yield server, connect


def in_both_roles(capability):
    cells = {role: pytest.mark.cell(f"cogrpc-serve-{role}-{capability}") for role in ("courier", "internet")}
    return pytest.mark.parametrize("role", [pytest.param(role, marks=mark) for role, mark in cells.items()])


async def stream(cargoes):
    for number, cargo in enumerate(cargoes):
        yield OutgoingCargo(str(number), cargo)


async def deliver(client, cargoes, safe=None):
    """Deliver, and return the ids that were acknowledged, also in ``safe`` if the call fails."""
    safe = [] if safe is None else safe
    async with client:
        async for delivery_id in client.deliver(stream(cargoes)):
            safe.append(delivery_id)
    return safe


async def collect(client, authorization, cargoes=None):
    """Collect, and return the cargoes, also in ``cargoes`` if the call fails."""
    cargoes = [] if cargoes is None else cargoes
    async with client:
        async for incoming in client.collect(authorization):
            cargoes.append(incoming.cargo)
            await incoming.acknowledge()
    return cargoes


def items(count, size=100):
    return [[number.to_bytes(4) + bytes(size - 4)] for number in range(count)]


# ---- couriers --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-courier-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_deliver_cargo_to_a_kotlin_courier(peer, distant, count):
    cargoes = await distant.gateway.fill(*items(count))

    async with courier(peer) as (server, client):
        safe = await deliver(client, cargoes)

    assert safe == [str(number) for number in range(count)]
    assert server.report["delivered"] == cargoes


@pytest.mark.cell("cogrpc-serve-courier-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_collect_cargo_from_a_kotlin_courier_and_acknowledge_each(peer, distant, count):
    cargoes = await distant.cargoes(*items(count))
    authorization = await distant.gateway.authorize()

    async with courier(peer, cargoes) as (server, client):
        collected = await collect(client, authorization)

    assert collected == cargoes
    assert server.report["acknowledged"] == [f"id-{number}" for number in range(count)]
    assert server.report["authorizations"] == [authorization]


@pytest.mark.cell("cogrpc-serve-courier-refusals")
@pytest.mark.parametrize(
    ("status", "error"), [("INVALID_ARGUMENT", MalformedError), ("RESOURCE_EXHAUSTED", PeerFullError)]
)
async def test_we_learn_why_a_kotlin_courier_takes_no_cargo(peer, status, error):
    async with courier(peer, status=status) as (_, client):
        with pytest.raises(error):
            await deliver(client, [b"cargo"])


async def cut_when_some(safe, link):
    """Break a link once some cargoes are safe."""
    while len(safe) < SOME:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.002)
    await link.drop_connections()


# ---- either ----------------------------------------------------------------------------------------------


@in_both_roles("largest")
async def test_we_exchange_the_largest_cargo_with_a_kotlin_server(peer, distant, authority, role):
    outgoing = await distant.gateway.fill([bytes(8_300_000)])
    incoming = await distant.cargoes([bytes(8_300_000)])

    async with relay(role, peer, authority, incoming) as (server, connect):
        safe = await deliver(await connect(), outgoing)
        collected = await collect(await connect(), await distant.gateway.authorize())

    assert safe == ["0"]
    assert server.report["delivered"] == outgoing
    assert collected == incoming


@in_both_roles("cut")
async def test_a_delivery_to_a_kotlin_server_that_was_cut_is_completed_by_another(
    peer, distant, authority, role
):
    cargoes, safe = await distant.gateway.fill(*items(30, LARGE)), []
    async with (
        relay(role, peer, authority) as (server, connect),
        ChaosProxy(LOOPBACK, server.port) as link,
    ):
        link.to_target.rate = 10 * LARGE
        cutting = asyncio.create_task(cut_when_some(safe, link))
        with pytest.raises(UnreachableError):
            await deliver(await connect(link.port), cargoes, safe)
        await cutting
        rest = [cargo for number, cargo in enumerate(cargoes) if str(number) not in safe]
        await deliver(await connect(), rest)

    assert 0 < len(rest) < len(cargoes)
    assert set(server.report["delivered"]) == set(cargoes)


@in_both_roles("cut")
async def test_a_collection_from_a_kotlin_server_that_was_cut_is_completed_by_another(
    peer, distant, authority, role
):
    cargoes, before = await distant.cargoes(*items(30, LARGE)), []
    authorization = await distant.gateway.authorize()
    async with (
        relay(role, peer, authority, cargoes) as (server, connect),
        ChaosProxy(LOOPBACK, server.port) as link,
    ):
        link.from_target.rate = 10 * LARGE
        cutting = asyncio.create_task(cut_when_some(before, link))
        with pytest.raises(UnreachableError):
            await collect(await connect(link.port), authorization, before)
        await cutting
        after = await collect(await connect(), authorization)

    assert 0 < len(before) < len(cargoes)
    assert before == cargoes[: len(before)]
    assert after == cargoes


# ---- Internet gateways -----------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-internet-deliver", "cogrpc-serve-internet-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_exchange_cargo_with_a_kotlin_internet_gateway(peer, distant, authority, count):
    outgoing = await distant.gateway.fill(*items(count))
    incoming = await distant.cargoes(*items(count))
    authorization = await distant.gateway.authorize()

    async with internet_gateway(peer, authority, incoming) as (server, client):
        safe = await deliver(client, outgoing)
    async with internet_gateway(peer, authority, incoming) as (other, client):
        collected = await collect(client, authorization)

    assert safe == [str(number) for number in range(count)]
    assert server.report["delivered"] == outgoing
    assert collected == incoming
    assert other.report["authorizations"] == [authorization]


@pytest.mark.cell("cogrpc-serve-internet-refusals")
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("UNAUTHENTICATED", UnauthenticatedError),
        ("PERMISSION_DENIED", Fulfilled),
        ("INVALID_ARGUMENT", WrongRecipient),
        ("INTERNAL", ServerError),
    ],
)
async def test_we_learn_why_a_kotlin_internet_gateway_refuses_an_authorisation(
    peer, distant, authority, status, error
):
    authorization = await distant.gateway.authorize()

    async with internet_gateway(peer, authority, status=status) as (_, client):
        with pytest.raises(error):
            await collect(client, authorization)
