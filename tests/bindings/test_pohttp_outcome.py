# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime

import pytest

from awala.bindings.errors import MalformedError, RefusedError, ServerError
from awala.bindings.pohttp.outcome import problem_of

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status):
    assert problem_of(status, None, NOW) is None


@pytest.mark.rule("9.1")
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


@pytest.mark.rule("9.1", "9.3")
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
