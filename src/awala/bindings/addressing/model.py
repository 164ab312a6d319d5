# SPDX-License-Identifier: MIT
"""The services of Awala in the DNS, and the port through which nodes look them up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Final, Protocol

from awala.bindings.addressing.errors import InvalidAddressError

MAX_NAME: Final = 253
"""Characters of a domain name without its trailing dot (RFC 1035 §2.3.4)."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*(?=[^.]*[a-z_]){_LABEL}")


class Service(Enum):
    """A service to find by SRV; the values are its labels."""

    GATEWAY_SYNC = "_awala-gsc._tcp"
    COURIER_RELAY = "_awala-crc._tcp"
    PARCEL_DELIVERY = "_awala-pdc._tcp"


class Validation(Enum):
    """Who checks DNSSEC."""

    AD = "ad"
    """The resolver, which says so by the AD flag; trusted because TLS authenticates it."""

    LOCAL = "local"
    """This node, from its trust anchors; the resolver need not be trusted."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a service runs: the host is what SNI and the Host header say."""

    host: str
    port: int


class Resolver(Protocol):
    """Finds services and hosts; the only way by which a node turns Internet names into addresses."""

    async def locate(self, address: str, service: Service) -> list[Target]:
        """Return where ``service`` of the Internet address runs, in the order to try (RFC 2782).

        Never empty, never the bare host, and proven by DNSSEC (rules §10).

        Raises:
            AddressError: one of its subclasses, retryable or not.

        """
        ...

    async def addresses(self, host: str) -> list[str]:
        """Return the IP addresses of ``host`` that may be dialled; never empty.

        Raises:
            AddressError: one of its subclasses, retryable or not.

        """
        ...


def normalise_host(name: str) -> str:
    """Return ``name`` in lower case without a trailing dot (rules §1).

    Raises:
        InvalidAddressError: it is no domain name of letters, digits, hyphens and underscores, or it is
            an IP address. A last label of digits alone is refused, since some programs take it for one.

    """
    host = name.lower().removesuffix(".")
    if not name.isascii() or len(host) > MAX_NAME or _HOST_NAME.fullmatch(host) is None:
        raise InvalidAddressError("Not a domain name", name=name)
    if is_ip_literal(host):
        raise InvalidAddressError("An IP address stands where a domain name is due", name=name)
    return host


def is_ip_literal(host: str) -> bool:
    """Say whether ``host`` is an IP address rather than a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Say whether ``text`` is a domain name or an IP address, so that it can be dialled at all."""
    try:
        return is_ip_literal(text) or bool(normalise_host(text))
    except InvalidAddressError:
        return False
