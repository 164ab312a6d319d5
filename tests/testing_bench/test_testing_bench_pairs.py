# SPDX-License-Identifier: MIT

from __future__ import annotations

from awala.testing.bench.pairs import MIN_ROUNDS, Contestant, Timing, take_turns


def test_contestants_take_turns_and_are_prepared_each_time():
    calls = []

    def contestant(name):
        def run():
            calls.append(name)
            return 5

        return Contestant(run, lambda: calls.append(f"prepare {name}"))

    timings = take_turns({"a": contestant("a"), "b": contestant("b")}, seconds=0)

    assert calls == ["prepare a", "a", "prepare b", "b"] * (MIN_ROUNDS + 1)
    assert [len(timing.each) for timing in timings.values()] == [MIN_ROUNDS] * 2


def test_the_ratio_is_that_of_pairs():
    own, floor = Timing((2.0, 20.0, 4.0)), Timing((1.0, 10.0, 1.0))

    assert own.ratio_to(floor) == 0.5
    assert floor.ratio_to(own) == 2
    assert own.per_second == 0.25
