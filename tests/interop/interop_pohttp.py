# SPDX-License-Identifier: MIT
"""Our Internet gateway and our Internet endpoint behind their PoHTTP servers, and what came to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interop_cast import described_key
from interop_poweb import ADDRESS, ANY_PORT, HOST, Recipients, sender_at

from awala.bindings.poweb import PoWebClient, StreamingMode
from awala.cms import EnvelopedData
from awala.crypto import SessionKeyPair
from awala.messages import (
    NodeConnectionParams,
    Parcel,
    ServiceMessage,
)
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.endpoint.root import InternetEndpointConfig, create_internet_endpoint, run_internet_endpoint
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.pki import Certificate, Role, issue_now
from awala.testing import Authority
from helpers.cast import identity_key

ACCEPTED = 202
PATIENCE = 10.0
"""Seconds until what was taken over has come to where it can be seen."""


@dataclass(frozen=True)
class Station:
    """A node of ours behind its PoHTTP server; parcels are for somebody at it.

    ``arrived`` returns the contents of what has come since it was last asked, once it is so many.
    """

    url: str
    recipient: dict[str, str]
    session_key: dict[str, bytes]
    certificate: Certificate
    chain: tuple[Certificate, ...]
    arrived: Callable[[int], Awaitable[list[bytes]]]


SENDER = identity_key("js", "peer")
"""Who the peer is when it sends parcels."""


def values_of_parcel(station: Station, content: bytes) -> dict[str, Any]:
    """Return the values of a parcel that is good at a station, as drivers of peers take them."""
    return {
        "kind": "parcel",
        "privateKey": SENDER.serialize(),
        "certificate": station.certificate.encoding,
        "chain": [certificate.encoding for certificate in station.chain],
        "recipient": station.recipient,
        "sessionKey": station.session_key,
        "payload": {"type": "text/plain", "content": content},
        "creationDate": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
        "ttl": 3600,
    }


def _door(directory: Path, authority: Authority | None) -> DoorConfig:
    """Return a door that speaks TLS with a certificate of the authority, or none without one."""
    if authority is None:
        return DoorConfig(listen=ANY_PORT)
    certificate, key = authority.issue(HOST).write(directory)
    return DoorConfig(listen=ANY_PORT, tls_cert=certificate, tls_key=key)


def _url(address: str, authority: Authority | None) -> str:
    return f"{'http' if authority is None else 'https'}://{address}/"


@asynccontextmanager
async def gateway_station(
    directory: Path, authority: Authority | None, quota: int | None
) -> AsyncIterator[Station]:
    """Run an Internet gateway; parcels are for an endpoint behind a private gateway of ours."""
    storage = StorageConfig(directory=directory, quota=quota)
    await create_internet_gateway(storage, ADDRESS)
    plain = DoorConfig(listen=ANY_PORT)
    config = InternetGatewayConfig(
        storage=storage, poweb=plain, pohttp=_door(directory, authority), cogrpc=plain
    )
    session = SessionKeyPair.generate()
    async with (
        run_internet_gateway(config) as running,
        sender_at(PoWebClient.local(f"http://{running.addresses['poweb']}")) as member,
    ):
        recipients = Recipients.behind(member.key, member.certificate)

        async def arrived(_count: int) -> list[bytes]:
            contents = []
            async with member.client.collect(member.sign, StreamingMode.CLOSE_UPON_COMPLETION) as collection:
                async for delivery in collection:
                    payload = Parcel.parse(delivery.parcel).payload
                    plaintext = EnvelopedData.parse(payload).decrypt(session.private_key)
                    contents.append(ServiceMessage.parse(plaintext).content)
                    await delivery.acknowledge()
            return contents

        yield Station(
            _url(running.addresses["pohttp"], authority),
            {"id": recipients.key.node_id, "internetAddress": ADDRESS},
            described_key(session.session_key),
            recipients.authorise(SENDER.public_key),
            recipients.chain,
            arrived,
        )


@asynccontextmanager
async def endpoint_station(
    directory: Path, authority: Authority | None, quota: int | None
) -> AsyncIterator[Station]:
    """Run an Internet endpoint, which anybody may write to; its handler takes whatever comes."""
    storage = StorageConfig(directory=directory, quota=quota)
    await create_internet_endpoint(storage, ADDRESS)
    config = InternetEndpointConfig(storage=storage, pohttp=_door(directory, authority))
    contents: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(_endpoint: Any, attempt: Any) -> None:
        contents.put_nowait(attempt.message.content)

    async def arrived(count: int) -> list[bytes]:
        async with asyncio.timeout(PATIENCE):
            found = [await contents.get() for _ in range(count)]
        return found + [contents.get_nowait() for _ in range(contents.qsize())]

    async with run_internet_endpoint(config, handle) as running:
        params = NodeConnectionParams.parse(running.node.connection_params())
        yield Station(
            _url(running.addresses["pohttp"], authority),
            {"id": params.identity_key.node_id, "internetAddress": ADDRESS},
            described_key(params.session_key),
            issue_now(
                subject_key=SENDER.public_key,
                issuer_key=SENDER,
                issuer=None,
                role=Role.ENDPOINT,
                now=datetime.now(UTC),
            ),
            (),
            arrived,
        )


STATIONS = {"gateway": gateway_station, "endpoint": endpoint_station}
