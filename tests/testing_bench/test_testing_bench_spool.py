# SPDX-License-Identifier: MIT

from __future__ import annotations

import pytest

from awala.testing.bench import BENCHES, Plan, measure
from awala.testing.bench import spool as bench

SMALL, LARGE = 500, 200_000


@pytest.fixture
def report(tmp_path):
    return bench.measure(Plan(0.01, directory=tmp_path), callers=(1, 3), small=SMALL, large=LARGE)


def test_accepts_stand_beside_bare_loops(report, tmp_path):
    assert [tuple(figure.labels.values()) for figure in report.figures] == [
        ("insert and commit", SMALL, 1),
        ("write and sync", SMALL, 1),
        ("accept", SMALL, 1),
        ("accept", SMALL, 3),
        ("write and sync", LARGE, 1),
        ("accept", LARGE, 1),
    ]
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def test_only_accepts_have_a_floor(report):
    for figure in report.figures:
        plain = figure.plain()
        assert plain["per_second"] > 0
        assert 0 < plain["p50_ms"] <= plain["p99_ms"]
        assert ("ratio" in plain) == (figure.labels["operation"] == "accept")
        assert plain.get("ratio", 1) > 0


def test_no_message_is_like_another():
    first, second = bench._arrival(100), bench._arrival(100)

    assert first.identity != second.identity
    assert first.body != second.body
    assert len(first.body) == 100


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_of_the_list_exists(name, monkeypatch, tmp_path):
    monkeypatch.setattr("awala.testing.bench.core.measure", lambda plan: ("core", plan))
    monkeypatch.setattr("awala.testing.bench.spool.measure", lambda plan: ("spool", plan))
    plan = Plan(1, directory=tmp_path)

    assert measure(name, plan) == (name, plan)
