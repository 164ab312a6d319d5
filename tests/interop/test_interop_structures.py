# SPDX-License-Identifier: MIT
"""Plaintexts, control messages and structures of PoWeb: both sides make the same octets of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from interop_cast import a_message, example, made_by_peer
from interop_structures import NAMES, NONCE, structures

from awala.messages import (
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    InvalidMessageError,
    MalformedMessageError,
    ParcelCollectionAck,
    ParcelDeliveryDeauthorization,
    RegistrationAuthorization,
    RegistrationRequest,
    sign_detached,
)
from awala.pki import CertificationPath, PathForm
from helpers.node_peer import PeerError

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell("core-structures"),
]


async def test_no_structure_is_left_out(cast):
    assert tuple(structures(cast)) == NAMES


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_reads_ours(peer, cast, name):
    given = structures(cast)[name]

    read = await peer.ask("read", kind=given.kind, octets=given.octets)

    assert read == given.description


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_makes_the_same_octets(peer, cast, name):
    given = structures(cast)[name]

    made = await peer.ask("make", kind=given.kind, **given.description)

    assert made["octets"] == given.octets
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
