# SPDX-License-Identifier: MIT
from __future__ import annotations

import sys
from ipaddress import IPv4Address, ip_address

import pytest

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import default_gateway, local_address, own_addresses

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.168.43.0/24 2 0 2
        |-- 192.168.43.0
           /24 link UNICAST
        |-- 192.168.43.1
           /32 host LOCAL
        |-- 10.0.0.7
           /32 host LOCAL
Local:
        |-- 192.168.43.1
           /32 host LOCAL
        |-- nonsense
           /32 host LOCAL
"""
ANYWHERE = str(IPv4Address(0))
IF_INET6 = """\
fd000000000000000000000000000002 04 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
nonsense 01 80 10 80 lo
short
"""
ROUTE_HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def _as_printed(address: str) -> str:
    octets = IPv4Address(address).packed
    return f"{int.from_bytes(octets, sys.byteorder):08X}"


def route(destination: str, gateway: str, *, flags: int = 3, metric: int = 0, mask: str = ANYWHERE) -> str:
    columns = (_as_printed(destination), _as_printed(gateway), f"{flags:04X}", "0", "0", str(metric))
    return "\t".join(("wlan0", *columns, _as_printed(mask), "0", "0", "0")) + "\n"


@pytest.fixture
def proc_net(tmp_path):
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    return tmp_path


def test_lists_the_addresses_of_this_machine(proc_net):
    expected = ["10.0.0.7", "192.168.43.1", "fd00::2"]

    assert [str(address) for address in own_addresses(proc_net=proc_net)] == expected


def test_lists_loopback_addresses_when_asked(proc_net):
    listed = own_addresses(loopback=True, proc_net=proc_net)

    assert {ip_address("127.0.0.1"), ip_address("::1")} < set(listed)


def test_knows_the_loopback_addresses_where_the_kernel_lists_none(tmp_path):
    assert ip_address("127.0.0.1") in own_addresses(loopback=True, proc_net=tmp_path)
    assert all(not address.is_loopback for address in own_addresses(proc_net=tmp_path))


def test_this_machine_has_a_loopback_address():
    assert ip_address("127.0.0.1") in own_addresses(loopback=True)


def test_finds_the_default_gateway(tmp_path):
    table = ROUTE_HEADER + route("192.168.43.0", ANYWHERE, flags=1, mask="255.255.255.0")
    (tmp_path / "route").write_text(table + route(ANYWHERE, "192.168.43.1"))

    assert default_gateway(proc_net=tmp_path) == IPv4Address("192.168.43.1")


def test_prefers_the_route_with_the_lowest_metric(tmp_path):
    table = ROUTE_HEADER + route(ANYWHERE, "10.0.0.1", metric=600) + route(ANYWHERE, "10.0.0.2", metric=100)
    (tmp_path / "route").write_text(table)

    assert default_gateway(proc_net=tmp_path) == IPv4Address("10.0.0.2")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("", id="no table"),
        pytest.param(ROUTE_HEADER, id="no route"),
        pytest.param(ROUTE_HEADER + route(ANYWHERE, "10.0.0.1", flags=2), id="down"),
        pytest.param(ROUTE_HEADER + route(ANYWHERE, ANYWHERE, flags=1), id="no gateway"),
        pytest.param(ROUTE_HEADER + route(ANYWHERE, "10.0.0.1", mask="128.0.0.0"), id="half of the net"),
        pytest.param(ROUTE_HEADER + "wlan0 x y z 0 0 0 0 0 0 0\nshort\n", id="nonsense"),
    ],
)
def test_no_default_route_means_no_gateway(tmp_path, table):
    (tmp_path / "route").write_text(table)

    assert default_gateway(proc_net=tmp_path) is None


def test_a_system_without_routing_tables_has_no_known_gateway(tmp_path):
    assert default_gateway(proc_net=tmp_path) is None


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "172.31.0.1", "192.168.43.1", "169.254.1.1", "127.0.0.1", "::1", "fe80::1%eth0", "fd00::1"],
)
def test_takes_addresses_that_only_a_neighbour_can_have(host):
    assert str(local_address(host)) == host


def test_reads_a_mapped_address_as_what_it_is():
    assert local_address("::ffff:192.168.43.1") == IPv4Address("192.168.43.1")


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "172.32.0.1",
        "192.0.2.1",
        ANYWHERE,
        "224.0.0.1",
        "2001:db8::1",
        "::ffff:8.8.8.8",
        "::",
        "a.b",
    ],
)
def test_refuses_addresses_elsewhere_and_names(host):
    with pytest.raises(ConfigurationError):
        local_address(host)
