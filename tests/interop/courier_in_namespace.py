# SPDX-License-Identifier: MIT
"""A courier of ours in a process of its own, which speaks JSON lines as the peers do (README.md).

`ip netns exec` runs it in a network namespace: `python courier_in_namespace.py DIRECTORY HOST [QUOTA]`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from interop_kotlin_gateways import ADDRESS, resting

from awala.nodes.config import DoorConfig, StorageConfig
from awala.nodes.courier.root import CourierConfig, RunningCourier, run_courier
from awala.nodes.lanes import REQUESTS, TO_INTERNET_GATEWAY, TO_PRIVATE_GATEWAY
from awala.spool.model import Hop
from awala.testing import ChaosProxy, TcpProxy


class Driver:
    """The operations, by name; ``link`` leads to the courier, and so does ``loopback`` from 127.0.0.1."""

    def __init__(self, courier: RunningCourier, port: int, link: ChaosProxy, loopback: TcpProxy) -> None:
        self._courier = courier
        self._ports = {"courier": port, "link": link.port, "loopback": loopback.port}
        self._link = link
        self._cutting: asyncio.Task[None] | None = None

    async def ports(self) -> dict[str, int]:
        return self._ports

    async def load(self, cargoes: list[Any]) -> None:
        for cargo in cargoes:
            await self._courier.node.door.deliver(base64.b64decode(cargo["base64"]))

    async def outgoing(self) -> list[Any]:
        return await self._resting(Hop(TO_INTERNET_GATEWAY, ADDRESS))

    async def incoming(self, gateway: str) -> list[Any]:
        return await self._resting(Hop(TO_PRIVATE_GATEWAY, gateway))

    async def requests(self, gateway: str) -> list[Any]:
        return await self._resting(Hop(REQUESTS, f"{gateway}@{ADDRESS}"))

    async def weather(self, **weather: Any) -> None:
        """Set the weather on the link, by direction."""
        self._link.clear()
        for direction, values in weather.items():
            for name, value in values.items():
                setattr(getattr(self._link, direction), name, value)

    async def cut_when(self, on_board: int) -> None:
        """Break the connections over the link once, when there are so many outgoing cargoes."""
        self._cutting = asyncio.create_task(self._cut_when(on_board))

    async def _cut_when(self, on_board: int) -> None:
        while len(await self.outgoing()) < on_board:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)
        await self._link.drop_connections()

    async def _resting(self, hop: Hop) -> list[Any]:
        bodies = await resting(self._courier.node._spool, hop)
        return [{"base64": base64.b64encode(body).decode()} for body in bodies]


async def main(directory: str, host: str, quota: str | None = None) -> None:
    config = CourierConfig(
        storage=StorageConfig(directory=Path(directory), quota=int(quota) if quota else None),
        cogrpc=DoorConfig(listen=f"{host}:0"),
    )
    async with run_courier(config) as courier:
        port = int(courier.addresses["cogrpc"].rpartition(":")[2])
        async with ChaosProxy(host, port, host=host) as link, TcpProxy(host, port) as loopback:
            driver = Driver(courier, port, link, loopback)
            while line := await asyncio.to_thread(sys.stdin.readline):
                request = json.loads(line)
                number, operation = request.pop("id"), request.pop("do")
                answer = await getattr(driver, operation)(**request)
                sys.stdout.write(json.dumps({"id": number, "ok": answer}) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
