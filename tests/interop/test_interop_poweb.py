# SPDX-License-Identifier: MIT
"""The PoWeb clients of the reference libraries at our private gateway, on loopback, and at our Internet
gateway, over TLS."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from interop_peers import peer_param
from interop_poweb import ADDRESS, internet_gateway, private_gateway, sender_at, uplink
from interop_poweb_clients import JsClient, KotlinClient, once, recipients_of, register

from awala.messages.limits import MAX_PARCEL_SIZE, MAX_RAMF_SIZE
from awala.pki import Certificate
from helpers.json_peer import PeerError

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONTENT = b"good morning"
QUIET = 1.0
"""Seconds in which something that should not come would have come."""

IDLE = 30.0
"""Seconds without a parcel; one client gives up after 7 without a ping, the other if one of its own is not
answered for 5."""

DOORS = ("private", "internet")


def at(*doors, showing):
    """Run a test at these doors, each of which makes it show the capability."""
    return pytest.mark.parametrize(
        "gateway",
        [pytest.param(door, marks=pytest.mark.cell(f"poweb-{door}-{showing}")) for door in doors],
        indirect=True,
    )


CLIENTS = (peer_param("js-poweb", JsClient, "node"), peer_param("kotlin-poweb", KotlinClient, "java"))


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=CLIENTS)
async def peer(request, tmp_path_factory, authority):
    async with request.param(tmp_path_factory.mktemp("peer"), authority) as peer:
        yield peer


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


@pytest_asyncio.fixture(loop_scope="session")
async def node(peer, gateway):
    return await register(peer, gateway)


@pytest.fixture
def recipients(gateway, node):
    return recipients_of(gateway, node)


# ---- registration ------------------------------------------------------------------------------------


@at(*DOORS, showing="registration")
async def test_registers(gateway, node):
    certificate = Certificate.parse(node.certificate)
    above = Certificate.parse(node.registration["gatewayCertificate"])

    assert certificate.node_id == node.key["id"]
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
    assert [item["parcel"] for item in collected["parcels"]] == sorted(parcels)
    assert await node.collect() == once([])


# ---- delivery ----------------------------------------------------------------------------------------


@at(*DOORS, showing="delivery")
async def test_delivers_what_another_node_collects(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    parcel, session_key = await parcel_of(other, recipients)

    await other.deliver(parcel)
    await other.deliver(parcel)  # again: no error

    assert await node.collect() == once([parcel])
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
        async with node.collecting() as collected:
            await sender.deliver(parcel)

            assert await collected(1) == once([parcel], errors=[])


@at(*DOORS, showing="delivery")
async def test_delivers_and_collects_the_largest_parcel(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    parcel = padded(recipients.parcel(other.private_key), MAX_PARCEL_SIZE)

    await other.deliver(parcel)

    assert await node.collect() == once([parcel])


def padded(parcel, size):
    """Return a parcel followed by octets that are nobody's."""
    return parcel.ljust(size, b"\x00")


