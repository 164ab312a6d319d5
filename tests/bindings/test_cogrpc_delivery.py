# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import grpc
import pytest

from awala.base.errors import StorageFullError
from awala.bindings.cogrpc import (
    CogRpcClient,
    OutgoingCargo,
    Patience,
    PeerFullError,
    Refusals,
    ServerLimits,
    UnsendableError,
)
from awala.bindings.cogrpc.limits import ACK_HOLD, MAX_CARGO
from awala.bindings.errors import (
    Forbidden,
    MalformedError,
    MalformedRequest,
    ProtocolError,
    RefusedError,
    ServerError,
    TemporarilyUnavailable,
    Unprocessable,
    UnreachableError,
)
from helpers.cogrpc import (
    PATHS,
    Service,
    ack,
    courier_server,
    delivery,
    force_write,
    gateway_server,
    outgoing,
    plain_client,
    raw_call,
    raw_server,
    read_ids,
    status_of,
    stream,
)


async def delivered(client, cargoes) -> list[str]:
    return [delivery_id async for delivery_id in client.deliver(cargoes)]


@pytest.mark.parametrize("count", [0, 1, 30])
async def test_delivers_cargo_and_yields_the_acknowledged_ids(count):
    service = Service()
    cargoes = outgoing(count)
    async with gateway_server(service) as server, plain_client(server) as client:
        ids = await delivered(client, stream(cargoes))

    assert ids == [cargo.delivery_id for cargo in cargoes]
    assert service.delivered == [cargo.cargo for cargo in cargoes]


async def test_delivers_the_largest_cargo():
    service = Service()
    async with gateway_server(service) as server, plain_client(server) as client:
        ids = await delivered(client, stream(outgoing(3, MAX_CARGO)))

    assert len(ids) == 3
    assert [len(cargo) for cargo in service.delivered] == [MAX_CARGO] * 3


@pytest.mark.parametrize("path", PATHS)
async def test_serves_both_names(path):
    service = Service()
    async with gateway_server(service) as server, raw_call(server, "DeliverCargo", path=path) as call:
        await call.write(delivery("a"))
        await call.done_writing()

        assert await read_ids(call) == ["a"]


@pytest.mark.rule("6.5")
async def test_holds_an_acknowledgement_until_the_next_cargo_is_there():
    service = Service()
    server_limits = ServerLimits(ack_hold=60)
    async with (
        gateway_server(service, server_limits=server_limits) as server,
        raw_call(server, "DeliverCargo") as call,
    ):
        await call.write(delivery("a"))
        first_ack = asyncio.create_task(call.read())
        await asyncio.wait({first_ack}, timeout=0.2)
        assert service.delivered
        assert not first_ack.done()

        await call.write(delivery("b"))
        assert await first_ack == ack("a")

        await call.done_writing()
        assert await read_ids(call) == ["b"]


@pytest.mark.rule("6.5")
async def test_acknowledges_after_the_hold_when_no_other_cargo_comes():
    async with gateway_server(Service()) as server, raw_call(server, "DeliverCargo") as call:
        await call.write(delivery("a"))
        started = time.monotonic()
        assert await call.read() == ack("a")
        waited = time.monotonic() - started

        await call.write(delivery("b"))
        assert await call.read() == ack("b")

    assert ACK_HOLD * 0.8 < waited < ACK_HOLD + 2


async def test_acknowledges_only_after_the_service_has_it():
    service = Service()
    safe = asyncio.Event()
    service.before_commit = safe.wait
    async with (
        gateway_server(service, server_limits=ServerLimits(ack_hold=0.01)) as server,
        raw_call(server, "DeliverCargo") as call,
    ):
        await call.write(delivery("a"))
        await call.done_writing()
        reading = asyncio.create_task(call.read())
        await asyncio.wait({reading}, timeout=0.15)
        assert not reading.done()

        safe.set()
        assert await reading == ack("a")


@pytest.mark.rule("6.6")
@pytest.mark.parametrize("refusal", [MalformedRequest("bad"), Forbidden("bad"), Unprocessable("bad")])
async def test_a_gateway_acknowledges_and_drops_what_it_refuses(refusal):
    service = Service()
    cargoes = outgoing(3)
    service.refuse[cargoes[1].cargo] = refusal
    async with gateway_server(service) as server, plain_client(server) as client:
        ids = await delivered(client, stream(cargoes))

    assert len(ids) == 3
    assert service.delivered == [cargoes[0].cargo, cargoes[2].cargo]


@pytest.mark.rule("6.6")
@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (MalformedRequest("bad"), MalformedError),
        (Unprocessable("bad"), MalformedError),
        (StorageFullError("full"), PeerFullError),
        (TemporarilyUnavailable(), UnreachableError),
        (RuntimeError("a fault in the node"), UnreachableError),
    ],
)
async def test_a_courier_ends_the_call_and_what_it_took_before_is_acknowledged(refusal, error):
    service = Service()
    cargoes = outgoing(3)
    service.refuse[cargoes[1].cargo] = refusal
    ids = []
    async with (
        courier_server(service, refusals=Refusals.INVALID_ARGUMENT) as server,
        plain_client(server) as client,
    ):

        async def note_all() -> None:
            async for delivery_id in client.deliver(stream(cargoes)):
                ids.append(delivery_id)  # noqa: PERF401 - what came before the error is wanted

        with pytest.raises(error):
            await note_all()

    assert ids == ["id-0"]
    assert service.delivered == [cargoes[0].cargo]


