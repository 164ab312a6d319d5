# SPDX-License-Identifier: MIT
"""``awala courier``: carries cargo where there is no Internet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import click

from awala.base.errors import AwalaError
from awala.cli.configuration import load
from awala.cli.control import ControlServer, control_path
from awala.cli.node_commands import ask, follow, plain, print_status, single, write_initial
from awala.cli.node_settings import door_config, network_config, storage_config
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json
from awala.cli.places import NodeKind, Places, places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, HostPort, Settings

LISTEN = "0.0.0.0:21473"


class CourierDoor(Door):
    """Where private gateways in the local network find the courier."""

    listen: HostPort = LISTEN
    """HOST:PORT to listen on; private gateways look at port 21473."""


class CourierSettings(Settings):
    """The settings of a courier."""

    cogrpc: CourierDoor = CourierDoor()


class TripFailedError(AwalaError):
    """A trip on which nothing could be exchanged with some Internet gateway."""

    retryable = True
    advice = "What is on board stays; try again when there is a connection."


@click.group()
def command() -> None:
    """Courier: carries cargo between private gateways and the Internet.

    Example: awala courier init && awala courier run
    """


@command.command()
@common_options
@click.option("--listen", metavar="HOST:PORT", help=f"Where private gateways find it (default {LISTEN}).")
def init(common: Common, listen: str | None) -> None:
    """Write a configuration; nothing that exists is changed.

    Example: awala courier init
    """
    where = places(NodeKind.COURIER, common)
    with owned_directory(where.data):
        write_initial(CourierSettings, where, {"cogrpc": {"listen": listen}}, title="Awala courier")


@command.command()
@common_options
@click.option("--listen", metavar="HOST:PORT", help=f"Where private gateways find it (default {LISTEN}).")
def run(common: Common, listen: str | None) -> None:
    """Run the courier until it is stopped.

    Example: awala courier run
    """
    where = places(NodeKind.COURIER, common)
    settings = load(
        CourierSettings,
        file=where.config,
        required=common.config is not None,
        overrides={"cogrpc": {"listen": listen}},
    )

    async def body(running: Running) -> None:
        await _serve(running, settings, where)

    run_node(body, data_dir=where.data)


async def _serve(running: Running, settings: CourierSettings, where: Places) -> None:
    from awala.nodes.courier.root import CourierConfig, run_courier  # noqa: PLC0415 - imported when it runs

    config = CourierConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        cogrpc=door_config(settings.cogrpc, "cogrpc"),
    )
    async with run_courier(config) as courier:

        async def status(_arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            async for answer in single(await courier.node.status()):
                yield answer

        async def sync(_arguments: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
            async for progress in courier.node.trip.run():
                yield plain(progress)

        async with ControlServer(control_path(where.data), {"status": status, "sync": sync}):
            running.ready(courier.addresses)
            await running.until_stopped()


@command.command()
@common_options
@json_option
def status(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Tell what the running courier has on board.

    Example: awala courier status --json
    """
    print_status(ask(places(NodeKind.COURIER, common).data, "status"), as_json=as_json)


@command.command()
@common_options
@json_option
def sync(common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Exchange cargo with the Internet gateways now.

    Example: awala courier sync
    """
    steps = follow(places(NodeKind.COURIER, common).data, "sync")
    if as_json and steps:
        print_json(steps[-1])
    failures = steps[-1]["failures"] if steps else []
    if failures:
        raise TripFailedError("; ".join(failures))
