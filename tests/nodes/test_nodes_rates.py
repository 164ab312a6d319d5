# SPDX-License-Identifier: MIT
"""Rate limits of authorisations (RS-002, rules §3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.bindings.errors import Forbidden
from awala.messages import InvalidMessageError, ParcelPath
from awala.nodes import rates as module
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.intake import identify
from awala.nodes.rates import RateLimits, _Window
from awala.pki import RateLimit, Role, issue
from awala.spool import Arrival, Hop, MemorySpool
from awala.spool.model import Kind
from awala.vault import MemoryVault
from helpers.nodes import (
    ENDPOINT,
    ENDPOINT_CERT,
    HOUR,
    IGW,
    NOW,
    PEER,
    PGW_CERT,
    DirectPoWeb,
    internet_side,
    parcel,
    private_side,
)

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


@pytest.mark.rule("3.1", "3.2")
async def test_both_gateways_hold_a_sender_to_its_limit_and_the_app_sets_it():
    internet = await internet_side()
    gateway = await private_side(internet)
    client = DirectPoWeb(gateway.node.local)
    endpoint = await PrivateEndpoint.open(
        vault=MemoryVault(), spool=MemorySpool(), clock=gateway.clock, client=client
    )
    await endpoint.register()
    peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None, rate_limit=RateLimit(2, MINUTE))
    await endpoint.identity.peers.save(peer)
    granted = (await endpoint.authorise(peer)).authorization
    assert granted.leaf.rate_limit == RateLimit(2, MINUTE)
    sending = {"certificate": granted.leaf, "chain": granted.authorities, "recipient": endpoint.node_id}

    taken = [parcel(**sending)[1] for _ in range(2)]
    for octets in (*taken, *taken):
        await internet.node.internet_door.deliver(octets)
        await gateway.node._unpacker._on_parcel(octets, IGW.node_id)
    late = parcel(**sending)[1]
    with pytest.raises(Forbidden, match="2 parcels in 60 s"):
        await internet.node.internet_door.deliver(late)
    await gateway.node._unpacker._on_parcel(late, IGW.node_id)
    assert gateway.events.actions[-1] == "dropped"
    await gateway.clock.advance(120)
    await internet.node.internet_door.deliver(late)
    assert (await endpoint.identity.peers.get(PEER.node_id)).rate_limit == RateLimit(2, MINUTE)
