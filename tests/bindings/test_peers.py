# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.bindings.peers import PeerBound, is_near, peer_of


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2a00:1:2:3:4:5:6:7", "2a00:1:2:3::"),
        ("2a00:1:2:3::1", "2a00:1:2:3::"),
        ("fe80::1%eth0", "fe80::"),
        (None, ""),
        ("unix:", ""),
    ],
)
def test_counts_an_ipv6_network_as_one_peer(address, peer):
    assert peer_of(address) == peer


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("127.0.0.1", True),
        ("172.17.0.2", True),
        ("fe80::1%eth0", True),
        ("8.8.8.8", False),
        ("2a00::1", False),
    ],
)
def test_knows_what_a_proxy_may_hide(address, near):
    assert is_near(address) is near


def test_a_peer_has_its_part_and_no_more():
    bound = PeerBound(1)
    with bound.one_more("8.8.8.8") as first, bound.one_more("8.8.8.8") as second:
        assert (first, second) == (True, False)
    with bound.one_more("8.8.8.8") as again, bound.one_more("9.9.9.9") as other:
        assert (again, other) == (True, True)


def test_what_a_proxy_may_bring_is_not_counted_by_peer():
    bound = PeerBound(1)
    with bound.one_more("10.0.0.1") as first, bound.one_more("10.0.0.1") as second:
        assert (first, second) == (True, True)


def test_neighbours_count_where_they_are_the_peers():
    bound = PeerBound(1, spare_near=False)
    with bound.one_more("192.168.43.7") as first, bound.one_more("192.168.43.7") as second:
        assert (first, second) == (True, False)
