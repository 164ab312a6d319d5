# SPDX-License-Identifier: MIT
"""``awala ping``: pings an Internet endpoint through the local gateway."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from awala.base.clock import SystemClock
from awala.base.errors import AwalaError, ConfigurationError
from awala.cli.logs import hush
from awala.cli.node_commands import read_settings
from awala.cli.node_settings import network_config
from awala.cli.options import Common, common_options, gateway_option, json_option
from awala.cli.output import print_json_line, printable
from awala.cli.places import NodeKind, places
from awala.cli.running import Running, run_node
from awala.cli.settings import Gateway, Settings
from awala.cli.targets import read_target

if TYPE_CHECKING:
    from awala.sdk import Peer, PrivateApp

MILLISECONDS = 1_000


class PingSettings(Settings):
    """The settings of ping."""

    gateway: Gateway = Gateway()


class NoAnswerError(AwalaError):
    """No ping was answered."""

    advice = "Check the gateway (awala gateway status); pings that are on their way may still be answered."


class NotFoundError(AwalaError):
    """The endpoint is not known, and its connection parameters cannot be had now."""

    retryable = True
    advice = "Check the address and the connection, or name a file of connection parameters."


class NoGatewayError(AwalaError):
    """The private gateway did not register this app in time."""

    retryable = True
    advice = "Start it with: awala gateway run; then pair it: awala gateway pair ADDRESS"


@click.command()
@click.argument("target", metavar="ADDRESS|PARAMS_FILE")
@click.option("--count", "-c", type=click.IntRange(1), default=1, show_default=True, help="Pings to send.")
@click.option(
    "--timeout",
    "-W",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds to wait for each answer.",
)
@click.option(
    "--interval",
    "-i",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds between pings.",
)
@gateway_option
@common_options
@json_option
def command(
    *,
    target: str,
    count: int,
    timeout: float,
    interval: float,
    gateway: str | None,
    common: Common,
    as_json: bool,
) -> None:
    """Ping an Internet endpoint through the local gateway, a line per answer and a summary.

    Example: awala ping --count 3 ping.awala.services
    """
    where = places(NodeKind.PING, common)
    settings = read_settings(PingSettings, where, common, {"gateway": {"url": gateway}})
    if common.talks_with_person:
        hush()
    named = read_target(target)
    tally = Tally()
    plan = Plan(count, timeout, interval)

    async def body(running: Running) -> None:
        await running.work(_ping(named, settings, where.data, plan, tally, as_json=as_json))

    run_node(body, data_dir=where.data)
    if tally.sent:
        _summarise(tally, as_json=as_json)
    if not tally.times:
        raise NoAnswerError(f"no answer from {target}")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many pings, how long to wait for each, and between them; in seconds."""

    count: int
    timeout: float
    interval: float


@dataclass(slots=True)
class Tally:
    """What has been sent so far to whom, and after how many seconds each answer came."""

    name: str = ""
    sent: int = 0
    times: list[float] = field(default_factory=list)


async def _ping(
    target: bytes | str, settings: PingSettings, data: Path, plan: Plan, tally: Tally, *, as_json: bool
) -> None:
    from awala.sdk import PrivateApp  # noqa: PLC0415 - help needs none of this
    from awala.services.ping import Pinger  # noqa: PLC0415 - as above

    params = await _params(target, settings)
    async with AsyncExitStack() as stack:
        try:
            app = await stack.enter_async_context(PrivateApp.open(data, gateway=settings.gateway.url))
        except ConfigurationError as error:
            raise ConfigurationError(f"[gateway] url {settings.gateway.url!r}: {error}") from error
        pinger = Pinger(app)
        await _register(app, settings.gateway.url, plan.timeout)
        peer = await _peer(app, target, params)
        tally.name = peer.address or peer.id
        if not as_json:
            click.echo(f"PING {printable(tally.name)}")
        for sequence in range(1, plan.count + 1):
            if sequence > 1:
                await asyncio.sleep(plan.interval)
            tally.sent = sequence
            seconds = await pinger.ping(peer, timeout=plan.timeout)
            _tell(tally.name, sequence, seconds, as_json=as_json)
            tally.times += [] if seconds is None else [seconds]


async def _register(app: PrivateApp, url: str, timeout: float) -> None:  # noqa: ASYNC109 - the user's bound
    try:
        async with asyncio.timeout(timeout):
            await app.registered()
    except TimeoutError as error:
        raise NoGatewayError(f"the private gateway at {url} did not register this app") from error


async def _peer(app: PrivateApp, target: bytes | str, params: bytes | AwalaError) -> Peer:
    """Return the endpoint to ping; one that was pinged before needs no network to be found again."""
    from awala.sdk import PeerKind  # noqa: PLC0415 - help needs none of this

    if not isinstance(params, AwalaError):
        return await app.add_internet_peer(params)
    for peer in await app.peers():
        if peer.kind is PeerKind.INTERNET and peer.address == target:
            return peer
    raise NotFoundError(f"cannot find {target!r}: {params}") from params


async def _params(target: bytes | str, settings: PingSettings) -> bytes | AwalaError:
    """Return connection parameters as given, or from the host of an Internet address.

    Returns the error if that host cannot be reached now.
    """
    if isinstance(target, bytes):
        return target
    from awala.nodes.network import open_network  # noqa: PLC0415 - files need no network

    async with open_network(network_config(settings.resolver, settings.tls), SystemClock()) as network:
        try:
            return await network.pohttp.fetch_connection_params(target)
        except AwalaError as error:
            if not error.retryable:
                raise
            return error


def _tell(name: str, sequence: int, seconds: float | None, *, as_json: bool) -> None:
    if as_json:
        print_json_line({"sequence": sequence, "milliseconds": _milliseconds(seconds)})
    elif seconds is None:
        click.echo(f"no answer yet: seq={sequence}")
    else:
        click.echo(f"pong from {printable(name)}: seq={sequence} time={seconds * MILLISECONDS:.0f} ms")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * MILLISECONDS, 1)


def _summarise(tally: Tally, *, as_json: bool) -> None:
    times = tally.times
    if as_json:
        print_json_line(
            {
                "summary": {
                    "sent": tally.sent,
                    "received": len(times),
                    "milliseconds": [_milliseconds(seconds) for seconds in times],
                }
            }
        )
        return
    lost = 100 * (tally.sent - len(times)) // tally.sent
    click.echo(f"--- {printable(tally.name)} ping statistics ---")
    click.echo(f"{tally.sent} pings sent, {len(times)} pongs received, {lost}% without an answer so far")
    if times:
        low, high, mean = (
            MILLISECONDS * value for value in (min(times), max(times), sum(times) / len(times))
        )
        click.echo(f"round trip min/avg/max = {low:.0f}/{mean:.0f}/{high:.0f} ms")
