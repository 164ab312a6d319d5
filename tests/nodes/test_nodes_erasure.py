# SPDX-License-Identifier: MIT
"""What has ended is erased from the vaults of running nodes, once their clock can be trusted (rules §2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from awala.base.files import StorageError
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.lanes import APP
from awala.nodes.upkeep import KeyUpkeep, keep_up
from awala.pki import CertificationPath, Role
from awala.sessions import Sessions
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    NOW,
    PGW,
    DirectPoWeb,
    PoHttp,
    certify,
    internet_side,
    private_side,
    running,
)
from helpers.spool_items import arrival

HOP = Hop("test", "somebody")
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def spool(clock):
    return MemorySpool(monotonic=clock.monotonic)


@pytest.fixture
async def vault():
    """Return a vault with a path and a withdrawal that end in an hour, and some that end in a year."""
    vault = MemoryVault()
    await fill(vault)
    return vault


def mail():
    """Return a message that expires in twenty days."""
    return replace(arrival("mail", hop=HOP), created=NOW - HOUR, expiry=NOW + 20 * DAY)


async def fill(vault):
    for life in (HOUR, 365 * DAY):
        leaf = certify(ENDPOINT, ENDPOINT, None, Role.ENDPOINT, life=life)
        await vault.save_path(CertificationPath(leaf), purpose="test")
        await vault.withdrawals.add(
            gateway_id=PGW.node_id,
            endpoint_id=ENDPOINT.node_id,
            serials={str(life).encode()},
            expiry=NOW + life,
        )


async def left(vault):
    """Return how many paths and withdrawals there are, ended or not."""
    paths = await vault.paths(subject_id=ENDPOINT.node_id, purpose="test", now=NOW)
    withdrawn = [
        await vault.withdrawals.covers(
            gateway_id=PGW.node_id, endpoint_id=ENDPOINT.node_id, serial=str(life).encode(), now=NOW
        )
        for life in (HOUR, 365 * DAY)
    ]
    return len(paths), sum(withdrawn)


async def hours(clock, number):
    for _ in range(number):
        await clock.advance(HOUR.total_seconds())


async def node(kind, clock, vault, spool):
    """Return what runs a node of that kind over the vault."""

    async def ignore(_attempt) -> None:
        return

    match kind:
        case "private gateway":
            side = await private_side(clock=clock, spool=spool)
        case "internet gateway":
            side = await internet_side(clock, spool=spool)
        case "internet endpoint":
            await InternetEndpoint.create(vault, "pong.demo.test")
            endpoint = await InternetEndpoint.open(vault=vault, spool=spool, clock=clock, client=PoHttp())
            return endpoint.run(ignore)
        case _:
            gateway = await private_side(await internet_side(clock))
            endpoint = await PrivateEndpoint.open(
                vault=vault, spool=spool, clock=clock, client=DirectPoWeb(gateway.node.local)
            )
            await endpoint.register()
            return endpoint.run(ignore)
    side.node._vault = vault
    return side.node.run()


KINDS = ["private gateway", "internet gateway", "private endpoint", "internet endpoint"]


@pytest.mark.rule("2.11")
@pytest.mark.parametrize("kind", KINDS)
async def test_every_node_erases_what_has_ended_48_hours_later(clock, vault, spool, kind):
    async with running(await node(kind, clock, vault, spool)):
        await hours(clock, 51)  # the end of a certificate has two hours of tolerance more
        assert (await left(vault))[0] == 2
        await hours(clock, 1)
        assert await left(vault) == (1, 1)


@pytest.mark.rule("2.12")
@pytest.mark.parametrize("kind", KINDS)
async def test_no_node_erases_anything_while_its_clock_is_a_year_ahead(clock, vault, spool, kind):
    async with running(await node(kind, clock, vault, spool)):
        await hours(clock, 1)
    await spool.accept([mail()], now=clock.now())
    right, began = clock.now(), clock.monotonic()
    clock.jump(right + 365 * DAY)

    async with running(await node(kind, clock, vault, spool)):
        await hours(clock, 60)
    assert await left(vault) == (2, 2)
    assert (await spool.usage()).items == 1

    clock.jump(right + (clock.monotonic() - began) * SECOND)
    assert spool.clock_state(clock.now()).trusted
    assert len(await spool.lease(HOP, now=clock.now(), duration=HOUR)) == 1


@pytest.fixture
async def keys(vault, spool):
    """Return the upkeep of session keys, and the id of one whose time is over in some months."""
    sessions = Sessions(vault.session_keys)
    key = await sessions.hand_out(own_id="own", peer_id=None, now=NOW, until=NOW)
    return KeyUpkeep(sessions, spool, unread=APP), key.key_id


@pytest.mark.rule("2.11")
async def test_nothing_is_erased_before_48_hours_of_running(clock, vault, spool):
    async with running(keep_up(spool, clock, HOUR, vault=vault)):
        await hours(clock, 48)
        assert await left(vault) == (2, 2)
        await hours(clock, 2)
        assert (await left(vault))[1] == 1


@pytest.mark.rule("2.12")
@pytest.mark.parametrize("is_right", [True, False], ids=["a year has passed", "the clock is wrong"])
async def test_after_a_year_everything_waits_for_a_peer_to_confirm_it(clock, vault, spool, keys, is_right):
    upkeep, key_id = keys

    async def kept():
        key = await vault.session_keys.own_key(own_id="own", key_id=key_id)
        return *await left(vault), key is not None, (await spool.usage()).items

    async with running(keep_up(spool, clock, HOUR, keys=upkeep, vault=vault)):
        await spool.accept([mail()], now=clock.now())
        await hours(clock, 72)
        assert await kept() == (1, 1, True, 1)
        clock.jump(clock.now() + 365 * DAY)
        await hours(clock, 72)
        assert await kept() == (1, 1, True, 1)

        if is_right:
            await spool.confirm_time(clock.now())
        else:
            clock.jump(clock.now() - 365 * DAY)
        await hours(clock, 52)
    assert await kept() == ((0, 0, False, 0) if is_right else (1, 1, True, 1))


@pytest.mark.parametrize("part", ["sweep", "delete_expired_paths"])
async def test_what_fails_is_tried_again(clock, vault, spool, part, monkeypatch):
    store = spool if part == "sweep" else vault
    erase, failures = getattr(store, part), [StorageError("the disk is gone")]

    async def failing(*arguments, **named):
        if failures:
            raise failures.pop()
        return await erase(*arguments, **named)

    monkeypatch.setattr(store, part, failing)
    async with running(keep_up(spool, clock, HOUR, vault=vault)):
        await hours(clock, 60)
    assert await left(vault) == (1, 1)
