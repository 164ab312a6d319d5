# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address

import grpc
import pytest

from awala.base.errors import ConfigurationError, StorageFullError
from awala.bindings.cogrpc import (
    CogRpcClient,
    CogRpcServer,
    OutOfTime,
    PeerFullError,
    Refusals,
    ServerLimits,
    make_courier_certificate,
)
from awala.bindings.cogrpc.messages import CargoDelivery
from awala.bindings.cogrpc.quota import ConnectionQuota, address_of
from awala.bindings.errors import ProtocolError, UnreachableError
from helpers.cogrpc import (
    Collection,
    Service,
    ack,
    courier_server,
    delivery,
    force_write,
    gateway_server,
    outgoing,
    plain_client,
    port_of,
    raw_call,
    status_of,
    stream,
)


def tls(*addresses: str) -> tuple[bytes, bytes]:
    return make_courier_certificate([ip_address(a) for a in addresses], now=datetime.now(UTC)).tls


async def deliver_one(client) -> list[str]:
    return [delivery_id async for delivery_id in client.deliver(stream(outgoing(1)))]


@pytest.mark.rule("6.2", "6.6")
def test_each_kind_of_node_has_its_manners():
    gateway = CogRpcServer.for_internet_gateway(Service(), "127.0.0.1:0")
    courier = CogRpcServer.for_courier(Service(), "127.0.0.1:0")

    assert (gateway._rules.out_of_time, gateway._refusals) == (OutOfTime.UNAVAILABLE, Refusals.ACKNOWLEDGE)
    assert (courier._rules.out_of_time, courier._refusals) == (OutOfTime.OK, Refusals.INVALID_ARGUMENT)
    assert gateway._rules.ack_wait < 1 < courier._rules.ack_wait


@pytest.mark.parametrize("listen", ["127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", ""])
def test_refuses_what_is_no_address_to_listen_on(listen):
    with pytest.raises(ConfigurationError):
        CogRpcServer.for_courier(Service(), listen)


async def test_refuses_a_port_that_is_taken():
    async with gateway_server(Service()) as server:
        with pytest.raises(ConfigurationError):
            async with CogRpcServer.for_courier(Service(), server.address):
                pass


@pytest.mark.rule("6.10")
async def test_metadata_of_eight_thousand_octets_is_accepted():
    service = Service()
    cca = bytes(5500)
    metadata = (("authorization", "Relaynet-CCA " + base64.b64encode(cca).decode()),)
    async with gateway_server(service) as server:
        for _ in range(5):
            async with raw_call(server, "CollectCargo", metadata=metadata) as call:
                assert await status_of(call) is grpc.StatusCode.OK

    assert service.ccas == [cca] * 5


@pytest.mark.rule("6.10")
async def test_metadata_above_the_absolute_limit_is_refused():
    service = Service()
    metadata = (("authorization", "Relaynet-CCA " + "A" * 17_000),)
    async with gateway_server(service) as server:
        async with raw_call(server, "CollectCargo", metadata=metadata) as call:
            assert await status_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED
        async with plain_client(server) as client:
            assert await deliver_one(client) == ["id-0"]

    assert service.ccas in ([], [None])  # gRPC may begin the call without the metadata, then cut it


async def test_unknown_methods_and_services_are_unimplemented():
    async with gateway_server(Service()) as server:
        for path, method in (("/relaynet.cogrpc.CargoRelay", "Other"), ("/other.CargoRelay", "DeliverCargo")):
            async with raw_call(server, method, path=path) as call:
                assert await status_of(call) is grpc.StatusCode.UNIMPLEMENTED


async def test_compressed_messages_are_refused():
    service = Service()
    async with (
        gateway_server(service) as server,
        raw_call(server, "DeliverCargo", compression=grpc.Compression.Gzip) as call,
    ):
        await force_write(call, delivery("a", bytes(100_000)))
        assert await status_of(call) is grpc.StatusCode.UNIMPLEMENTED

    assert not service.delivered


async def test_calls_above_the_bound_are_told_to_come_later():
    async with (
        gateway_server(Service(), server_limits=ServerLimits(calls=1, ack_hold=0.01)) as server,
        raw_call(server, "DeliverCargo") as first,
    ):
        await first.write(delivery("a"))
        assert await first.read() == ack("a")
        async with raw_call(server, "DeliverCargo") as second:
            assert await status_of(second) is grpc.StatusCode.UNAVAILABLE
        await first.write(delivery("b"))
        assert await first.read() == ack("b")


