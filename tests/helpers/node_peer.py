# SPDX-License-Identifier: MIT
"""A peer made of the npm packages of the reference libraries (tests/interop/README.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from helpers.json_peer import JsonPeer, PeerError

__all__ = ["COGRPC_DRIVER", "NEWEST", "PRODUCTION", "ROUTES_DRIVER", "SETS", "NodePeer", "PeerError"]

FOLDER: Final = Path(__file__).parent.parent / "interop" / "js"
DRIVER: Final = FOLDER / "peer.mjs"
COGRPC_DRIVER: Final = FOLDER / "cogrpc.mjs"
ROUTES_DRIVER: Final = FOLDER / "routes.mjs"
CLOCK: Final = FOLDER / "clock.mjs"

PRODUCTION: Final = "production"
"""The libraries as the deployed Internet gateway has them."""

NEWEST: Final = "newest"
"""The same core library over the newest releases that its ranges allow."""

SETS: Final = (PRODUCTION, NEWEST)


class NodePeer(JsonPeer):
    """A driver over one of `SETS`.

    The peer's clock is ``ahead`` of ours; ``environment`` adds to its variables.
    """

    def __init__(
        self,
        name: str = PRODUCTION,
        driver: Path = DRIVER,
        *,
        ahead: timedelta = timedelta(0),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        clock = ["--import", CLOCK.as_uri()] if ahead else []
        seconds = {"PEER_CLOCK_SECONDS": str(int(ahead.total_seconds()))}
        super().__init__(
            "node", *clock, driver, FOLDER / name, environment={**(environment or {}), **seconds}
        )
        self.name = name
