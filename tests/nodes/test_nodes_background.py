# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from awala.nodes.background import in_background


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("ended")


async def fail(error: Exception) -> None:
    raise error


async def test_loops_run_as_long_as_the_block_and_are_gone_after_it():
    ended: list[str] = []
    async with in_background(forever(ended), forever(ended)):
        await asyncio.sleep(0)
        assert ended == []
    assert ended == ["ended", "ended"]


async def test_without_loops_the_block_simply_runs():
    async with in_background():
        pass


async def test_a_loop_that_fails_ends_the_block_with_its_own_error():
    with pytest.raises(LookupError, match="gone"):
        async with in_background(fail(LookupError("gone"))):
            await asyncio.Event().wait()


async def test_the_error_of_the_block_is_raised_as_it_is():
    ended: list[str] = []

    async def block():
        async with in_background(forever(ended)):
            await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    assert ended == ["ended"]


async def test_several_errors_come_as_a_group():
    with pytest.raises(ExceptionGroup) as caught:
        async with in_background(fail(LookupError()), fail(KeyError())):
            await asyncio.Event().wait()
    assert len(caught.value.exceptions) == 2


async def test_a_loop_that_returns_leaves_the_block_alone():
    async with in_background(asyncio.sleep(0)):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
