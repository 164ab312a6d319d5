# SPDX-License-Identifier: MIT
"""The private gateway behind ``awala gateway``: its settings, its keys, and how it answers when it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from awala.base.errors import AwalaError
from awala.bindings.addressing import AddressError
from awala.bindings.errors import BindingError
from awala.cli.answering import answer_until_stopped, on_medium, plain, single
from awala.cli.configuration import load
from awala.cli.control import Answer, ControlError, Handler, argument
from awala.cli.member_handlers import member_handlers
from awala.cli.node_commands import read_settings, require_data, write_initial
from awala.cli.node_settings import door_config, encryption_config, network_config, storage_config
from awala.cli.options import GATEWAY_LISTEN, Common
from awala.cli.places import Places
from awala.cli.running import Running, owned_directory, run_node
from awala.cli.settings import Door, Encryption, HostPort, Settings
from awala.messages import NodeConnectionParams, normalise_address
from awala.nodes.private_gateway.node import PrivateGateway
from awala.nodes.private_gateway.root import (
    PrivateGatewayConfig,
    create_private_gateway,
    run_private_gateway,
)

PORTS = 65_536


class GatewayDoor(Door):
    """Where apps on this machine find the private gateway."""

    listen: HostPort = GATEWAY_LISTEN
    """HOST:PORT to listen on, on this machine only; port 0 takes any free one."""


class PairingFailedError(AwalaError):
    """The Internet gateway could not be found or reached, or did not accept us."""

    advice = "Nothing was changed. Check the address, and that there is a connection."


class VisitFailedError(AwalaError):
    """The courier could not be reached, or the exchange with it broke off."""

    retryable = True
    advice = "What was exchanged before stays so. Check the address, and that the courier is near and runs."


class GatewaySettings(Settings):
    """The settings of a private gateway."""

    encryption: Encryption = Encryption()
    poweb: GatewayDoor = GatewayDoor()


def initialise(where: Places, *, listen: str | None) -> str:
    """Write the configuration and make the keys unless there are any; return the node id."""
    with owned_directory(where.data):
        write_initial(GatewaySettings, where, {"poweb": {"listen": listen}}, title="Awala private gateway")
        settings = load(GatewaySettings, file=where.config)
        return asyncio.run(create_private_gateway(storage_config(settings.storage, where.data)))


def run(where: Places, common: Common, *, listen: str | None) -> None:
    """Run the private gateway until it is stopped."""
    require_data(where)
    settings = read_settings(GatewaySettings, where, common, {"poweb": {"listen": listen}})
    run_node(lambda running: _serve(running, settings, where), data_dir=where.data)


async def _serve(running: Running, settings: GatewaySettings, where: Places) -> None:
    config = PrivateGatewayConfig(
        storage=storage_config(settings.storage, where.data),
        network=network_config(settings.resolver, settings.tls),
        encryption=encryption_config(settings.encryption),
        poweb=door_config(settings.poweb, "poweb"),
    )
    async with run_private_gateway(config) as gateway:
        await answer_until_stopped(running, where.data, _handlers(gateway.node), gateway.addresses)


def _handlers(node: PrivateGateway) -> dict[str, Handler]:
    """Return what answers the commands that ask the running private gateway."""

    async def pair(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        params = _params(arguments)
        address = params.internet_address if params else argument(arguments, "address", str)
        if address is None:
            raise ControlError("pairing needs an address or connection parameters")
        try:
            peer = await node.pairing.pair(normalise_address(address), params)
        except (AddressError, BindingError) as error:
            raise PairingFailedError(f"cannot pair with {address}: {error}") from error
        node.uplink.kick()
        yield plain(peer)

    async def sync(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        host, port = argument(arguments, "host", str), argument(arguments, "port", int)
        if host is None:
            node.uplink.kick()
            yield {"stage": "trying the Internet gateway"}
            return
        if port is None or not 0 < port < PORTS:
            raise ControlError("the courier's port is missing, or is no port")
        _ = node.credentials.peer  # without one there is nothing to exchange, wherever the courier is
        try:
            async for progress in node.visit.run(host, port):
                yield plain(progress)
        except BindingError as error:
            raise VisitFailedError(f"the exchange with the courier failed: {error}") from error

    return {
        "status": single(node.status),
        "pair": pair,
        "sync": sync,
        "export": on_medium(node.media.export),
        "import": on_medium(node.media.take_in),
        **member_handlers(node.members),
    }


def _params(arguments: dict[str, Any]) -> NodeConnectionParams | None:
    """Return the connection parameters in a request, if there are any; raises ControlError, MessageError."""
    text = argument(arguments, "params", str)
    if not text:
        return None
    try:
        return NodeConnectionParams.parse(bytes.fromhex(text))
    except ValueError:
        raise ControlError("the connection parameters are not in hexadecimal") from None
