# SPDX-License-Identifier: MIT
"""Nodes of a test network that are run by the public commands, and asked by them, as a person would."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from awala.base.files import write_private
from awala.testing.forks import ForkedProcess
from awala.testing.networks import Node, NodeDiedError, NodeFailedError
from awala.testing.programs import LOOPBACK, Plan

TARGET: Final = "awala.cli:main"
"""The public command; the fork server should have imported its modules."""

MODULES: Final = ("awala.cli.gateway", "awala.cli.internet_gateway", "awala.cli.courier_node")
"""What the commands below import when they run."""

COMMANDS: Final = {"internet-gateway": "internet-gateway", "private-gateway": "gateway", "courier": "courier"}
"""The command of each kind of node that is run like this."""

_DOORS: Final = {
    "internet-gateway": ("poweb", "pohttp", "cogrpc"),
    "private-gateway": ("poweb",),
    "courier": ("cogrpc",),
}


class CommandNode(Node):
    """A gateway or a courier, run by ``awala … run``; only real clocks and no planned crashes."""

    async def _spawn(self) -> ForkedProcess:
        directory = Path(self.plan.directory)
        if not (directory / "config.toml").exists():
            write_private(directory / "config.toml", settings(self.plan).encode())
        if not (directory / "vault").exists() and self.plan.kind != "courier":
            address = ("--address", self.plan.address) if self.plan.address else ()
            await self._command("init", *address)
        return await self._start("run", "--log-format", "json")

    async def ask(self, command: str, **arguments: object) -> Any:
        """Ask it by the command that a person would use."""
        await self.up()
        match command:
            case "pair":
                return await self._command("pair", str(arguments["address"]))
            case "visit":
                return await self._command("sync", "--courier", f"{arguments['host']}:{arguments['port']}")
            case "kick" | "trip":
                return await self._command("sync")
            case _:
                return _resting(json.loads(await self._command("status", "--json")))

    async def stop(self) -> None:
        """Have it end in order, for good."""
        self._stopping = True
        if self._process is not None:
            self._process.kill(signal.SIGTERM)

    async def _start(self, *arguments: str) -> ForkedProcess:
        words = [COMMANDS[self.plan.kind], *arguments, "--data-dir", self.plan.directory]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWALA_")}
        return await self._server.spawn(
            TARGET, words, directory=Path(self.plan.directory), environment=environment
        )

    async def _command(self, *arguments: str) -> str:
        process = await self._start(*arguments)
        try:
            output, complaint = await process.communicate()
        finally:
            process.kill()
        if process.returncode == 0:
            return output.decode()
        if not self.is_up:
            raise NodeDiedError(f"{self.name} died")
        raise NodeFailedError(f"{self.name} {arguments[0]}: {complaint.decode(errors='replace')}")


def settings(plan: Plan) -> str:
    """Return the configuration file for a plan."""
    # JSON's texts and lists of texts are TOML's too.
    lines = [
        "[resolver]",
        f"url = {json.dumps(plan.resolver)}",
        'allow_networks = ["127.0.0.0/8"]',
        "[tls]",
        f"ca_file = {json.dumps(plan.authority)}",
    ]
    for door in _DOORS[plan.kind]:
        lines += [f"[{door}]", f'listen = "{LOOPBACK}:0"']
        if door in plan.doors:
            certificate, key = plan.doors[door]
            lines += [f"tls_cert = {json.dumps(certificate)}", f"tls_key = {json.dumps(key)}"]
    return "\n".join([*lines, ""])


def _resting(status: Mapping[str, Any]) -> int:
    """Return how many messages rest at a gateway, from its status."""
    lanes = ("outgoing", "incoming", "to_internet", "to_private_gateways", "cargo")
    return sum(int(status[lane]["items"]) for lane in lanes if lane in status)
