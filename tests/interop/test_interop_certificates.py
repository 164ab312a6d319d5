# SPDX-License-Identifier: MIT
"""Keys, certificates of every role, and the paths between them, issued and followed by both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache

import pytest
from interop_cast import a_message, example, made_by_peer
from interop_certificates import (
    DAY,
    encodings,
    found_by_peer,
    from_anybody,
    issued_by_peer,
    issued_by_us,
    renewed_private_gateway,
)

from awala.asn1 import parse
from awala.crypto import IdentityPrivateKey
from awala.messages import CargoCollectionRequest, Parcel, ParcelPath
from awala.pki import PathError, Role, build_path
from helpers.json_peer import PeerError
from helpers.kotlin_peer import KotlinPeer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.cell("core-certificates")]


@pytest.fixture
def issuers(cast):
    """Return for each role who issues to whom: our role, the peer's name for it, keys and issuer."""
    igw, pgw, endpoint, sender = cast.igw_key, cast.pgw_key, cast.endpoint_key, cast.sender_key
    authorization = Role.DELIVERY_AUTHORIZATION, "deliveryAuthorization"
    return {
        "self-issued gateway": (Role.SELF_ISSUED_GATEWAY, "gateway", igw, igw, None),
        "gateway": (Role.GATEWAY, "gateway", pgw, igw, cast.igw),
        "self-issued endpoint": (Role.ENDPOINT, "endpoint", endpoint, endpoint, None),
        "endpoint": (Role.ENDPOINT, "endpoint", endpoint, pgw, cast.pgw),
        "PDA": (*authorization, sender, endpoint, cast.endpoint),
        "CDA": (*authorization, igw, pgw, cast.pgw_self_issued),
        "CDA as deployed gateways issue it": (Role.GATEWAY, "gateway", igw, pgw, cast.pgw_self_issued),
    }


ROLES = (
    "self-issued gateway",
    "gateway",
    "self-issued endpoint",
    "endpoint",
    "PDA",
    "CDA",
    "CDA as deployed gateways issue it",
)


def signed_octets(certificate):
    return bytes(parse(certificate.encoding).children()[0].encoding)


@pytest.mark.parametrize("name", ROLES)
async def test_we_take_certificates_of_the_reference_library(peer, cast, issuers, name):
    role, their_role, *parties = issuers[name]

    theirs = await issued_by_peer(peer, cast, their_role, *parties)

    ours, issuer = issued_by_us(cast, role, *parties), parties[-1]
    theirs.verify_issued_by(issuer or theirs)
    assert role.matches(theirs)
    assert (theirs.subject_id, theirs.issuer_id) == (ours.subject_id, ours.issuer_id)
    assert (theirs.not_before, theirs.not_after) == (ours.not_before, ours.not_after)


@pytest.mark.parametrize("name", ROLES)
async def test_we_and_the_javascript_library_issue_the_same_certificates(javascript, cast, issuers, name):
    role, their_role, *parties = issuers[name]
    theirs = await issued_by_peer(javascript, cast, their_role, *parties)
    while theirs.serial[0] == 0 and theirs.serial[1] < 0x80:  # not minimal, as we never issue it
        theirs = await issued_by_peer(javascript, cast, their_role, *parties)

    ours = issued_by_us(cast, role, *parties, serial=int.from_bytes(theirs.serial))

    assert signed_octets(ours) == signed_octets(theirs)


@pytest.mark.parametrize("name", ROLES)
async def test_the_reference_library_reads_our_certificates(peer, cast, issuers, name):
    role, _, subject, issuer_key, issuer = issuers[name]
    ours = issued_by_us(cast, role, subject, issuer_key, issuer)

    read = await peer.ask("read", kind="certificate", octets=ours.encoding)

    assert datetime.fromisoformat(read.pop("notBefore")) == ours.not_before
    assert datetime.fromisoformat(read.pop("notAfter")) == ours.not_after
    assert read == {
        "name": subject.node_id,
        "publicKey": subject.public_key.spki,
        "subjectId": subject.node_id,
        **(
            {"issuerName": issuer_key.node_id}
            if isinstance(peer, KotlinPeer)
            else {"issuerId": issuer_key.node_id, "serial": ours.serial}
        ),
    }


