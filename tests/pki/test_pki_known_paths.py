# SPDX-License-Identifier: MIT

from __future__ import annotations

from datetime import timedelta

import pytest

import awala.pki.paths
from awala.pki import (
    CLOCK_TOLERANCE,
    DEFAULT_POLICY,
    PathError,
    PathPolicy,
    PathProblem,
    Role,
    build_path,
    clear_caches,
    issue,
)
from awala.pki import known_paths as memory
from helpers.cast import identity_key
from helpers.vectors import AT

DAY = timedelta(days=1)
KEYS = {who: identity_key("js", who) for who in ("igw", "ep", "peer")}


def make(who, by, issuer, role, *, start=AT - DAY, end=AT + 30 * DAY):
    return issue(
        subject_key=KEYS[who].public_key,
        issuer_key=KEYS[by],
        issuer=issuer,
        role=role,
        not_before=start,
        not_after=end,
    )


ROOT = make("igw", "igw", None, Role.SELF_ISSUED_GATEWAY)
RENEWED = make("igw", "igw", None, Role.SELF_ISSUED_GATEWAY, start=AT + 2 * DAY, end=AT + 60 * DAY)
ENDPOINT = make("ep", "igw", ROOT, Role.ENDPOINT, end=AT + 20 * DAY)
PDA = make("peer", "ep", ENDPOINT, Role.DELIVERY_AUTHORIZATION, end=AT + 10 * DAY)


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def searches(monkeypatch):
    """Count the paths that are searched for."""
    count = []
    find = awala.pki.paths._Search.find

    def counting(*arguments):
        count.append(1)
        return find(*arguments)

    monkeypatch.setattr(awala.pki.paths._Search, "find", counting)
    return count


def path(at=AT, anchors=(ROOT,), policy=None, offered=(ENDPOINT,)):
    return build_path(PDA, offered, anchors, at=at, **({"policy": policy} if policy else {}))


def test_a_path_is_searched_for_once(searches):
    assert path() == path(AT + DAY) == (PDA, ENDPOINT, ROOT)
    assert len(searches) == 1


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (PDA.not_after + CLOCK_TOLERANCE + DAY, PathProblem.EXPIRED),
        (PDA.not_before - CLOCK_TOLERANCE - DAY, PathProblem.NOT_YET_VALID),
    ],
)
def test_dates_are_checked_on_every_use(at, problem):
    path()

    with pytest.raises(PathError) as caught:
        path(at)

    assert caught.value.reason is problem
    assert path() == (PDA, ENDPOINT, ROOT)


def test_the_tolerance_of_the_policy_counts_on_every_use():
    late = PDA.not_after + timedelta(hours=1)
    assert path(late) == path(late)

    with pytest.raises(PathError):
        path(late, policy=PathPolicy(tolerance=timedelta(0)))


def test_a_path_found_for_other_roles_is_not_taken():
    path()

    with pytest.raises(PathError):
        path(policy=PathPolicy(roles=(Role.DELIVERY_AUTHORIZATION, Role.GATEWAY, Role.SELF_ISSUED_GATEWAY)))


def test_a_path_found_for_other_anchors_is_not_taken():
    path()

    with pytest.raises(PathError):
        path(anchors=(PDA,))


def test_a_path_is_not_remembered_when_dates_kept_another_one_away(searches):
    anchors = (RENEWED, ROOT)

    assert path(anchors=anchors)[-1] == ROOT
    assert path(AT + 3 * DAY, anchors)[-1] == RENEWED
    assert len(searches) == 2


def test_failures_are_not_remembered(searches):
    for _ in range(2):
        with pytest.raises(PathError):
            path(offered=())

    assert len(searches) == 2


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "_KEPT", 3)

    for number in range(10):
        memory.remember_path(PDA, (), (ROOT,) * number, DEFAULT_POLICY.timeless, (PDA,))
        assert 0 < len(memory._paths) <= 3


def test_certificates_of_many_octets_are_not_remembered():
    memory.remember_path(PDA, (ENDPOINT,) * 8, (ROOT,), DEFAULT_POLICY.timeless, (PDA,))

    assert memory.recall_path(PDA, (ENDPOINT,) * 8, (ROOT,), DEFAULT_POLICY.timeless) is None
