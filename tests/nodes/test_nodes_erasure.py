# SPDX-License-Identifier: MIT
"""What has ended is erased from the vaults of running nodes, once their clock can be trusted (rules §2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.base.files import StorageError
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.erasure import INTERVAL, TRUSTED_AFTER, RunningTime, erase_expired
from awala.pki import CertificationPath, Role
from awala.spool import MemorySpool
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


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def vault():
    """Return a vault with a path and a withdrawal that end in an hour, and some that end in a year."""
    vault = MemoryVault()
    await fill(vault)
    return vault


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
        await clock.advance(INTERVAL.total_seconds())


async def node(kind, clock, vault):
    """Return what runs a node of that kind over the vault."""

    async def ignore(_attempt) -> None:
        return

    match kind:
        case "private gateway":
            side = await private_side(clock=clock)
        case "internet gateway":
            side = await internet_side(clock)
        case "internet endpoint":
            await InternetEndpoint.create(vault, "pong.demo.test")
            endpoint = await InternetEndpoint.open(
                vault=vault, spool=MemorySpool(), clock=clock, client=PoHttp()
            )
            return endpoint.run(ignore)
        case _:
            gateway = await private_side(await internet_side(clock))
            endpoint = await PrivateEndpoint.open(
                vault=vault, spool=MemorySpool(), clock=clock, client=DirectPoWeb(gateway.node.local)
            )
            await endpoint.register()
            return endpoint.run(ignore)
    side.node._vault = vault
    return side.node.run()


@pytest.mark.parametrize(
    "kind", ["private gateway", "internet gateway", "private endpoint", "internet endpoint"]
)
async def test_every_node_erases_what_has_ended(clock, vault, kind, monkeypatch):
    monkeypatch.setattr("awala.nodes.erasure.TRUSTED_AFTER", 3 * HOUR)
    async with running(await node(kind, clock, vault)):
        await hours(clock, 2)
        assert await left(vault) == (2, 2)
        await hours(clock, 2)
        assert await left(vault) == (1, 1)


@pytest.mark.rule("2.11")
async def test_nothing_is_erased_before_48_hours_of_running(clock, vault):
    async with running(erase_expired(vault, clock)):
        await hours(clock, 47)
        assert await left(vault) == (2, 2)
        await hours(clock, 1)
        assert await left(vault) == (1, 1)


async def test_whoever_decides_is_asked_each_time(clock, vault):
    asked = []

    async def may_erase(now):
        asked.append(now)
        return len(asked) > 2

    async with running(erase_expired(vault, clock, may_erase)):
        await hours(clock, 2)
        assert await left(vault) == (2, 2)
        await hours(clock, 2)
    assert await left(vault) == (1, 1)
    assert asked == [NOW + number * INTERVAL for number in range(1, 5)]


@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(days=-2)])
async def test_a_clock_that_jumped_is_not_trusted_for_another_48_hours(clock, jump):
    trust = RunningTime(clock)
    moment = NOW
    for _ in range(48):
        moment += HOUR
        trusted = await trust.may_erase(moment)
    assert trusted
    moment += jump
    for _ in range(TRUSTED_AFTER // HOUR):
        assert not await trust.may_erase(moment)
        moment += HOUR
    assert await trust.may_erase(moment)


async def test_a_vault_that_fails_is_tried_again(clock, vault, monkeypatch):
    erase, failures = vault.delete_expired_paths, [StorageError("the disk is gone")]

    async def failing(now):
        if failures:
            raise failures.pop()
        return await erase(now)

    monkeypatch.setattr(vault, "delete_expired_paths", failing)

    async def always(_now):
        return True

    async with running(erase_expired(vault, clock, always)):
        await hours(clock, 4)
    assert await left(vault) == (1, 1)
