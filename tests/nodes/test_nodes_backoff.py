# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.nodes.backoff import INTERNET_WAIT, LEAST_SHARE, LOCAL_WAIT, LONGEST_WAIT, Backoff


@pytest.mark.rule("9.3")
@pytest.mark.parametrize(("failures", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (8, 640)])
def test_the_wait_doubles_with_each_failure(failures, seconds):
    assert Backoff(jitter=lambda: 1.0).wait(failures) == timedelta(seconds=seconds)


@pytest.mark.rule("9.3")
def test_first_waits_are_those_of_rules_9():
    assert (timedelta(seconds=1), timedelta(seconds=5)) == (LOCAL_WAIT, INTERNET_WAIT)
    assert Backoff(first=LOCAL_WAIT, jitter=lambda: 1.0).wait(1) == LOCAL_WAIT


@pytest.mark.rule("9.5")
def test_no_wait_is_without_pause_even_if_jitter_says_so():
    assert Backoff(jitter=lambda: 0.0).wait(1) == INTERNET_WAIT * LEAST_SHARE


@pytest.mark.rule("9.3")
def test_retry_after_is_honoured_within_bounds():
    backoff = Backoff(jitter=lambda: 1.0)

    assert backoff.wait(1, 90) == timedelta(seconds=90)
    assert backoff.wait(3, 1) == timedelta(seconds=20)
    assert backoff.wait(1, 1e9) == LONGEST_WAIT


@given(failures=st.integers(0, 10**9), jitter=st.floats(0, 1), asked=st.none() | st.floats(0, 1e12))
def test_every_wait_is_positive_and_within_six_hours(failures, jitter, asked):
    wait = Backoff(jitter=lambda: jitter).wait(failures, asked)

    assert timedelta(0) < wait <= LONGEST_WAIT
