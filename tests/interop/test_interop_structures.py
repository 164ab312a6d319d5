# SPDX-License-Identifier: MIT
"""Plaintexts, control messages and structures of PoWeb: both sides make the same octets of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from interop_cast import example, made_by_peer
from interop_structures import NAMES, NONCE, cargo_items, structures

from awala.messages import (
    DetachedSignature,
    DetachedSignatureType,
    InvalidMessageError,
    MalformedMessageError,
    ParcelDeliveryDeauthorization,
    RegistrationAuthorization,
    RegistrationRequest,
    sign_detached,
)
from awala.pki import PathForm
from helpers.json_peer import PeerError
from helpers.kotlin_peer import KotlinPeer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.cell("core-structures")]


async def test_no_structure_is_left_out(cast):
    assert tuple(structures(cast)) == NAMES


@pytest.fixture
def form(peer):
    """The form of certification paths that the peer has."""
    return PathForm.KOTLIN if isinstance(peer, KotlinPeer) else PathForm.RS002


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_reads_ours(peer, cast, form, name):
    given = structures(cast, form)[name]

    read = await peer.ask("read", kind=given.kind, octets=given.octets)

    assert read == given.description


@pytest.mark.parametrize("name", NAMES)
async def test_the_reference_library_makes_the_same_octets(peer, cast, form, name):
    given = structures(cast, form)[name]

    made = await peer.ask("make", kind=given.kind, **given.description)

    assert made["octets"] == given.octets
    assert given.parse(made["octets"]) == given.value


# ---- in cargo --------------------------------------------------------------------------------------


async def names_of(peer, items):
    """Return by which names the peer knows items of cargo."""
    return [(await peer.ask("read", kind="cargoItem", octets=item))["name"] for item in items]


def withdrawal(cast):
    return ParcelDeliveryDeauthorization(cast.endpoint_key.node_id, frozenset(), cast.now).serialize()


async def test_the_javascript_library_recognises_what_we_put_in_cargo(javascript, cast):
    found = await names_of(javascript, cargo_items(cast))

    assert found == ["Parcel", "ParcelCollectionAck", "CertificateRotation"]


async def test_the_kotlin_library_recognises_what_we_put_in_cargo_and_skips_what_it_does_not_know(
    kotlin, cast
):
    found = await names_of(kotlin, [*cargo_items(cast, PathForm.KOTLIN), withdrawal(cast)])

    assert found == ["PARCEL", "PCA", "CERTIFICATE_ROTATION", None]


async def test_a_withdrawal_is_no_item_to_the_javascript_library_which_gateways_skip(javascript, cast):
    with pytest.raises(PeerError, match="not a valid Cargo Message Set item") as caught:
        await names_of(javascript, [withdrawal(cast)])
    assert caught.value.error_class == "InvalidMessageError"


async def test_the_kotlin_form_of_a_rotation_is_not_for_the_javascript_library(javascript, cast):
    *_, rotation = cargo_items(cast, PathForm.KOTLIN)

    with pytest.raises(PeerError):
        await javascript.ask("read", kind="certificateRotation", octets=rotation)


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


async def signed_by_peer(peer, kind, signed, key, certificate):
    made = await peer.ask(
        "make", kind=kind, signed=signed, privateKey=key.serialize(), certificate=certificate.encoding
    )
    return DetachedSignature.parse(made["octets"])


@pytest.mark.parametrize("what", ["a nonce", "a parcel"])
@pytest.mark.parametrize("kind", SIGNATURE_KINDS)
async def test_both_sides_verify_each_others_detached_signatures(peer, cast, kind, what):
    parcel = (await made_by_peer(peer, example("parcel", cast), cast))["octets"]
    signature_type, signed = SIGNATURE_KINDS[kind], NONCE if what == "a nonce" else parcel
    ours = sign_detached(signature_type, signed, cast.pgw_key, cast.pgw)

    read = await peer.ask("read", kind=kind, octets=ours, signed=signed, trusted=[cast.igw.encoding])
    theirs = await signed_by_peer(peer, kind, signed, cast.pgw_key, cast.pgw)

    assert theirs.authenticate(signature_type, signed, [cast.igw], cast.now) == cast.pgw
    assert read["signer"] == cast.pgw.encoding


@pytest.mark.parametrize("kind", SIGNATURE_KINDS)
async def test_neither_side_takes_a_signature_that_was_made_for_another_purpose(peer, cast, kind):
    (other,) = SIGNATURE_KINDS.keys() - {kind}
    ours = sign_detached(SIGNATURE_KINDS[other], NONCE, cast.pgw_key, cast.pgw)
    theirs = await signed_by_peer(peer, other, NONCE, cast.pgw_key, cast.pgw)

    with pytest.raises(PeerError, match=r"Invalid signature|InvalidSignatureException: SignedData"):
        await peer.ask("read", kind=kind, octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    with pytest.raises(MalformedMessageError):
        theirs.verify(SIGNATURE_KINDS[kind], NONCE)


async def test_neither_side_trusts_a_signer_through_another_node(peer, cast):
    ours = sign_detached(DetachedSignatureType.NONCE, NONCE, cast.endpoint_key, cast.endpoint)
    theirs = await signed_by_peer(peer, "nonceSignature", NONCE, cast.endpoint_key, cast.endpoint)

    with pytest.raises(PeerError, match=r"CertificateError|Signer is not trusted"):
        await peer.ask("read", kind="nonceSignature", octets=ours, signed=NONCE, trusted=[cast.igw.encoding])
    with pytest.raises(InvalidMessageError, match="not trusted"):
        theirs.check_signer([cast.igw], cast.now)
