# SPDX-License-Identifier: MIT
"""CogRPC: cargo between gateways and couriers over gRPC (RS-008).

gRPC takes 10 MB of memory, which a private gateway that never meets a courier saves: it is imported when
what needs it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from awala.bindings.cogrpc.courier_certificate import CourierCertificate, make_courier_certificate
from awala.bindings.cogrpc.errors import Busy, Fulfilled, PeerFullError, UnsendableError, WrongRecipient
from awala.bindings.cogrpc.limits import COURIER_PORT
from awala.bindings.cogrpc.local_network import default_gateway, local_address, own_addresses
from awala.bindings.cogrpc.service import CargoCollection, CogRpcService, OutgoingCargo

if TYPE_CHECKING:
    from awala.bindings.cogrpc.client import INTERNET_PATIENCE, CogRpcClient, IncomingCargo, Patience
    from awala.bindings.cogrpc.collect_call import OutOfTime
    from awala.bindings.cogrpc.deliver_call import Refusals
    from awala.bindings.cogrpc.server import CogRpcServer, ServerLimits

__all__ = [
    "COURIER_PORT",
    "INTERNET_PATIENCE",
    "Busy",
    "CargoCollection",
    "CogRpcClient",
    "CogRpcServer",
    "CogRpcService",
    "CourierCertificate",
    "Fulfilled",
    "IncomingCargo",
    "OutOfTime",
    "OutgoingCargo",
    "Patience",
    "PeerFullError",
    "Refusals",
    "ServerLimits",
    "UnsendableError",
    "WrongRecipient",
    "default_gateway",
    "local_address",
    "make_courier_certificate",
    "own_addresses",
]

_LAZY = {
    "INTERNET_PATIENCE": "awala.bindings.cogrpc.client",
    "CogRpcClient": "awala.bindings.cogrpc.client",
    "CogRpcServer": "awala.bindings.cogrpc.server",
    "IncomingCargo": "awala.bindings.cogrpc.client",
    "OutOfTime": "awala.bindings.cogrpc.collect_call",
    "Patience": "awala.bindings.cogrpc.client",
    "Refusals": "awala.bindings.cogrpc.deliver_call",
    "ServerLimits": "awala.bindings.cogrpc.server",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
