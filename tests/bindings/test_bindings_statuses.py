# SPDX-License-Identifier: MIT
"""What statuses mean; the protocols' own tests say which ones refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.bindings.errors import MalformedError, RefusedError, ServerError, UnauthenticatedError
from awala.bindings.statuses import MAX_RETRY_AFTER, error_for, is_success, parse_retry_after

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def test_success_is_2xx():
    assert [status for status in range(100, 600) if is_success(status)] == list(range(200, 300))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ServerError),
        (400, MalformedError),
        (401, UnauthenticatedError),
        (403, ServerError),
        (413, MalformedError),
        (415, MalformedError),
        (422, RefusedError),
        (503, ServerError),
    ],
)
def test_a_status_becomes_the_error_that_the_protocol_gives_it(status, kind):
    error = error_for(status, "5", NOW, peer="moon", refused={422}, unauthenticated={401})

    assert type(error) is kind
    assert error.status == status
    assert str(error).startswith("The moon ")
    assert getattr(error, "retry_after", 5.0) == 5.0


def test_a_protocol_without_credentials_knows_no_401():
    assert type(error_for(401, None, NOW, peer="moon", refused={422})) is ServerError


@pytest.mark.rule("9.3")
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
        ("Thu, 15 Jan 2026 12:01:30 -0000", 90.0),
        ("9" * 400, MAX_RETRY_AFTER),
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
