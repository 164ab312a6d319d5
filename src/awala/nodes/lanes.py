# SPDX-License-Identifier: MIT
"""The lanes of the nodes' spools: how items at a hop are handled."""

from __future__ import annotations

from collections.abc import Mapping

from awala.spool.model import Hop, Totals

UPLINK = "uplink"
"""At a private gateway: parcels for its Internet gateway, by PoWeb or in cargo."""

ENDPOINT = "endpoint"
"""At a private gateway: parcels that an endpoint on this machine collects."""

INTERNET = "internet"
"""At an Internet gateway or endpoint: parcels for another Internet host, by PoHTTP."""

GATEWAY = "gateway"
"""At an Internet gateway: parcels for a private gateway, collected or in cargo.
At an endpoint: parcels for its private gateway."""

UNPACK = "unpack"
"""At both gateways: cargo that was acknowledged and is to be unpacked."""

TO_INTERNET_GATEWAY = "to-internet-gateway"
"""At a courier: cargo for an Internet gateway, by its Internet address."""

TO_PRIVATE_GATEWAY = "to-private-gateway"
"""At a courier: cargo for a private gateway, by its node id."""

REQUESTS = "requests"
"""At a courier: cargo collection authorisations, one mailbox for each gateway that gave one."""

APP = "app"
"""At an endpoint: received parcels that the app's handlers have not finished with."""

UNPACK_HOP = Hop(UNPACK)
"""The one hop of the lane of received cargo."""


def lane_totals(totals: Mapping[Hop, Totals], lane: str) -> Totals:
    """Add up what rests in one lane."""
    parts = [part for hop, part in totals.items() if hop.lane == lane]
    return Totals(sum(part.items for part in parts), sum(part.octets for part in parts))
