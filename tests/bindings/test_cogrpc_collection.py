# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing

import grpc
import pytest

from awala.bindings.cogrpc import (
    Busy,
    CogRpcClient,
    Fulfilled,
    OutgoingCargo,
    Patience,
    ServerLimits,
    UnsendableError,
    WrongRecipient,
)
from awala.bindings.cogrpc.limits import MAX_CARGO
from awala.bindings.cogrpc.messages import CargoDelivery
from awala.bindings.errors import (
    Forbidden,
    MalformedRequest,
    ProtocolError,
    ServerError,
    TemporarilyUnavailable,
    Unauthenticated,
    UnauthenticatedError,
    UnreachableError,
)
from helpers.cogrpc import (
    PATHS,
    Collection,
    Service,
    ack,
    courier_server,
    delivery,
    gateway_server,
    outgoing,
    plain_client,
    raw_call,
    raw_server,
    status_of,
)
from helpers.vectors import vector

CCA = b"a cargo collection authorization"
AUTHORIZED = (("authorization", "Relaynet-CCA " + base64.b64encode(CCA).decode()),)
SERVERS = pytest.mark.parametrize("make_server", [gateway_server, courier_server])


async def collected(client, *, acknowledge: bool = True) -> list[bytes]:
    cargoes = []
    async for incoming in client.collect(CCA):
        cargoes.append(incoming.cargo)
        if acknowledge:
            await incoming.acknowledge()
    return cargoes


async def finished(collection: Collection) -> list[bool]:
    async with asyncio.timeout(5):
        await collection.finished.wait()
    return collection.finishes


@SERVERS
@pytest.mark.parametrize("count", [0, 1, 30])
async def test_collects_all_cargo(make_server, count):
    service = Service(Collection(outgoing(count)))
    async with make_server(service) as server, plain_client(server) as client:
        cargoes = await collected(client)

    assert cargoes == [cargo.cargo for cargo in outgoing(count)]
    assert service.ccas == [CCA]
    assert service.collection.acknowledged == [cargo.delivery_id for cargo in outgoing(count)]
    assert service.collection.finishes == [True]


@SERVERS
async def test_collects_the_largest_cargo(make_server):
    service = Service(Collection(outgoing(3, MAX_CARGO)))
    async with make_server(service) as server, plain_client(server) as client:
        cargoes = await collected(client)

    assert [len(cargo) for cargo in cargoes] == [MAX_CARGO] * 3
    assert len(service.collection.acknowledged) == 3


async def test_carries_a_real_cca_unchanged():
    service = Service()
    cca = vector("js", "cca")
    async with gateway_server(service) as server, plain_client(server) as client:
        async for _ in client.collect(cca):
            pass

    assert service.ccas == [cca]


@pytest.mark.rule("1.11")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["Relaynet-CCA", "Awala-CCA", "awala-cca"])
async def test_takes_both_names_of_service_and_scheme(path, scheme):
    service = Service()
    metadata = (("authorization", f"{scheme} {base64.b64encode(CCA).decode()}"),)
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", path=path, metadata=metadata) as call,
    ):
        assert await status_of(call) is grpc.StatusCode.OK

    assert service.ccas == [CCA]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer YWJj"),),
        (("authorization", "Relaynet-CCA"),),
        (("authorization", "Relaynet-CCA "),),
        (("authorization", "Relaynet-CCA not*base64"),),
        (("authorization", "Relaynet-CCA YWJ"),),
        (("authorization", "Relaynet-CCA YW Jj"),),
        AUTHORIZED * 2,
    ],
)
async def test_anything_but_one_well_formed_cca_counts_as_none(metadata):
    service = Service()
    service.collect_error = Unauthenticated("no CCA")
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", metadata=metadata) as call,
    ):
        assert await status_of(call) is grpc.StatusCode.UNAUTHENTICATED

    assert service.ccas == [None]
    assert service.collection.finishes == []


@pytest.mark.rule("6.1")
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (Unauthenticated("bad"), UnauthenticatedError),
        (MalformedRequest("bad"), UnauthenticatedError),
        (Forbidden("bad"), UnauthenticatedError),
        (WrongRecipient("other"), WrongRecipient),
        (Fulfilled("used"), Fulfilled),
        (Busy("in use"), UnreachableError),
        (TemporarilyUnavailable(), UnreachableError),
        (RuntimeError("a fault in the node"), UnreachableError),
    ],
)
async def test_each_refusal_has_its_status_and_its_error(raised, error):
    service = Service()
    service.collect_error = raised
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(error):
            await collected(client)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("RESOURCE_EXHAUSTED", ServerError),
        ("DEADLINE_EXCEEDED", UnreachableError),
        ("CANCELLED", UnreachableError),
        ("UNIMPLEMENTED", ProtocolError),
    ],
)
async def test_maps_other_statuses_of_a_collection(code, error):
    async def handler(context) -> None:
        await context.write(delivery("a"))
        context.set_code(grpc.StatusCode[code])

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        with pytest.raises(error):
            await collected(client)


