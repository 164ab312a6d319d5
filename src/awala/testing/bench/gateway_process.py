# SPDX-License-Identifier: MIT
"""A private gateway that is measured: the public command in a process, paired, and without a link."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from awala.base.clock import SystemClock
from awala.base.files import write_private
from awala.crypto import IdentityPrivateKey
from awala.nodes.config import StorageConfig
from awala.nodes.private_gateway.credentials import Credentials, InternetGatewayPeer
from awala.nodes.private_gateway.root import create_private_gateway
from awala.pki import CertificationPath, Role, issue_now
from awala.testing.bench.cast import INTERNET_ADDRESS
from awala.vault import SqliteVault

_CONFIGURATION: Final = """\
[resolver]
url = "https://127.0.0.1:9/dns-query"
[poweb]
listen = "127.0.0.1:0"
"""
"""Nobody answers at the resolver, so that what is for the Internet stays where it is."""


async def prepare(directory: Path) -> None:
    """Make a private gateway that is paired with an Internet gateway which exists no more than by its key."""
    await create_private_gateway(StorageConfig(directory=directory))
    write_private(directory / "config.toml", _CONFIGURATION.encode())
    clock = SystemClock()
    vault = await SqliteVault.open(directory / "vault")
    try:
        credentials = await Credentials.load(vault, clock)
        key, now = IdentityPrivateKey.generate(), clock.now()
        own = issue_now(
            subject_key=key.public_key,
            issuer_key=key,
            issuer=None,
            role=Role.SELF_ISSUED_GATEWAY,
            now=now,
        )
        leaf = issue_now(
            subject_key=credentials.key.public_key,
            issuer_key=key,
            issuer=own,
            role=Role.GATEWAY,
            now=now,
        )
        await credentials.save_uplink_path(CertificationPath(leaf, (own,)))
        await credentials.save_peer(InternetGatewayPeer(key.node_id, INTERNET_ADDRESS, key.public_key))
    finally:
        await vault.close()


class GatewayError(Exception):
    """The gateway that is measured did not start, or ended by itself."""


@dataclass(slots=True)
class GatewayProcess:
    """The gateway of a data directory, as often as it is started."""

    directory: Path
    items: int
    """How many messages rest in it when it is measured."""
    port: int = 0
    peak_octets: int = 0
    """The most memory that any of its processes had."""
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> float:
        """Start it; return the seconds until it accepted connections."""
        began = time.perf_counter()
        command = ("-m", "awala.testing.bench.counted", "gateway", "run", "--data-dir", str(self.directory))
        with (self.directory / "log").open("ab") as log:  # its log is part of its work
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdin=PIPE, stdout=PIPE, stderr=log
            )
        address: str = (await self._line())["ready"]["poweb"]
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        took = time.perf_counter() - began
        self.port = int(address.rpartition(":")[2])
        writer.close()
        return took

    async def processor_seconds(self) -> float:
        """Return the processor time that it has used since it was started."""
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdin is not None  # noqa: S101 - as it was made
        self._process.stdin.write(b"\n")
        usage = await self._line()
        self.peak_octets = max(self.peak_octets, usage["peak"])
        return float(usage["seconds"])

    async def stop(self) -> None:
        """Have it end in order."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.returncode is None:
            process.terminate()
        await process.communicate()

    async def _line(self) -> dict[str, Any]:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdout is not None  # noqa: S101 - as it was made
        line = await self._process.stdout.readline()
        if not line:
            log = (self.directory / "log").read_text(errors="replace")
            raise GatewayError(f"the gateway ended: {log[-1_000:]}")
        return dict(json.loads(line))
