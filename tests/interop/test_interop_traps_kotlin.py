# SPDX-License-Identifier: MIT
"""Where the Kotlin library differs from the other one, by the numbers of the traps for implementers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from interop_cast import a_message, example, made_by_peer
from interop_certificates import encodings, found_by_peer, issued_by_us, renewed_private_gateway

from awala.messages import (
    CargoCollectionAuthorization,
    CertificateRotation,
    InvalidMessageError,
    Parcel,
)
from awala.nodes.internet_gateway.courier_door import KOTLIN_MARKS
from awala.pki import Certificate, CertificationPath, PathForm, Role, build_path
from helpers.json_peer import PeerError
from helpers.vectors import vector

pytestmark = pytest.mark.asyncio(loop_scope="session")

METADATA = 6_000
"""Octets of metadata that servers take."""


@pytest.mark.cell("core-certificates")
async def test_trap_05_only_we_read_serial_numbers_that_are_not_minimal(kotlin):
    octets = vector("js", "nonminimal.der")

    assert Certificate.parse(octets).encoding == octets
    with pytest.raises(PeerError):
        await kotlin.ask("read", kind="certificate", octets=octets)


@pytest.mark.cell("core-structures")
async def test_trap_13_a_rotation_in_the_form_of_the_specification_is_not_for_the_kotlin_library(
    kotlin, cast
):
    path = CertificationPath(cast.pgw, (cast.igw,))
    for_others = CertificateRotation(path, PathForm.RS002).serialize()
    for_kotlin = CertificateRotation(path, PathForm.KOTLIN).serialize()

    with pytest.raises(PeerError, match="malformed"):
        await kotlin.ask("read", kind="certificateRotation", octets=for_others)
    read = await kotlin.ask("read", kind="certificateRotation", octets=for_kotlin)
    made = await kotlin.ask("make", kind="certificateRotation", **read)

    assert made["octets"] == for_kotlin
    assert CertificateRotation.parse(made["octets"]).path == path


@pytest.mark.cell("core-messages")
async def test_trap_13_an_authorisation_to_collect_tells_which_form_its_sender_reads(kotlin, cast):
    given = example("cca", cast)
    theirs = (await made_by_peer(kotlin, given, cast))["octets"]
    ours = a_message(given, cast).serialize(given.key)

    def is_by_kotlin(octets):
        return bool(CargoCollectionAuthorization.parse(octets).signed_attribute_types & KOTLIN_MARKS)

    assert is_by_kotlin(theirs)
    assert not is_by_kotlin(ours)


@pytest.mark.cell("core-messages")
async def test_trap_18_neither_side_takes_what_is_dated_ahead(kotlin, cast):
    given = example("parcel", cast)
    ahead = cast.now.replace(microsecond=0) + timedelta(hours=3)
    octets = a_message(given, cast, creation_date=ahead).serialize(given.key)

    with pytest.raises(PeerError, match="Creation date is in the future"):
        await kotlin.ask("read", kind="parcel", octets=octets, trusted=None)
    with pytest.raises(InvalidMessageError):
        Parcel.parse(octets).validate(cast.now)


@pytest.mark.cell("core-certificates")
async def test_traps_19_and_35_a_self_signed_sender_who_is_trusted_is_a_clean_refusal_only_with_us(
    kotlin, cast
):
    sender = issued_by_us(cast, Role.ENDPOINT, cast.sender_key, cast.sender_key)
    given = replace(example("parcel", cast), path=(sender,), chain=())
    octets = a_message(given, cast).serialize(given.key)

    with pytest.raises(PeerError) as caught:
        await kotlin.ask("read", kind="parcel", octets=octets, trusted=[sender.encoding])
    with pytest.raises(InvalidMessageError):
        Parcel.parse(octets).authorise([sender], cast.now)

    assert caught.value.error_class == "ArrayIndexOutOfBoundsException"


@pytest.mark.cell("core-certificates")
async def test_trap_20_both_sides_follow_a_path_that_embeds_a_certificate_from_before_a_renewal(kotlin, cast):
    renewed = renewed_private_gateway(cast)
    chain, path = (cast.endpoint, cast.pgw), (cast.pda, cast.endpoint, renewed)

    assert await found_by_peer(kotlin, cast.pda, chain, [renewed]) == encodings(path)
    assert build_path(cast.pda, chain, [renewed], at=cast.now) == path


@pytest.mark.cell("core-messages", "core-certificates")
@pytest.mark.parametrize("role", [Role.DELIVERY_AUTHORIZATION, Role.GATEWAY])
async def test_trap_21_the_kotlin_library_takes_cargo_under_either_form_of_authorisation(kotlin, cast, role):
    cda = issued_by_us(cast, role, cast.igw_key, cast.pgw_key, cast.pgw_self_issued)
    given = replace(example("cargo to a private gateway", cast), path=(cda, cast.pgw_self_issued))
    octets = a_message(given, cast).serialize(given.key)

    read = await kotlin.ask("read", kind="cargo", octets=octets, trusted=[cast.pgw_self_issued.encoding])

    assert read["path"] == encodings((cda, cast.pgw_self_issued))


@pytest.mark.cell("core-messages")
async def test_trap_23_authorisations_to_collect_fit_into_the_metadata_of_a_call(kotlin, cast):
    made = await made_by_peer(kotlin, example("cca", cast), cast)

    assert len(made["octets"]) * 4 // 3 < METADATA


@pytest.mark.cell("core-messages")
async def test_trap_24_android_couriers_find_the_certificate_of_the_recipient_in_our_cargo(kotlin, cast):
    given = example("cargo to a private gateway", cast)
    ours = a_message(given, cast).serialize(given.key)
    without = a_message(given, cast, sender_chain=()).serialize(given.key)

    read = await kotlin.ask("read", kind="cargo", octets=ours)
    dropped = await kotlin.ask("read", kind="cargo", octets=without)

    assert read["recipientCertificate"] == cast.pgw_self_issued.encoding
    assert dropped["recipientCertificate"] is None


@pytest.mark.cell("core-messages")
@pytest.mark.parametrize("ttl", [128, 200, 255])
async def test_trap_32_ttls_whose_first_bit_is_set_have_an_octet_in_front_on_both_sides(kotlin, cast, ttl):
    given = example("parcel", cast)
    wanted = b"\x83\x02\x00" + bytes([ttl])

    ours = a_message(given, cast, ttl=ttl).serialize(given.key)
    theirs = (await made_by_peer(kotlin, given, cast, ttl=ttl))["octets"]

    assert wanted in ours
    assert wanted in theirs
