# SPDX-License-Identifier: MIT
"""A link of the network: TCP proxies that are cut and mended together, and count what crosses."""

from __future__ import annotations

from awala.testing import TcpProxy


class Link:
    """Connects one part of the network with another.

    Attributes:
        name: what the link is called.
        ends: the nodes that it connects.
        proxies: every connection of this link goes through one of these.
    """

    def __init__(self, name: str, ends: tuple[str, ...], *proxies: TcpProxy) -> None:
        self.name = name
        self.ends = ends
        self.proxies = proxies

    @property
    def octets(self) -> int:
        """Octets that crossed, both ways together, since the start."""
        return sum(proxy.octets_to_target + proxy.octets_from_target for proxy in self.proxies)

    @property
    def is_cut(self) -> bool:
        """Whether the link is cut."""
        return any(proxy.is_cut for proxy in self.proxies)

    async def cut(self) -> None:
        """Drop the connections and refuse new ones."""
        for proxy in self.proxies:
            await proxy.cut()

    async def mend(self) -> None:
        """Let connections pass again."""
        for proxy in self.proxies:
            await proxy.mend()
