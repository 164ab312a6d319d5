# SPDX-License-Identifier: MIT
"""Our CogRPC client against servers over the Kotlin library's definition of the service."""

from __future__ import annotations

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
from awala.bindings.errors import MalformedError, ServerError, UnauthenticatedError
from awala.testing import Authority
from helpers.kotlin_peer import KotlinPeer

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-cogrpc"),
]

COUNTS = (0, 1, 30)
LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def authority():
    return Authority.create()


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
        yield (
            server,
            CogRpcClient.for_internet_gateway(
                HOST, server.port, root_certificates=authority.ca_pem, addresses=[LOOPBACK]
            ),
        )


async def stream(cargoes):
    for number, cargo in enumerate(cargoes):
        yield OutgoingCargo(str(number), cargo)


async def deliver(client, cargoes):
    async with client:
        return [delivery_id async for delivery_id in client.deliver(stream(cargoes))]


async def collect(client, authorization):
    cargoes = []
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


@pytest.mark.cell("cogrpc-serve-courier-largest")
async def test_we_exchange_the_largest_cargo_with_a_kotlin_courier(peer, distant):
    outgoing = await distant.gateway.fill([bytes(8_300_000)])
    incoming = await distant.cargoes([bytes(8_300_000)])

    async with courier(peer, incoming) as (server, client):
        safe = await deliver(client, outgoing)
    async with courier(peer, incoming) as (_, client):
        collected = await collect(client, await distant.gateway.authorize())

    assert safe == ["0"]
    assert server.report["delivered"] == outgoing
    assert collected == incoming


@pytest.mark.cell("cogrpc-serve-courier-refusals")
@pytest.mark.parametrize(
    ("status", "error"), [("INVALID_ARGUMENT", MalformedError), ("RESOURCE_EXHAUSTED", PeerFullError)]
)
async def test_we_learn_why_a_kotlin_courier_takes_no_cargo(peer, status, error):
    async with courier(peer, status=status) as (_, client):
        with pytest.raises(error):
            await deliver(client, [b"cargo"])


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
