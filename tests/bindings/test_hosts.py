# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.bindings.hosts import Hosts

pytestmark = pytest.mark.rule("8.6")


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("gw.test", True),
        ("GW.test.:8443", True),
        ("a.wild.test", True),
        ("wild.test", False),
        ("a.b.wild.test", False),
        ("gw.test.evil.test", False),
        ("evil.test", False),
        ("", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("addresses", [True, False])
def test_serves_its_names_on_any_port(host, served, addresses):
    assert Hosts(["GW.test.", "*.wild.test"], addresses=addresses).serve(host) is served


@pytest.mark.parametrize(
    "host", ["192.0.2.7", "192.0.2.7:443", "[2001:db8::7]:443", "localhost", "localhost:1"]
)
def test_serves_every_address_if_asked_to(host):
    assert Hosts([], addresses=True).serve(host)
    assert not Hosts(["gw.test"]).serve(host)


@pytest.mark.parametrize("host", ["192.0.2.7.evil.test", "[gw.test", "192.0.2", "localhost.evil.test", "[]"])
def test_what_is_no_address_is_not_served_as_one(host):
    assert not Hosts(["a.test"], addresses=True).serve(host)
