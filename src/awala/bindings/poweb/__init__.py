# SPDX-License-Identifier: MIT
"""PoWeb (RS-016): how nodes register with, deliver to and collect from their gateway.

What runs a server needs uvicorn, which apps don't install: it is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from awala.bindings.dialling import Dialler, DirectDialler
from awala.bindings.poweb.client import DEFAULT_LOCAL_GATEWAY, PoWebClient
from awala.bindings.poweb.collector import AckPacing, Delivery, ParcelCollection
from awala.bindings.poweb.names import CloseCode
from awala.bindings.poweb.server import PoWebApp, poweb_app
from awala.bindings.poweb.service import (
    CollectedParcel,
    Collection,
    PoWebService,
    StreamingMode,
    WithdrawalService,
)

if TYPE_CHECKING:
    from awala.bindings.poweb.running import serve_poweb
    from awala.bindings.poweb.transport import PacedWebSocketProtocol

__all__ = [
    "DEFAULT_LOCAL_GATEWAY",
    "AckPacing",
    "CloseCode",
    "CollectedParcel",
    "Collection",
    "Delivery",
    "Dialler",
    "DirectDialler",
    "PacedWebSocketProtocol",
    "ParcelCollection",
    "PoWebApp",
    "PoWebClient",
    "PoWebService",
    "StreamingMode",
    "WithdrawalService",
    "poweb_app",
    "serve_poweb",
]

_LAZY = {
    "PacedWebSocketProtocol": "awala.bindings.poweb.transport",
    "serve_poweb": "awala.bindings.poweb.running",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
