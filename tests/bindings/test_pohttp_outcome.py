# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.bindings.errors import MalformedError, RefusedError, ServerError
from awala.bindings.pohttp.outcome import MAX_RETRY_AFTER, parse_retry_after, problem_of

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status):
    assert problem_of(status, None, NOW) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, MalformedError),
        (403, RefusedError),
        (413, MalformedError),
        (415, MalformedError),
        (422, RefusedError),
    ],
)
def test_final_answers_by_rules_9(status, kind):
    problem = problem_of(status, "5", NOW)
    assert type(problem) is kind
    assert problem.status == status
    assert not problem.retryable


@pytest.mark.parametrize(
    "status",
    [s for s in range(100, 600) if not 200 <= s < 300 and s not in (400, 403, 413, 415, 422)],
)
def test_everything_else_is_tried_again_by_rules_9(status):
    problem = problem_of(status, "5", NOW)
    assert type(problem) is ServerError
    assert problem.retryable
    assert problem.status == status
    assert problem.retry_after == 5.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 40, MAX_RETRY_AFTER),
        ("999999999", MAX_RETRY_AFTER),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        ("Thursday, 15-Jan-26 12:01:30 GMT", 90.0),
        ("Thu, 15 Jan 2026 12:01:30", 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), MAX_RETRY_AFTER),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        ("Thu, 99 Jan 2026 12:01:30 GMT", None),
    ],
)
def test_reads_retry_after_in_both_forms(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_client(value):
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER
