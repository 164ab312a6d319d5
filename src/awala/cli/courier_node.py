# SPDX-License-Identifier: MIT
"""The courier behind ``awala courier``: its settings, and how it answers when it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from awala.cli.answering import answer_until_stopped, on_medium, plain, single
from awala.cli.control import Answer
from awala.cli.node_commands import read_settings, write_initial
from awala.cli.node_settings import door_config, network_config, storage_config
from awala.cli.options import COURIER_LISTEN, Common
from awala.cli.places import Places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, HostPort, Settings
from awala.nodes.courier.root import CourierConfig, run_courier


class CourierDoor(Door):
    """Where private gateways in the local network find the courier."""

    listen: HostPort = COURIER_LISTEN
    """HOST:PORT to listen on; private gateways look for it at port 21473."""


class CourierSettings(Settings):
    """The settings of a courier."""

    cogrpc: CourierDoor = CourierDoor()


def initialise(where: Places, *, listen: str | None) -> None:
    """Write the configuration unless there is one."""
    with owned_directory(where.data):
        write_initial(CourierSettings, where, {"cogrpc": {"listen": listen}}, title="Awala courier")


def run(where: Places, common: Common, *, listen: str | None) -> None:
    """Run the courier until it is stopped."""
    settings = read_settings(CourierSettings, where, common, {"cogrpc": {"listen": listen}})
    run_node(lambda running: _serve(running, settings, where), data_dir=where.data)


async def _serve(running: Running, settings: CourierSettings, where: Places) -> None:
    config = CourierConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        cogrpc=door_config(settings.cogrpc, "cogrpc"),
    )
    async with run_courier(config) as courier:

        async def sync(_arguments: dict[str, Any]) -> AsyncIterator[Answer]:
            async for progress in courier.node.trip.run():
                yield plain(progress)

        handlers = {
            "status": single(courier.node.status),
            "sync": sync,
            "export": on_medium(courier.node.media.export),
            "import": on_medium(courier.node.media.take_in),
        }
        await answer_until_stopped(running, where.data, handlers, courier.addresses)
