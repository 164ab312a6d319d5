# SPDX-License-Identifier: MIT
"""Contents from nothing to the largest that we send, both ways, and limits of the reference libraries."""

from __future__ import annotations

import random

import pytest
from interop_cast import a_message, example, made_by_peer, opened, read_by_peer, seal

from awala.asn1 import der
from awala.messages import (
    Cargo,
    CargoMessageSet,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ServiceMessage,
    limits,
)
from helpers.json_peer import PeerError
from helpers.node_peer import NEWEST

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.cell("core-sizes")]

TYPE = "application/octet-stream"
LARGEST_CONTENT = 2**22 + limits.MAX_SERVICE_MESSAGE - len(ServiceMessage(TYPE, bytes(2**22)).serialize())
SIZES = (0, 1, 1_000, 1_001, 65_536, 65_537, 2**20)
"""Octets: around the segments that the libraries cut contents into."""


def octets_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def same(one: object, other: object) -> bool:
    """Compare apart from `assert`, which would take minutes to explain how megabytes differ."""
    return one == other


@pytest.mark.parametrize("size", [*SIZES, LARGEST_CONTENT])
async def test_the_reference_library_reads_our_parcels_of_each_size(peer, cast, size):
    given, content = example("parcel", cast), octets_of(size)
    payload, _ = seal(ServiceMessage(TYPE, content).serialize(), cast.session.session_key)

    read = await read_by_peer(peer, given, a_message(given, cast, payload=payload).serialize(given.key), cast)

    assert same(read["payload"], {"type": TYPE, "content": content})


async def check_that_we_read_one_of_theirs(peer, cast, size):
    given, content = example("parcel", cast), octets_of(size)

    made = await made_by_peer(peer, given, cast, payload={"type": TYPE, "content": content})

    parcel = Parcel.parse(made["octets"])
    assert parcel.authorise([cast.igw], cast.now) == given.path
    assert same(ServiceMessage.parse(opened(parcel, cast)), ServiceMessage(TYPE, content))


@pytest.mark.parametrize("size", SIZES)
async def test_we_read_parcels_of_each_size_from_the_reference_library(peer, cast, size):
    await check_that_we_read_one_of_theirs(peer, cast, size)


async def test_we_read_a_parcel_with_the_largest_content_from_the_javascript_library(javascript, cast):
    """What Kotlin's makes of it is larger than a parcel may be."""
    await check_that_we_read_one_of_theirs(javascript, cast, LARGEST_CONTENT)


async def test_the_largest_content_is_the_largest_service_message():
    assert len(ServiceMessage(TYPE, bytes(LARGEST_CONTENT)).serialize()) == limits.MAX_SERVICE_MESSAGE


# ---- cargo -----------------------------------------------------------------------------------------

FULL = {
    "one item": (limits.MAX_CARGO_ITEM_SIZE,),
    "for private gateways": (65_536,) * 63,
}


@pytest.mark.parametrize("recipient", ["an Internet gateway", "a private gateway"])
@pytest.mark.parametrize("name", FULL)
async def test_full_cargo_goes_both_ways(peer, cast, name, recipient):
    given = example(f"cargo to {recipient}", cast)
    items = tuple(octets_of(size) for size in FULL[name])
    payload, _ = seal(CargoMessageSet(items).serialize(), cast.session.session_key)

    read = await read_by_peer(peer, given, a_message(given, cast, payload=payload).serialize(given.key), cast)
    made = await made_by_peer(peer, given, cast, payload={"items": list(items)})

    cargo = Cargo.parse(made["octets"])
    assert same(read["payload"], {"items": list(items)})
    assert same(CargoMessageSet.parse(opened(cargo, cast)).items, items)


def acks(count: int) -> tuple[bytes, ...]:
    ack = ParcelCollectionAck(f"0{'a' * 64}", f"0{'b' * 64}", "12345678-1234-1234-1234-123456789abc")
    return (ack.serialize(),) * count


async def test_the_reference_library_reads_as_many_items_as_we_put_in_a_cargo(peer):
    items = acks(limits.EMITTED_CARGO_ITEMS)

    read = await peer.ask("read", kind="cargoMessageSet", octets=CargoMessageSet(items).serialize())

    assert same(read["items"], list(items))


async def test_newer_libraries_refuse_a_cargo_of_more_items_than_five_thousand(javascript):
    octets = [der.sequence(*map(der.octet_string, acks(count))) for count in (5_000, 5_001)]

    await javascript.ask("read", kind="cargoMessageSet", octets=octets[0])
    if javascript.name == NEWEST:
        with pytest.raises(PeerError):
            await javascript.ask("read", kind="cargoMessageSet", octets=octets[1])
    else:
        await javascript.ask("read", kind="cargoMessageSet", octets=octets[1])


async def test_we_read_more_items_than_we_put_in_a_cargo(peer):
    items = acks(limits.EMITTED_CARGO_ITEMS * 5)

    made = await peer.ask("make", kind="cargoMessageSet", items=list(items))

    assert same(CargoMessageSet.parse(made["octets"]).items, items)


# ---- the largest of all ------------------------------------------------------------------------------


async def largest_parcel(make, target):
    """Return a parcel of exactly ``target`` octets; ``make`` makes one of so many octets of payload."""
    size = target - 10_000
    return await make(octets_of(size + target - len(await make(octets_of(size)))))


async def test_the_largest_parcel_and_its_delivery_go_to_the_reference_library(peer, cast):
    given = example("parcel", cast)

    async def make(payload):
        return a_message(given, cast, payload=payload).serialize(given.key)

    parcel = await largest_parcel(make, limits.EMITTED_PARCEL_MAX)
    read = await peer.ask("read", kind="parcel", octets=parcel, trusted=[cast.igw.encoding])
    delivery = await peer.ask(
        "read", kind="parcelDelivery", octets=ParcelDelivery("the-delivery", parcel).serialize()
    )

    assert len(parcel) == limits.EMITTED_PARCEL_MAX
    assert same(read["payloadOctets"], Parcel.parse(parcel).payload)
    assert same(delivery, {"deliveryId": "the-delivery", "parcel": parcel})


async def test_the_largest_parcel_and_its_delivery_come_from_the_javascript_library(javascript, cast):
    given = example("parcel", cast)

    async def make(payload):
        return (await made_by_peer(javascript, given, cast, payloadOctets=payload))["octets"]

    parcel = await largest_parcel(make, limits.MAX_PARCEL_SIZE)
    made = await javascript.ask("make", kind="parcelDelivery", deliveryId="the-delivery", parcel=parcel)

    assert len(parcel) == limits.MAX_PARCEL_SIZE
    assert Parcel.parse(parcel).authorise([cast.igw], cast.now) == given.path
    assert same(ParcelDelivery.parse(made["octets"]), ParcelDelivery("the-delivery", parcel))
