# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from awala.base.clock import SystemClock
from awala.bindings.poweb import PoWebClient, poweb_app, serve_poweb
from awala.nodes.background import in_background
from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.internet_gateway.root import (
    InternetGatewayConfig,
    create_internet_gateway,
    run_internet_gateway,
)
from awala.nodes.private_gateway.node import open_private_gateway
from awala.nodes.private_gateway.root import create_private_gateway
from helpers.node_peer import NodePeer, PeerError

pytestmark = pytest.mark.requires("node")

ADDRESS = "gateway.example.com"
ANY_PORT = DoorConfig(listen="127.0.0.1:0")
CONTENT = b"good morning"


@asynccontextmanager
async def internet_gateway(directory):
    """Run an Internet gateway whose doors are plain, and give the address of its PoWeb server."""
    storage = StorageConfig(directory=directory)
    await create_internet_gateway(storage, ADDRESS)
    config = InternetGatewayConfig(storage=storage, poweb=ANY_PORT, pohttp=ANY_PORT, cogrpc=ANY_PORT)
    async with run_internet_gateway(config) as running:
        yield running.addresses["poweb"]


@asynccontextmanager
async def private_gateway(directory, uplink):
    """Run a private gateway that is paired with the Internet gateway at ``uplink``, and give its port."""

    async def connect(_address):
        return PoWebClient.local(f"http://{uplink}")

    async def no_courier(_host, _port):
        raise AssertionError("no courier is asked for")

    storage = StorageConfig(directory=directory)
    await create_private_gateway(storage)
    async with (
        open_private_gateway(
            storage, clock=SystemClock(), connect=connect, connect_courier=no_courier
        ) as node,
        in_background(node.run()),
        serve_poweb(poweb_app(node.local), "127.0.0.1:0") as server,
    ):
        await node.pairing.pair(ADDRESS)
        yield int(server.address.rpartition(":")[2])


@pytest.fixture
async def ports(tmp_path):
    """The PoWeb ports of two private gateways behind one Internet gateway."""
    async with (
        internet_gateway(tmp_path / "internet-gateway") as uplink,
        private_gateway(tmp_path / "one", uplink) as one,
        private_gateway(tmp_path / "other", uplink) as other,
    ):
        yield one, other


@pytest.fixture
async def peer():
    async with NodePeer() as node_peer:
        yield node_peer


async def register(peer, port):
    """Register a new endpoint of the peer; return its key, certificate and gateway."""
    key = await peer.ask("makeIdentityKey")
    return {**key, **await peer.ask("register", port=port, privateKey=key["privateKey"])}


async def make_parcel(peer, sender, recipient, *, authorised_by=None):
    """Let the peer make a parcel under an authorisation by the recipient, or by somebody else."""
    issuer = authorised_by or recipient
    now = datetime.now(UTC)
    authorization = await peer.ask(
        "make",
        kind="certificate",
        role="deliveryAuthorization",
        subjectPublicKey=sender["publicKey"],
        issuerPrivateKey=issuer["privateKey"],
        issuerCertificate=issuer["nodeCertificate"],
        notBefore=(now - timedelta(hours=1)).isoformat(),
        notAfter=(now + timedelta(days=1)).isoformat(),
    )
    session_key = await peer.ask("makeSessionKey")
    made = await peer.ask(
        "make",
        kind="parcel",
        privateKey=sender["privateKey"],
        certificate=authorization["octets"],
        chain=[issuer["nodeCertificate"], issuer["gatewayCertificate"]],
        recipient={"id": recipient["id"], "internetAddress": recipient["internetAddress"]},
        sessionKey={name: session_key[name] for name in ("keyId", "publicKey")},
        payload={"type": "text/plain", "content": CONTENT},
        creationDate=(now - timedelta(minutes=5)).isoformat(),
        ttl=3600,
    )
    return made["octets"], session_key


def signer(endpoint):
    return {"privateKey": endpoint["privateKey"], "certificate": endpoint["nodeCertificate"]}


async def collect(peer, port, endpoint, mode, count=None):
    return await peer.ask("collectParcels", port=port, signers=[signer(endpoint)], mode=mode, count=count)


async def test_the_npm_client_registers_delivers_and_collects(peer, ports):
    port, distant_port = ports
    sender, recipient = await register(peer, port), await register(peer, distant_port)
    parcel, session_key = await make_parcel(peer, sender, recipient)

    await peer.ask("deliverParcel", port=port, parcel=parcel, **signer(sender))
    collected = await collect(peer, distant_port, recipient, "keep-alive", count=1)

    assert collected == [{"parcel": parcel, "refusal": None}]
    read = await peer.ask(
        "read",
        kind="parcel",
        octets=collected[0]["parcel"],
        trusted=[recipient["nodeCertificate"]],
        sessionPrivateKey=session_key["privateKey"],
    )
    assert read["payload"]["content"] == CONTENT
    assert recipient["internetAddress"] == ADDRESS
    assert recipient["sessionKey"] is None


async def test_what_the_npm_client_acknowledged_is_not_there_again(peer, ports):
    port, distant_port = ports
    sender, recipient = await register(peer, port), await register(peer, distant_port)
    parcels = [(await make_parcel(peer, sender, recipient))[0] for _ in range(3)]

    for parcel in parcels:
        await peer.ask("deliverParcel", port=port, parcel=parcel, **signer(sender))
    collected = []
    async with asyncio.timeout(60):
        while len(collected) < len(parcels):  # they arrive one by one
            collected += await collect(peer, distant_port, recipient, "close-upon-completion")
    rest = await collect(peer, distant_port, recipient, "close-upon-completion")

    assert sorted(item["parcel"] for item in collected) == sorted(parcels)
    assert rest == []


async def test_a_parcel_whose_chain_contradicts_its_recipient_is_refused(peer, ports):
    port = ports[0]
    sender, recipient, other = [await register(peer, port) for _ in range(3)]
    parcel, _ = await make_parcel(peer, sender, recipient, authorised_by=other)

    with pytest.raises(PeerError, match="RefusedParcelError"):
        await peer.ask("deliverParcel", port=port, parcel=parcel, **signer(sender))


async def test_a_countersignature_by_a_stranger_is_refused(peer, ports):
    port = ports[0]
    sender, recipient = await register(peer, port), await register(peer, port)
    parcel, _ = await make_parcel(peer, sender, recipient)
    stranger = await peer.ask("makeIdentityKey")
    certificate = await peer.ask(
        "make",
        kind="certificate",
        role="endpoint",
        subjectPublicKey=stranger["publicKey"],
        issuerPrivateKey=stranger["privateKey"],
        notBefore=(datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        notAfter=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    )

    with pytest.raises(PeerError, match="401"):
        await peer.ask(
            "deliverParcel",
            port=port,
            parcel=parcel,
            privateKey=stranger["privateKey"],
            certificate=certificate["octets"],
        )
