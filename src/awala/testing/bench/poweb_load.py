# SPDX-License-Identifier: MIT
"""Delivers parcels over PoWeb with as little work as can be, so that what is measured is the gateway."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final

from awala.bindings.poweb import PoWebClient, StreamingMode, names
from awala.messages import media_types
from awala.testing.bench.app_parcels import Countersigned, Endpoint

_HOST: Final = "127.0.0.1"


def request(given: Countersigned) -> bytes:
    """Return the octets of the request that delivers a parcel."""
    credential = base64.b64encode(given.countersignature).decode("ascii")
    lines = (
        f"POST {names.PARCELS_PATH} HTTP/1.1",
        f"Host: {_HOST}",
        f"Content-Type: {media_types.PARCEL}",
        f"Authorization: {names.COUNTERSIGNATURE} {credential}",
        f"Content-Length: {len(given.parcel)}",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii") + given.parcel


async def deliver(port: int, requests: Sequence[bytes], connections: int) -> list[float]:
    """Deliver all parcels over so many connections; return the seconds that each took.

    Each connection sends one when the one before was accepted.
    """
    took: list[float] = []
    waiting = iter(requests)
    opened = [await asyncio.open_connection(_HOST, port) for _ in range(connections)]
    try:
        async with asyncio.TaskGroup() as group:
            for reader, writer in opened:
                group.create_task(_deliver(reader, writer, waiting, took))
    finally:
        for _reader, writer in opened:
            writer.close()
    return took


async def _deliver(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: Iterator[bytes], took: list[float]
) -> None:
    for octets in waiting:
        began = time.perf_counter()
        writer.write(octets)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length))
        took.append(time.perf_counter() - began)
        if int(head.split(b" ", 2)[1]) != HTTPStatus.ACCEPTED:
            raise AssertionError(f"a parcel was refused: {body!r}")


async def collect(port: int, collector: Endpoint, window: int) -> list[float]:
    """Collect and acknowledge all that rests for an endpoint; return the seconds that each parcel took."""
    took: list[float] = []
    async with PoWebClient.local(f"http://{_HOST}:{port}") as client:
        client.pacing.interval = 0  # which spares deployed gateways, not this one
        mode = StreamingMode.CLOSE_UPON_COMPLETION
        async with client.collect(collector.sign_nonce, mode, window=window) as collection:
            began = time.perf_counter()
            async for delivery in collection:
                await delivery.acknowledge()
                took.append(time.perf_counter() - began)
                began = time.perf_counter()
    return took
