# SPDX-License-Identifier: MIT
"""The endpoints put together over their stores: the private one of an app, the Internet one of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from awala.base.clock import Clock, SystemClock
from awala.bindings.poweb import DEFAULT_LOCAL_GATEWAY, PoWebClient
from awala.crypto import ContentCipher
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, EncryptionConfig, NetworkConfig, StorageConfig
from awala.nodes.endpoint.inbox import Attempt
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.loading import loading
from awala.nodes.stores import open_spool
from awala.spool import SqliteSpool
from awala.vault import SqliteVault

Handle = Callable[[Attempt], Awaitable[None]]


@asynccontextmanager
async def open_private_endpoint(
    directory: Path,
    *,
    gateway: str = DEFAULT_LOCAL_GATEWAY,
    clock: Clock | None = None,
    session_key_retention: timedelta | None = None,
    content_cipher: ContentCipher = ContentCipher.AES_128_CBC,
) -> AsyncIterator[PrivateEndpoint]:
    """Open the endpoint of the app whose data are in ``directory``; it is made the first time.

    Raises ConfigurationError for a ``session_key_retention`` under a day (see StorageConfig).
    """
    vault = await SqliteVault.open(directory / "vault")
    try:
        spool = await SqliteSpool.open(directory / "spool")
        try:
            async with PoWebClient.local(gateway) as client:
                with loading(directory):
                    endpoint = await PrivateEndpoint.open(
                        vault=vault,
                        spool=spool,
                        clock=clock or SystemClock(),
                        client=client,
                        session_key_retention=session_key_retention,
                        content_cipher=content_cipher,
                    )
                yield endpoint
        finally:
            await spool.close()
    finally:
        await vault.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetEndpointConfig:
    """What an Internet endpoint is told when it starts."""

    storage: StorageConfig
    pohttp: DoorConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    encryption: EncryptionConfig = field(default_factory=EncryptionConfig)


@dataclass(frozen=True, slots=True)
class RunningInternetEndpoint:
    """An Internet endpoint that accepts connections."""

    node: InternetEndpoint
    addresses: Mapping[str, str]


async def create_internet_endpoint(storage: StorageConfig, address: str) -> None:
    """Make the keys of an Internet endpoint unless they exist."""
    vault = await SqliteVault.open(storage.directory / "vault")
    try:
        with loading(storage.directory):
            await InternetEndpoint.create(vault, address)
    finally:
        await vault.close()


@asynccontextmanager
async def run_internet_endpoint(
    config: InternetEndpointConfig,
    handle: Callable[[InternetEndpoint, Attempt], Awaitable[None]],
    clock: Clock | None = None,
) -> AsyncIterator[RunningInternetEndpoint]:
    """Run an Internet endpoint for as long as the block lasts, and give its messages to ``handle``."""
    # Servers are imported here, so that apps do not need them.
    from awala.bindings.pohttp import pohttp_app  # noqa: PLC0415
    from awala.bindings.serving import serve  # noqa: PLC0415
    from awala.nodes.network import open_network, served_hosts, server_tls  # noqa: PLC0415

    clock = clock or SystemClock()
    vault = await SqliteVault.open(config.storage.directory / "vault")
    try:
        spool = await open_spool(config.storage)
        try:
            async with open_network(config.network, clock) as network:
                with loading(config.storage.directory):
                    node = await InternetEndpoint.open(
                        vault=vault,
                        spool=spool,
                        clock=clock,
                        client=network.pohttp,
                        session_key_retention=config.storage.session_key_retention,
                        content_cipher=config.encryption.content_cipher,
                    )

                async def handle_for_node(attempt: Attempt) -> None:
                    await handle(node, attempt)

                app = pohttp_app(
                    node, connection_params=node.connection_params, hosts=served_hosts(config.pohttp)
                )
                tls = server_tls(config.pohttp, config.network.minimum_tls_version)
                async with (
                    in_background(node.run(handle_for_node)),
                    serve(app, config.pohttp.listen, tls=tls) as server,
                ):
                    yield RunningInternetEndpoint(node, {"pohttp": server.address})
        finally:
            await spool.close()
    finally:
        await vault.close()
