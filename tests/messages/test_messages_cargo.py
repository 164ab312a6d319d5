# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_cast import (
    DAY,
    EP,
    EP_CERT,
    IGW,
    IGW_CERT,
    NOW,
    PDA,
    PGW,
    PGW_CERT,
    PGW_SELF,
    STRANGER,
    certificate,
    sealed,
)

from awala.asn1 import der
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    InvalidMessageError,
    MalformedMessageError,
    Recipient,
    limits,
    pack,
)
from awala.messages import cargo_message_set as set_module
from awala.pki import Role

TO_IGW = Recipient(IGW.node_id, "example.com")
CDA = certificate(IGW, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION)


def a_cca(**changes) -> CargoCollectionAuthorization:
    values = {
        "recipient": TO_IGW,
        "message_id": "cca-1",
        "creation_date": NOW,
        "ttl": 3600,
        "payload": b"",
        "sender_certificate": PGW_CERT,
    }
    return CargoCollectionAuthorization(**(values | changes))


def test_cargo_to_the_internet_gateway_is_authorised_by_its_own_certificate():
    cargo = Cargo(TO_IGW, "cargo-1", NOW, 3600, b"", PGW_CERT)
    assert Cargo.parse(cargo.serialize(PGW)).authorise([IGW_CERT], NOW) == (PGW_CERT, IGW_CERT)


def test_cargo_to_the_private_gateway_is_authorised_by_its_cda_issuer_whatever_is_embedded():
    cargo = Cargo(Recipient(PGW.node_id), "cargo-1", NOW, 3600, b"", CDA, (PGW_CERT,))
    assert Cargo.parse(cargo.serialize(IGW)).authorise([PGW_SELF], NOW) == (CDA, PGW_SELF)


@pytest.mark.rule("3.6")
def test_a_cca_is_authorised_by_direct_issue():
    assert a_cca().authorise_at_internet_gateway([IGW_CERT], NOW) == (PGW_CERT, IGW_CERT)


@pytest.mark.rule("3.6")
def test_a_cca_whose_sender_is_self_issued_is_refused():
    with pytest.raises(InvalidMessageError, match="self-issued"):
        a_cca(sender_certificate=PGW_SELF).authorise_at_internet_gateway([IGW_CERT], NOW)


def test_a_cca_of_a_node_behind_the_private_gateway_is_refused():
    cca = a_cca(sender_certificate=EP_CERT, sender_chain=(PGW_CERT,), recipient=Recipient(PGW.node_id))
    with pytest.raises(InvalidMessageError, match="itself"):
        cca.authorise_at_internet_gateway([IGW_CERT], NOW)


def test_a_collection_request_holds_the_certificate_as_octets():
    request = CargoCollectionRequest(CDA)
    assert request.serialize() == der.sequence(der.implicit(0, CDA.encoding))
    assert CargoCollectionRequest.parse(request.serialize()) == request


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        der.sequence(),
        der.sequence(der.implicit(0, b"junk")),
        der.sequence(CDA.encoding),
        der.sequence(der.octet_string(CDA.encoding)),
        b"\x00" + der.sequence(der.implicit(0, CDA.encoding)),
    ],
)
def test_refuses_malformed_collection_requests(octets):
    with pytest.raises(MalformedMessageError):
        CargoCollectionRequest.parse(octets)


@pytest.mark.rule("3.7")
@pytest.mark.parametrize("role", [Role.DELIVERY_AUTHORIZATION, Role.GATEWAY])
def test_a_cda_may_have_the_constraints_that_either_stack_gives_it(role):
    cda = certificate(IGW, PGW, PGW_SELF, role)
    CargoCollectionRequest(cda).check(sender=PGW_CERT, own_id=IGW.node_id, now=NOW)


