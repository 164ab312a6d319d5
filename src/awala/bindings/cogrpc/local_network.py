# SPDX-License-Identifier: MIT
"""The local network: which addresses count as near, which are ours, and where the way out begins."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, TypeAlias

from awala.base.errors import ConfigurationError

IpAddress: TypeAlias = IPv4Address | IPv6Address

LOCAL_NETWORKS: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
)
"""Private, link-local and loopback networks: where a courier may be (rules §10)."""

_PROC_NET: Final = Path("/proc/net")
_ROUTE_IS_UP: Final = 0x1
_ROUTE_HAS_GATEWAY: Final = 0x2
_ROUTE_FIELDS: Final = 8
_IF_INET6_FIELDS: Final = 6
_DISCARD_PORT: Final = 9
_DOCUMENTATION_ADDRESSES: Final = (
    (socket.AF_INET, "198.51.100.1"),
    (socket.AF_INET6, "2001:db8::1"),
)


def local_address(host: str) -> IpAddress:
    """Return the address that ``host`` writes, if only a neighbour can have it.

    Raises:
        ConfigurationError: it is a name, or an address elsewhere.
    """
    try:
        address = ip_address(host)
    except ValueError as error:
        raise ConfigurationError("A courier is reached by its IP address, not by a name") from error
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address in network for network in LOCAL_NETWORKS if network.version == address.version):
        raise ConfigurationError("A courier has a private, link-local or loopback address; this is none")
    return address


def own_addresses(*, loopback: bool = False, proc_net: Path = _PROC_NET) -> list[IpAddress]:
    """Return the addresses of this machine, IPv4 first; loopback ones only if asked for.

    Where the kernel does not list them, the ones that it would send from are found.
    """
    addresses = {
        *_ipv4_of_fib_trie(_read(proc_net / "fib_trie")),
        *_ipv6_of_if_inet6(_read(proc_net / "if_inet6")),
    }
    if not addresses:
        addresses = {*_sending_addresses(), ip_address("127.0.0.1"), ip_address("::1")}
    return sorted(
        (address for address in addresses if loopback or not address.is_loopback),
        key=lambda address: (address.version, address.packed),
    )


def default_gateway(*, proc_net: Path = _PROC_NET) -> IPv4Address | None:
    """Return the router that packets for elsewhere go to: in a courier's Wi-Fi, the courier.

    None if there is no such route, or on a system that does not list its routes as Linux does.
    """
    routes = []
    for line in _read(proc_net / "route").splitlines()[1:]:
        fields = line.split()
        if len(fields) < _ROUTE_FIELDS:
            continue
        with suppress(ValueError):
            destination, gateway, flags = (int(field, 16) for field in fields[1:4])
            usable = flags & _ROUTE_IS_UP and flags & _ROUTE_HAS_GATEWAY
            if usable and destination == 0 and int(fields[7], 16) == 0:
                # The kernel prints the address as a number of the machine's own byte order.
                routes.append((int(fields[6]), IPv4Address(struct.pack("=I", gateway))))
    return min(routes)[1] if routes else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _ipv4_of_fib_trie(text: str) -> list[IpAddress]:
    """Return the leaves that the kernel marks as local hosts."""
    addresses: list[IpAddress] = []
    leaf = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("|-- "):
            leaf = stripped[4:]
        elif stripped == "/32 host LOCAL":
            with suppress(ValueError):
                addresses.append(ip_address(leaf))
    return addresses


def _ipv6_of_if_inet6(text: str) -> list[IpAddress]:
    """Return the addresses in the first column, which has 32 hexadecimal digits."""
    addresses: list[IpAddress] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == _IF_INET6_FIELDS:
            with suppress(ValueError):
                addresses.append(IPv6Address(bytes.fromhex(fields[0])))
    return addresses


def _sending_addresses() -> list[IpAddress]:
    """Return the addresses that packets would be sent from; none is sent."""
    addresses: list[IpAddress] = []
    for family, destination in _DOCUMENTATION_ADDRESSES:
        with suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, _DISCARD_PORT))
            addresses.append(ip_address(probe.getsockname()[0]))
    return addresses
