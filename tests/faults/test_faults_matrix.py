# SPDX-License-Identifier: MIT
"""A sample of the crash matrix, which ``./scripts/soak matrix`` runs whole; and it would notice a loss."""

from __future__ import annotations

import sqlite3

import pytest

from awala.testing.matrix import Case, open_matrix, sample
from awala.testing.networks import NAMES, Network

SAMPLE = 3
"""Percent of the cases that this test kills a node in."""

DURABLE = {"commit vault.sqlite", "commit spool.sqlite", "create", "fsync", "replace", "unlink", "send"}


@pytest.mark.rule("5.1", "5.2", "5.3")
async def test_each_message_takes_effect_exactly_once_wherever_a_node_is_killed(tmp_path):
    async with open_matrix(tmp_path) as matrix:
        cases = await matrix.cases()
        for name in NAMES:
            points = {case.point for case in cases if case.node == name}
            assert points >= (DURABLE - {"commit vault.sqlite"} if name == "courier" else DURABLE), name
        assert {case.node for case in cases if case.point == "call"} == {"internet", "gateway", "courier"}
        assert {case.node for case in cases if case.point == "commit app.sqlite"} == {"service", "app"}
        chosen = sample(cases, SAMPLE)
        outcomes = [outcome async for outcome in matrix.outcomes(chosen)]
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert sum(outcome.was_reached for outcome in outcomes) >= 0.8 * len(chosen) >= 8


def test_a_sample_is_spread_evenly():
    cases = [Case("app", "send", number) for number in range(1, 201)]
    assert sample(cases, 100) == cases
    assert [case.number for case in sample(cases, 5)] == list(range(20, 201, 20))
    assert len(sample(cases, 33)) == 66


@pytest.fixture
def network(tmp_path):
    network = Network(tmp_path, server=None)
    network.sent = [("q1", "one"), ("q2", "two")]
    for name, rows in (("service", [("q1", "one"), ("q2", "two")]), ("app", [("a1", "one"), ("a2", "two")])):
        (tmp_path / name).mkdir()
        with sqlite3.connect(tmp_path / name / "app.sqlite") as connection:
            connection.execute("CREATE TABLE effect (message_id, name)")
            connection.executemany("INSERT INTO effect VALUES (?, ?)", rows)
    return network


def change(network, name, statement):
    with sqlite3.connect(network.directory / name / "app.sqlite") as connection:
        connection.execute(statement)


def test_where_all_is_well_there_is_no_problem(network):
    assert network.problems() == []


@pytest.mark.parametrize(
    ("name", "statement", "problem"),
    [
        ("service", "DELETE FROM effect WHERE name = 'two'", "question two was lost"),
        ("service", "INSERT INTO effect VALUES ('q1', 'one')", "question q1 took effect 2 times"),
        ("app", "INSERT INTO effect VALUES ('a1', 'one')", "answer a1 took effect 2 times"),
        ("app", "INSERT INTO effect VALUES ('a3', 'one')", "answers [('one', 2), ('two', 1)]"),
        ("app", "DELETE FROM effect", "answers []"),
    ],
)
def test_what_was_lost_or_came_twice_is_told(network, name, statement, problem):
    change(network, name, statement)
    assert any(problem in each for each in network.problems())
