# SPDX-License-Identifier: MIT
"""Cargo on removable media: all the way there and back, and never an acknowledgement."""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from awala.base.errors import StorageFullError
from awala.bindings.media import Medium, MediumError, MediumFullError, file_name
from awala.messages import Recipient
from awala.nodes import removable
from awala.nodes.courier.node import Courier
from awala.nodes.errors import NotPairedError
from awala.nodes.intake import identify
from awala.nodes.lanes import UPLINK
from awala.pki import Role
from awala.spool import Arrival, Hop, Kind, MemorySpool
from helpers.nodes import (
    DAY,
    HOUR,
    IGW,
    NOW,
    OTHER_PGW,
    PGW,
    DirectCogRpc,
    InternetSide,
    PrivateSide,
    Recorder,
    authorised_parcel,
    cargo,
    cca,
    certify,
    internet_side,
    private_side,
    running,
    to_internet,
    until,
)

FROM_INTERNET = certify(
    IGW, PGW, certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY), Role.DELIVERY_AUTHORIZATION
)


@dataclass
class World:
    """A device without network, a courier that is never near it, and an Internet gateway."""

    device: PrivateSide
    internet: InternetSide
    courier: Courier
    spool: MemorySpool
    stick: Path

    async def trip(self):
        unpacked = self.internet.events.actions.count("unpacked")
        async with running(self.internet.node._unpacker.run()):
            going = asyncio.ensure_future(last(self.courier.trip.run()))
            while not going.done():
                await asyncio.sleep(0.001)
                if self.internet.clock.sleepers:
                    await self.internet.clock.advance(5)
            done = await going
            assert done.failures == ()
            await until(lambda: self.internet.events.actions.count("unpacked") >= unpacked + done.delivered)
        return done

    async def device_import(self):
        async with running(self.device.node._unpacker.run()):
            return await last(self.device.node.media.take_in(self.stick))

    async def send(self):
        message, octets = to_internet()
        await self.device.spool.accept(
            [
                Arrival(
                    identify(message, Kind.PARCEL), Hop(UPLINK, IGW.node_id), NOW - HOUR, NOW + DAY, octets
                )
            ],
            now=NOW,
        )

    def files(self):
        return sorted(path.name for path in self.stick.iterdir())


async def last(steps):
    [*_, final] = [step async for step in steps]
    assert final.stage.value == "done"
    return final


@pytest.fixture
async def world(tmp_path):
    internet = await internet_side()
    spool = MemorySpool(monotonic=internet.clock.monotonic)

    async def connect(_address):
        return DirectCogRpc(internet.node.courier_door)

    courier = Courier(spool=spool, clock=internet.clock, connect=connect)
    return World(await private_side(internet), internet, courier, spool, tmp_path)


@pytest.mark.rule("6.9", "4.6")
async def test_by_stick_courier_and_stick_everything_arrives_once(world):
    await world.send()
    await world.internet.node.internet_door.deliver(authorised_parcel(world.device)[1])

    out = await last(world.device.node.media.export(world.stick))
    assert (out.exported, (await world.device.node.status()).outgoing.items) == (2, 1)
    assert (await last(world.courier.media.take_in(world.stick))).imported == 2
    assert world.files() == []
    await world.trip()
    assert (await world.internet.node.status()).to_internet.items == 1
    await last(world.courier.media.export(world.stick))
    back = await world.device_import()

    assert (back.imported, back.skipped) == (1, 0)
    status = await world.device.node.status()
    assert (status.incoming.items, status.outgoing.items) == (1, 0), "the PCA came with the answer"
    assert world.device.events.actions.count("duplicate") == 0

    await last(world.device.node.media.export(world.stick))
    await last(world.courier.media.take_in(world.stick))
    await world.trip()
    assert (await world.internet.node.status()).to_private_gateways.items == 0, "acknowledged from end to end"
    assert (await world.internet.node.status()).to_internet.items == 1


@pytest.mark.rule("6.9")
async def test_an_export_by_a_private_gateway_neither_releases_nor_pays(world):
    await world.send()
    await world.device.node.uplink._incoming.from_cargo(authorised_parcel(world.device)[1], IGW.node_id)

    for _ in range(2):
        await last(world.device.node.media.export(world.stick))
        assert (await world.device.node.status()).outgoing.items == 1
        assert len(await world.device.spool.debts(IGW.node_id, now=NOW, limit=9)) == 1


@pytest.mark.rule("6.9")
async def test_a_lost_stick_loses_nothing_and_two_sticks_bring_nothing_twice(world):
    await world.send()
    await last(world.device.node.media.export(world.stick))
    lost = {name: (world.stick / name).read_bytes() for name in world.files()}
    for name in lost:
        (world.stick / name).unlink()

    await last(world.device.node.media.export(world.stick))
    await last(world.courier.media.take_in(world.stick))
    await world.trip()
    for name, octets in lost.items():  # it was found again
        (world.stick / name).write_bytes(octets)
    await last(world.courier.media.take_in(world.stick))
    await world.trip()

    assert (await world.internet.node.status()).to_internet.items == 1


