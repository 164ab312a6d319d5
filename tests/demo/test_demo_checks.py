# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from awala.demo import checks, network, steps
from awala.demo.checks import Result, run_steps
from awala.demo.errors import CheckFailedError, DemoError, first_error
from awala.demo.processes import Outcome
from awala.demo.steps import check_ping, check_received, require


def test_prints_a_line_for_a_step_that_held():
    assert Result("restart", 1.234).line() == "ok restart 1.2 s"


def test_prints_one_line_for_a_step_that_did_not_hold():
    assert Result("restart", 12.34, "two\nlines").line() == "FAILED restart 12.3 s: two lines"


async def test_a_step_that_fails_does_not_keep_the_others_from_running(monkeypatch):
    async def hold(_network):
        pass

    async def fail(_network):
        raise DemoError("no answer", details="last lines")

    async def fail_deep(_network):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(None))

    monkeypatch.setattr(checks, "STEPS", {"first": fail, "second": fail_deep, "third": hold})

    results = [result async for result in run_steps(None)]

    assert [(r.name, r.problem, r.details) for r in results] == [
        ("first", "no answer", "last lines"),
        ("second", "no answer", "last lines"),
        ("third", "", ""),
    ]


async def test_a_defect_of_a_step_is_no_failed_check(monkeypatch):
    async def break_down(_network):
        raise ZeroDivisionError

    monkeypatch.setattr(checks, "STEPS", {"first": break_down})

    with pytest.raises(ZeroDivisionError):
        [result async for result in run_steps(None)]


def test_require_tells_the_problem():
    require([1], "never told")
    with pytest.raises(CheckFailedError, match="octets crossed"):
        require([], "octets crossed")


def test_a_ping_without_an_answer_is_told_with_its_complaint():
    check_ping(Outcome(0, "pong", ""))
    with pytest.raises(CheckFailedError, match="the ping failed: awala: no answer") as caught:
        check_ping(Outcome(1, "", "log line\nawala: no answer\n"))
    assert caught.value.details == "log line\nawala: no answer"
    with pytest.raises(CheckFailedError, match="the ping failed: no answer yet"):
        check_ping(Outcome(1, "no answer yet\n", ""))


def sides(received):
    sender = SimpleNamespace(app=SimpleNamespace(id="0a"))
    app = SimpleNamespace(node=SimpleNamespace(name="app-b"), received=lambda _id: received)
    return sender, SimpleNamespace(app=app)


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        ([], "did not get a text"),
        ([{"text": "t", "from": "0a"}] * 2, "app-b got a text 2 times"),
        ([{"text": "u", "from": "0a"}], "another text than was sent"),
        ([{"text": "t", "from": "0c"}], "from another sender"),
    ],
)
def test_a_text_must_come_once_whole_and_from_its_sender(received, problem):
    sender, recipient = sides(received)

    with pytest.raises(CheckFailedError, match=problem):
        check_received(sender, recipient, {"m": "t"})


def test_a_text_that_came_as_it_should_passes():
    check_received(*sides([{"text": "t", "from": "0a"}]), {"m": "t"})


def carrying(monkeypatch, *, taken=1, on_board=1, there=1, back=1):
    asked = []

    async def meet(_side):
        asked.append("visit")
        first = len(asked) == 1
        return {"delivered": taken if first else 0, "collected": 0 if first else back}

    async def trip(_network):
        asked.append("trip")
        return {"delivered": there, "collected": there}

    async def ask(_word):
        return {"to_internet_gateways": {"items": on_board}}

    monkeypatch.setattr(steps, "meet", meet)
    monkeypatch.setattr(steps, "trip", trip)
    return SimpleNamespace(courier=SimpleNamespace(ask=ask)), asked


async def test_the_courier_goes_again_when_it_left_before_the_answer_was_there(monkeypatch):
    net, asked = carrying(monkeypatch)
    answers = iter([False, True])

    async def arrived():
        return next(answers)

    await steps.carry(net, None, arrived)

    assert asked == ["visit", "trip", "visit", "trip", "visit"]


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("taken", "took no cargo"),
        ("on_board", "no cargo for the Internet on board"),
        ("there", "exchanged nothing on its trip"),
        ("back", "nothing came back with the courier in 3 trips"),
    ],
)
async def test_a_courier_that_carries_nothing_fails_the_check(monkeypatch, missing, problem):
    net, _ = carrying(monkeypatch, **{missing: 0})

    async def arrived():
        return True

    with pytest.raises(CheckFailedError, match=problem):
        await steps.carry(net, None, arrived)


async def test_octets_that_cross_a_cut_link_fail_the_check(monkeypatch):
    class Leaky:
        name = "internet-a"
        octets = 0

        async def cut(self):
            pass

        mend = cut

    async def wait_status(*_args, **_more):
        pass

    monkeypatch.setattr(steps, "wait_status", wait_status)
    side = SimpleNamespace(internet=Leaky(), gateway=None)

    with pytest.raises(CheckFailedError, match="octets crossed internet-a while it was cut"):
        async with steps.without_internet(side):
            side.internet.octets += 1


async def test_a_status_that_never_comes_is_shown_as_it_was_last():
    class Stuck:
        async def ask(self, _word):
            return {"online": False}

        async def wait_for(self, what, awaitable, *, seconds):
            task = asyncio.ensure_future(awaitable)
            await asyncio.wait((task,), timeout=seconds)
            task.cancel()
            raise DemoError(f"gateway-a: waited in vain for {what}", details="log")

    with pytest.raises(DemoError, match=r"being on-line \(status: \{'online': False\}\)") as caught:
        await network.wait_online(SimpleNamespace(gateway=Stuck()), seconds=0.05)
    assert caught.value.details == "log"


def test_the_first_error_is_found_however_deep():
    error = CheckFailedError("x")

    assert first_error(ExceptionGroup("", [ExceptionGroup("", [error]), DemoError("y")])) is error