async def parcel_of(node, recipients):
    """Let the peer make a parcel of a node; return it with the session key that opens it."""
    session_key = await node.peer.ask("makeSessionKey")
    made = await node.peer.ask(
        "make",
        kind="parcel",
        privateKey=node.key["privateKey"],
        certificate=recipients.authorise(node.private_key.public_key).encoding,
        chain=[certificate.encoding for certificate in recipients.chain],
        recipient={"id": recipients.key.node_id, "internetAddress": ADDRESS},
        sessionKey={name: session_key[name] for name in ("keyId", "publicKey")},
        payload={"type": "text/plain", "content": CONTENT},
        creationDate=(datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
        ttl=3600,
    )
    return made["octets"], session_key


# ---- refusals ----------------------------------------------------------------------------------------


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


@at(*DOORS, showing="refusals")
@pytest.mark.parametrize(
    ("make", "status"),
    [
        (malformed, 400),
        (of_another_type, 400),
        (for_somebody_else, 422),
        (an_octet_too_large, 413),
        (much_too_large, 413),
    ],
)
async def test_is_told_which_parcels_are_refused_for_good(gateway, peer, node, recipients, make, status):
    other = await register(peer, gateway)
    error_class, message = peer.delivery_error(status)

    with pytest.raises(PeerError, match=message) as caught:
        await other.deliver(make(recipients, other.private_key))

    assert caught.value.error_class == error_class
    assert await node.collect() == once([])


@at(*DOORS, showing="refusals")
async def test_is_told_that_a_stranger_may_not_countersign(gateway, peer, node, recipients):
    other = await register(peer, gateway)
    stranger, now = await peer.ask("makeIdentityKey"), datetime.now(UTC)
    certificate = await peer.ask(
        "make",
        kind="certificate",
        role="endpoint",
        subjectPublicKey=stranger["publicKey"],
        issuerPrivateKey=stranger["privateKey"],
        notBefore=(now - timedelta(hours=1)).isoformat(),
        notAfter=(now + timedelta(hours=1)).isoformat(),
    )
    error_class, message = peer.delivery_error(401)

    with pytest.raises(PeerError, match=message) as caught:
        await other.deliver(
            recipients.parcel(other.private_key),
            privateKey=stranger["privateKey"],
            certificate=certificate["octets"],
        )

    assert caught.value.error_class == error_class
    assert await node.collect() == once([])


@at(*DOORS, showing="refusals")
async def test_is_told_that_a_stranger_may_not_collect(peer, node):
    stranger = await peer.ask("makeIdentityKey")

    with pytest.raises(PeerError, match="code: 1003") as caught:
        await node.collect(privateKey=stranger["privateKey"])

    assert caught.value.error_class == peer.COLLECTION_ERROR


# ---- collection --------------------------------------------------------------------------------------

COUNTS = [1, 5, pytest.param(200, marks=pytest.mark.thorough)]


@at(*DOORS, showing="kept-alive")
@pytest.mark.parametrize("count", COUNTS)
async def test_collects_what_waits_once_on_a_connection_that_stays(sender, node, recipients, count):
    parcels = await sender.send(recipients, count)
    async with node.collecting() as collected:
        await collected(count)
        await asyncio.sleep(QUIET)

        assert await collected() == once(parcels, errors=[])
    assert await node.collect() == once([])


@at(*DOORS, showing="until-empty")
@pytest.mark.parametrize("count", COUNTS)
async def test_collects_what_waits_once_until_there_is_no_more(sender, node, recipients, count):
    parcels = await sender.send(recipients, count)

    assert await node.collect() == once(parcels)
    assert await node.collect() == once([])


@at(*DOORS, showing="arrivals")
async def test_collects_fifty_that_arrive_meanwhile_once(sender, node, recipients):
    async with node.collecting() as collected:
        parcels = await sender.send(recipients, 50)
        await collected(len(parcels))
        await asyncio.sleep(QUIET)

        assert await collected() == once(parcels, errors=[])
    assert await node.collect() == once([])


@at(*DOORS, showing="idle")
@pytest.mark.thorough
async def test_stays_connected_for_half_a_minute_in_which_nothing_but_pings_come(sender, node, recipients):
    async with node.collecting() as collected:
        await asyncio.sleep(IDLE)
        parcels = await sender.send(recipients)

        assert await collected(1) == once(parcels, errors=[])


@at(*DOORS, showing="restart")
async def test_comes_back_after_our_restart_and_misses_nothing(gateway, sender, node, recipients):
    async with node.collecting() as collected:
        parcels = await sender.send(recipients, 5)
        await collected(len(parcels))
        await asyncio.sleep(QUIET)  # the last acknowledgement has come

        await gateway.stop()
        await gateway.start()
        parcels += await sender.send(recipients, 5)
        await collected(len(parcels), connections=2)
        await asyncio.sleep(QUIET)

        found = await collected()
    assert found["parcels"] == once(parcels)["parcels"]
    assert found["connections"] == 2
    assert await node.collect() == once([])
