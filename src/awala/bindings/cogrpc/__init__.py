# SPDX-License-Identifier: MIT
"""CogRPC: cargo between gateways and couriers over gRPC (RS-008)."""

from __future__ import annotations

from awala.bindings.cogrpc.client import INTERNET_PATIENCE, CogRpcClient, IncomingCargo, Patience
from awala.bindings.cogrpc.collect_call import OutOfTime
from awala.bindings.cogrpc.courier_certificate import CourierCertificate, make_courier_certificate
from awala.bindings.cogrpc.deliver_call import Refusals
from awala.bindings.cogrpc.errors import Busy, Fulfilled, PeerFullError, UnsendableError, WrongRecipient
from awala.bindings.cogrpc.limits import COURIER_PORT
from awala.bindings.cogrpc.local_network import default_gateway, local_address, own_addresses
from awala.bindings.cogrpc.server import CogRpcServer, ServerLimits
from awala.bindings.cogrpc.service import CargoCollection, CogRpcService, OutgoingCargo

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
