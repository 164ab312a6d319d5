# SPDX-License-Identifier: MIT
"""Plaintexts, control messages and structures of PoWeb, and how a peer describes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interop_cast import ADDRESS, Cast, a_message, described_key, example

from awala.messages import (
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignatureType,
    HandshakeChallenge,
    HandshakeResponse,
    NodeConnectionParams,
    ParcelCollectionAck,
    ParcelDelivery,
    PrivateEndpointConnectionParams,
    Registration,
    ServiceMessage,
    sign_detached,
)
from awala.pki import CertificationPath, PathForm

SHORT, LONG = "1", "0123456789abcdef" * 4
NONCE = b"0123456789abcdef"


@dataclass(frozen=True)
class Structure:
    """A structure, how the peer names its kind, and its values as the peer describes them."""

    kind: str
    value: Any
    description: dict[str, Any]
    parse: Callable[[bytes], Any]
    form: PathForm | None = None

    @property
    def octets(self) -> bytes:
        return self.value.serialize() if self.form is None else self.value.serialize(self.form)


def plaintexts(cast: Cast) -> dict[str, Structure]:
    items = [b"AwalaP\x00 first", b"", bytes(200)]
    return {
        "service message": Structure(
            "serviceMessage",
            ServiceMessage("application/vnd.example", bytes(range(256))),
            {"type": "application/vnd.example", "content": bytes(range(256))},
            ServiceMessage.parse,
        ),
        "service message of nothing": Structure(
            "serviceMessage", ServiceMessage("", b""), {"type": "", "content": b""}, ServiceMessage.parse
        ),
        "cargo message set": Structure(
            "cargoMessageSet", CargoMessageSet(tuple(items)), {"items": items}, CargoMessageSet.parse
        ),
        "empty cargo message set": Structure(
            "cargoMessageSet", CargoMessageSet(()), {"items": []}, CargoMessageSet.parse
        ),
        "cargo collection request": Structure(
            "cargoCollectionRequest",
            CargoCollectionRequest(cast.cda),
            {"cargoDeliveryAuthorization": cast.cda.encoding},
            CargoCollectionRequest.parse,
        ),
    }


def control_messages(cast: Cast, form: PathForm) -> dict[str, Structure]:
    path = CertificationPath(cast.pgw, (cast.igw,))
    described_path = {"leaf": cast.pgw.encoding, "authorities": [cast.igw.encoding]}
    sender, recipient = cast.sender_key.node_id, cast.endpoint_key.node_id
    return {
        **{
            f"parcel collection ack, id of {len(parcel_id)}": Structure(
                "parcelCollectionAck",
                ParcelCollectionAck(sender, recipient, parcel_id),
                {"senderId": sender, "recipientId": recipient, "parcelId": parcel_id},
                ParcelCollectionAck.parse,
            )
            for parcel_id in (SHORT, LONG)
        },
        "certificate rotation": Structure(
            "certificateRotation", CertificateRotation(path, form), described_path, CertificateRotation.parse
        ),
        "certification path": Structure(
            "certificationPath", path, described_path, CertificationPath.parse, form
        ),
        "certification path of a leaf": Structure(
            "certificationPath",
            CertificationPath(cast.igw),
            {"leaf": cast.igw.encoding, "authorities": []},
            CertificationPath.parse,
            form,
        ),
    }


def connection_params(cast: Cast) -> dict[str, Structure]:
    session_key = cast.session.session_key
    return {
        "node connection params": Structure(
            "nodeConnectionParams",
            NodeConnectionParams(ADDRESS, cast.igw_key.public_key, session_key),
            {
                "internetAddress": ADDRESS,
                "identityKey": cast.igw_key.public_key.spki,
                "sessionKey": described_key(session_key),
            },
            NodeConnectionParams.parse,
        ),
        "private endpoint connection params": Structure(
            "privateEndpointConnectionParams",
            PrivateEndpointConnectionParams(
                cast.endpoint_key.public_key,
                ADDRESS,
                CertificationPath(cast.pda, (cast.endpoint, cast.pgw)),
                session_key,
            ),
            {
                "identityKey": cast.endpoint_key.public_key.spki,
                "internetAddress": ADDRESS,
                "leaf": cast.pda.encoding,
                "authorities": [cast.endpoint.encoding, cast.pgw.encoding],
                "sessionKey": described_key(session_key),
            },
            PrivateEndpointConnectionParams.parse,
        ),
        **{
            f"registration {'with' if key else 'without'} session key": Structure(
                "registration",
                Registration(cast.pgw, cast.igw, ADDRESS, key),
                {
                    "nodeCertificate": cast.pgw.encoding,
                    "gatewayCertificate": cast.igw.encoding,
                    "internetAddress": ADDRESS,
                    "sessionKey": described_key(key) if key else None,
                },
                Registration.parse,
            )
            for key in (session_key, None)
        },
    }


def collection(cast: Cast) -> dict[str, Structure]:
    signatures = [
        sign_detached(DetachedSignatureType.NONCE, NONCE, key, certificate)
        for key, certificate in ((cast.pgw_key, cast.pgw), (cast.endpoint_key, cast.endpoint))
    ]
    return {
        "handshake challenge": Structure(
            "handshakeChallenge", HandshakeChallenge(NONCE), {"nonce": NONCE}, HandshakeChallenge.parse
        ),
        **{
            f"handshake response of {number}": Structure(
                "handshakeResponse",
                HandshakeResponse(tuple(signatures[:number])),
                {"signatures": signatures[:number]},
                HandshakeResponse.parse,
            )
            for number in (1, 2)
        },
        **{
            f"parcel delivery, id of {len(delivery_id)}": Structure(
                "parcelDelivery",
                ParcelDelivery(delivery_id, b"PARCEL"),
                {"deliveryId": delivery_id, "parcel": b"PARCEL"},
                ParcelDelivery.parse,
            )
            for delivery_id in (SHORT, LONG)
        },
    }


def cargo_items(cast: Cast, form: PathForm = PathForm.RS002) -> tuple[bytes, bytes, bytes]:
    """Return a parcel, an acknowledgement and a rotation."""
    given = example("parcel", cast)
    path = CertificationPath(cast.pgw, (cast.igw,))
    return (
        a_message(given, cast).serialize(given.key),
        ParcelCollectionAck("0a", "0b", "x").serialize(),
        CertificateRotation(path, form).serialize(),
    )


def structures(cast: Cast, form: PathForm = PathForm.RS002) -> dict[str, Structure]:
    """Return all structures by name, with certification paths in the form that the peer has."""
    return {
        **plaintexts(cast),
        **control_messages(cast, form),
        **connection_params(cast),
        **collection(cast),
    }


NAMES = (
    "service message",
    "service message of nothing",
    "cargo message set",
    "empty cargo message set",
    "cargo collection request",
    "parcel collection ack, id of 1",
    "parcel collection ack, id of 64",
    "certificate rotation",
    "certification path",
    "certification path of a leaf",
    "node connection params",
    "private endpoint connection params",
    "registration with session key",
    "registration without session key",
    "handshake challenge",
    "handshake response of 1",
    "handshake response of 2",
    "parcel delivery, id of 1",
    "parcel delivery, id of 64",
)
