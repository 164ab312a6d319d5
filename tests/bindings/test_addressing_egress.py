# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from awala.base.errors import ConfigurationError
from awala.bindings.addressing import EgressPolicy, ForbiddenAddressError


@pytest.mark.rule("10.4")
@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "4000::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "",
    ],
)
def test_refuses_what_is_not_a_public_address_by_rules_10(address):
    assert not EgressPolicy().permits(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.255.255",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00::1",
    ],
)
def test_permits_public_addresses(address):
    assert EgressPolicy().permits(address)


@pytest.mark.rule("10.4")
def test_opens_the_ranges_that_are_configured_and_no_others():
    policy = EgressPolicy(["127.0.0.0/8", "fd00::/8", "10.1.2.3"])
    assert policy.permits("127.0.0.5")
    assert policy.permits("::ffff:127.0.0.5")
    assert policy.permits("64:ff9b::7f00:5")
    assert policy.permits("fd00::9")
    assert policy.permits("10.1.2.3")
    assert policy.permits("9.9.9.9")
    assert not policy.permits("10.1.2.4")
    assert not policy.permits("::1")
    assert not policy.permits("127.0.0.5%lo")


@pytest.mark.parametrize("network", ["127.0.0.1/8", "nonsense", "10.0.0.0/33", ""])
def test_refuses_a_setting_that_is_no_network(network):
    with pytest.raises(ConfigurationError, match="allow_networks"):
        EgressPolicy([network])


def test_keeps_the_permitted_ones_of_several_addresses():
    assert EgressPolicy().filter(["10.0.0.1", "8.8.8.8", "::1"], name="x.test") == ["8.8.8.8"]


def test_says_which_name_leads_nowhere_but_not_in_the_message():
    with pytest.raises(ForbiddenAddressError) as caught:
        EgressPolicy().filter(["10.0.0.1"], name="x.test")
    assert caught.value.name == "x.test"
    assert "x.test" not in str(caught.value)
    assert "10.0.0.1" not in str(caught.value)
