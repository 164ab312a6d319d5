# SPDX-License-Identifier: MIT
"""The CogRPC server: both names of the service, limits, TLS, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import limits
from awala.bindings.cogrpc.collect_call import (
    CollectCall,
    CollectionRules,
    OutOfTime,
    collection_authorization,
)
from awala.bindings.cogrpc.deliver_call import DeliverCall, Refusals
from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.cogrpc.quota import ConnectionQuota, address_of
from awala.bindings.cogrpc.server_call import CallCutError, CallStatusError, ServerContext, status_of
from awala.bindings.cogrpc.service import CargoCollection, CogRpcService
from awala.bindings.errors import Forbidden, MalformedRequest, Unprocessable
from awala.bindings.host_port import join_address, split_address
from awala.bindings.peers import PeerBound

_logger = logging.getLogger(__name__)

SERVICE_NAMES: Final = ("relaynet.cogrpc.CargoRelay", "awala.cogrpc.CargoRelay")
"""What is deployed, and what RS-008 says (rules §1)."""

_STOP_WAIT: Final = 5.0
_PORT_RETRY: Final = 0.02  # seconds between attempts at a port that is about to be free
_IDENTITY_ONLY: Final = 1


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits and times of a server, in seconds; the defaults are for production."""

    ack_hold: float = limits.ACK_HOLD
    deadline_margin: float = limits.DEADLINE_MARGIN
    courier_ack_wait: float = limits.COURIER_ACK_WAIT
    gateway_ack_wait: float = limits.GATEWAY_ACK_WAIT
    calls: int = limits.CALLS_PER_SERVER
    peer_calls: int = limits.CALLS_PER_PEER
    connections: int = limits.CONNECTIONS
    handshake: float = limits.HANDSHAKE_TIMEOUT
    connection_age: float = limits.CONNECTION_AGE
    connection_grace: float = limits.CONNECTION_GRACE
    connection_idle: float = limits.CONNECTION_IDLE


