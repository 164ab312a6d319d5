# SPDX-License-Identifier: MIT
"""How much one connection may deliver, so that one visitor does not fill a courier for all (rules §11)."""

from __future__ import annotations

from collections import OrderedDict
from urllib.parse import unquote

from awala.base.errors import StorageFullError
from awala.bindings.cogrpc import limits


class ConnectionQuota:
    """Counts the octets that each connection brought and that were taken; ``octets`` is the limit."""

    def __init__(self, octets: int | None, *, remembered: int = limits.COUNTED_CONNECTIONS) -> None:
        self._limit = octets
        self._remembered = remembered
        self._taken: OrderedDict[str, int] = OrderedDict()

    def check(self, connection: str, octets: int) -> None:
        """See whether a connection may bring so many more.

        Raises:
            StorageFullError: it brought enough already.
        """
        if self._limit is not None and self._taken.get(connection, 0) + octets > self._limit:
            raise StorageFullError("This connection has brought as much as one may")

    def note(self, connection: str, octets: int) -> None:
        """Count what was taken."""
        if self._limit is None:
            return
        self._taken[connection] = self._taken.get(connection, 0) + octets
        self._taken.move_to_end(connection)
        while len(self._taken) > self._remembered:
            self._taken.popitem(last=False)


def address_of(peer: str) -> str | None:
    """Return the IP address in gRPC's name of a peer (``ipv4:192.0.2.1:80``, ``ipv6:%5B::1%5D:80``)."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    return rest.rpartition(":")[0].strip("[]")
