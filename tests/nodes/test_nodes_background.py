# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from awala.base.errors import AwalaError, StorageFullError
from awala.base.files import StorageBusyError, StorageError
from awala.bindings.errors import RefusedError, UnreachableError
from awala.nodes.background import can_pass, first_of, in_background, insist, supervised
from awala.nodes.backoff import Backoff
from awala.testing import FakeClock
from helpers.nodes import running

PLAIN = Backoff(timedelta(seconds=1), timedelta(seconds=60), jitter=lambda: 1.0)


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


@pytest.fixture
def clock():
    return FakeClock()


class Operation:
    """Fails as it is told, one error for each call, then gives its result."""

    def __init__(self, clock, *errors) -> None:
        self.times: list[float] = []
        self._clock, self._start, self._errors = clock, clock.now(), list(errors)

    async def __call__(self) -> str:
        self.times.append((self._clock.now() - self._start).total_seconds())
        if self._errors:
            raise self._errors.pop(0)
        return "done"


async def test_what_the_store_must_do_is_tried_until_it_has_worked(clock, caplog):
    operation = Operation(clock, StorageError("a"), StorageFullError("b"), StorageBusyError("c"))
    task = asyncio.ensure_future(insist(clock, operation, backoff=PLAIN))
    await clock.advance(100)

    assert await task == "done"
    assert operation.times == [0, 1, 3, 7]
    assert [record.getMessage()[-1] for record in caplog.records] == ["a", "b", "c"]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.rule("9.5")
async def test_a_store_that_never_answers_is_asked_once_in_a_while(clock):
    operation = Operation(clock, *[StorageError("gone")] * 1000)
    async with running(insist(clock, operation)):
        await clock.advance(3600)

    assert 50 < len(operation.times) < 600


async def test_only_the_store_is_insisted_upon(clock):
    with pytest.raises(RefusedError):
        await insist(clock, Operation(clock, RefusedError("no")))
    with pytest.raises(LookupError):
        await insist(clock, Operation(clock, LookupError()))


@pytest.mark.rule("9.5")
async def test_a_loop_that_ends_by_a_known_error_begins_again_after_a_back_off(clock, caplog):
    nested = ExceptionGroup("group", [ExceptionGroup("inner", [StorageError("b")]), UnreachableError("c")])
    loop = Operation(clock, StorageError("a"), nested, RefusedError("d"))
    async with running(supervised(loop, clock, backoff=PLAIN)) as [task]:
        await clock.advance(100)
        assert task.done()

    assert loop.times == [0, 1, 3, 7]
    assert [record.getMessage()[-1] for record in caplog.records] == ["a", "b", "d"]


async def test_a_loop_that_ran_for_long_is_begun_again_soon(clock):
    began = []

    async def loop():
        began.append(clock.now())
        await clock.sleep(3600)
        raise StorageError("gone")

    async with running(supervised(loop, clock, backoff=PLAIN)):
        await clock.advance(5 * 3601 + 1)

    assert [round((b - a).total_seconds()) for a, b in pairwise(began)] == [3601] * 5


@pytest.mark.parametrize(
    "error", [LookupError("x"), ExceptionGroup("g", [LookupError("x"), StorageError("y")])]
)
async def test_a_defect_ends_the_loop(clock, error):
    with pytest.raises(type(error)):
        await supervised(Operation(clock, error), clock)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (StorageError("x"), True),
        (StorageFullError("x"), True),
        (StorageBusyError("x"), True),
        (UnreachableError("x"), True),
        (RefusedError("x"), False),
        (AwalaError("x"), False),
    ],
)
def test_what_can_pass_is_told_from_what_stays(error, passes):
    assert can_pass(error) is passes


async def test_the_first_to_end_ends_the_others():
    ended: list[str] = []
    await first_of(forever(ended), asyncio.sleep(0.01), forever(ended))
    assert ended == ["ended", "ended"]
    with pytest.raises(LookupError):
        await first_of(forever(ended), fail(LookupError()))
    assert len(ended) == 3
