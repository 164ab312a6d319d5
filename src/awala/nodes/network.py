# SPDX-License-Identifier: MIT
"""How a node reaches others: names through the resolver, checked addresses, TLS, clients of each binding."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from awala.base.clock import Clock
from awala.base.errors import ConfigurationError
from awala.bindings.addressing import AddressError, Dialler, DohResolver, Service, Target, TrustAnchors
from awala.bindings.errors import UnreachableError
from awala.bindings.hosts import Hosts
from awala.bindings.pohttp import PoHttpClient
from awala.bindings.poweb import PoWebClient
from awala.nodes.config import DoorConfig, NetworkConfig

if TYPE_CHECKING:
    from awala.bindings.cogrpc import CogRpcClient

_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Network:
    """A node's way to the Internet, made once from its configuration."""

    def __init__(
        self, resolver: DohResolver, tls: ssl.SSLContext, ca_file: Path | None, clock: Clock
    ) -> None:
        self._resolver = resolver
        self._tls = tls
        self._dialler = Dialler(resolver)
        self._roots = _grpc_roots(ca_file)
        self.pohttp = PoHttpClient(resolver=resolver, dialler=self._dialler, tls=tls, clock=clock)

    async def connect_poweb(self, address: str) -> PoWebClient:
        """Return a client for the Internet gateway of an address; raises AddressError, UnreachableError."""
        target = await self._reachable(address, Service.GATEWAY_SYNC)
        return PoWebClient.remote(target.host, target.port, self._tls, dialler=self._dialler)

    async def connect_cogrpc(self, address: str) -> CogRpcClient:
        """Return a client for an Internet gateway's courier door; raises AddressError, UnreachableError."""
        from awala.bindings.cogrpc import CogRpcClient  # noqa: PLC0415 - brings gRPC, of 10 MB

        target = await self._reachable(address, Service.COURIER_RELAY)
        return CogRpcClient.for_internet_gateway(
            target.host,
            target.port,
            root_certificates=self._roots,
            addresses=await self._dialler.addresses(target.host),
        )

    async def connect_courier(self, host: str, port: int) -> CogRpcClient:
        """Return a client for a courier in the local network."""
        from awala.bindings.cogrpc import CogRpcClient  # noqa: PLC0415 - the same

        return await CogRpcClient.for_courier(host, port)

    async def _reachable(self, address: str, service: Service) -> Target:
        """Return the first target, in the order of RFC 2782, that accepts a connection."""
        targets = await self._resolver.locate(address, service)
        for target in targets[:-1]:
            try:
                sock = await self._dialler.connect(target.host, target.port)
            except (AddressError, UnreachableError):
                continue
            sock.close()
            return target
        return targets[-1]

    async def close(self) -> None:
        """Close every connection that is kept."""
        await self.pohttp.aclose()
        await self._resolver.aclose()


@asynccontextmanager
async def open_network(config: NetworkConfig, clock: Clock) -> AsyncIterator[Network]:
    """Make a node's network; raises ConfigurationError for a file or setting that cannot be used."""
    tls = client_tls(config)
    anchors = TrustAnchors.load(config.resolver.anchors) if config.resolver.anchors else None
    resolver = DohResolver(
        config.resolver.url,
        validation=config.resolver.validation,
        anchors=anchors,
        tls=tls,
        clock=clock,
        allow_networks=config.resolver.allow_networks,
    )
    network = Network(resolver, tls, config.ca_file, clock)
    try:
        yield network
    finally:
        await network.close()


def _tls_version(name: str) -> ssl.TLSVersion:
    try:
        return _TLS_VERSIONS[name]
    except KeyError:
        raise ConfigurationError(f"[tls] minimum_version {name!r} is neither 1.2 nor 1.3") from None


def client_tls(config: NetworkConfig) -> ssl.SSLContext:
    """Return what outgoing connections trust: the system's authorities and those of ``ca_file``."""
    context = ssl.create_default_context()
    context.minimum_version = _tls_version(config.minimum_tls_version)
    if config.ca_file is not None:
        try:
            context.load_verify_locations(cafile=config.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"[tls] ca_file {config.ca_file} cannot be read: {error}") from error
    return context


def _grpc_roots(ca_file: Path | None) -> bytes | None:
    """Return the authorities for gRPC, which cannot share an SSL context; None means its own list."""
    if ca_file is None:
        return None
    system = Path(ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile)
    parts = [system.read_bytes()] if system.is_file() else []
    return b"\n".join([*parts, ca_file.read_bytes()])


def server_tls(door: DoorConfig, minimum_version: str) -> ssl.SSLContext | None:
    """Return how a door speaks TLS, or None if it is plain."""
    if door.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _tls_version(minimum_version)
    try:
        context.load_cert_chain(door.tls_cert, door.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"the TLS certificate {door.tls_cert} cannot be used: {error}") from error
    return context


def served_hosts(door: DoorConfig) -> Hosts | None:
    """Return what requests at a door may be for: the names in its certificate, and addresses (decision 48).

    None means anything: of a plain door, which may be behind a proxy, and of a certificate without names.
    """
    if door.tls_cert is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(door.tls_cert.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the TLS certificate {door.tls_cert} cannot be read: {error}") from error
    return Hosts(names.get_values_for_type(x509.DNSName), addresses=True)


def tls_octets(door: DoorConfig) -> tuple[bytes, bytes] | None:
    """Return a door's certificate chain and key in PEM, or None if it is plain."""
    if door.tls_cert is None:
        return None
    try:
        return door.tls_cert.read_bytes(), (door.tls_key or door.tls_cert).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the TLS certificate {door.tls_cert} cannot be read: {error}") from error
