# SPDX-License-Identifier: MIT
"""Which addresses an Internet name may lead to (rules §10).

The table is our own, from IANA's registries of special-purpose addresses, because what the standard
library calls global differs between Python versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from awala.base.errors import ConfigurationError
from awala.bindings.addressing.errors import ForbiddenAddressError

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

REFUSED_IPV4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

GLOBAL_IPV6: Final = IPv6Network("2000::/3")
"""Outside this block no IPv6 address is public, but for NAT64."""

REFUSED_IPV6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)

NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""


class EgressPolicy:
    """Says which addresses may be dialled: public ones, and those that the configuration opens."""

    def __init__(self, allow_networks: Iterable[str | IPNetwork] = ()) -> None:
        """Open ``allow_networks`` (``127.0.0.0/8``, or a single address) besides public addresses.

        Raises:
            ConfigurationError: one of them is no network.

        """
        try:
            self._allowed = tuple(ip_network(network) for network in allow_networks)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"[resolver] allow_networks: {error}") from error

    def permits(self, address: str) -> bool:
        """Say whether ``address`` may be dialled; what is no address may not, nor one with a zone."""
        if "%" in address:
            return False
        try:
            ip: IPAddress = ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return self._is_opened(ip) or self._is_public(ip)

    def filter(self, addresses: Iterable[str], *, name: str) -> list[str]:
        """Return the permitted ones of the ``addresses`` of ``name``.

        Raises:
            ForbiddenAddressError: none is.

        """
        permitted = [address for address in addresses if self.permits(address)]
        if not permitted:
            raise ForbiddenAddressError("The name leads to addresses that are not public", name=name)
        return permitted

    def _is_opened(self, ip: IPAddress) -> bool:
        return any(ip.version == network.version and ip in network for network in self._allowed)

    def _is_public(self, ip: IPAddress) -> bool:
        if isinstance(ip, IPv4Address):
            return not any(ip in network for network in REFUSED_IPV4)
        if ip in NAT64:
            embedded = IPv4Address(int(ip) & 0xFFFFFFFF)
            return self._is_opened(embedded) or self._is_public(embedded)
        return ip in GLOBAL_IPV6 and not any(ip in network for network in REFUSED_IPV6)
