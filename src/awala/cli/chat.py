# SPDX-License-Identifier: MIT
"""``awala chat``: texts to and from paired peers, for a person or, as JSON lines, for a program."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from awala.base.errors import AwalaError
from awala.cli.chat_shells import JsonShell, LineShell, Shell
from awala.cli.failures import describe
from awala.cli.logs import hush
from awala.cli.node_commands import read_settings
from awala.cli.options import Common, common_options, gateway_option, json_option
from awala.cli.places import NodeKind, places
from awala.cli.running import Running, run_node
from awala.cli.settings import Gateway, Settings
from awala.cli.standard_input import read_lines

if TYPE_CHECKING:
    from awala.sdk import PrivateApp

LEAVING_SECONDS = 3.0
"""Time that the last texts get to leave, once standard input has ended."""


class ChatSettings(Settings):
    """The settings of chat."""

    gateway: Gateway = Gateway()


@click.command()
@gateway_option
@common_options
@json_option
def command(gateway: str | None, common: Common, as_json: bool) -> None:  # noqa: FBT001 - click's
    """Chat with paired peers until standard input ends.

    With --json, it reads and prints an object per line: {"do": "offer"}, {"do": "accept", "text": …,
    "name": …}, {"do": "complete", "text": …, "name": …}, {"do": "say", "to": …, "text": …},
    {"do": "withdraw", "to": …} and {"do": "peers"}.

    Example: awala chat
    """
    if common.talks_with_person:
        hush()
    where = places(NodeKind.CHAT, common)
    settings = read_settings(ChatSettings, where, common, {"gateway": {"url": gateway}})
    shell = JsonShell() if as_json else LineShell()
    run_node(lambda running: _chat(running, shell, settings.gateway.url, where.data), data_dir=where.data)


async def _chat(running: Running, shell: Shell, gateway: str, data: Path) -> None:
    from awala.sdk import PrivateApp  # noqa: PLC0415 - help needs none of this
    from awala.services.chat import Chat  # noqa: PLC0415 - as above

    def setup(app: PrivateApp) -> None:
        shell.chat = Chat(app, shell.show_text, shell.show_paired)

    async with PrivateApp.open(data, gateway=gateway, setup=setup) as app:
        await running.work(_talk(shell, app, gateway))


async def _talk(shell: Shell, app: PrivateApp, gateway: str) -> None:
    """Obey one line after the other, once the app is registered."""
    shell.show_waiting(gateway)
    await app.registered()
    await shell.show_ready()
    async for line in read_lines(sys.stdin.fileno()):
        try:
            if not await shell.obey(line):
                break
        except AwalaError as error:
            shell.show_error(describe(error))
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVING_SECONDS):
            for ticket in shell.tickets:
                await ticket.wait()
