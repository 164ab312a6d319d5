# SPDX-License-Identifier: MIT

from __future__ import annotations

import pytest

from awala.testing.bench import BENCHES, Plan, measure
from awala.testing.bench import spool as bench
from awala.testing.bench.stored import START, Stored, arrival

SMALL, LARGE, FEW, MANY = 500, 200_000, 60, 120
STORED = ["lease and release", "snapshot", "offer and acknowledge", "next due", "sweep", "open"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def report(directory):
    said = []
    plan = Plan(0.01, items=MANY, directory=directory, say=said.append)
    return bench.measure(plan, callers=(1, 3), small=SMALL, large=LARGE, few=FEW)


def test_accepts_stand_beside_bare_loops_with_few_messages_and_with_many(report, directory):
    assert [tuple(figure.labels.values()) for figure in report.figures] == [
        ("insert and commit", SMALL, 1, 0),
        ("write and sync", SMALL, 1, 0),
        *(("accept", SMALL, callers, stored) for callers in (1, 3) for stored in (FEW, MANY)),
        ("write and sync", LARGE, 1, 0),
        ("accept", LARGE, 1, FEW),
        ("accept", LARGE, 1, MANY),
        *((operation, 0, 1, stored) for stored in (FEW, MANY) for operation in STORED),
    ]
    assert list(directory.iterdir()) == [], "something was left behind"


def test_only_accepts_have_a_floor_and_only_many_messages_a_cost(report):
    for figure in report.figures:
        plain = figure.plain()
        assert plain["per_second"] > 0
        assert 0 < plain["p50_ms"] <= plain["p99_ms"]
        assert ("ratio" in plain) == (figure.labels["operation"] == "accept")
        assert plain.get("ratio", 1) > 0
        assert ("cost" in plain) == (figure.labels["stored"] == MANY)
        assert plain.get("cost", 1) > 0


def test_few_messages_are_enough_unless_more_are_asked_for(tmp_path):
    report = bench.measure(Plan(0.01, directory=tmp_path), callers=(1,), small=SMALL, large=LARGE, few=FEW)

    assert {tuple(figure.labels) for figure in report.figures} == {("operation", "octets", "callers")}
    assert report.conditions["peak_memory_mib"] > 1


async def test_the_spool_holds_as_many_messages_as_it_says(tmp_path):
    said = []
    store = Stored(tmp_path / "spool", 1_100)
    await store.open()
    await store.fill(said.append)

    assert (await store.spool.usage()).items == 1_100
    await store.sweep()
    await store.lease_and_release()
    await store.offer_and_acknowledge()
    assert (await store.spool.usage()).items == 1_100
    await store.spool.close()


def test_no_message_is_like_another():
    first, second = arrival(100, now=START), arrival(100, now=START)

    assert first.identity != second.identity
    assert first.body != second.body
    assert len(first.body) == 100


@pytest.mark.parametrize("name", BENCHES)
def test_each_bench_of_the_list_exists(name, monkeypatch, tmp_path):
    monkeypatch.setattr("awala.testing.bench.core.measure", lambda plan: ("core", plan))
    monkeypatch.setattr("awala.testing.bench.spool.measure", lambda plan: ("spool", plan))
    monkeypatch.setattr("awala.testing.bench.gateway.measure", lambda plan: ("gateway", plan))
    plan = Plan(1, directory=tmp_path)

    assert measure(name, plan) == (name, plan)