@pytest.mark.parametrize("name", ["CDA", "CDA as deployed gateways issue it"])
async def test_we_take_a_collection_request_with_either_form_of_cda(peer, cast, issuers, name):
    _, their_role, *parties = issuers[name]
    cda = await issued_by_peer(peer, cast, their_role, *parties)
    request = CargoCollectionRequest.parse(
        (await peer.ask("make", kind="cargoCollectionRequest", cargoDeliveryAuthorization=cda.encoding))[
            "octets"
        ]
    )

    request.check(sender=cast.pgw, own_id=cast.igw_key.node_id, now=cast.now)

    assert request.cargo_delivery_authorization == cda


# ---- identity keys ---------------------------------------------------------------------------------


@cache
def our_key(bits):
    return IdentityPrivateKey.generate(bits)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
async def test_the_reference_library_takes_our_keys_of_each_length(peer, cast, bits):
    key = our_key(bits)
    given = from_anybody(key, cast)

    read = await peer.ask("read", kind="parcel", octets=a_message(given, cast).serialize(key), trusted=None)
    certificate = await peer.ask("read", kind="certificate", octets=given.sender.encoding)

    assert read["sender"] == given.sender.encoding
    assert certificate["subjectId"] == key.node_id


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
async def test_we_take_keys_of_each_length_from_the_reference_library(peer, cast, bits):
    made = await peer.ask("makeIdentityKey", modulus=bits)
    key = IdentityPrivateKey.load(made["privateKey"])
    given = from_anybody(key, cast)
    certificate = await issued_by_peer(peer, cast, "endpoint", key, key)

    parcel = Parcel.parse((await made_by_peer(peer, given, cast, certificate=certificate.encoding))["octets"])

    parcel.validate(cast.now)
    assert (key.public_key.bits, key.public_key.spki, key.node_id) == (bits, made["publicKey"], made["id"])
    assert (parcel.sender_certificate, parcel.sender_id) == (certificate, made["id"])


# ---- serial numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("serial", ["007f010203040506", "0000000000000001", "0000000000000000"])
async def test_we_authorise_senders_with_serial_numbers_that_are_not_minimal(javascript, cast, serial):
    given = example("parcel", cast)
    octets = bytes.fromhex(serial)
    endpoint = await issued_by_peer(
        javascript, cast, "endpoint", cast.endpoint_key, cast.pgw_key, cast.pgw, serial=octets
    )
    pda = await issued_by_peer(
        javascript, cast, "deliveryAuthorization", given.key, cast.endpoint_key, endpoint, serial=octets
    )

    made = await made_by_peer(
        javascript, given, cast, certificate=pda.encoding, chain=[endpoint.encoding, cast.pgw.encoding]
    )
    parcel = Parcel.parse(made["octets"])

    assert parcel.authorise([cast.igw], cast.now) == (pda, endpoint, cast.pgw, cast.igw)
    assert pda.serial == endpoint.serial == octets


