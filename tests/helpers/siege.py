# SPDX-License-Identifier: MIT
"""A network under attack, and the attackers' ways to its doors."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gc
import secrets
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from awala.messages import DetachedSignatureType, HandshakeResponse, sign_detached
from awala.pki import Role, issue
from helpers.hostile import careless, connection
from helpers.nodes import DAY, HOUR, STRANGER

MIB = 1024 * 1024

HTTP_DOORS = ("gateway", "internet-poweb", "internet-pohttp", "pong")
COGRPC_DOORS = ("internet-cogrpc", "courier")


class Siege:
    """A network under attack: an app and a service that go on talking to each other."""

    def __init__(self, net, side, pong, courier, pinger, peer) -> None:
        self.net, self.side, self.pong, self.courier = net, side, pong, courier
        self._pinger, self._peer = pinger, peer
        internet = side.internet_gateway.running.addresses
        self.doors = {
            "gateway": (side.gateway.running.addresses["poweb"], False),
            "internet-poweb": (internet["poweb"], True),
            "internet-pohttp": (internet["pohttp"], True),
            "internet-cogrpc": (internet["cogrpc"], True),
            "pong": (pong.running.addresses["pohttp"], True),
            "courier": (courier.running.addresses["cogrpc"], True),
        }

    async def still_works(self) -> None:
        assert await self._pinger.ping(self._peer, timeout=20) is not None

    def now(self):
        return self.net.clock.now()

    def certify(self, subject, issuer_key, issuer, role=Role.DELIVERY_AUTHORIZATION):
        return issue(
            subject_key=subject.public_key,
            issuer_key=issuer_key,
            issuer=issuer,
            role=role,
            not_before=self.now() - 3 * HOUR,
            not_after=self.now() + 10 * DAY,
        )

    def message(
        self, kind, recipient, *, key=STRANGER, certificate=None, created=-HOUR, ttl=86_400, chain=()
    ):
        certificate = certificate or self.certify(key, key, None, Role.ENDPOINT)
        return kind(
            recipient=recipient,
            message_id=secrets.token_hex(16),
            creation_date=(self.now() + created).replace(microsecond=0),
            ttl=ttl,
            payload=b"rubbish",
            sender_certificate=certificate,
            sender_chain=chain,
        ).serialize(key)

    def counter(self, parcel, key, certificate) -> str:
        signature = sign_detached(DetachedSignatureType.PARCEL_DELIVERY, parcel, key, certificate)
        return "Relaynet-Countersignature " + base64.b64encode(signature).decode()


def resident() -> int:
    """Return the octets of memory that this process has, without those that it has let go of."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # the GNU library keeps them for a while
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def kept_since(before: int, *, enough: int = 40 * MIB) -> int:
    """Return by how much memory has grown, once that is little or a while has passed.

    What ends leaves its buffers a moment later than its peer sees the end.
    """
    for _ in range(100):
        if resident() - before < enough:
            break
        await asyncio.sleep(0.1)
    return resident() - before


@asynccontextmanager
async def collecting(address, *, tls):
    scheme = "wss" if tls else "ws"
    async with connect(
        f"{scheme}://{address}/v1/parcel-collection",
        ssl=careless() if tls else None,
        proxy=None,
        compression=None,
        close_timeout=1,
    ) as socket:
        yield socket


async def close_code(socket) -> int:
    try:
        async with asyncio.timeout(15):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def signed(nonce, *signers):
    """Answer the challenge of a collection."""
    signatures = (sign_detached(DetachedSignatureType.NONCE, nonce, *signer) for signer in signers)
    return HandshakeResponse(tuple(signatures)).serialize()


@asynccontextmanager
async def calling(siege, door, method, metadata=()):
    """Open a CogRPC call that trusts whoever is there."""
    address, _ = siege.doors[door]
    host, _, port = address.rpartition(":")
    async with connection(address, tls=True) as (_, writer):
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    if door == "courier":
        roots, name = ssl.DER_cert_to_PEM_cert(certificate).encode(), host
    else:
        roots, name = siege.net.authority.ca_pem, "igw-a-cogrpc.demo.test"
    options = [("grpc.ssl_target_name_override", name)]
    credentials = grpc.ssl_channel_credentials(roots)
    async with grpc.aio.secure_channel(f"{host}:{port}", credentials, options=options) as channel:
        call = channel.stream_stream(f"/relaynet.cogrpc.CargoRelay/{method}")(metadata=metadata)
        try:
            yield call
        finally:
            call.cancel()


async def ending(call) -> grpc.StatusCode:
    try:
        async with asyncio.timeout(20):
            while await call.read() is not grpc.aio.EOF:
                pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()


async def delivered(siege, door, octets) -> grpc.StatusCode:
    async with calling(siege, door, "DeliverCargo") as call:
        try:
            await call.write(octets)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        return await ending(call)


def bearer(cca: bytes):
    return (("authorization", "Relaynet-CCA " + base64.b64encode(cca).decode()),)


async def collected(siege, door, metadata) -> grpc.StatusCode:
    async with calling(siege, door, "CollectCargo", metadata) as call:
        return await ending(call)
