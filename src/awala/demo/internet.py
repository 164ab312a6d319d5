# SPDX-License-Identifier: MIT
"""The demonstration's Internet: names in a signed zone, an authority for TLS, and a door for each service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from awala.base.files import write_private
from awala.bindings.addressing import Service, Validation
from awala.bindings.host_port import split_address
from awala.nodes.config import NetworkConfig, ResolverConfig
from awala.testing import Authority, SignedZones, TcpProxy, serve_doh

DOMAIN = "demo.test"
LOOPBACK = "127.0.0.1"
NETWORK = "127.0.0.0/8"
Settings = Mapping[str, Mapping[str, object]]
"""Settings of a node by section and name."""

DOORS: Mapping[Service, str] = {
    Service.GATEWAY_SYNC: "poweb",
    Service.PARCEL_DELIVERY: "pohttp",
    Service.COURIER_RELAY: "cogrpc",
}
"""The section of a node's settings for the door of each service."""

_NOWHERE = 0
"""The port of a door whose node has not started: nobody can be reached there."""


class Internet:
    """What the nodes need to find and to trust each other.

    Attributes:
        resolver_port: where the DoH resolver listens.
    """

    def __init__(
        self,
        stack: AsyncExitStack,
        directory: Path,
        authority: Authority,
        zones: SignedZones,
        resolver_port: int,
    ) -> None:
        self._stack = stack
        self._directory = directory
        self._authority = authority
        self._zones = zones
        self._ca_file = authority.write_ca(directory / "ca.pem")
        self._anchors = directory / "root.ds"
        self.resolver_port = resolver_port
        write_private(self._anchors, zones.trust_anchor.encode())

    async def proxy(self, port: int = _NOWHERE) -> TcpProxy:
        """Return a new proxy to a port of this machine."""
        return await self._stack.enter_async_context(TcpProxy(LOOPBACK, port))

    async def proxy_to_resolver(self) -> TcpProxy:
        """Return a new way to the resolver."""
        return await self.proxy(self.resolver_port)

    async def publish(self, host: str, *services: Service) -> dict[Service, TcpProxy]:
        """Give a host its records; return the proxy at which each of its services is found."""
        proxies = {service: await self.proxy() for service in services}
        self._zones.set(host, f"A {LOOPBACK}")
        for service, proxy in proxies.items():
            self._zones.set(f"{service.value}.{host}", f"SRV 0 0 {proxy.port} {host}.")
        return proxies

    def certificate(self, host: str) -> dict[str, str]:
        """Return the TLS settings of a host's doors."""
        certificate, key = self._authority.issue(host).write(self._directory, host)
        return {"tls_cert": str(certificate), "tls_key": str(key)}

    def settings(self, resolver: TcpProxy) -> dict[str, dict[str, object]]:
        """Return the settings with which a node finds others, through its own way to the resolver."""
        return {
            "resolver": {
                "url": _resolver_url(resolver),
                "validation": "local",
                "anchors": str(self._anchors),
                "allow_networks": [NETWORK],
            },
            "tls": {"ca_file": str(self._ca_file)},
        }

    def network(self, resolver: TcpProxy) -> NetworkConfig:
        """Return the same as `settings`, for what runs in this process."""
        return NetworkConfig(
            resolver=ResolverConfig(
                url=_resolver_url(resolver),
                validation=Validation.LOCAL,
                anchors=self._anchors,
                allow_networks=(NETWORK,),
            ),
            ca_file=self._ca_file,
        )


def _resolver_url(resolver: TcpProxy) -> str:
    return f"https://{LOOPBACK}:{resolver.port}/dns-query"


@asynccontextmanager
async def open_internet(directory: Path) -> AsyncIterator[Internet]:
    """Make an authority and zones for this run, and serve the zones by a DoH server."""
    authority = Authority.create()
    zones = SignedZones(zones=("test.", f"{DOMAIN}."))
    tls = authority.server_context(LOOPBACK)
    async with serve_doh(zones.respond, tls=tls) as doh, AsyncExitStack() as stack:
        yield Internet(stack, directory, authority, zones, doh.server.port)


def write_settings(file: Path, sections: Settings) -> None:
    """Write a node's configuration."""
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        # JSON's texts, numbers and lists of texts are TOML's too.
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    write_private(file, "\n".join([*lines, ""]).encode())


def lead(proxy: TcpProxy, address: str) -> None:
    """Have a proxy lead to where a node accepts connections."""
    proxy.retarget(*split_address(address))
