# SPDX-License-Identifier: MIT
"""The messages and structures of Awala: their octets, their limits and who may send them."""

from awala.messages import inspection, limits, media_types
from awala.messages.cargo import Cargo
from awala.messages.cargo_collection import CargoCollectionAuthorization, CargoCollectionRequest
from awala.messages.cargo_message_set import CargoMessageSet
from awala.messages.certificate_revocation import GatewayCertificateRevocation
from awala.messages.certificate_rotation import CertificateRotation
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from awala.messages.connection_params import NodeConnectionParams, PrivateEndpointConnectionParams
from awala.messages.deauthorization import ParcelDeliveryDeauthorization
from awala.messages.detached import DetachedSignature, DetachedSignatureType, sign_detached
from awala.messages.errors import (
    AmbiguousKindError,
    InvalidMessageError,
    MalformedMessageError,
    MessageError,
    WrongKeyError,
)
from awala.messages.packing import pack
from awala.messages.parcel import Parcel, ParcelPath
from awala.messages.parcel_collection_ack import ParcelCollectionAck
from awala.messages.prefix import MessageType, recognise
from awala.messages.ramf import RamfMessage
from awala.messages.recipient import (
    Recipient,
    is_internet_address,
    is_routable_id,
    normalise_address,
)
from awala.messages.registration import (
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
)
from awala.messages.service_message import ServiceMessage

__all__ = [
    "AmbiguousKindError",
    "Cargo",
    "CargoCollectionAuthorization",
    "CargoCollectionRequest",
    "CargoMessageSet",
    "CertificateRotation",
    "DetachedSignature",
    "DetachedSignatureType",
    "GatewayCertificateRevocation",
    "HandshakeChallenge",
    "HandshakeResponse",
    "InvalidMessageError",
    "MalformedMessageError",
    "MessageError",
    "MessageType",
    "NodeConnectionParams",
    "Parcel",
    "ParcelCollectionAck",
    "ParcelDelivery",
    "ParcelDeliveryDeauthorization",
    "ParcelPath",
    "PrivateEndpointConnectionParams",
    "RamfMessage",
    "Recipient",
    "Registration",
    "RegistrationAuthorization",
    "RegistrationRequest",
    "ServiceMessage",
    "WrongKeyError",
    "inspection",
    "is_internet_address",
    "is_routable_id",
    "limits",
    "media_types",
    "normalise_address",
    "pack",
    "recognise",
    "sign_detached",
]