async def test_a_delivery_that_cannot_be_read_is_the_peers_fault():
    async def handler(context) -> None:
        await context.write(b"\xff")
        await context.read()

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        with pytest.raises(ProtocolError):
            await collected(client)


@pytest.mark.rule("6.10")
async def test_a_cca_that_deployed_servers_have_no_room_for_is_not_sent():
    service = Service()
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(UnsendableError):
            async for _ in client.collect(bytes(4100)):
                pass
        async for _ in client.collect(bytes(4000)):
            pass

    assert service.ccas == [bytes(4000)]


@pytest.mark.rule("6.10")
async def test_a_cca_by_somebody_else_is_passed_on_as_large_as_servers_of_ours_accept_it():
    service = Service()
    async with gateway_server(service) as server, plain_client(server) as client:
        for _ in range(5):
            async for _ in client.collect(bytes(5500), relayed=True):
                pass
        with pytest.raises(UnsendableError):
            async for _ in client.collect(bytes(5600), relayed=True):
                pass

    assert service.ccas == [bytes(5500)] * 5


async def test_a_courier_stays_until_the_last_acknowledgement():
    service = Service(Collection(outgoing(2)))
    async with (
        courier_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call,
    ):
        for _ in range(2):
            await call.read()
        await call.write(ack("id-1"))
        end = asyncio.create_task(call.read())
        await asyncio.wait({end}, timeout=0.7)
        assert not end.done()
        assert service.collection.finishes == []

        await call.write(ack("id-0"))
        assert await end is grpc.aio.EOF

    assert service.collection.acknowledged == ["id-1", "id-0"]
    assert service.collection.finishes == [True]


async def test_a_courier_waits_for_acknowledgements_within_a_bound():
    service = Service(Collection(outgoing(2)))
    async with (
        courier_server(service, server_limits=ServerLimits(courier_ack_wait=0.1)) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call,
    ):
        assert await status_of(call) is grpc.StatusCode.OK

    assert service.collection.acknowledged == []
    assert service.collection.finishes == [True]


@pytest.mark.rule("6.2")
async def test_a_courier_stops_waiting_for_acknowledgements_before_the_deadline():
    service = Service(Collection(outgoing(1)))
    async with (
        courier_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED, timeout=0.8) as call,
    ):
        assert await status_of(call) is grpc.StatusCode.OK


async def test_an_internet_gateway_does_not_need_acknowledgements():
    service = Service(Collection(outgoing(5)))
    async with gateway_server(service) as server, plain_client(server) as client:
        assert len(await collected(client, acknowledge=False)) == 5

    assert service.collection.finishes == [True]


@SERVERS
async def test_a_client_that_only_listens_gets_everything(make_server):
    service = Service(Collection(outgoing(3)))
    async with (
        make_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call,
    ):
        await call.done_writing()
        assert [CargoDelivery.parse(await call.read()).delivery_id for _ in range(3)] == [
            "id-0",
            "id-1",
            "id-2",
        ]
        assert await status_of(call) is grpc.StatusCode.OK

    assert service.collection.finishes == [True]


async def test_acknowledgements_for_what_was_not_sent_or_twice_are_ignored():
    service = Service(Collection(outgoing(2)))
    async with (
        courier_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call,
    ):
        for _ in range(2):
            await call.read()
        for delivery_id in ("nobody", "id-0", "id-0", "id-1"):
            await call.write(ack(delivery_id))
        assert await status_of(call) is grpc.StatusCode.OK

    assert service.collection.acknowledged == ["id-0", "id-1"]


async def test_a_malformed_acknowledgement_ends_the_call_with_invalid_argument():
    service = Service(Collection(outgoing(1)))
    async with (
        courier_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call,
    ):
        await call.read()
        await call.write(b"\xff")
        assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT

    assert service.collection.finishes == [False]


async def test_an_acknowledgement_that_cannot_be_kept_fails_the_call():
    service = Service(Collection(outgoing(1)))
    service.collection.acknowledge_error = TemporarilyUnavailable()
    async with courier_server(service) as server, plain_client(server) as client:
        with pytest.raises(UnreachableError):
            await collected(client)

    assert service.collection.finishes == [False]


