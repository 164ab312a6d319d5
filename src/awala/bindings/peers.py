# SPDX-License-Identifier: MIT
"""Who counts as one peer when what each may take is bounded: an IPv4 address, or the /64 of an IPv6 one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_IPV6_HOST_BITS: Final = 64
"""What one customer of a provider chooses freely (RFC 6177)."""


def peer_of(address: str | None) -> str:
    """Return the name under which an address is counted; what is no address counts as one peer."""
    ip = _parse(address)
    if isinstance(ip, IPv6Address):
        return str(IPv6Address(int(ip) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS))
    return "" if ip is None else str(ip)


def is_near(address: str | None) -> bool:
    """Say whether an address is of this machine or its network: many may hide behind one, as by a proxy."""
    ip = _parse(address)
    return ip is not None and not ip.is_global


def _parse(address: str | None) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return ip if mapped is None else mapped


class PeerBound:
    """Counts what each peer has at once, and says when it is enough.

    ``spare_near``: take no count of addresses that a reverse proxy may have.
    """

    def __init__(self, limit: int, *, spare_near: bool = True) -> None:
        self._limit = limit
        self._spare_near = spare_near
        self._held: Counter[str] = Counter()

    @contextmanager
    def one_more(self, address: str | None) -> Iterator[bool]:
        """Count one more for as long as the block lasts; gives whether the peer may have it."""
        if self._spare_near and is_near(address):
            yield True
            return
        peer = peer_of(address)
        if self._held[peer] >= self._limit:
            yield False
            return
        self._held[peer] += 1
        try:
            yield True
        finally:
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]
