# SPDX-License-Identifier: MIT
"""The traps that the libraries from npm lay for whoever speaks with them, by their numbers in our records.

Each is shown on the library itself, beside what ours does about it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import dns.flags
import pytest
from interop_poweb import ADDRESS, HOST, internet_gateway, private_gateway
from websockets.asyncio.server import serve as serve_websocket

from awala.bindings.poweb import PoWebClient, poweb_app, serve_poweb
from awala.messages import HandshakeResponse, ParcelDelivery, Registration, RegistrationRequest
from awala.messages.collection import HandshakeChallenge
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.testing import SignedZones, serve_doh
from helpers.cast import identity_key
from helpers.node_peer import PeerError

pytestmark = [pytest.mark.requires("node"), pytest.mark.asyncio(loop_scope="session")]

BURST = 5
ANY_PORT = DoorConfig(listen=f"{HOST}:0")


# ---- 25: one delivery at a time --------------------------------------------------------------------------


async def test_trap_25_deliveries_in_a_burst_are_lost_on_the_client(production_peer):
    """Ours come one by one, so that none is: test_interop_poweb.py collects hundreds."""
    acknowledged = asyncio.Queue()

    async def play(socket):
        await socket.send(HandshakeChallenge(b"nonce").serialize())
        await socket.recv()
        for number in range(BURST):
            socket.protocol.send_binary(ParcelDelivery(str(number), b"parcel").serialize())
        socket.transport.writelines(socket.protocol.data_to_send())
        async for message in socket:
            acknowledged.put_nowait(message)

    async with serve_websocket(play, HOST, 0, compression=None) as server:
        door = {"port": server.sockets[0].getsockname()[1]}
        key = await production_peer.ask("makeIdentityKey")
        certificate = await self_issued(production_peer, key)
        signer = {"privateKey": key["privateKey"], "certificate": certificate}
        collection = await production_peer.ask("openCollection", door=door, signers=[signer])
        await production_peer.ask("collected", collection=collection, count=1, connections=1)
        await asyncio.sleep(1)
        found = await production_peer.ask("collected", collection=collection, count=1, connections=1)

    assert 1 <= len(found["parcels"]) < BURST
    assert acknowledged.qsize() == len(found["parcels"])
    assert await acknowledged.get() == "0"


async def self_issued(peer, key):
    made = await peer.ask(
        "make",
        kind="certificate",
        role="endpoint",
        subjectPublicKey=key["publicKey"],
        issuerPrivateKey=key["privateKey"],
        notBefore="2026-01-01T00:00:00Z",
        notAfter="2096-01-01T00:00:00Z",
    )
    return made["octets"]


# ---- 26: one signature -----------------------------------------------------------------------------------


class Listening:
    """The door of an Internet gateway that notes what collectors answer to its challenge."""

    def __init__(self, door):
        self._door = door
        self.responses = asyncio.Queue()

    def __getattr__(self, name):
        return getattr(self._door, name)

    def collect(self, nonce, response, mode):
        self.responses.put_nowait(response)
        return self._door.collect(nonce, response, mode)


async def test_trap_26_our_private_gateway_signs_once_towards_an_internet_gateway(tmp_path):
    storage = StorageConfig(directory=tmp_path / "internet")
    await create_internet_gateway(storage, ADDRESS)
    config = InternetGatewayConfig(storage=storage, poweb=ANY_PORT, pohttp=ANY_PORT, cogrpc=ANY_PORT)
    async with run_internet_gateway(config) as running:
        door = Listening(running.node.gateway_door)
        async with (
            serve_poweb(poweb_app(door), f"{HOST}:0") as server,
            private_gateway(tmp_path / "private", server.address),
        ):
            response = await asyncio.wait_for(door.responses.get(), 20)

    assert len(HandshakeResponse.parse(response).signatures) == 1


# ---- 27: content types -----------------------------------------------------------------------------------


async def test_trap_27_the_client_takes_no_type_with_a_parameter(production_peer):
    body = b"no authorization"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    head += "Content-Type: application/vnd.awala.node-registration.authorization; charset=utf-8\r\n\r\n"

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        key = await production_peer.ask("makeIdentityKey")
        door = {"port": server.sockets[0].getsockname()[1]}
        with pytest.raises(PeerError, match="invalid content type"):
            await production_peer.ask("register", door=door, privateKey=key["privateKey"])


# ---- 33: names -------------------------------------------------------------------------------------------

RECORDS = {
    f"_awala-pdc._tcp.{ADDRESS}": ["SRV 0 0 8443 pohttp.demo.test."],
    f"_awala-pdc._tcp.silent.{ADDRESS}": ["TXT nothing"],
}


@asynccontextmanager
async def resolver(authority, *, with_ad=True):
    zones = SignedZones(RECORDS, zones=("com.", "example.com."))

    def respond(query):
        answer = zones.respond(query)
        if not with_ad:
            answer.flags &= ~dns.flags.AD
        return answer

    async with serve_doh(respond, tls=authority.server_context(HOST)) as doh:
        yield doh.url


async def test_trap_33_signed_srv_records_lead_the_library_to_our_services(production_peer, authority):
    async with resolver(authority) as url:
        found = await resolve(production_peer, url, ADDRESS)

    assert found == {"host": "pohttp.demo.test", "port": 8443}


async def test_trap_33_a_name_that_is_not_there_is_nowhere_to_the_library(production_peer, authority):
    async with resolver(authority) as url:
        assert await resolve(production_peer, url, f"nowhere.{ADDRESS}") is None


@pytest.mark.parametrize(
    ("address", "with_ad", "problem"),
    [(ADDRESS, False, "DNSSEC verification"), (f"silent.{ADDRESS}", True, "DNS answer is malformed")],
)
async def test_trap_33_the_library_takes_no_answer_without_proof_or_record(
    production_peer, authority, address, with_ad, problem
):
    async with resolver(authority, with_ad=with_ad) as url:
        with pytest.raises(PeerError, match=problem):
            await resolve(production_peer, url, address)


async def resolve(peer, url, address):
    return await peer.ask("resolveAddress", address=address, service="awala-pdc", resolver=url)


# ---- 34: session keys at registration --------------------------------------------------------------------


async def test_trap_34_each_registration_at_an_internet_gateway_brings_a_new_session_key(
    production_peer, authority, tmp_path
):
    key = await production_peer.ask("makeIdentityKey")
    async with internet_gateway(tmp_path, authority) as gateway:
        theirs = [
            await production_peer.ask("register", door=gateway.door, privateKey=key["privateKey"])
            for _ in range(2)
        ]
        async with gateway.client() as client:
            ours = [await register(client) for _ in range(2)]

    their_keys = [each["sessionKey"]["keyId"] for each in theirs]
    our_keys = [each.session_key.key_id for each in ours]
    assert len({*their_keys, *our_keys}) == 4


async def register(client: PoWebClient) -> Registration:
    key = identity_key("js", "peer")
    authorization = await client.preregister(key.public_key.digest)
    return Registration.parse(
        await client.register(RegistrationRequest(key.public_key, authorization).serialize(key))
    )