@pytest.mark.parametrize("serial", [1, 127, 128, 255, 2**63 - 1, 2**63, 2**64 - 1])
async def test_the_reference_library_reads_each_serial_number_that_we_draw(peer, cast, serial):
    given = example("parcel", cast)
    pda = issued_by_us(
        cast, Role.DELIVERY_AUTHORIZATION, given.key, cast.endpoint_key, cast.endpoint, serial=serial
    )

    read = await peer.ask(
        "read",
        kind="parcel",
        octets=a_message(given, cast, sender_certificate=pda).serialize(given.key),
        trusted=[cast.igw.encoding],
    )

    assert read["path"] == encodings((pda, *given.path[1:]))
    assert pda.serial == serial.to_bytes(serial.bit_length() // 8 + 1)


# ---- paths -----------------------------------------------------------------------------------------


def renewed_gateway(cast, key=None):
    """Return a later certificate of the Internet gateway, or of another one that has ``key``."""
    key = key or cast.igw_key
    return issued_by_us(cast, Role.SELF_ISSUED_GATEWAY, key, key, not_after=cast.igw.not_after + 30 * DAY)


@pytest.mark.parametrize("anchor", [1, 2, 3])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("embedded", [2, 3])
async def test_both_sides_find_the_path_to_each_authority(peer, cast, anchor, order, embedded):
    path = (cast.pda, cast.endpoint, cast.pgw, cast.igw)
    chain, trusted = path[1 : 1 + embedded][::order], [path[anchor]]

    found = await found_by_peer(peer, cast.pda, chain, trusted)

    assert found == encodings(path[: anchor + 1])
    assert build_path(cast.pda, chain, trusted, at=cast.now) == path[: anchor + 1]


async def test_we_follow_a_path_that_the_reference_library_issued_down_to_the_sender(peer, cast):
    igw_key, pgw_key, endpoint_key = cast.igw_key, cast.pgw_key, cast.endpoint_key
    igw = await issued_by_peer(peer, cast, "gateway", igw_key, igw_key)
    pgw = await issued_by_peer(peer, cast, "gateway", pgw_key, igw_key, igw)
    endpoint = await issued_by_peer(peer, cast, "endpoint", endpoint_key, pgw_key, pgw)
    pda = await issued_by_peer(peer, cast, "deliveryAuthorization", cast.sender_key, endpoint_key, endpoint)
    given = replace(example("parcel", cast), path=(pda, endpoint, pgw, igw), chain=(endpoint, pgw))

    parcel = Parcel.parse((await made_by_peer(peer, given, cast))["octets"])

    assert parcel.authorise([igw], cast.now) == given.path
    assert parcel.authorise_at_internet_gateway([igw], cast.now) == ParcelPath(pda, endpoint, pgw, igw)
    assert parcel.authorise_at_private_gateway([pgw], cast.now) == ParcelPath(pda, endpoint, None, pgw)
    assert parcel.authorise_at_endpoint([endpoint], cast.now) == ParcelPath(pda, endpoint, None, endpoint)


async def test_a_path_from_before_a_renewal_is_good_where_all_certificates_are_trusted(peer, cast):
    path = (cast.pda, cast.endpoint, cast.pgw, cast.igw)
    new = renewed_gateway(cast)

    for trusted in ([cast.igw, new], [new, cast.igw]):
        found = await found_by_peer(peer, cast.pda, path[1:3], trusted)
        ours = build_path(cast.pda, path[1:3], trusted, at=cast.now)

        assert found[:3] == encodings(ours)[:3] == encodings(path)[:3]
        assert {found[3], ours[3].encoding} <= set(encodings(trusted))


async def test_a_path_from_before_a_renewal_leads_to_the_new_certificate_alone(peer, cast):
    new = renewed_gateway(cast)
    path = (cast.pda, cast.endpoint, cast.pgw, new)

    assert await found_by_peer(peer, cast.pda, path[1:3], [new]) == encodings(path)
    assert build_path(cast.pda, path[1:3], [new], at=cast.now) == path


async def test_the_old_certificate_in_a_message_confuses_neither_side(peer, cast):
    new = renewed_gateway(cast)
    chain, path = (cast.endpoint, cast.pgw, cast.igw), (cast.pda, cast.endpoint, cast.pgw, new)

    assert build_path(cast.pda, chain, [new], at=cast.now) == path
    assert await found_by_peer(peer, cast.pda, chain, [new]) == encodings(path)


@pytest.mark.parametrize(
    ("embedded", "trusted"),
    [
        ((), ("new",)),
        (("new",), ("igw",)),
        (("pgw", "new"), ("igw",)),
        (("pgw",), ("new", "pgw")),
        (("pgw",), ("pgw", "new")),
    ],
)
async def test_both_sides_follow_a_path_through_a_renewed_private_gateway(
    javascript, cast, embedded, trusted
):
    certificates = {"new": renewed_private_gateway(cast), "pgw": cast.pgw, "igw": cast.igw}
    chain = (cast.endpoint, *(certificates[name] for name in embedded))
    anchors = [certificates[name] for name in trusted]

    ours = build_path(cast.pda, chain, anchors, at=cast.now)
    found = await found_by_peer(javascript, cast.pda, chain, anchors)

    assert found == encodings(ours)


async def test_only_we_follow_a_path_whose_old_certificate_is_embedded_and_only_the_new_one_trusted(
    javascript, cast
):
    chain, new = (cast.endpoint, cast.pgw), renewed_private_gateway(cast)

    assert build_path(cast.pda, chain, [new], at=cast.now) == (cast.pda, cast.endpoint, new)
    with pytest.raises(PeerError, match="CertificateError"):
        await found_by_peer(javascript, cast.pda, chain, [new])


async def test_neither_side_finds_a_path_to_a_stranger(peer, cast):
    chain = (cast.endpoint, cast.pgw)
    trusted = [renewed_gateway(cast, cast.sender_key)]

    with pytest.raises(PeerError, match=r"Certificate(Error|Exception)"):
        await found_by_peer(peer, cast.pda, chain, trusted)
    with pytest.raises(PathError):
        build_path(cast.pda, chain, trusted, at=cast.now)
