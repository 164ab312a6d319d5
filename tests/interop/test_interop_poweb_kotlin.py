# SPDX-License-Identifier: MIT
"""The Kotlin PoWeb client at our private gateway, on loopback, and at our Internet gateway, over TLS."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from interop_poweb import ADDRESS, Recipients, internet_gateway, private_gateway, sender_at, uplink

from awala.crypto import IdentityPrivateKey
from awala.messages.limits import MAX_PARCEL_SIZE, MAX_RAMF_SIZE
from awala.pki import Certificate
from awala.testing import TcpProxy
from helpers.kotlin_peer import KotlinPeer, PeerError, world

pytestmark = [
    pytest.mark.requires("java"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="kotlin-poweb"),
]

CONTENT = b"good morning"
QUIET = 1.0
"""Seconds in which something that should not come would have come."""

IDLE = 30.0
"""Seconds without a parcel; the client gives up if a ping of its own is not answered for 5."""

DOORS = ("private", "internet")


def at(*doors, showing):
    """Run a test at these doors, each of which makes it show the capability."""
    return pytest.mark.parametrize(
        "gateway",
        [pytest.param(door, marks=pytest.mark.cell(f"poweb-{door}-{showing}")) for door in doors],
        indirect=True,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def peer(tmp_path_factory, authority):
    options = world(tmp_path_factory.mktemp("world"), authority)
    async with KotlinPeer(options=options) as kotlin_peer:
        yield kotlin_peer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateway(request, tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("gateways")
    async with AsyncExitStack() as stack:
        if request.param == "internet":
            yield await stack.enter_async_context(internet_gateway(directory / "internet", authority))
        else:
            above = await stack.enter_async_context(uplink(directory / "uplink"))
            yield await stack.enter_async_context(private_gateway(directory / "private", above))


@pytest_asyncio.fixture(loop_scope="session")
async def sender(gateway):
    async with sender_at(gateway.client()) as sender:
        yield sender


@dataclass(frozen=True)
class Node:
    """A node of the peer that has registered at a door."""

    peer: KotlinPeer
    door: dict
    key: IdentityPrivateKey
    registration: dict

    @property
    def certificate(self):
        return self.registration["nodeCertificate"]

    @property
    def signer(self):
        return {"privateKey": self.key.serialize(), "certificate": self.certificate}

    async def deliver(self, parcel, **signer):
        await self.peer.ask("deliverParcel", door=self.door, parcel=parcel, **(signer or self.signer))

    async def collect(self):
        """Return the parcels that wait, with what the library has against each."""
        found = await self.peer.ask("collectParcels", door=self.door, signers=[self.signer])
        return sorted(found["parcels"], key=_by_parcel)


@dataclass(frozen=True)
class OpenCollection:
    """A collection that goes on, over a link that counts connections which get through."""

    peer: KotlinPeer
    number: int
    link: TcpProxy

    async def collected(self, count=0):
        """Return what has come, once it is ``count`` parcels."""
        question = self.peer.ask("collected", collection=self.number, count=count)
        found = await asyncio.wait_for(question, 60)
        return {
            "parcels": sorted(found["parcels"], key=_by_parcel),
            "errors": [error["class"] for error in found["errors"]],
            "connections": self.link.passed_on,
        }


@asynccontextmanager
async def open_collection(node):
    async with TcpProxy("127.0.0.1", node.door["port"]) as link:
        door = node.door | {"port": link.port}
        number = await node.peer.ask("openCollection", door=door, signers=[node.signer])
        yield OpenCollection(node.peer, number, link)


async def register(peer, gateway, key=None):
    """Register a node, with a new key unless there is one."""
    key = key or IdentityPrivateKey.generate()
    registration = await peer.ask("register", door=gateway.door, privateKey=key.serialize())
    return Node(peer, gateway.door, key, registration)


def recipients_of(gateway, node):
    return Recipients.of(
        gateway, node.key.serialize(), node.certificate, node.registration["gatewayCertificate"]
    )


@pytest_asyncio.fixture(loop_scope="session")
async def node(peer, gateway):
    return await register(peer, gateway)


@pytest.fixture
def recipients(gateway, node):
    return recipients_of(gateway, node)


def taken(parcels):
    """Return what the peer is to have, whatever the order."""
    return sorted(({"parcel": parcel, "refusal": None} for parcel in parcels), key=_by_parcel)


def _by_parcel(item):
    return item["parcel"]


# ---- registration ------------------------------------------------------------------------------------


@at(*DOORS, showing="registration")
async def test_registers(gateway, node):
    certificate = Certificate.parse(node.certificate)
    above = Certificate.parse(node.registration["gatewayCertificate"])

    assert certificate.node_id == node.key.node_id
    assert certificate.issuer_id == above.node_id
    assert node.registration["internetAddress"] == ADDRESS
    assert (node.registration["sessionKey"] is None) == gateway.serves_endpoints


@at(*DOORS, showing="renewal")
async def test_registers_again_and_goes_on_with_either_certificate(gateway, peer, sender, node, recipients):
    renewed = await register(peer, gateway, node.key)
    before, after = (Certificate.parse(each.certificate) for each in (node, renewed))

    parcels = await sender.send(recipients)
    parcels += await sender.send(recipients_of(gateway, renewed))
    collected = await renewed.collect()

    assert after.not_after >= before.not_after
    assert [item["parcel"] for item in collected] == sorted(parcels)
    assert await node.collect() == []


# ---- delivery ----------------------------------------------------------------------------------------


@at(*DOORS, showing="delivery")
async def test_delivers_what_another_node_collects(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    parcel, session_key = await parcel_of(other, recipients)

    await other.deliver(parcel)
    await other.deliver(parcel)  # again: no error

    assert await node.collect() == taken([parcel])
    read = await peer.ask(
        "read",
        kind="parcel",
        octets=parcel,
        trusted=[recipients.chain[0].encoding],
        sessionPrivateKey=session_key["privateKey"],
    )
    assert read["payload"] == {"type": "text/plain", "content": CONTENT}


@pytest.mark.cell("poweb-private-delivery")
async def test_delivers_to_another_device_through_the_internet_gateway(tmp_path, peer):
    async with (
        uplink(tmp_path / "uplink") as above,
        private_gateway(tmp_path / "one", above) as one,
        private_gateway(tmp_path / "other", above) as other,
    ):
        sender, node = await register(peer, one), await register(peer, other)
        parcel, _ = await parcel_of(sender, recipients_of(other, node))
        async with open_collection(node) as collection:
            await sender.deliver(parcel)

            assert (await collection.collected(1))["parcels"] == taken([parcel])


@at(*DOORS, showing="delivery")
async def test_delivers_and_collects_the_largest_parcel(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    parcel = padded(recipients.parcel(other.key), MAX_PARCEL_SIZE)

    await other.deliver(parcel)

    assert await node.collect() == taken([parcel])


def padded(parcel, size):
    """Return a parcel followed by octets that are nobody's."""
    return parcel.ljust(size, b"\x00")


