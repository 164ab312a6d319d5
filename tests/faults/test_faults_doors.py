# SPDX-License-Identifier: MIT
"""What a peer is told when the store behind a door fails: try again later, and nothing about this machine."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from awala.base.errors import StorageFullError
from awala.base.files import StorageBusyError, StorageError
from awala.bindings.asgi import error_response
from awala.bindings.cogrpc.server_call import status_of
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.messages import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from helpers.poweb import MemoryGateway, sign

PLACE = "/home/somebody/vault.sqlite"
FAULTS = {
    StorageError: (503, grpc.StatusCode.UNAVAILABLE),
    StorageBusyError: (503, grpc.StatusCode.UNAVAILABLE),
    StorageFullError: (507, grpc.StatusCode.RESOURCE_EXHAUSTED),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_request_is_answered_and_told_in_one_line(kind, caplog):
    response = error_response(kind(f"{PLACE}: the database failed"))

    assert response.status == FAULTS[kind][0]
    assert PLACE.encode() not in response.body
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_call_is_answered_and_told_in_one_line(kind, caplog):
    status = status_of(kind(f"{PLACE}: the database failed"))

    assert status.code is FAULTS[kind][1]
    assert PLACE not in status.details
    assert not any(record.exc_info for record in caplog.records)


class FailingCollection:
    def __init__(self, collection, method, error) -> None:
        self._collection, self._method, self._error = collection, method, error

    async def next(self):
        if self._method == "next":
            raise self._error
        return await self._collection.next()

    async def acknowledge(self, _parcel) -> None:
        raise self._error


class FailingGateway(MemoryGateway):
    method = "next"
    error: Exception = StorageError(PLACE)

    def collect(self, nonce, response, mode):
        return _Failing(super().collect(nonce, response, mode), self.method, self.error)


class _Failing:
    def __init__(self, context, method, error) -> None:
        self._context, self._method, self._error = context, method, error

    async def __aenter__(self):
        return FailingCollection(await self._context.__aenter__(), self._method, self._error)

    async def __aexit__(self, *details):
        return await self._context.__aexit__(*details)


@pytest.mark.parametrize("method", ["next", "acknowledge"])
@pytest.mark.parametrize("error", [StorageError(PLACE), StorageFullError(PLACE)], ids=["failed", "full"])
async def test_a_collection_ends_with_1011_and_the_next_one_begins(caplog, method, error):
    caplog.set_level(logging.INFO)
    gateway = FailingGateway()
    gateway.method, gateway.error = method, error
    gateway.put(b"parcel")
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=3) as server:
        for _ in range(2):
            async with (
                asyncio.timeout(10),
                connect(
                    f"ws://{server.address}/v1/parcel-collection", proxy=None, compression=None
                ) as socket,
            ):
                nonce = HandshakeChallenge.parse(await socket.recv()).nonce
                await socket.send(HandshakeResponse(tuple(sign(nonce))).serialize())
                with pytest.raises(ConnectionClosed) as closed:
                    await _acknowledge_all(socket)
                assert closed.value.rcvd.code == 1011
                assert PLACE not in closed.value.rcvd.reason

    assert len([each for each in caplog.records if PLACE in each.getMessage()]) == 2
    assert not any(record.exc_info for record in caplog.records)


async def _acknowledge_all(socket) -> None:
    while True:
        await socket.send(ParcelDelivery.parse(await socket.recv()).delivery_id)