@pytest.mark.rule("6.9")
async def test_a_courier_keeps_what_it_exported_and_writes_it_once(world):
    inbound = cargo(key=IGW, certificate=FROM_INTERNET, recipient=Recipient(PGW.node_id))
    for octets in (cargo(), inbound):
        await world.courier.door.deliver(octets)
    await world.courier.door.collect(cca())
    before = await world.courier.status()

    first = await last(world.courier.media.export(world.stick))
    second = await last(world.courier.media.export(world.stick))

    assert (first.exported, first.already_there) == (3, 0)
    assert (second.exported, second.already_there) == (0, 3)
    assert await world.courier.status() == before
    assert len(world.files()) == 3


async def test_a_device_leaves_what_is_for_others(world):
    others = [
        cargo(),
        cca(),
        cargo(key=IGW, certificate=FROM_INTERNET, recipient=Recipient(OTHER_PGW.node_id)),
    ]
    for octets in others:
        await Medium(world.stick).write(octets)

    done = await world.device_import()

    assert (done.imported, done.left, done.problems) == (0, 3, ())
    assert world.files() == sorted(map(file_name, others))


async def test_cargo_without_right_and_damaged_files_are_told_of_and_keep_nobody(world, monkeypatch):
    await world.internet.node.internet_door.deliver(authorised_parcel(world.device)[1])
    await last(world.device.node.media.export(world.stick))
    await last(world.courier.media.take_in(world.stick))
    await world.trip()
    await last(world.courier.media.export(world.stick))
    stranger = certify(OTHER_PGW, OTHER_PGW, None, Role.SELF_ISSUED_GATEWAY)
    forged = cargo(key=OTHER_PGW, certificate=stranger, recipient=Recipient(PGW.node_id))
    await Medium(world.stick).write(forged)
    for number in range(3):
        (world.stick / f"cargo-{number:032x}.awala").write_bytes(b"damaged")
    monkeypatch.setattr(removable, "MAX_PROBLEMS", 3)

    done = await world.device_import()

    assert (done.imported, done.skipped, len(done.problems)) == (1, 4, 3)
    assert done.problems[0] == f"cargo-{0:032x}.awala: it holds neither cargo nor a collection authorisation"
    assert file_name(forged) in world.files()
    assert (await world.device.node.status()).incoming.items == 1


async def test_a_file_is_removed_only_after_the_commit(world, monkeypatch):
    await Medium(world.stick).write(cargo())
    accept = world.spool.accept

    async def full(_batch, **_arguments):
        raise StorageFullError("full")

    with monkeypatch.context() as patched:
        patched.setattr(world.spool, "accept", full)
        with pytest.raises(StorageFullError):
            await last(world.courier.media.take_in(world.stick))
    assert len(world.files()) == 1

    async def look(batch, **arguments):
        assert len(world.files()) == 1
        return await accept(batch, **arguments)

    monkeypatch.setattr(world.spool, "accept", look)
    assert (await last(world.courier.media.take_in(world.stick))).imported == 1
    assert world.files() == []


async def test_a_medium_that_keeps_its_files_is_told_of_and_does_no_harm(world, monkeypatch):
    await Medium(world.stick).write(cargo())

    def read_only(*_args, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", read_only)
    for _ in range(2):
        done = await last(world.courier.media.take_in(world.stick))
        assert (done.imported, done.skipped, len(done.problems)) == (1, 0, 1)
        assert "stays on the medium" in done.problems[0]

    assert (await world.courier.status()).to_internet_gateways.items == 1


async def test_a_full_medium_ends_the_export_and_costs_nothing(world, monkeypatch):
    await world.send()
    write, written = os.write, []

    def one_file(descriptor, data):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(1)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", one_file)
    with pytest.raises(MediumFullError):
        await last(world.device.node.media.export(world.stick))
    assert [name[:4] for name in world.files()] == ["cca-"]

    monkeypatch.undo()
    assert (await last(world.device.node.media.export(world.stick))).exported == 2


async def test_there_is_no_exchange_before_pairing_nor_without_a_directory(world):
    unpaired = await private_side()
    for steps in (unpaired.node.media.export(world.stick), unpaired.node.media.take_in(world.stick)):
        with pytest.raises(NotPairedError):
            await last(steps)
    for node in (world.device.node, world.courier):
        for steps in (node.media.export(world.stick / "none"), node.media.take_in(world.stick / "none")):
            with pytest.raises(MediumError):
                await last(steps)


async def test_what_media_bring_and_take_is_told(world):
    events = Recorder(world.courier.events)
    await Medium(world.stick).write(cargo())

    await last(world.courier.media.take_in(world.stick))
    await last(world.courier.media.export(world.stick))

    assert [(event.action.value, event.way.value) for event in events.events] == [
        ("stored", "media"),
        ("offered", "media"),
    ]
