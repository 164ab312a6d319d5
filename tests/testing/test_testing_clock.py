# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from awala.testing import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock():
    return FakeClock(START)


async def test_stands_still_until_it_is_advanced(clock):
    assert clock.now() == START
    await clock.advance(90)
    assert clock.now() == START + timedelta(seconds=90)


async def test_wakes_sleepers_in_the_order_of_their_deadlines(clock):
    woken = []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, (clock.now() - START).total_seconds()))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20, 10, 40):
            group.create_task(sleeper(seconds))
        await clock.wait_for_sleepers(5)
        await clock.advance(30)
        assert woken == [(10, 10), (10, 10), (20, 20), (30, 30)]
        assert clock.sleepers == 1
        await clock.advance(10)


async def test_a_loop_runs_as_often_as_time_allows(clock):
    ticks = []

    async def tick():
        while True:
            await clock.sleep(10)
            ticks.append(clock.now())

    task = asyncio.create_task(tick())
    await clock.advance(35)
    assert len(ticks) == 3
    task.cancel()
    await clock.advance(100)
    assert len(ticks) == 3


async def test_sleeping_for_nothing_only_yields(clock):
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.now() == START


async def test_a_jump_of_the_wall_clock_wakes_nobody(clock):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(clock.sleep(10))
        await clock.wait_for_sleepers()
        clock.jump(START - timedelta(days=400))
        await clock.advance(9)
        assert not task.done()
        await clock.advance(1)
        assert task.done()
    assert clock.now() == START - timedelta(days=400) + timedelta(seconds=10)


async def test_what_has_passed_is_not_changed_by_a_jump():
    clock = FakeClock()
    await clock.advance(10)
    clock.jump(clock.now() + timedelta(days=400))
    await clock.advance(5)

    assert clock.monotonic() == 15