@pytest.mark.parametrize(
    ("then", "code"),
    [
        (TemporarilyUnavailable(), grpc.StatusCode.UNAVAILABLE),
        (RuntimeError("a fault in the node"), grpc.StatusCode.UNAVAILABLE),
        (TimeoutError("of the node's own"), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_failure_while_cargo_is_made_ends_the_call(then, code):
    service = Service(Collection(outgoing(1), then=then))
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED, timeout=30) as call,
    ):
        assert await status_of(call) is code

    assert service.collection.finishes == [False]


async def test_cargo_that_breaks_a_limit_fails_the_call_not_the_server():
    service = Service(Collection([OutgoingCargo("a", bytes(MAX_CARGO + 300))]))
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(UnreachableError):
            await collected(client)
        service.collection = Collection(outgoing(1))
        assert len(await collected(client)) == 1


@pytest.mark.rule("6.2")
@pytest.mark.parametrize(
    ("make_server", "code"),
    [(gateway_server, grpc.StatusCode.UNAVAILABLE), (courier_server, grpc.StatusCode.OK)],
)
async def test_stops_half_a_second_before_the_deadline_with_cargo_left(make_server, code):
    service = Service(Collection(outgoing(2)))
    service.collection.hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with make_server(service) as server:
        started = loop.time()
        async with raw_call(server, "CollectCargo", metadata=AUTHORIZED, timeout=1.0) as call:
            assert await status_of(call) is code
        took = loop.time() - started

    assert 0.3 < took < 0.95
    assert service.collection.finishes == [False]
    assert service.collection.closed


async def test_a_client_that_does_not_read_is_not_buffered_for():
    service = Service(Collection(outgoing(40, 4_000_000)))
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", metadata=AUTHORIZED, timeout=1.5) as call,
    ):
        await finished(service.collection)
        assert service.collection.asked < 20
        assert await status_of(call) is grpc.StatusCode.UNAVAILABLE

    assert service.collection.finishes == [False]


@pytest.mark.rule("6.1")
@SERVERS
async def test_a_cut_in_mid_stream_frees_the_cca(make_server, caplog):
    service = Service(Collection(outgoing(40, 4_000_000)))
    async with make_server(service) as server:
        async with raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call:
            await call.read()
        assert await finished(service.collection) == [False]

    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.rule("6.1")
@SERVERS
async def test_a_cut_with_acknowledgements_outstanding_frees_the_cca(make_server):
    service = Service(Collection(outgoing(2)))
    async with make_server(service) as server:
        async with raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call:
            for _ in range(2):
                await call.read()
        assert await finished(service.collection) == [False]


async def test_a_client_that_disappears_after_half_closing_frees_the_cca():
    service = Service(Collection(outgoing(2)))
    service.collection.hold = asyncio.Event()
    async with gateway_server(service) as server:
        async with raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call:
            await call.done_writing()
            await call.read()
        assert await finished(service.collection) == [False]


async def test_a_cancel_after_every_acknowledgement_is_a_success():
    service = Service(Collection(outgoing(1)))
    acknowledged = asyncio.Event()

    async def acknowledge(_delivery_id: str) -> None:
        acknowledged.set()

    service.collection.acknowledge = acknowledge
    async with courier_server(service) as server:
        async with raw_call(server, "CollectCargo", metadata=AUTHORIZED) as call:
            await call.read()
            await call.write(ack("id-0"))
            await acknowledged.wait()
        assert await finished(service.collection) == [True]


async def test_leaving_early_cuts_the_call():
    service = Service(Collection(outgoing(40, 4_000_000)))
    async with gateway_server(service) as server, plain_client(server) as client:
        async with aclosing(client.collect(CCA)) as cargoes:
            incoming = await anext(cargoes)
        await incoming.acknowledge()
        assert await finished(service.collection) == [False]


async def test_acknowledging_after_the_end_does_nothing():
    service = Service(Collection(outgoing(2)))
    async with gateway_server(service) as server, plain_client(server) as client:
        cargoes = [incoming async for incoming in client.collect(CCA)]
        for incoming in cargoes:
            await incoming.acknowledge()

    assert service.collection.acknowledged == []


async def test_a_silent_server_is_given_up():
    async def handler(context) -> None:
        await context.write(delivery("a"))
        await context.read()
        await context.read()

    patience = Patience(collection_idle=0.2)
    async with (
        raw_server(handler) as port,
        CogRpcClient.plain("127.0.0.1", port, patience=patience) as client,
    ):
        with pytest.raises(UnreachableError):
            await collected(client)


async def test_the_server_is_told_the_deadline_and_it_holds():
    remaining = []

    async def handler(context) -> None:
        remaining.append(context.time_remaining())
        await context.read()

    patience = Patience(collection=0.3)
    async with (
        raw_server(handler) as port,
        CogRpcClient.plain("127.0.0.1", port, patience=patience) as client,
    ):
        with pytest.raises(UnreachableError):
            await collected(client)

    assert 0 < remaining[0] < 0.4


async def test_a_slow_consumer_is_not_mistaken_for_a_silent_server():
    service = Service(Collection(outgoing(3)))
    async with courier_server(service) as server, plain_client(server, collection_idle=0.3) as client:
        count = 0
        async for incoming in client.collect(CCA):
            await asyncio.sleep(0.4 if count == 0 else 0)
            await incoming.acknowledge()
            count += 1

    assert count == 3


async def test_nobody_there_is_unreachable(unused_tcp_port):
    async with CogRpcClient.plain("127.0.0.1", unused_tcp_port) as client:
        with pytest.raises(UnreachableError):
            await collected(client)