async def parcel_of(node, recipients):
    """Let the peer make a parcel of a node; return it with the session key that opens it."""
    session_key = await node.peer.ask("makeSessionKey")
    made = await node.peer.ask(
        "make",
        kind="parcel",
        privateKey=node.key.serialize(),
        certificate=recipients.authorise(node.key.public_key).encoding,
        chain=[certificate.encoding for certificate in recipients.chain],
        recipient={"id": recipients.key.node_id, "internetAddress": ADDRESS},
        sessionKey={name: session_key[name] for name in ("keyId", "publicKey")},
        payload={"type": "text/plain", "content": CONTENT},
        creationDate=(datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
        ttl=3600,
    )
    return made["octets"], session_key


def malformed(_recipients, _key):
    return b"AwalaP\x00 and no more"


def of_another_type(_recipients, _key):
    return b"AwalaC\x00" + bytes(100)


def for_somebody_else(recipients, key):
    return recipients.parcel(key, recipient=key.node_id)


def an_octet_too_large(recipients, key):
    return padded(recipients.parcel(key), MAX_PARCEL_SIZE + 1)


def much_too_large(_recipients, _key):
    return bytes(MAX_RAMF_SIZE + 1)


FINAL = "ClientBindingException"
"""What apps do not try again."""


@at(*DOORS, showing="refusals")
@pytest.mark.parametrize(
    ("make", "error_class", "message"),
    [
        (malformed, FINAL, "400"),
        (of_another_type, FINAL, "400"),
        (for_somebody_else, "RejectedParcelException", "rejected"),
        (an_octet_too_large, FINAL, "413"),
        (much_too_large, FINAL, "413"),
    ],
)
async def test_is_told_which_parcels_are_refused_for_good(
    gateway, peer, node, recipients, make, error_class, message
):
    other = await register(peer, gateway)

    with pytest.raises(PeerError, match=message) as caught:
        await other.deliver(make(recipients, other.key))

    assert caught.value.error_class == error_class
    assert await node.collect() == []


@at(*DOORS, showing="refusals")
async def test_is_told_that_a_stranger_may_not_countersign(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    stranger, now = IdentityPrivateKey.generate(), datetime.now(UTC)
    certificate = await peer.ask(
        "make",
        kind="certificate",
        role="endpoint",
        subjectPublicKey=stranger.public_key.spki,
        issuerPrivateKey=stranger.serialize(),
        notBefore=(now - timedelta(hours=1)).isoformat(),
        notAfter=(now + timedelta(hours=1)).isoformat(),
    )

    with pytest.raises(PeerError, match="401") as caught:
        await other.deliver(
            recipients.parcel(other.key), privateKey=stranger.serialize(), certificate=certificate["octets"]
        )

    assert caught.value.error_class == FINAL
    assert await node.collect() == []


@at(*DOORS, showing="refusals")
async def test_is_told_that_a_stranger_may_not_collect(gateway, peer, node):
    stranger = IdentityPrivateKey.generate()
    signer = node.signer | {"privateKey": stranger.serialize()}

    with pytest.raises(PeerError) as caught:
        await peer.ask("collectParcels", door=gateway.door, signers=[signer])

    assert caught.value.error_class == "ServerConnectionException"


# ---- collection --------------------------------------------------------------------------------------

COUNTS = [1, 5, pytest.param(200, marks=pytest.mark.thorough)]


@at(*DOORS, showing="kept-alive")
@pytest.mark.parametrize("count", COUNTS)
async def test_collects_what_waits_once_on_a_connection_that_stays(sender, node, recipients, count):
    parcels = await sender.send(recipients, count)
    async with open_collection(node) as collection:
        await collection.collected(count)
        await asyncio.sleep(QUIET)

        assert await collection.collected() == once(parcels)
    assert await node.collect() == []


def once(parcels):
    """Return what a collection has that got each parcel once, on one connection."""
    return {"parcels": taken(parcels), "errors": [], "connections": 1}


@at(*DOORS, showing="until-empty")
@pytest.mark.parametrize("count", COUNTS)
async def test_collects_what_waits_once_until_there_is_no_more(sender, node, recipients, count):
    parcels = await sender.send(recipients, count)

    assert await node.collect() == taken(parcels)
    assert await node.collect() == []


@at(*DOORS, showing="arrivals")
async def test_collects_fifty_that_arrive_meanwhile_once(sender, node, recipients):
    async with open_collection(node) as collection:
        parcels = await sender.send(recipients, 50)
        await collection.collected(len(parcels))
        await asyncio.sleep(QUIET)

        assert await collection.collected() == once(parcels)
    assert await node.collect() == []


@at(*DOORS, showing="idle")
@pytest.mark.thorough
async def test_stays_connected_for_half_a_minute_in_which_nothing_but_pings_come(sender, node, recipients):
    async with open_collection(node) as collection:
        await asyncio.sleep(IDLE)
        parcels = await sender.send(recipients)

        assert await collection.collected(1) == once(parcels)


@at(*DOORS, showing="restart")
async def test_comes_back_after_our_restart_and_misses_nothing(gateway, sender, node, recipients):
    async with open_collection(node) as collection:
        parcels = await sender.send(recipients, 5)
        await collection.collected(len(parcels))
        await asyncio.sleep(QUIET)  # the last acknowledgement has come

        await gateway.stop()
        await gateway.start()
        parcels += await sender.send(recipients, 5)
        await collection.collected(len(parcels))
        await asyncio.sleep(QUIET)

        found = await collection.collected()
    assert found["parcels"] == taken(parcels)
    assert found["connections"] == 2
    assert await node.collect() == []
