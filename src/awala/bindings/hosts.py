# SPDX-License-Identifier: MIT
"""The hosts that a door serves requests for, so that no web page reaches it by another name (rules §8)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Hosts:
    """The names that the Host header of a request may bear, whatever the port."""

    __slots__ = ("_addresses", "_names", "_parents")

    def __init__(self, names: Iterable[str], *, addresses: bool = False) -> None:
        """Take names and IP addresses; ``*.`` in front stands for one label, as in a certificate.

        With ``addresses`` every IP address and ``localhost`` count too: a page that has its own name lead
        to this door cannot send them (decision 48).
        """
        plain = {_normalise(name) for name in names}
        self._names = frozenset(name for name in plain if not name.startswith("*."))
        self._parents = frozenset(name[2:] for name in plain if name.startswith("*."))
        self._addresses = addresses

    def serve(self, host: str | None) -> bool:
        """Say whether a request with this Host header, None if it has not just one, is for this door."""
        name = _without_port((host or "").lower())
        if name in self._names or name.partition(".")[2] in self._parents:
            return True
        return self._addresses and (name == "localhost" or _is_address(name))


def _normalise(name: str) -> str:
    return name.lower().rstrip(".").strip("[]")


def _without_port(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
