# SPDX-License-Identifier: MIT
"""A small Internet to try nodes by hand: names, TLS and links that can be cut, but no nodes.

Whoever plays with it starts the nodes in terminals of their own. An environment file for each place, to
be read by a shell, has the settings with which the commands of that place find and trust the others.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awala.base.files import private_directory, write_private
from awala.bindings.addressing import Service
from awala.bindings.host_port import join_address
from awala.demo.errors import DemoError
from awala.demo.internet import DOMAIN, DOORS, LOOPBACK, Internet, Settings, open_internet
from awala.demo.links import Link

DEVICES = "devices"
"""Where the private gateways and the apps are."""

COURIER = "courier"
INTERNET = "Internet"
RESOLVER = "resolver"
"""The link by which devices reach the resolver; couriers and Internet hosts have one that is never cut."""

ENVIRONMENT_SUFFIX = ".env"

_DOOR_VARIABLES = [
    f"AWALA_{section}_{name}".upper()
    for section in DOORS.values()
    for name in ("listen", "tls_cert", "tls_key")
]


class UnknownLinkError(DemoError):
    """The lab has no link of that name."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the small Internet, whose node is expected on ports of this machine.

    Attributes:
        name: its Internet address.
        ports: where the door for each of its services will listen.
    """

    name: str
    ports: Mapping[Service, int]


def internet_gateway(name: str, poweb: int = 8080, pohttp: int = 8081, cogrpc: int = 8082) -> Host:
    """Return the host of an Internet gateway; the ports are those where one listens by default."""
    return Host(
        name,
        {
            Service.GATEWAY_SYNC: poweb,
            Service.PARCEL_DELIVERY: pohttp,
            Service.COURIER_RELAY: cogrpc,
        },
    )


def endpoint(name: str, pohttp: int = 8083) -> Host:
    """Return the host of an Internet endpoint; the port is that where Pong listens by default."""
    return Host(name, {Service.PARCEL_DELIVERY: pohttp})


DEFAULT_HOSTS = (internet_gateway(f"gateway.{DOMAIN}"), endpoint(f"pong.{DOMAIN}"))


class Lab:
    """The running lab.

    Attributes:
        directory: where its files are.
        links: all links, by name.
    """

    def __init__(self, directory: Path, links: Mapping[str, Link]) -> None:
        self.directory = directory
        self.links = links

    async def cut(self, name: str = "") -> list[dict[str, Any]]:
        """Cut one link, or without a name all by which devices reach the Internet; say what was cut."""
        chosen = self._choose(name)
        for link in chosen:
            await link.cut()
        return [_describe(link) for link in chosen]

    async def mend(self, name: str = "") -> list[dict[str, Any]]:
        """Mend one link, or without a name all that are cut; say what was mended."""
        chosen = self._choose(name) if name else [link for link in self.links.values() if link.is_cut]
        for link in chosen:
            await link.mend()
        return [_describe(link) for link in chosen]

    def status(self) -> list[dict[str, Any]]:
        """Describe every link."""
        return [_describe(link) for link in self.links.values()]

    def _choose(self, name: str) -> list[Link]:
        if not name:
            return [link for link in self.links.values() if DEVICES in link.ends]
        if name not in self.links:
            raise UnknownLinkError(f"there is no link {name!r}; there are {', '.join(self.links)}")
        return [self.links[name]]


def _describe(link: Link) -> dict[str, Any]:
    return {"name": link.name, "ends": list(link.ends), "cut": link.is_cut, "octets": link.octets}


@asynccontextmanager
async def open_lab(
    directory: Path, hosts: Sequence[Host] = DEFAULT_HOSTS, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Lab]:
    """Run a lab for as long as the block lasts, and write its files to ``directory``.

    Every run has another authority, other zone keys and other ports, so nodes have to read their
    environment file again after it. ``variables`` are added to each of these files.
    """
    private_directory(directory)
    async with open_internet(directory) as internet:
        for_devices, for_others = await internet.proxy_to_resolver(), await internet.proxy_to_resolver()
        links = [Link(RESOLVER, (DEVICES, INTERNET), for_devices)]
        for host in hosts:
            links += await _publish(internet, host)
        shared = dict(variables or {})
        here, away = (shared | _variables(internet.settings(way)) for way in (for_devices, for_others))
        _write_environment(directory, DEVICES, here, home=DEVICES)
        _write_environment(directory, COURIER, away, home=DEVICES)
        for host in hosts:
            doors = _variables(_door_settings(internet, host))
            _write_environment(directory, host.name, away | doors, home=host.name)
        yield Lab(directory, {link.name: link for link in links})


async def _publish(internet: Internet, host: Host) -> list[Link]:
    """Give a host its names; return the links to its doors."""
    proxies = await internet.publish(host.name, *host.ports)
    links = []
    for service, proxy in proxies.items():
        proxy.retarget(LOOPBACK, host.ports[service])
        near = {Service.GATEWAY_SYNC: DEVICES, Service.COURIER_RELAY: COURIER}.get(service, INTERNET)
        links.append(Link(f"{host.name}/{DOORS[service]}", (near, host.name), proxy))
    return links


def _door_settings(internet: Internet, host: Host) -> dict[str, dict[str, object]]:
    certificate = internet.certificate(host.name)
    return {
        DOORS[service]: {"listen": join_address(LOOPBACK, port), **certificate}
        for service, port in host.ports.items()
    }


def environment_file(directory: Path, place: str) -> Path:
    """Return the environment file of a place: ``devices``, ``courier`` or the name of a host."""
    return directory / f"{place}{ENVIRONMENT_SUFFIX}"


def _write_environment(directory: Path, place: str, variables: Mapping[str, str], *, home: str) -> None:
    """Write what a shell has to read; what nodes started from it store stays below ``directory/home``."""
    unset = [name for name in _DOOR_VARIABLES if name not in variables]
    own = str(directory / home)
    variables = {**variables, "XDG_DATA_HOME": own, "XDG_CONFIG_HOME": own}
    lines = [
        f"# Settings for the commands of this place of the lab: {place}. To be read by a shell.",
        *([f"unset {' '.join(unset)}"] if unset else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        "",
    ]
    write_private(environment_file(directory, place), "\n".join(lines).encode())


def _variables(settings: Settings) -> dict[str, str]:
    """Return settings as environment variables."""
    return {
        f"AWALA_{section}_{name}".upper(): ",".join(value) if isinstance(value, list) else str(value)
        for section, values in settings.items()
        for name, value in values.items()
    }
