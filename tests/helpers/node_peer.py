# SPDX-License-Identifier: MIT
"""A peer made of the npm packages of the reference libraries (tests/interop/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from helpers.json_peer import JsonPeer, PeerError

__all__ = ["NEWEST", "PRODUCTION", "SETS", "NodePeer", "PeerError"]

FOLDER: Final = Path(__file__).parent.parent / "interop" / "js"
DRIVER: Final = FOLDER / "peer.mjs"

PRODUCTION: Final = "production"
"""The libraries as the deployed Internet gateway has them."""

NEWEST: Final = "newest"
"""The same core library over the newest releases that its ranges allow."""

SETS: Final = (PRODUCTION, NEWEST)


class NodePeer(JsonPeer):
    """The driver over one of `SETS`."""

    def __init__(self, name: str = PRODUCTION) -> None:
        super().__init__("node", DRIVER, FOLDER / name)
        self.name = name