async def test_the_reason_for_the_end_is_told_although_more_was_being_sent():
    service = Service()
    cargoes = outgoing(6, 8_000_000)
    service.refuse[cargoes[1].cargo] = StorageFullError("full")
    async with courier_server(service) as server, plain_client(server) as client:
        for _ in range(3):
            with pytest.raises(PeerFullError):
                await delivered(client, stream(cargoes))


async def test_a_fault_in_one_call_leaves_the_server_running():
    service = Service()
    service.refuse[b"poison"] = RuntimeError("a fault in the node")
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(UnreachableError):
            await delivered(client, stream([OutgoingCargo("x", b"poison")]))
        ids = await delivered(client, stream(outgoing(2)))

    assert len(ids) == 2


@pytest.mark.parametrize("message", [b"\x0a\xff", b"\x07", b"\x0a\x02\xc3\x28"])
async def test_malformed_protobuf_ends_the_call_with_invalid_argument(message):
    service = Service()
    async with gateway_server(service) as server, raw_call(server, "DeliverCargo") as call:
        await call.write(delivery("a"))
        await call.write(message)
        assert await call.read() == ack("a")
        assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT

    assert len(service.delivered) == 1


async def test_a_message_above_the_limit_is_refused_and_the_server_goes_on():
    service = Service()
    async with gateway_server(service) as server:
        async with raw_call(server, "DeliverCargo") as call:
            await force_write(call, bytes(MAX_CARGO + 257))
            assert await status_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with plain_client(server) as client:
            assert len(await delivered(client, stream(outgoing(1)))) == 1


async def test_a_client_that_cancels_after_its_acknowledgements_disturbs_nothing(caplog):
    service = Service()
    async with gateway_server(service, server_limits=ServerLimits(ack_hold=0.01)) as server:
        async with raw_call(server, "DeliverCargo") as call:
            await call.write(delivery("a"))
            assert await call.read() == ack("a")
            call.cancel()
        async with plain_client(server) as client:
            assert len(await delivered(client, stream(outgoing(1)))) == 1

    assert len(service.delivered) == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_cut_while_the_service_works_is_noticed_and_the_call_forgotten():
    service = Service()
    entered, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        entered.set()
        await never.wait()

    service.before_commit = stuck
    async with gateway_server(service) as server:
        async with raw_call(server, "DeliverCargo") as call:
            await call.write(delivery("a"))
            await entered.wait()
            assert server.open_calls == 1
        async with asyncio.timeout(5):
            await server._no_calls.wait()

    assert not service.delivered


async def test_two_cargoes_under_one_id_are_a_fault_of_ours():
    async with gateway_server(Service()) as server, plain_client(server) as client:
        with pytest.raises(UnsendableError):
            await delivered(client, stream([OutgoingCargo("a", b"1"), OutgoingCargo("a", b"2")]))


@pytest.mark.parametrize("cargo", [OutgoingCargo("a", bytes(MAX_CARGO + 300)), OutgoingCargo("a" * 500, b"")])
async def test_what_breaks_a_limit_is_not_sent(cargo):
    service = Service()
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(UnsendableError):
            await delivered(client, stream([cargo]))

    assert not service.delivered


async def test_an_error_of_the_source_reaches_the_caller_as_it_is():
    async def failing():
        yield OutgoingCargo("a", b"1")
        raise LookupError("the source is broken")

    service = Service()
    async with gateway_server(service) as server, plain_client(server) as client:
        with pytest.raises(LookupError, match="the source is broken"):
            await delivered(client, failing())


async def test_a_slow_source_is_waited_for_although_nothing_is_pending():
    async def slow():
        for cargo in outgoing(2):
            yield cargo
            await asyncio.sleep(0.3)

    server_limits = ServerLimits(ack_hold=0.01)
    async with (
        gateway_server(Service(), server_limits=server_limits) as server,
        plain_client(server, idle=0.2) as client,
    ):
        assert await delivered(client, slow()) == ["id-0", "id-1"]


async def test_leaving_early_cuts_the_call_and_stops_the_source():
    closed = asyncio.Event()

    async def endless():
        try:
            for n in range(1_000_000):
                yield OutgoingCargo(str(n), b"cargo")
        finally:
            closed.set()

    async with gateway_server(Service()) as server, plain_client(server) as client:
        async with aclosing(client.deliver(endless())) as ids:
            async for _ in ids:
                break
        async with asyncio.timeout(5):
            await closed.wait()
            await server._no_calls.wait()


