# SPDX-License-Identifier: MIT
"""``awala demo``: a whole network on this machine."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from awala.base.errors import ConfigurationError
from awala.bindings.host_port import MAX_PORT
from awala.cli.failures import CommandFailure
from awala.cli.options import Common, common_options
from awala.cli.output import printable
from awala.cli.running import Running, owned_directory, run_node
from awala.demo import DemoError, Result, open_network, run_steps

HOST = "127.0.0.1"
"""Where the page is served."""

STOP_SECONDS = 10.0
"""Time that the network has to stop."""


@click.command()
@click.option("--check", is_flag=True, help="Check that everything works, and exit.")
@click.option(
    "--port", type=click.IntRange(0, MAX_PORT), default=0, help="Port of the page (default: any free one)."
)
@common_options
def command(check: bool, port: int, common: Common) -> None:  # noqa: FBT001 - click's
    """Run a whole network on this machine.

    Two Internet gateways, an Internet endpoint, two private gateways with an app each, and a courier.

    Example: awala demo --check
    """
    with _directory(common.data_dir) as directory:

        async def body(running: Running) -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, running.stop)
            if not check:
                await running.work(_show(directory, port))
            elif not await running.work(_check(directory)):
                raise CommandFailure("interrupted")

        run_node(body, data_dir=None, drain=STOP_SECONDS)


@contextmanager
def _directory(chosen: Path | None) -> Iterator[Path]:
    """Return where the network's state lives: a directory for this run alone, unless one was chosen."""
    if chosen is not None:
        with owned_directory(chosen.expanduser().absolute()) as directory:
            yield directory
        return
    with tempfile.TemporaryDirectory(prefix="awala-demo-") as name:
        yield Path(name)


def _tell(line: str) -> None:
    click.echo(f"{line} …", err=True)


async def _check(directory: Path) -> None:
    """Run all checks; raises CommandFailure if one does not hold."""
    failed = 0
    try:
        async with open_network(directory, _tell) as network:
            async for result in run_steps(network):
                failed += bool(result.problem)
                _print(result)
    except DemoError as error:
        _print_details(error.details)
        raise
    if failed:
        raise CommandFailure(f"{failed} of the checks failed")


def _require_free(port: int) -> None:
    """Find out before everything else is started whether the page can have its port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise ConfigurationError(f"--port: cannot listen on {HOST}:{port}: {error.strerror}") from error


async def _show(directory: Path, port: int) -> None:
    """Run the network with its page until cancelled."""
    from awala.demo.page import open_live, serve_page  # noqa: PLC0415 - the check needs none of this

    _require_free(port)
    try:
        async with (
            open_network(directory, _tell) as network,
            open_live(network) as live,
            serve_page(live, port) as address,
        ):
            await live.introduce()
            click.echo(address)
            click.echo("Open this address, which works once; Ctrl-C stops everything.", err=True)
            await asyncio.Event().wait()
    except DemoError as error:
        _print_details(error.details)
        raise


def _print(result: Result) -> None:
    click.echo(printable(result.line()))
    _print_details(result.details)


def _print_details(details: str) -> None:
    for line in details.splitlines():
        click.echo(f"    {printable(line)}", err=True)
