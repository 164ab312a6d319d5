# SPDX-License-Identifier: MIT
"""The CogRPC client: delivers cargo to a courier or an Internet gateway, and collects it there."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from types import TracebackType
from typing import Any, Final, Self

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import limits
from awala.bindings.cogrpc.client_call import ClientCall, Method
from awala.bindings.cogrpc.courier_certificate import fetch_courier_certificate
from awala.bindings.cogrpc.delivery import Delivery
from awala.bindings.cogrpc.errors import CodecError, UnsendableError
from awala.bindings.cogrpc.grpcio import grpc
from awala.bindings.cogrpc.local_network import local_address
from awala.bindings.cogrpc.messages import CargoDelivery, CargoDeliveryAck
from awala.bindings.cogrpc.service import OutgoingCargo
from awala.bindings.errors import ProtocolError, UnreachableError

_SERVICE: Final = "relaynet.cogrpc.CargoRelay"
_SCHEME: Final = "Relaynet-CCA"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for its peer.

    gRPC shows no progress within a message, so silence is judged by what must have passed in it.
    """

    idle: float = 30.0
    """Seconds without progress in a delivery, besides the time that the octets on their way may take."""

    slowest: float = 8192.0
    """Octets per second that a link carries at least."""

    collection_idle: float = 60.0
    """Seconds without a cargo in a collection."""

    collection: float = 15 * 60.0
    """Seconds for a whole collection: the deadline that the server is told."""

    connection: float = 5.0
    """Seconds in which a courier must show its certificate."""


INTERNET_PATIENCE: Final = Patience(collection_idle=600.0)
"""For links that may need minutes for one large cargo; gRPC's keep-alive notices dead ones."""


@dataclass(frozen=True, slots=True)
class IncomingCargo:
    """A cargo that was collected."""

    delivery_id: str
    cargo: bytes
    _acknowledge: Callable[[str], Awaitable[None]] = field(repr=False)

    async def acknowledge(self) -> None:
        """Tell the peer that the cargo is safe here; a courier then deletes it.

        If the call is over this does nothing: the peer offers the cargo again, or needs no acknowledgement.
        """
        await self._acknowledge(self.delivery_id)


