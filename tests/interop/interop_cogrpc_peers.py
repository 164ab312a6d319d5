# SPDX-License-Identifier: MIT
"""The peers whose CogRPC clients meet our nodes: both are asked the same, and answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interop_gateways import PeerGateway, PeerInternetGateway, open_peer_gateway, open_peer_internet_gateway
from interop_kotlin_gateways import KotlinGateway, KotlinInternetGateway, open_kotlin_gateway
from interop_peers import peer_param

from awala.testing import Authority
from helpers.kotlin_peer import KotlinPeer, world
from helpers.node_peer import COGRPC_DRIVER, NodePeer


class JsCogRpc(NodePeer):
    """The npm packages, which trust the authority; the certificate for it goes to the directory."""

    def __init__(self, directory: Path, authority: Authority, **options: Any) -> None:
        trusted = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.write_ca(directory / "ca.pem"))}
        super().__init__(driver=COGRPC_DRIVER, environment=trusted, **options)

    async def deliver(self, way: dict[str, str], cargoes: Sequence[bytes], **options: Any) -> Any:
        """Deliver; return the numbers of the cargoes that were acknowledged, and the client's error."""
        return await self.ask("deliver", to=way, cargoes=cargoes, **options)

    async def collect(self, way: dict[str, str], authorization: bytes, **options: Any) -> Any:
        """Collect; return the cargoes that came, and the client's error."""
        return await self.ask("collect", **{"from": way}, authorization=authorization, **options)

    async def open_gateway(self, door: Any) -> PeerGateway:
        """Register a new private gateway at the ``door`` for private gateways."""
        return await open_peer_gateway(self, door)

    async def open_internet_gateway(self) -> PeerInternetGateway:
        """Make an Internet gateway, which is such a door."""
        return await open_peer_internet_gateway(self)


class KotlinCogRpc(KotlinPeer):
    """The Kotlin libraries, with the same operations as `JsCogRpc`."""

    def __init__(self, directory: Path, authority: Authority, **options: Any) -> None:
        super().__init__(options=world(directory, authority), **options)

    async def deliver(self, way: dict[str, str], cargoes: Sequence[bytes]) -> Any:
        named = [{"id": str(number), "cargo": cargo} for number, cargo in enumerate(cargoes)]
        answer = await self.ask("deliverCargo", address=f"https://{way['address']}", cargoes=named)
        return answer | {"acknowledged": [int(number) for number in answer["acknowledged"]]}

    async def collect(self, way: dict[str, str], authorization: bytes) -> Any:
        return await self.ask("collectCargo", address=f"https://{way['address']}", cca=authorization)

    async def open_gateway(self, door: Any) -> KotlinGateway:
        return await open_kotlin_gateway(self, door)

    async def open_internet_gateway(self) -> KotlinInternetGateway:
        return KotlinInternetGateway(self)


JS = peer_param("js-cogrpc", JsCogRpc, "node")
KOTLIN = peer_param("kotlin-cogrpc", KotlinCogRpc, "java")


def everything(count: int) -> dict[str, Any]:
    """Return the answer to a delivery of so many cargoes of which each was acknowledged."""
    return {"acknowledged": list(range(count)), "error": None}


def not_acknowledged(cargoes: Sequence[bytes], answer: dict[str, Any]) -> list[bytes]:
    """Return what is left to be delivered after a delivery with this answer."""
    return [cargo for number, cargo in enumerate(cargoes) if number not in answer["acknowledged"]]