class CogRpcServer:
    """A CogRPC server, running within its ``async with`` block.

    Args:
        service: the node behind it.
        listen: ``host:port``; port 0 takes any free one, see :attr:`address`.
        tls: certificate chain and private key in PEM; None serves plain HTTP/2.
        wait_for_acks: whether a collection stays open for acknowledgements after its last cargo (couriers),
            or only listens for them for a moment (Internet gateways, to whom PCAs say what arrived).
        out_of_time: how a collection ends when the client's deadline is near.
        refusals: what becomes of cargo that the service refuses for good.
        spare_near: whether calls from near by count all together only, since a proxy may bring them.
        connection_quota: octets that one connection may deliver; None sets no limit.
        server_limits: for tests.
    """

    def __init__(
        self,
        service: CogRpcService,
        listen: str,
        *,
        tls: tuple[bytes, bytes] | None,
        wait_for_acks: bool,
        out_of_time: OutOfTime,
        refusals: Refusals = Refusals.ACKNOWLEDGE,
        spare_near: bool = True,
        connection_quota: int | None = None,
        server_limits: ServerLimits | None = None,
    ) -> None:
        self._service = service
        self._host, self._port = split_address(listen)
        self._certificate = None if tls is None else _credentials(*tls)
        self._refusals = refusals
        self._limits = server_limits or ServerLimits()
        self._rules = CollectionRules(
            out_of_time=out_of_time,
            ack_wait=self._limits.courier_ack_wait if wait_for_acks else self._limits.gateway_ack_wait,
            deadline_margin=self._limits.deadline_margin,
        )
        self._peers = PeerBound(self._limits.peer_calls, spare_near=spare_near)
        self._quota = ConnectionQuota(connection_quota)
        self._server: Any = None
        self._endings: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Any]] = set()
        self._open_calls = 0
        self._no_calls = asyncio.Event()
        self._no_calls.set()

    @classmethod
    def for_internet_gateway(
        cls, service: CogRpcService, listen: str, *, tls: tuple[bytes, bytes] | None = None
    ) -> Self:
        """Return a server with an Internet gateway's manners (rules §6)."""
        return cls(
            service,
            listen,
            tls=tls,
            wait_for_acks=False,
            out_of_time=OutOfTime.UNAVAILABLE,
            refusals=Refusals.ACKNOWLEDGE,
        )

    @classmethod
    def for_courier(
        cls,
        service: CogRpcService,
        listen: str,
        *,
        tls: tuple[bytes, bytes] | None = None,
        room: int | None = None,
    ) -> Self:
        """Return a server with a courier's manners (rules §6); ``room`` is what the courier holds in all."""
        quota = limits.COURIER_CONNECTION_QUOTA
        return cls(
            service,
            listen,
            tls=tls,
            spare_near=False,
            connection_quota=quota if room is None else room // limits.COURIER_CONNECTION_SHARE,
            wait_for_acks=True,
            out_of_time=OutOfTime.OK,
            refusals=Refusals.INVALID_ARGUMENT,
        )

    @property
    def address(self) -> str:
        """Where it listens, as ``host:port`` with the port that was taken."""
        return join_address(self._host, self._port)

    @property
    def open_calls(self) -> int:
        """How many calls are in progress."""
        return self._open_calls

    async def replace_certificate(self, certificate: bytes, key: bytes) -> None:
        """Present another certificate (both PEM) from now on; calls in progress go on for their grace.

        The server begins anew on its port, which refuses connections for a moment: gRPC could take another
        certificate by itself, but frees the former one under handshakes in progress (decision 35).

        Raises:
            ConfigurationError: the server was started without TLS, this is no certificate, or the port was
                taken meanwhile; then nobody listens until this is called again.
        """
        if self._certificate is None:
            raise ConfigurationError(
                "This CogRPC server runs without TLS, so its certificate cannot be replaced"
            )
        self._certificate = _credentials(certificate, key)
        ending = asyncio.create_task(self._server.stop(limits.CONNECTION_GRACE))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await self._listen(patience=limits.PORT_PATIENCE)

    async def __aenter__(self) -> Self:
        await self._listen(patience=0)
        return self

    async def _listen(self, *, patience: float) -> None:
        """Serve on the port; wait up to ``patience`` seconds until a former server has left it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            self._server = self._make_server()
            try:
                self._port = self._bind()
                await self._server.start()
            except RuntimeError as error:
                if loop.time() >= deadline:
                    raise ConfigurationError(
                        f"Cannot listen for CogRPC on port {self._port}: is it taken?"
                    ) from error
                await asyncio.sleep(_PORT_RETRY)
            else:
                return

    def _make_server(self) -> Any:
        server = grpc.aio.server(options=self._options())
        handlers = {
            "DeliverCargo": grpc.stream_stream_rpc_method_handler(self._deliver_cargo),
            "CollectCargo": grpc.stream_stream_rpc_method_handler(self._collect_cargo),
        }
        server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, handlers) for name in SERVICE_NAMES)
        )
        return server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(0)

    async def drain(self, grace: float = limits.CONNECTION_GRACE) -> None:
        """Take no more calls; let those in progress go on for ``grace`` seconds, then cut them.

        Returns when every call has been finished with its service, within a bound.
        """
        await self._server.stop(grace)
        for ending in tuple(self._endings):  # former servers, with a grace of their own
            await asyncio.wait((ending,), timeout=grace)
        if self._endings:
            for call in tuple(self._calls):
                call.cancel()
        try:
            async with asyncio.timeout(_STOP_WAIT):
                await self._no_calls.wait()
        except TimeoutError:
            _logger.warning("CogRPC calls are still being finished after the server stopped")

    def _bind(self) -> int:
        if self._certificate is None:
            return int(self._server.add_insecure_port(self.address))
        return int(self._server.add_secure_port(self.address, self._certificate))

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", limits.MAX_MESSAGE),
            ("grpc.max_send_message_length", limits.MAX_MESSAGE),
            ("grpc.max_metadata_size", limits.MAX_METADATA_SOFT),
            ("grpc.absolute_max_metadata_size", limits.MAX_METADATA),
            ("grpc.max_concurrent_streams", limits.CALLS_PER_CONNECTION),
            ("grpc.max_allowed_incoming_connections", self._limits.connections),
            ("grpc.server_handshake_timeout_ms", _milliseconds(self._limits.handshake)),
            ("grpc.max_connection_age_ms", _milliseconds(self._limits.connection_age)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(self._limits.connection_grace)),
            ("grpc.max_connection_idle_ms", _milliseconds(self._limits.connection_idle)),
            # A phone that walked out of the Wi-Fi is noticed by its missing answer to pings.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Nobody compresses cargo, which is encrypted; refusing it closes the door to bombs.
            ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ]

    async def _deliver_cargo(self, _requests: object, context: ServerContext) -> None:
        call = DeliverCall(
            self._service,
            context,
            refusals=self._refusals,
            ack_hold=self._limits.ack_hold,
            quota=self._quota,
        )
        await self._guard(context, call.run)

    async def _collect_cargo(self, _requests: object, context: ServerContext) -> None:
        async def run() -> None:
            collection = await self._begin_collection(context)
            await CollectCall(collection, context, self._rules).run()

        await self._guard(context, run)

    async def _begin_collection(self, context: ServerContext) -> CargoCollection:
        try:
            return await self._service.collect(collection_authorization(context))
        except (MalformedRequest, Forbidden, Unprocessable) as error:
            raise CallStatusError(grpc.StatusCode.UNAUTHENTICATED, "The CCA is invalid") from error

    async def _guard(self, context: ServerContext, run: Callable[[], Awaitable[None]]) -> None:
        """Run a call and turn whatever it raises into a status: no call may harm another."""
        with self._peers.one_more(address_of(context.peer())) as within_bounds:
            if not within_bounds or self._open_calls >= self._limits.calls:
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details("The server has too many calls in progress")
                return
            await self._run(context, run)

    async def _run(self, context: ServerContext, run: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs has one
        self._calls.add(task)
        self._open_calls += 1
        self._no_calls.clear()
        try:
            await run()
        except CallCutError:
            _logger.debug("A CogRPC call was cut by its client")
        except Exception as error:
            status = status_of(error)
            if status is None:
                _logger.exception("A CogRPC call failed")
                status = CallStatusError(grpc.StatusCode.UNAVAILABLE, "Internal error; try again later")
            context.set_code(status.code)
            context.set_details(status.details)
        finally:
            self._calls.discard(task)
            self._open_calls -= 1
            if self._open_calls == 0:
                self._no_calls.set()


def _credentials(certificate: bytes, key: bytes) -> Any:
    return grpc.ssl_server_credentials([(key, certificate)])


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
