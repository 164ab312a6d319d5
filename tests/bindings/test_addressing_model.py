# SPDX-License-Identifier: MIT
from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.bindings.addressing import InvalidAddressError, Target
from awala.bindings.addressing.cache import MAX_TTL, TtlCache
from awala.bindings.addressing.model import is_ip_literal, normalise_host
from awala.bindings.addressing.ordering import ServiceRecord, order

NOW = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Example.COM.", "example.com"),
        ("a.b-c.test", "a.b-c.test"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("under_score.test", "under_score.test"),
        ("1.2.3.4.test", "1.2.3.4.test"),
    ],
)
def test_normalises_names(name, host):
    assert normalise_host(name) == host


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a.test",
        "a-.test",
        "a b.test",
        "a\n.test",
        "a.test\n",
        "a/b.test",
        "user@host.test",
        "host.test:443",
        "bücher.example",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "example.123",
        "::1",
        "[::1]",
        "a" * 64 + ".test",
        ".".join(["abcdefgh"] * 29),
    ],
)
def test_refuses_what_is_no_domain_name(name):
    with pytest.raises(InvalidAddressError) as caught:
        normalise_host(name)
    assert not caught.value.retryable


def test_tells_addresses_from_names():
    assert is_ip_literal("127.0.0.1")
    assert is_ip_literal("[::1]")
    assert not is_ip_literal("example.com")


records = st.lists(
    st.builds(
        ServiceRecord,
        priority=st.integers(0, 3),
        weight=st.integers(0, 65535),
        target=st.builds(Target, st.sampled_from("abcdefgh"), st.integers(1, 65535)),
    ),
    max_size=12,
)


@pytest.mark.rule("10.1")
@given(records, st.integers())
def test_orders_all_records_by_priority_and_loses_none(given_records, seed):
    ordered = order(given_records, Random(seed))
    assert Counter(ordered) == Counter(record.target for record in given_records)
    remaining = list(given_records)
    priorities = []
    for target in ordered:
        record = min((r for r in remaining if r.target == target), key=lambda r: r.priority)
        remaining.remove(record)
        priorities.append(record.priority)
    if len({record.target for record in given_records}) == len(given_records):
        assert all(one <= other for one, other in pairwise(priorities))


@pytest.mark.rule("10.1")
def test_draws_in_proportion_to_the_weights():
    given_records = [ServiceRecord(1, weight, Target(str(weight), 1)) for weight in (0, 10, 30)]
    random = Random(1)
    first = Counter(order(given_records, random)[0].host for _ in range(4000))
    assert 0 < first["0"] < 250
    assert 2.5 < first["30"] / first["10"] < 3.5


def test_keeps_an_entry_for_its_time_to_live():
    cache = TtlCache()
    cache.put("a", 1, ttl=60, now=NOW)
    assert cache.get("a", NOW + timedelta(seconds=59)) == 1
    assert cache.get("a", NOW + timedelta(seconds=60)) is None
    assert len(cache) == 0


def test_trusts_no_entry_from_the_future():
    cache = TtlCache()
    cache.put("a", 1, ttl=60, now=NOW)
    assert cache.get("a", NOW - timedelta(seconds=1)) is None


def test_keeps_nothing_without_a_time_to_live_and_nothing_for_longer_than_a_day():
    cache = TtlCache()
    cache.put("a", 1, ttl=0, now=NOW)
    cache.put("b", 2, ttl=float("inf"), now=NOW)
    assert cache.get("a", NOW) is None
    assert cache.get("b", NOW + timedelta(seconds=MAX_TTL - 1)) == 2
    assert cache.get("b", NOW + timedelta(seconds=MAX_TTL)) is None


def test_is_bounded_and_drops_what_was_unused_for_longest():
    cache = TtlCache(max_entries=2)
    for key in "ab":
        cache.put(key, key, ttl=60, now=NOW)
    cache.get("a", NOW)
    cache.put("c", "c", ttl=60, now=NOW)
    assert [cache.get(key, NOW) for key in "abc"] == ["a", None, "c"]