@pytest.mark.rule("3.7")
@pytest.mark.parametrize(
    ("cda", "complaint"),
    [
        (certificate(STRANGER, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION), "another gateway"),
        (certificate(IGW, PGW, PGW_SELF, Role.DELIVERY_AUTHORIZATION, end=NOW - DAY / 2), "expired"),
        (certificate(IGW, PGW, PGW_SELF, Role.ENDPOINT), "another role"),
        (certificate(IGW, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION), "sender of the CCA"),
        (certificate(IGW, IGW, IGW_CERT, Role.DELIVERY_AUTHORIZATION), "sender of the CCA"),
    ],
)
def test_refuses_a_cda_that_does_not_let_this_gateway_send_to_the_sender(cda, complaint):
    with pytest.raises(InvalidMessageError, match=complaint):
        CargoCollectionRequest(cda).check(sender=PGW_CERT, own_id=IGW.node_id, now=NOW)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_message_sets_are_read_as_written(items):
    message_set = CargoMessageSet(tuple(items))
    octets = message_set.serialize()
    assert octets == der.sequence(*(der.octet_string(item) for item in items))
    assert CargoMessageSet.parse(octets + b"trailing") == message_set


def test_a_message_set_may_have_indefinite_length():
    octets = b"\x30\x80" + der.octet_string(b"one") + b"\x00\x00"
    assert CargoMessageSet.parse(octets).items == (b"one",)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        der.set_of(der.octet_string(b"a")),
        der.sequence(der.implicit(0, b"a")),
        der.sequence(der.tlv(0x24, der.octet_string(b"a"))),
        der.sequence(der.octet_string(b"a"))[:-1],
        b"\x30\x80\x04\x01a",
    ],
)
def test_refuses_malformed_message_sets(octets):
    with pytest.raises(MalformedMessageError):
        CargoMessageSet.parse(octets)


def test_refuses_to_read_more_items_than_allowed(monkeypatch):
    octets = CargoMessageSet((b"",) * 4).serialize()
    monkeypatch.setattr(set_module, "MAX_CARGO_ITEMS", 3)
    with pytest.raises(MalformedMessageError, match="3 items"):
        CargoMessageSet.parse(octets)


def test_refuses_to_write_more_items_than_are_read():
    items = (b"",) * limits.MAX_CARGO_ITEMS
    assert CargoMessageSet.parse(CargoMessageSet(items).serialize()).items == items
    with pytest.raises(InvalidMessageError, match="100000 items"):
        CargoMessageSet((*items, b"")).serialize()


def test_reads_as_many_items_as_a_cargo_may_have():
    octets = der.sequence(der.octet_string(b"x") * limits.MAX_CARGO_ITEMS)
    assert len(CargoMessageSet.parse(octets).items) == limits.MAX_CARGO_ITEMS


def test_the_largest_item_just_fits():
    assert len(CargoMessageSet((bytes(limits.MAX_CARGO_ITEM_SIZE),)).serialize()) <= limits.MAX_SDU
    with pytest.raises(InvalidMessageError, match="item"):
        CargoMessageSet((bytes(limits.MAX_CARGO_ITEM_SIZE + 1),)).serialize()
    with pytest.raises(InvalidMessageError, match="set"):
        CargoMessageSet((bytes(limits.MAX_CARGO_ITEM_SIZE), b"1")).serialize()


def test_two_of_the_largest_parcels_travel_in_two_cargoes():
    assert pack([limits.MAX_PARCEL_SIZE] * 2) == [[0], [1]]


@pytest.mark.rule("1.15")
def test_cargo_for_collectors_that_stop_at_4_mib_stays_below():
    size = 100_000
    batch = pack([size] * 100, limits.CARGO_TARGET_PRIVATE)[0]
    plaintext = CargoMessageSet((bytes(size),) * len(batch)).serialize()
    cargo = Cargo(Recipient(PGW.node_id), "id", NOW, 60, sealed(plaintext), CDA, (PGW_SELF, PGW_CERT))
    assert len(cargo.serialize(IGW)) < 4 * 1024 * 1024


def test_delivery_authorisations_do_not_turn_parcel_senders_into_gateways():
    with pytest.raises(InvalidMessageError):
        Cargo(Recipient(PGW.node_id), "id", NOW, 60, b"", PDA, (EP_CERT,)).authorise([PGW_CERT], NOW)
