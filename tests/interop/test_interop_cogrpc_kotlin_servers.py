# SPDX-License-Identifier: MIT
"""Our CogRPC client against servers over the Kotlin library's definition of the service."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
import pytest_asyncio
from interop_cogrpc import (
    COUNTS,
    HOST,
    PARCEL,
    client_of_courier,
    client_of_internet_gateway,
    collect_ours,
    cut_when,
    deliver_ours,
)
from interop_gateways import items, one_each
from interop_kotlin_gateways import KotlinInternetGateway, open_kotlin_gateway

from awala.base.clock import SystemClock
from awala.bindings.cogrpc import Fulfilled, PeerFullError, WrongRecipient, make_courier_certificate
from awala.bindings.errors import MalformedError, ServerError, UnauthenticatedError, UnreachableError
from awala.testing import ChaosProxy
from helpers.kotlin_peer import KotlinPeer

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-cogrpc"),
]

LOOPBACK = "127.0.0.1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer():
    async with KotlinPeer() as kotlin_peer:
        yield kotlin_peer


@pytest.fixture
def distant(peer):
    """An Internet gateway of the peer, which has made what its servers offer."""
    return KotlinInternetGateway(peer)


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(peer, distant):
    return await open_kotlin_gateway(peer, distant)


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
        yield server, await client_of_courier(server.port)


@asynccontextmanager
async def internet_gateway(peer, authority, offered=(), **options):
    """Run an Internet gateway, whose certificate is by the authority, and give our client of it."""
    issued = authority.issue(HOST)
    async with serving(peer, issued.certificate_pem, issued.key_pem, offered, **options) as server:
        yield server, client_of_internet_gateway(server.port, authority)


@asynccontextmanager
async def relay(role, peer, authority, offered=()):
    """Run either of them, and give what connects our client to it, or to a link that leads to it."""
    node = courier(peer, offered) if role == "courier" else internet_gateway(peer, authority, offered)
    async with node as (server, client):
        await client.close()

        async def connect(port=server.port):
            if role == "courier":
                return await client_of_courier(port)
            return client_of_internet_gateway(port, authority)

        yield server, connect


def in_both_roles(capability):
    cells = {role: pytest.mark.cell(f"cogrpc-serve-{role}-{capability}") for role in ("courier", "internet")}
    return pytest.mark.parametrize("role", [pytest.param(role, marks=mark) for role, mark in cells.items()])


# ---- couriers --------------------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-courier-deliver")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_deliver_cargo_to_a_kotlin_courier(peer, gateway, count):
    cargoes = await gateway.fill(*one_each(items(count)))

    async with courier(peer) as (server, client):
        safe = await deliver_ours(client, cargoes)

    assert safe == cargoes
    assert server.report["delivered"] == cargoes


@pytest.mark.cell("cogrpc-serve-courier-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_collect_cargo_from_a_kotlin_courier_and_acknowledge_each(peer, distant, gateway, count):
    cargoes = await distant.cargoes_for(gateway, *one_each(items(count)))
    authorization = await gateway.authorize()

    async with courier(peer, cargoes) as (server, client):
        collected = await collect_ours(client, authorization)

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
            await deliver_ours(client, [b"cargo"])


# ---- either ----------------------------------------------------------------------------------------------


@in_both_roles("largest")
async def test_we_exchange_the_largest_cargo_with_a_kotlin_server(peer, distant, gateway, authority, role):
    outgoing = await gateway.fill([bytes(8_300_000)])
    incoming = await distant.cargoes_for(gateway, [bytes(8_300_000)])

    async with relay(role, peer, authority, incoming) as (server, connect):
        safe = await deliver_ours(await connect(), outgoing)
        collected = await collect_ours(await connect(), await gateway.authorize())

    assert safe == outgoing
    assert server.report["delivered"] == outgoing
    assert collected == incoming


async def until_cut(call, come, link):
    """Make a call over a link, which is cut once some cargoes have ``come``, so that the call fails."""

    async def arrived():
        return come

    async with asyncio.TaskGroup() as meanwhile:
        meanwhile.create_task(cut_when(link, arrived))
        with pytest.raises(UnreachableError):
            await call


@in_both_roles("cut")
async def test_a_delivery_to_a_kotlin_server_that_was_cut_is_completed_by_another(
    peer, gateway, authority, role
):
    cargoes, safe = await gateway.fill(*one_each(items(30, PARCEL))), []
    async with (
        relay(role, peer, authority) as (server, connect),
        ChaosProxy(LOOPBACK, server.port) as link,
    ):
        link.to_target.rate = 10 * PARCEL
        await until_cut(deliver_ours(await connect(link.port), cargoes, safe), safe, link)
        rest = [cargo for cargo in cargoes if cargo not in safe]
        await deliver_ours(await connect(), rest)

    assert 0 < len(rest) < len(cargoes)
    assert set(server.report["delivered"]) == set(cargoes)


@in_both_roles("cut")
async def test_a_collection_from_a_kotlin_server_that_was_cut_is_completed_by_another(
    peer, distant, gateway, authority, role
):
    cargoes, before = await distant.cargoes_for(gateway, *one_each(items(30, PARCEL))), []
    authorization = await gateway.authorize()
    async with (
        relay(role, peer, authority, cargoes) as (server, connect),
        ChaosProxy(LOOPBACK, server.port) as link,
    ):
        link.from_target.rate = 10 * PARCEL
        await until_cut(collect_ours(await connect(link.port), authorization, before), before, link)
        after = await collect_ours(await connect(), authorization)

    assert 0 < len(before) < len(cargoes)
    assert before == cargoes[: len(before)]
    assert after == cargoes


# ---- Internet gateways -----------------------------------------------------------------------------------


@pytest.mark.cell("cogrpc-serve-internet-deliver", "cogrpc-serve-internet-collect")
@pytest.mark.parametrize("count", COUNTS)
async def test_we_exchange_cargo_with_a_kotlin_internet_gateway(peer, distant, gateway, authority, count):
    outgoing = await gateway.fill(*one_each(items(count)))
    incoming = await distant.cargoes_for(gateway, *one_each(items(count)))
    authorization = await gateway.authorize()

    async with internet_gateway(peer, authority, incoming) as (server, client):
        safe = await deliver_ours(client, outgoing)
    async with internet_gateway(peer, authority, incoming) as (other, client):
        collected = await collect_ours(client, authorization)

    assert safe == outgoing
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
    peer, gateway, authority, status, error
):
    authorization = await gateway.authorize()

    async with internet_gateway(peer, authority, status=status) as (_, client):
        with pytest.raises(error):
            await collect_ours(client, authorization)
