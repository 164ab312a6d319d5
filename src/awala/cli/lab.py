# SPDX-License-Identifier: MIT
"""``awala lab``: a small Internet on this machine, to try the nodes by hand without owning a domain."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from awala.bindings.host_port import MAX_PORT
from awala.cli.asking import ask
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json, printable
from awala.cli.places import xdg_directory
from awala.cli.running import Running, run_node
from awala.messages import is_internet_address, normalise_address

if TYPE_CHECKING:
    from awala.cli.control import Answer
    from awala.demo.lab import Host

ZONE = ".test"
"""Names that are reserved for tests (RFC 6761), so that none of anybody else's can be meant."""

DIRECTORY_VARIABLE = "AWALA_LAB_DATA_DIR"
"""Names the lab's directory to the commands that cut and mend; in every environment file of the lab."""

INTERNET_GATEWAY_PORTS = 3
ENDPOINT_PORTS = 1


class HostParameter(click.ParamType[tuple[str, tuple[int, ...]]]):
    """A host with the ports of its doors: ``NAME=PORT,…``."""

    name = "NAME=PORT"

    def __init__(self, ports: int) -> None:
        self._ports = ports

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Return the name and the ports."""
        name, _, listed = value.partition("=")
        name = normalise_address(name)
        texts = listed.split(",")
        if not is_internet_address(name) or not name.endswith(ZONE):
            self.fail(f"{value!r}: the name must be a domain name that ends in {ZONE}", param, ctx)
        if len(texts) != self._ports or not all(re.fullmatch(r"[0-9]{1,5}", text) for text in texts):
            many = "one port" if self._ports == 1 else f"{self._ports} ports, with commas between"
            self.fail(f"{value!r}: after the name goes = and {many}", param, ctx)
        ports = tuple(int(text) for text in texts)
        if not all(1 <= port <= MAX_PORT for port in ports):
            self.fail(f"{value!r}: ports go from 1 to {MAX_PORT}", param, ctx)
        return name, ports


HostOption = tuple[tuple[str, tuple[int, ...]], ...]


@click.group()
def command() -> None:
    """Run a small Internet to try the nodes by hand: names, certificates, and links that can be cut.

    It has no nodes. You start them, each in a terminal that has read the lab's file for its place.

    Example: awala lab run --data-dir ~/awala-lab
    """


@command.command()
@common_options
@click.option(
    "--internet-gateway",
    "internet_gateways",
    type=HostParameter(INTERNET_GATEWAY_PORTS),
    metavar="NAME=POWEB,POHTTP,COGRPC",
    multiple=True,
    help="Another Internet gateway, and the ports where its doors will listen.",
)
@click.option(
    "--endpoint",
    "endpoints",
    type=HostParameter(ENDPOINT_PORTS),
    metavar="NAME=PORT",
    multiple=True,
    help="Another Internet endpoint, and the port where it will listen.",
)
def run(common: Common, internet_gateways: HostOption, endpoints: HostOption) -> None:
    """Run the lab until it is stopped.

    Its names are gateway.demo.test, for an Internet gateway, and pong.demo.test, for an endpoint. It
    writes a file for each place, to be read by the shell in which you start the commands of that place:
    devices.env, courier.env, and NAME.env for each name. They change with every run.

    Example: awala lab run --data-dir ~/awala-lab --endpoint shop.demo.test=9000
    """
    from awala.demo.lab import DEFAULT_HOSTS, endpoint, internet_gateway  # noqa: PLC0415 - help needs none

    hosts = {host.name: host for host in DEFAULT_HOSTS}
    hosts |= {name: internet_gateway(name, *ports) for name, ports in internet_gateways}
    hosts |= {name: endpoint(name, *ports) for name, ports in endpoints}
    directory = _directory(common)
    run_node(lambda running: _serve(running, directory, list(hosts.values())), data_dir=directory)


async def _serve(running: Running, directory: Path, hosts: list[Host]) -> None:
    from awala.cli.answering import answer_until_stopped  # noqa: PLC0415 - servers are imported when they run
    from awala.demo.lab import open_lab  # noqa: PLC0415 - as above

    async with open_lab(directory, hosts, {DIRECTORY_VARIABLE: str(directory)}) as lab:

        async def status(_arguments: dict[str, Any]) -> AsyncIterator[Answer]:
            yield {"links": lab.status()}

        async def cut(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
            yield {"links": await lab.cut(str(arguments.get("name") or ""))}

        async def mend(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
            yield {"links": await lab.mend(str(arguments.get("name") or ""))}

        handlers = {"status": status, "cut": cut, "mend": mend}
        addresses = {link.name: link.proxies[0].address for link in lab.links.values()}
        await answer_until_stopped(running, directory, handlers, addresses)


@command.command()
@click.argument("name", default="", metavar="[LINK]")
@common_options
@json_option
def cut(name: str, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Cut one link of the running lab, or all by which devices reach the Internet.

    Connections are dropped and refused until the link is mended. Couriers and Internet hosts still
    reach each other. `awala lab status` lists the links.

    Example: awala lab cut
    """
    _print_links(ask(_directory(common), "cut", name=name), as_json=as_json)


@command.command()
@click.argument("name", default="", metavar="[LINK]")
@common_options
@json_option
def mend(name: str, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Mend one link of the running lab, or all that are cut.

    Example: awala lab mend
    """
    _print_links(ask(_directory(common), "mend", name=name), as_json=as_json)


@command.command()
@common_options
@json_option
def status(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Tell which links there are, which of them are cut, and how much has crossed each.

    Example: awala lab status --json
    """
    _print_links(ask(_directory(common), "status"), as_json=as_json)


def _directory(common: Common) -> Path:
    """Return the lab's directory: as the option says, else the environment, else the default one."""
    chosen = common.data_dir or os.environ.get(DIRECTORY_VARIABLE)
    directory = Path(chosen) if chosen else xdg_directory("XDG_DATA_HOME", ".local/share", os.environ) / "lab"
    return directory.expanduser().absolute()


def _print_links(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for link in answer["links"]:
        near, far = link["ends"]
        state = "cut" if link["cut"] else "whole"
        click.echo(printable(f"{link['name']} ({near} to {far}): {state}, {link['octets']} octets crossed"))
