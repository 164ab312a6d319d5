# SPDX-License-Identifier: MIT
"""A courier of ours in a process of its own, which is asked by JSON lines as the peers are (README.md).

`ip netns exec` runs it in a network namespace: `python courier_in_namespace.py DIRECTORY HOST [QUOTA]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop_cogrpc import way_to_courier
from interop_nodes import our_courier

from awala.testing import TcpProxy
from helpers.json_peer import JsonPeer, decode, encode
from helpers.namespaces import LAN_ADDRESS

PROGRAM = Path(__file__)
OPERATIONS = ("load", "outgoing", "incoming", "requests", "weather", "cut_when")
"""Those of `OurCourier` that the process is asked for."""


@dataclass(frozen=True)
class CourierInNamespace:
    """It is dealt with as `OurCourier`; a proxy in the namespace leads to it from 127.0.0.1 as well."""

    process: JsonPeer
    way: dict[str, str]
    by_link: dict[str, str]
    by_loopback: dict[str, str]

    async def load(self, cargoes: Sequence[bytes]) -> None:
        await self.process.ask("load", cargoes=cargoes)

    async def outgoing(self) -> Any:
        return await self.process.ask("outgoing")

    async def incoming(self, gateway_id: str) -> Any:
        return await self.process.ask("incoming", gateway_id=gateway_id)

    async def requests(self, gateway_id: str) -> Any:
        return await self.process.ask("requests", gateway_id=gateway_id)

    async def weather(self, **weather: dict[str, float]) -> None:
        await self.process.ask("weather", **weather)

    async def cut_when(self, on_board: int) -> None:
        await self.process.ask("cut_when", on_board=on_board)


@asynccontextmanager
async def courier_in_namespace(
    prefix: Sequence[str], directory: Path, quota: int | None = None
) -> AsyncIterator[CourierInNamespace]:
    """Run it by a command with this prefix."""
    options = () if quota is None else (quota,)
    environment = {"PYTHONPATH": os.pathsep.join(map(str, (PROGRAM.parent, PROGRAM.parent.parent)))}
    command = (*prefix, sys.executable, PROGRAM, directory, LAN_ADDRESS, *options)
    async with JsonPeer(*command, environment=environment) as process:
        yield CourierInNamespace(process, **await process.ask("ways"))


async def main(directory: str, host: str, quota: str | None = None) -> None:
    async with (
        our_courier(Path(directory), host=host, quota=int(quota) if quota else None) as courier,
        TcpProxy(host, courier.port) as loopback,
    ):

        async def ways() -> dict[str, Any]:
            by_loopback = way_to_courier(loopback.port)
            return {"way": courier.way, "by_link": courier.by_link, "by_loopback": by_loopback}

        operations = {"ways": ways} | {name: getattr(courier, name) for name in OPERATIONS}
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = decode(json.loads(line))
            number, operation = request.pop("id"), request.pop("do")
            answer = encode(await operations[operation](**request))
            sys.stdout.write(json.dumps({"id": number, "ok": answer}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
