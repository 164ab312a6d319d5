# SPDX-License-Identifier: MIT
"""A service that remembers, servers that misbehave, and calls without our client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

import grpc
import grpc.aio

from awala.bindings.cogrpc import CogRpcClient, CogRpcServer, OutgoingCargo, OutOfTime, Patience
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck

PATHS = ("/relaynet.cogrpc.CargoRelay", "/awala.cogrpc.CargoRelay")


def outgoing(count: int, size: int = 100) -> list[OutgoingCargo]:
    """Make cargoes that differ in their first octets."""
    return [OutgoingCargo(f"id-{n}", b"%08d" % n + bytes(max(0, size - 8)), token=n) for n in range(count)]


async def stream(items: Iterable[OutgoingCargo]) -> AsyncIterator[OutgoingCargo]:
    for item in items:
        yield item


class Collection:
    """Offers what it was given, and remembers what became of it."""

    def __init__(self, cargoes: Sequence[OutgoingCargo] = (), *, then: Exception | None = None) -> None:
        self.offered = list(cargoes)
        self.then = then
        self.asked = 0
        self.acknowledged: list[str] = []
        self.finishes: list[bool] = []
        self.finished = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.acknowledge_error: Exception | None = None
        self.closed = False

    async def cargoes(self) -> AsyncIterator[OutgoingCargo]:
        try:
            for cargo in self.offered:
                self.asked += 1
                yield cargo
            if self.hold is not None:
                await self.hold.wait()
            if self.then is not None:
                raise self.then
        finally:
            self.closed = True

    async def acknowledge(self, delivery_id: str) -> None:
        if self.acknowledge_error is not None:
            raise self.acknowledge_error
        self.acknowledged.append(delivery_id)

    async def finish(self, *, complete: bool) -> None:
        self.finishes.append(complete)
        self.finished.set()


class Service:
    """Takes everything unless told otherwise."""

    def __init__(self, collection: Collection | None = None) -> None:
        self.collection = collection or Collection()
        self.delivered: list[bytes] = []
        self.refuse: dict[bytes, Exception] = {}
        self.ccas: list[bytes | None] = []
        self.collect_error: Exception | None = None
        self.before_commit: Callable[[], Awaitable[None]] | None = None

    async def deliver(self, cargo: bytes) -> None:
        if cargo in self.refuse:
            raise self.refuse[cargo]
        if self.before_commit is not None:
            await self.before_commit()
        self.delivered.append(cargo)

    async def collect(self, cca: bytes | None) -> Collection:
        self.ccas.append(cca)
        if self.collect_error is not None:
            raise self.collect_error
        return self.collection


def gateway_server(service: Service, **options) -> CogRpcServer:
    settings = {"tls": None, "wait_for_acks": False, "out_of_time": OutOfTime.UNAVAILABLE} | options
    return CogRpcServer(service, "127.0.0.1:0", **settings)


def courier_server(service: Service, **options) -> CogRpcServer:
    settings = {"tls": None, "wait_for_acks": True, "out_of_time": OutOfTime.OK} | options
    return CogRpcServer(service, "127.0.0.1:0", **settings)


def port_of(server: CogRpcServer) -> int:
    return int(server.address.rpartition(":")[2])


def plain_client(server: CogRpcServer, **patience) -> CogRpcClient:
    return CogRpcClient.plain("127.0.0.1", port_of(server), patience=Patience(**patience))


@asynccontextmanager
async def raw_call(server: CogRpcServer, method: str, *, path: str = PATHS[0], **options):
    """Open a call with nothing of ours at the client's end."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = channel.stream_stream(f"{path}/{method}")(**options)
        try:
            yield call
        finally:
            call.cancel()


@asynccontextmanager
async def raw_server(handler):
    """Serve both methods with ``handler(context)``; yield the port."""

    async def behave(_requests, context) -> None:
        await handler(context)

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods = {
        name: grpc.stream_stream_rpc_method_handler(behave) for name in ("DeliverCargo", "CollectCargo")
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("relaynet.cogrpc.CargoRelay", methods),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def delivery(delivery_id: str, cargo: bytes = b"cargo") -> bytes:
    return CargoDelivery(delivery_id, cargo).serialize()


def ack(delivery_id: str) -> bytes:
    return CargoDeliveryAck(delivery_id).serialize()


async def force_write(call, message: bytes) -> None:
    """Write although the server may end the call meanwhile, and keep the status that it ends with."""
    with suppress(grpc.aio.InternalError, grpc.aio.AioRpcError):
        await call.wait_for_connection()
        await call._cython_call.send_serialized_message(message)


async def read_ids(call) -> list[str]:
    """Read acknowledgements to the end of a call that ends well."""
    ids = []
    while (message := await call.read()) is not grpc.aio.EOF:
        ids.append(CargoDeliveryAck.parse(message).delivery_id)
    return ids


async def status_of(call) -> grpc.StatusCode:
    """Read to the end of a call and return its status."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()