class CogRpcClient:
    """A connection to one CogRPC server; make it with one of the class methods and use it in ``async with``.

    The iterators should be closed if they are left early: ``contextlib.aclosing`` does it.
    """

    def __init__(self, channel: Any, patience: Patience) -> None:
        self._patience = patience
        self._channel = channel
        self._deliver = channel.stream_stream(f"/{_SERVICE}/DeliverCargo")
        self._collect = channel.stream_stream(f"/{_SERVICE}/CollectCargo")

    @classmethod
    async def for_courier(
        cls, host: str, port: int = limits.COURIER_PORT, *, patience: Patience | None = None
    ) -> Self:
        """Return a client for a courier in the local network (rules §10).

        The certificate that the courier shows is taken as the only root for this client, so the address must
        be one that only a neighbour can have, and the certificate must be for it.

        Raises:
            ConfigurationError: ``host`` is not a private, loopback or link-local IP address.
            UnreachableError: nobody there speaks TLS.
            ProtocolError: the certificate is not for that address.
        """
        patience = patience or Patience()
        address = local_address(host)
        certificate = await fetch_courier_certificate(host, address, port, seconds=patience.connection)
        credentials = grpc.ssl_channel_credentials(root_certificates=certificate)
        name = ("grpc.ssl_target_name_override", str(address).partition("%")[0])
        return cls(_secure_channel(_target([host], port), credentials, [name]), patience)

    @classmethod
    def for_internet_gateway(
        cls,
        host: str,
        port: int,
        *,
        root_certificates: bytes | None,
        addresses: Sequence[str],
        patience: Patience = INTERNET_PATIENCE,
    ) -> Self:
        """Return a client for an Internet gateway, which must prove to be ``host`` (rules §10).

        ``addresses`` are the IP addresses to dial, already checked; nothing is resolved here.
        ``root_certificates``: PEM; None trusts those that grpcio brings.

        Raises:
            ConfigurationError: there is no address, or one that is not an IP address.
        """
        credentials = grpc.ssl_channel_credentials(root_certificates=root_certificates)
        names = [("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)]
        return cls(_secure_channel(_target(addresses, port), credentials, names), patience)

    @classmethod
    def plain(cls, host: str, port: int, *, patience: Patience | None = None) -> Self:
        """Return a client without TLS, for servers on the same machine; ``host`` is an IP address.

        Raises:
            ConfigurationError: it is not.
        """
        channel = grpc.aio.insecure_channel(_target([host], port), options=_options())
        return cls(channel, patience or Patience())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in progress are cut."""
        await self._channel.close()

    async def deliver(self, cargoes: AsyncIterable[OutgoingCargo]) -> AsyncGenerator[str, None]:
        """Deliver cargo, and yield the ids of those that the peer says are safe there.

        The cargoes are asked for as fast as the transport takes them. What was not acknowledged when this
        raises must be delivered again.

        Raises:
            UnreachableError: no connection, it broke, or no progress for too long.
            PeerFullError: the peer has no room for more.
            MalformedError: the peer refused a cargo (couriers; gateways acknowledge and drop).
            ServerError, ProtocolError, UnauthenticatedError, RefusedError: other ways in which a peer fails.
            UnsendableError: a cargo is too large, or an id too long or used twice.
        """
        call = ClientCall(self._deliver(), Method.DELIVER_CARGO, self._patience.idle)
        async with aclosing(Delivery(call, cargoes, self._patience.slowest).acknowledged()) as acknowledged:
            async for delivery_id in acknowledged:
                yield delivery_id

    async def collect(self, cca: bytes, *, relayed: bool = False) -> AsyncGenerator[IncomingCargo, None]:
        """Collect the cargo that a serialised Cargo Collection Authorization gives access to.

        ``relayed`` is for one that somebody else made, whose size is not for us to choose (decision 54).
        Acknowledge each cargo when it is safe, then ask for the next: a courier ends the call after the last
        acknowledgement.

        Raises:
            Fulfilled: the CCA was used before (Internet gateways).
            WrongRecipient: it is for another gateway.
            UnauthenticatedError: it is not accepted.
            UnreachableError: no connection, it broke or was silent for too long, or there is more cargo than
                fitted: the CCA is still good.
            ServerError, ProtocolError: other ways in which a peer fails.
            UnsendableError: the CCA is too large for the metadata of servers (rules §6).
        """
        authorization = f"{_SCHEME} {base64.b64encode(cca).decode()}"
        if len(authorization) > (limits.MAX_RELAYED_METADATA if relayed else limits.MAX_EMITTED_METADATA):
            raise UnsendableError("The CCA is too large for a collection call")
        metadata = (("authorization", authorization),)
        call = ClientCall(
            self._collect(metadata=metadata, timeout=self._patience.collection),
            Method.COLLECT_CARGO,
            self._patience.collection_idle,
        )

        async def acknowledge(delivery_id: str) -> None:
            try:
                async with asyncio.timeout(self._patience.idle):
                    await call.write(CargoDeliveryAck(delivery_id).serialize())
            except TimeoutError as error:
                raise UnreachableError("The peer does not take an acknowledgement") from error

        try:
            while (message := await call.read()) is not None:
                delivery = _parse_delivery(message)
                yield IncomingCargo(delivery.delivery_id, delivery.cargo, acknowledge)
        finally:
            call.cancel()


def _parse_delivery(message: bytes) -> CargoDelivery:
    try:
        return CargoDelivery.parse(message)
    except CodecError as error:
        raise ProtocolError("The peer sent a cargo delivery that cannot be read") from error


def _target(addresses: Sequence[str], port: int) -> str:
    """Return what gRPC dials: addresses only, never a name, so that it resolves nothing by itself."""
    try:
        parsed = [ip_address(address) for address in addresses]
    except ValueError as error:
        raise ConfigurationError("A CogRPC client dials IP addresses only") from error
    if not parsed:
        raise ConfigurationError("There is no address to dial")
    if all(isinstance(address, IPv4Address) for address in parsed):
        return "ipv4:" + ",".join(f"{address}:{port}" for address in parsed)
    # One target holds one family; IPv6 can write the addresses of both.
    mapped = (f"::ffff:{a}" if isinstance(a, IPv4Address) else str(a).replace("%", "%25") for a in parsed)
    return "ipv6:" + ",".join(f"[{address}]:{port}" for address in mapped)


def _secure_channel(target: str, credentials: Any, names: list[tuple[str, str]]) -> Any:
    return grpc.aio.secure_channel(target, credentials, options=[*_options(), *names])


def _options() -> list[tuple[str, int | str]]:
    return [
        ("grpc.max_receive_message_length", limits.MAX_MESSAGE),
        ("grpc.max_send_message_length", limits.MAX_MESSAGE),
        # What was checked is dialled: no proxy from the environment, no connection of another client.
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.service_config_disable_resolution", 1),
        # A repetition is the node's decision.
        ("grpc.enable_retries", 0),
        # Above the five minutes that servers tolerate; what is wanted is TCP_USER_TIMEOUT, which comes along.
        ("grpc.keepalive_time_ms", 330_000),
        ("grpc.keepalive_timeout_ms", 30_000),
    ]
