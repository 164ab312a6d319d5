# SPDX-License-Identifier: MIT
"""Rate limits of authorisations (RS-002, rules §3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.messages import InvalidMessageError, ParcelPath
from awala.nodes import rates as module
from awala.nodes.intake import identify
from awala.nodes.rates import RateLimits, _Window
from awala.pki import RateLimit, Role, issue
from awala.spool import Arrival, Hop, MemorySpool
from awala.spool.model import Kind
from helpers.nodes import ENDPOINT, ENDPOINT_CERT, HOUR, NOW, PEER, PGW_CERT, parcel

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def authorised(limit):
    return issue(
        subject_key=PEER.public_key,
        issuer_key=ENDPOINT,
        issuer=ENDPOINT_CERT,
        role=Role.DELIVERY_AUTHORIZATION,
        not_before=NOW - HOUR,
        not_after=NOW + 100 * HOUR,
        rate_limit=limit,
    )


TWO_A_MINUTE = authorised(RateLimit(2, MINUTE))


def path(pda=TWO_A_MINUTE):
    return ParcelPath(pda, ENDPOINT_CERT, None, PGW_CERT)


def another():
    return identify(parcel()[0], Kind.PARCEL)


@pytest.fixture
def spool():
    return MemorySpool()


@pytest.fixture
def rates(spool):
    return RateLimits(spool)


@pytest.mark.rule("3.1")
async def test_no_more_than_the_limit_in_a_period_and_again_after_it(rates):
    for at in (NOW, NOW + SECOND):
        await rates.check(path(), another(), at=at, now=at)
    with pytest.raises(InvalidMessageError, match="2 parcels in 60 s"):
        await rates.check(path(), another(), at=NOW + 59 * SECOND, now=NOW)
    later = NOW + 2 * MINUTE
    await rates.check(path(), another(), at=later, now=later)


async def test_each_authorisation_is_counted_by_itself_and_one_without_a_limit_not_at_all(rates):
    other, free = authorised(RateLimit(2, MINUTE)), authorised(None)
    for pda in (TWO_A_MINUTE, other, TWO_A_MINUTE, other, free, free, free):
        await rates.check(path(pda), another(), at=NOW, now=NOW)


async def test_a_limit_of_zero_lets_nothing_through(rates):
    with pytest.raises(InvalidMessageError):
        await rates.check(path(authorised(RateLimit(0, MINUTE))), another(), at=NOW, now=NOW)


async def test_a_parcel_that_comes_again_is_not_counted_and_passes(rates, spool):
    identity = another()
    await rates.check(path(), identity, at=NOW, now=NOW)
    await spool.accept([Arrival(identity, Hop("endpoint"), NOW, NOW + HOUR, b"")], now=NOW)
    await rates.check(path(), another(), at=NOW, now=NOW)
    for _ in range(3):
        await rates.check(path(), identity, at=NOW, now=NOW)


async def test_what_is_remembered_is_bounded(rates, monkeypatch):
    monkeypatch.setattr(module, "MAX_COUNTED", 2)
    pdas = [authorised(RateLimit(1, MINUTE)) for _ in range(3)]
    for pda in pdas:
        await rates.check(path(pda), another(), at=NOW, now=NOW)
    await rates.check(path(pdas[0]), another(), at=NOW, now=NOW)
    with pytest.raises(InvalidMessageError):
        await rates.check(path(pdas[2]), another(), at=NOW, now=NOW)


@given(
    st.integers(1, 5),
    st.integers(1, 600),
    st.lists(st.integers(0, 3000), min_size=1, max_size=60),
)
def test_no_period_whatsoever_has_more_than_the_limit_in_whatever_order_dates_come(limit, period, moments):
    window = _Window(RateLimit(limit, period * SECOND))
    # Only dates that lie near the newest are still counted exactly; older ones are late by two periods.
    taken = []
    for moment in moments:
        if (not taken or moment >= max(taken) - period) and window.take(NOW + moment * SECOND):
            taken.append(moment)
    for start in taken:
        assert sum(start <= moment < start + period for moment in taken) <= limit
    assert taken