async def test_one_connection_has_three_calls_at_a_time():
    service = Service()
    async with (
        gateway_server(service, server_limits=ServerLimits(ack_hold=0.01)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        calls = [channel.stream_stream("/relaynet.cogrpc.CargoRelay/DeliverCargo")() for _ in range(4)]
        writing = [asyncio.create_task(call.write(delivery("a"))) for call in calls]
        acks = [asyncio.create_task(call.read()) for call in calls]
        await asyncio.wait(acks, timeout=0.5)
        assert sum(task.done() for task in acks) == 3

        waiting = next(n for n, task in enumerate(acks) if not task.done())
        calls[(waiting + 1) % 4].cancel()
        assert await acks[waiting] == ack("a")
        await asyncio.gather(*writing)


async def test_an_idle_connection_is_closed():
    async with (
        gateway_server(Service(), server_limits=ServerLimits(connection_idle=0.3)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        await channel.channel_ready()
        async with asyncio.timeout(5):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)


async def test_a_drain_lets_calls_end_and_takes_no_more():
    service = Service()
    async with gateway_server(service, server_limits=ServerLimits(ack_hold=0.01)) as server:
        async with raw_call(server, "DeliverCargo") as call:
            await call.write(delivery("a"))
            assert await call.read() == ack("a")
            draining = asyncio.create_task(server.drain(10))
            await asyncio.sleep(0)
            await call.write(delivery("b"))
            assert await call.read() == ack("b")
            await call.done_writing()
            assert await status_of(call) is grpc.StatusCode.OK
        await draining
        async with plain_client(server) as client:
            with pytest.raises(UnreachableError):
                await deliver_one(client)


async def test_the_end_of_the_server_finishes_its_collections():
    service = Service(Collection(outgoing(1)))
    service.collection.hold = asyncio.Event()
    metadata = (("authorization", "Relaynet-CCA YWJj"),)
    async with (
        gateway_server(service) as server,
        raw_call(server, "CollectCargo", metadata=metadata) as call,
    ):
        await call.read()
        await server.drain(0)
        assert service.collection.finishes == [False]
        assert server.open_calls == 0


async def test_a_courier_serves_over_tls_with_its_own_certificate():
    service = Service(Collection(outgoing(2, 100_000)))
    async with (
        courier_server(service, tls=tls("192.168.43.1", "127.0.0.1")) as server,
        await CogRpcClient.for_courier("127.0.0.1", port_of(server)) as client,
    ):
        assert await deliver_one(client) == ["id-0"]
        cargoes = []
        async for incoming in client.collect(b"cca"):
            cargoes.append(incoming.cargo)
            await incoming.acknowledge()

    assert len(cargoes) == 2
    assert len(service.delivered) == 1


async def test_a_courier_serves_over_ipv6():
    try:
        server = CogRpcServer.for_courier(Service(), "[::1]:0", tls=tls("::1"))
        await server.__aenter__()
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")
    try:
        async with await CogRpcClient.for_courier("::1", port_of(server)) as client:
            assert await deliver_one(client) == ["id-0"]
    finally:
        await server.__aexit__(None, None, None)


async def test_a_tls_probe_does_not_disturb_the_server():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with courier_server(Service(), tls=tls("127.0.0.1")) as server:
        port = port_of(server)
        for _ in range(3):
            with suppress(OSError):  # the server may end a connection that negotiates no HTTP/2
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                writer.close()
                await writer.wait_closed()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            writer.close()
        async with await CogRpcClient.for_courier("127.0.0.1", port) as client:
            assert await deliver_one(client) == ["id-0"]


async def test_a_certificate_can_be_replaced_while_the_server_runs():
    async with courier_server(Service(), tls=tls("192.168.43.1")) as server:
        port = port_of(server)
        with pytest.raises(ProtocolError):
            await CogRpcClient.for_courier("127.0.0.1", port)

        await server.replace_certificate(*tls("127.0.0.1"))

        assert port_of(server) == port
        async with await CogRpcClient.for_courier("127.0.0.1", port) as client:
            assert await deliver_one(client) == ["id-0"]


async def test_a_call_goes_on_while_the_certificate_is_replaced():
    service = Service()
    async with (
        courier_server(service, tls=tls("127.0.0.1")) as server,
        await CogRpcClient.for_courier("127.0.0.1", port_of(server)) as client,
    ):
        go_on = asyncio.Event()

        async def cargoes():
            yield outgoing(2)[0]
            await go_on.wait()
            yield outgoing(2)[1]

        delivering = client.deliver(cargoes())
        assert await anext(delivering) == "id-0"
        await server.replace_certificate(*tls("127.0.0.1"))
        async with await CogRpcClient.for_courier("127.0.0.1", port_of(server)) as other:
            assert await deliver_one(other) == ["id-0"]
        go_on.set()
        assert await anext(delivering) == "id-1"
        await delivering.aclose()


async def test_a_call_of_before_the_replacement_does_not_hold_up_the_end():
    service = Service()
    async with asyncio.timeout(8):
        async with courier_server(service, tls=tls("127.0.0.1")) as server:
            client = await CogRpcClient.for_courier("127.0.0.1", port_of(server))

            async def cargoes():
                yield outgoing(1)[0]
                await asyncio.Event().wait()

            delivering = client.deliver(cargoes())
            assert await anext(delivering) == "id-0"
            await server.replace_certificate(*tls("127.0.0.1"))
        assert server.open_calls == 0
        await client.close()


async def test_certificates_are_replaced_under_a_flood_of_handshakes():
    async with courier_server(Service(), tls=tls("127.0.0.1")) as server:
        port = port_of(server)
        flooding = True

        async def flood() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            while flooding:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                    writer.transport.abort()

        floods = [asyncio.create_task(flood()) for _ in range(8)]
        for _ in range(10):
            await server.replace_certificate(*tls("127.0.0.1"))
            await asyncio.sleep(0.02)
        flooding = False
        await asyncio.gather(*floods)
        async with await CogRpcClient.for_courier("127.0.0.1", port) as client:
            assert await deliver_one(client) == ["id-0"]


async def test_a_plain_server_has_no_certificate_to_replace():
    with pytest.raises(ConfigurationError):
        await gateway_server(Service()).replace_certificate(*tls("127.0.0.1"))


@pytest.mark.parametrize("pair", [(b"no certificate", b"no key"), (b"", b"")])
async def test_refuses_what_is_no_certificate(pair):
    with pytest.raises(ConfigurationError):
        async with courier_server(Service(), tls=pair):
            pass


async def test_connections_without_a_handshake_come_and_go():
    async with courier_server(Service(), tls=tls("127.0.0.1")) as server:
        port = port_of(server)
        for _ in range(10):
            connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
            for _, writer in connections:
                writer.transport.abort()
        async with await CogRpcClient.for_courier("127.0.0.1", port) as client:
            assert await deliver_one(client) == ["id-0"]


async def test_one_address_has_only_so_many_calls():
    service = Service()
    limits = ServerLimits(peer_calls=1)
    async with (
        courier_server(service, spare_near=False, server_limits=limits) as server,
        raw_call(server, "DeliverCargo") as call,
    ):
        await call.write(CargoDelivery("id", b"cargo").serialize())
        await call.read()
        with pytest.raises(UnreachableError):
            await deliver_one(plain_client(server))


async def test_calls_that_a_proxy_brings_count_all_together_only():
    service = Service()
    async with (
        courier_server(service, server_limits=ServerLimits(peer_calls=1)) as server,
        raw_call(server, "DeliverCargo") as call,
    ):
        await call.write(CargoDelivery("id", b"cargo").serialize())
        await call.read()
        assert await deliver_one(plain_client(server)) == ["id-0"]


async def test_there_are_only_so_many_connections():
    async with (
        courier_server(Service(), server_limits=ServerLimits(connections=1)) as server,
        raw_call(server, "DeliverCargo") as call,
    ):
        await call.write(CargoDelivery("id", b"cargo").serialize())
        await call.read()
        with pytest.raises(UnreachableError):
            await deliver_one(plain_client(server))


async def test_a_connection_that_begins_nothing_is_closed():
    limits = ServerLimits(handshake=0.2, connection_idle=60)
    async with courier_server(Service(), tls=tls("127.0.0.1"), server_limits=limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.rule("11.5")
async def test_a_connection_brings_no_more_than_its_part_and_the_next_one_goes_on():
    service = Service()
    async with courier_server(service, connection_quota=250) as server:
        async with plain_client(server) as client:
            delivering = client.deliver(stream(outgoing(5)))
            acknowledged = [await anext(delivering), await anext(delivering)]
            with pytest.raises(PeerFullError):
                await anext(delivering)
            with pytest.raises(PeerFullError):
                await deliver_one(client)
        async with plain_client(server) as client:
            assert await deliver_one(client) == ["id-0"]

    assert acknowledged == ["id-0", "id-1"]
    assert len(service.delivered) == 3


def test_a_couriers_connection_gets_a_quarter_of_its_room():
    assert CogRpcServer.for_courier(Service(), "127.0.0.1:0", room=400)._quota._limit == 100
    assert CogRpcServer.for_internet_gateway(Service(), "127.0.0.1:0")._quota._limit is None


def test_connections_are_remembered_within_a_bound():
    quota = ConnectionQuota(10, remembered=2)
    for connection in "abc":
        quota.note(connection, 10)

    quota.check("a", 10)
    for connection in "bc":
        with pytest.raises(StorageFullError):
            quota.check(connection, 1)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.168.43.7:5000", "192.168.43.7"),
        ("ipv6:%5B2a00::1%5D:5000", "2a00::1"),
        ("ipv6:[::1]:5000", "::1"),
        ("unix:", None),
    ],
)
def test_reads_grpcs_names_of_peers(peer, address):
    assert address_of(peer) == address