async def test_cancelling_the_caller_cuts_the_call():
    service = Service()
    entered, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        entered.set()
        await never.wait()

    service.before_commit = stuck
    async with gateway_server(service) as server, plain_client(server) as client:
        delivering = asyncio.create_task(delivered(client, stream(outgoing(1))))
        await entered.wait()
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        async with asyncio.timeout(5):
            await server._no_calls.wait()


async def test_ends_its_side_only_after_the_last_acknowledgement():
    events = []

    async def handler(context) -> None:
        await context.read()
        end = asyncio.create_task(context.read())
        await asyncio.wait({end}, timeout=0.2)
        events.append(end.done())
        await context.write(ack("id-0"))
        events.append(await end is grpc.aio.EOF)

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        assert await delivered(client, stream(outgoing(1))) == ["id-0"]

    assert events == [False, True]


async def test_a_bad_end_after_the_last_acknowledgement_is_no_failure():
    async def handler(context) -> None:
        await context.read()
        await context.write(ack("id-0"))
        context.set_code(grpc.StatusCode.INTERNAL)

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        assert await delivered(client, stream(outgoing(1))) == ["id-0"]


async def test_a_good_end_before_the_last_acknowledgement_is_a_failure():
    async def handler(context) -> None:
        await context.read()
        await context.write(ack("id-0"))

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        with pytest.raises(ProtocolError):
            await delivered(client, stream(outgoing(2)))


async def test_unknown_and_repeated_acknowledgements_are_ignored():
    async def handler(context) -> None:
        await context.read()
        for delivery_id in ("nobody", "id-0", "id-0"):
            await context.write(ack(delivery_id))
        await context.read()

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        assert await delivered(client, stream(outgoing(1))) == ["id-0"]


async def test_an_acknowledgement_that_cannot_be_read_is_the_peers_fault():
    async def handler(context) -> None:
        await context.write(b"\xff")
        await context.read()

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        with pytest.raises(ProtocolError):
            await delivered(client, stream(outgoing(1)))


async def test_a_peer_that_never_acknowledges_is_given_up():
    async def handler(context) -> None:
        while await context.read() is not grpc.aio.EOF:
            pass

    async with (
        raw_server(handler) as port,
        CogRpcClient.plain("127.0.0.1", port, patience=Patience(idle=0.2)) as client,
    ):
        with pytest.raises(UnreachableError):
            await delivered(client, stream(outgoing(3)))


@pytest.mark.parametrize("count", [0, 3])
async def test_a_peer_that_has_acknowledged_everything_is_not_waited_for_although_it_never_ends_the_call(
    count,
):
    async def handler(context) -> None:
        for delivery_id in (f"id-{n}" for n in range(count)):
            await context.read()
            await context.write(ack(delivery_id))
        await asyncio.Event().wait()

    async with (
        raw_server(handler) as port,
        CogRpcClient.plain("127.0.0.1", port) as client,
        asyncio.timeout(Patience().idle / 2),
    ):
        assert len(await delivered(client, stream(outgoing(count)))) == count


async def test_a_large_cargo_is_given_the_time_that_a_slow_link_needs():
    async def handler(context) -> None:
        await context.read()
        await asyncio.sleep(0.4)
        await context.write(ack("id-0"))
        await context.read()

    patience = Patience(idle=0.1, slowest=100_000)
    async with (
        raw_server(handler) as port,
        CogRpcClient.plain("127.0.0.1", port, patience=patience) as client,
    ):
        assert await delivered(client, stream(outgoing(1, 100_000))) == ["id-0"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("UNAVAILABLE", UnreachableError),
        ("CANCELLED", UnreachableError),
        ("DEADLINE_EXCEEDED", UnreachableError),
        ("INTERNAL", ServerError),
        ("UNKNOWN", ServerError),
        ("UNIMPLEMENTED", ProtocolError),
        ("INVALID_ARGUMENT", MalformedError),
        ("PERMISSION_DENIED", RefusedError),
        ("RESOURCE_EXHAUSTED", PeerFullError),
    ],
)
async def test_maps_the_status_of_a_delivery(code, error):
    async def handler(context) -> None:
        await context.read()
        context.set_code(grpc.StatusCode[code])
        context.set_details("ipv4:192.0.2.7:443 said so")

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        with pytest.raises(error) as raised:
            await delivered(client, stream(outgoing(1)))

    assert type(raised.value) is error
    assert "192.0.2.7" not in str(raised.value)


async def test_nobody_there_is_unreachable(unused_tcp_port):
    async with CogRpcClient.plain("127.0.0.1", unused_tcp_port) as client:
        with pytest.raises(UnreachableError) as raised:
            await delivered(client, stream(outgoing(1)))

    assert "127.0.0.1" not in str(raised.value)


async def test_a_server_that_disappears_is_unreachable():
    service = Service()
    entered, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        entered.set()
        await never.wait()

    service.before_commit = stuck
    async with gateway_server(service) as server, plain_client(server) as client:
        delivering = asyncio.create_task(delivered(client, stream(outgoing(5))))
        await entered.wait()
        await server.drain(0)
        with pytest.raises(UnreachableError):
            await delivering
