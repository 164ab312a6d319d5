# SPDX-License-Identifier: MIT
"""Plaintexts, control messages and structures of PoWeb: both sides make the same octets of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from interop_cast import ADDRESS, Cast, a_message, described_key, example, made_by_peer

from awala.messages import (
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    HandshakeChallenge,
    HandshakeResponse,
    InvalidMessageError,
    MalformedMessageError,
    NodeConnectionParams,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    sign_detached,
)
from awala.pki import CertificationPath, PathForm
from helpers.node_peer import PeerError

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell("core-structures"),
]

SHORT, LONG = "1", "0123456789abcdef" * 4
NONCE = b"0123456789abcdef"


@dataclass(frozen=True)
class Structure:
    """A structure, how the peer names its kind, and its values as the peer describes them."""

    kind: str
    value: Any
    description: dict[str, Any]
    parse: Callable[[bytes], Any]


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


def control_messages(cast: Cast) -> dict[str, Structure]:
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
            "certificateRotation", CertificateRotation(path), described_path, CertificateRotation.parse
        ),
        "certification path": Structure("certificationPath", path, described_path, CertificationPath.parse),
        "certification path of a leaf": Structure(
            "certificationPath",
            CertificationPath(cast.igw),
            {"leaf": cast.igw.encoding, "authorities": []},
            CertificationPath.parse,
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


def structures(cast: Cast) -> dict[str, Structure]:
    return {**plaintexts(cast), **control_messages(cast), **connection_params(cast), **collection(cast)}


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


async def test_no_structure_is_left_out(cast):
    assert tuple(structures(cast)) == NAMES


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_reads_ours(peer, cast, name):
    given = structures(cast)[name]

    read = await peer.ask("read", kind=given.kind, octets=given.value.serialize())

    assert read == given.description


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_makes_the_same_octets(peer, cast, name):
    given = structures(cast)[name]

    made = await peer.ask("make", kind=given.kind, **given.description)

    assert made["octets"] == given.value.serialize()
    assert given.parse(made["octets"]) == given.value


async def test_the_reference_library_recognises_what_we_put_in_cargo(peer, cast):
    given = example("parcel", cast)
    items = {
        "Parcel": a_message(given, cast).serialize(given.key),
        "ParcelCollectionAck": ParcelCollectionAck("0a", "0b", "x").serialize(),
        "CertificateRotation": CertificateRotation(CertificationPath(cast.pgw, (cast.igw,))).serialize(),
    }

    for name, item in items.items():
        assert (await peer.ask("read", kind="cargoItem", octets=item))["name"] == name


async def test_a_withdrawal_is_no_item_to_the_reference_library_which_gateways_skip(peer, cast):
    withdrawal = ParcelDeliveryDeauthorization(cast.endpoint_key.node_id, frozenset(), cast.now)

    with pytest.raises(PeerError, match="not a valid Cargo Message Set item") as caught:
        await peer.ask("read", kind="cargoItem", octets=withdrawal.serialize())
    assert caught.value.error_class == "InvalidMessageError"


async def test_the_kotlin_form_of_a_rotation_is_not_for_this_library(peer, cast):
    path = CertificationPath(cast.pgw, (cast.igw,))

    with pytest.raises(PeerError):
        await peer.ask(
            "read", kind="certificateRotation", octets=CertificateRotation(path, PathForm.KOTLIN).serialize()
        )


# ---- with signatures -------------------------------------------------------------------------------


async def test_both_sides_verify_each_others_registration_authorization(peer, cast):
    expiry = (datetime.now(UTC) + timedelta(minutes=1)).replace(microsecond=0)
    given = RegistrationAuthorization(expiry, cast.pgw_key.public_key.digest)
    key = cast.igw_key

    read = await peer.ask(
        "read",
        kind="registrationAuthorization",
        octets=given.serialize(key),
        publicKey=key.public_key.spki,
    )
    made = await peer.ask(
        "make",
        kind="registrationAuthorization",
        expiry=expiry.isoformat(),
        gatewayData=given.gateway_data,
        privateKey=key.serialize(),
    )

    theirs = RegistrationAuthorization.parse(made["octets"])
    theirs.verify(key.public_key, datetime.now(UTC))
    assert theirs == given
    assert datetime.fromisoformat(read["expiry"]) == expiry
    assert read["gatewayData"] == given.gateway_data


async def test_both_sides_verify_each_others_registration_request(peer, cast):
    key = cast.pgw_key
    authorization = RegistrationAuthorization(cast.now, b"data").serialize(cast.igw_key)
    given = RegistrationRequest(key.public_key, authorization)

    read = await peer.ask("read", kind="registrationRequest", octets=given.serialize(key))
    made = await peer.ask(
        "make", kind="registrationRequest", authorization=authorization, privateKey=key.serialize()
    )

    assert read == {"authorization": authorization, "nodeKey": key.public_key.spki}
    assert RegistrationRequest.parse(made["octets"]) == given


SIGNATURE_KINDS = {
    "nonceSignature": DetachedSignatureType.NONCE,
    "deliverySignature": DetachedSignatureType.PARCEL_DELIVERY,
}


@pytest.mark.parametrize("kind", SIGNATURE_KINDS)
async def test_both_sides_verify_each_others_detached_signatures(peer, cast, kind):
    signature_type = SIGNATURE_KINDS[kind]
    signed = (await made_by_peer(peer, example("parcel", cast), cast))["octets"]
    ours = sign_detached(signature_type, signed, cast.pgw_key, cast.pgw)

    read = await peer.ask("read", kind=kind, octets=ours, signed=signed, trusted=[cast.igw.encoding])
    made = await peer.ask(
        "make",
        kind=kind,
        signed=signed,
        privateKey=cast.pgw_key.serialize(),
        certificate=cast.pgw.encoding,
    )

    theirs = DetachedSignature.parse(made["octets"])
    assert theirs.authenticate(signature_type, signed, [cast.igw], cast.now) == cast.pgw
    assert read["signer"] == cast.pgw.encoding


@pytest.mark.parametrize("kind", SIGNATURE_KINDS)
async def test_neither_side_takes_a_signature_that_was_made_for_another_purpose(peer, cast, kind):
    (other,) = SIGNATURE_KINDS.keys() - {kind}
    ours = sign_detached(SIGNATURE_KINDS[other], NONCE, cast.pgw_key, cast.pgw)
    made = await peer.ask(
        "make",
        kind=other,
        signed=NONCE,
        privateKey=cast.pgw_key.serialize(),
        certificate=cast.pgw.encoding,
    )

    with pytest.raises(PeerError, match="Invalid signature"):
        await peer.ask("read", kind=kind, octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    with pytest.raises(MalformedMessageError):
        DetachedSignature.parse(made["octets"]).verify(SIGNATURE_KINDS[kind], NONCE)


async def test_neither_side_trusts_a_signer_through_another_node(peer, cast):
    ours = sign_detached(DetachedSignatureType.NONCE, NONCE, cast.endpoint_key, cast.endpoint)
    made = await peer.ask(
        "make",
        kind="nonceSignature",
        signed=NONCE,
        privateKey=cast.endpoint_key.serialize(),
        certificate=cast.endpoint.encoding,
    )

    with pytest.raises(PeerError, match="CertificateError"):
        await peer.ask("read", kind="nonceSignature", octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    with pytest.raises(InvalidMessageError, match="not trusted"):
        DetachedSignature.parse(made["octets"]).check_signer([cast.igw], cast.now)
