# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import timedelta

import pytest
from messages_cast import (
    DAY,
    EP,
    EP_CERT,
    IGW,
    IGW_CERT,
    NOW,
    PDA,
    PEER,
    PEER_SELF,
    PGW,
    PGW_CERT,
    PGW_SELF,
    STRANGER,
    a_parcel,
    certificate,
)

from awala.asn1 import der
from awala.messages import InvalidMessageError, Parcel, Recipient
from awala.pki import Certificate, RateLimit, Role
from awala.pki.rate_limit import RATE_LIMIT
from helpers.forgery import constraints, extension, forge
from helpers.vectors import AT, STACKS, vector


@pytest.mark.rule("3.1")
def test_the_internet_gateway_learns_who_may_send_to_whom_behind_which_gateway():
    path = a_parcel().authorise_at_internet_gateway([IGW_CERT], NOW)
    assert (path.authorization, path.endpoint, path.private_gateway, path.anchor) == (
        PDA,
        EP_CERT,
        PGW_CERT,
        IGW_CERT,
    )
    assert (path.sender_id, path.endpoint_id, path.private_gateway_id) == (
        PEER.node_id,
        EP.node_id,
        PGW.node_id,
    )


@pytest.mark.rule("3.2")
def test_the_private_gateway_anchors_the_same_parcel_at_its_own_certificate():
    path = a_parcel().authorise_at_private_gateway([PGW_CERT], NOW)
    assert path.anchor == PGW_CERT
    assert path.private_gateway is None
    assert path.private_gateway_id is None


def test_the_private_gateways_own_certificate_may_be_self_issued():
    endpoint = certificate(EP, PGW, PGW_SELF, Role.ENDPOINT)
    pda = certificate(PEER, EP, endpoint, Role.DELIVERY_AUTHORIZATION)
    parcel = a_parcel(sender_certificate=pda, sender_chain=(endpoint,))
    assert parcel.authorise_at_private_gateway([PGW_SELF], NOW).anchor == PGW_SELF


@pytest.mark.rule("3.2")
def test_the_endpoint_anchors_it_at_its_own_certificate():
    path = a_parcel().authorise_at_endpoint([EP_CERT], NOW)
    assert (path.authorization, path.endpoint, path.anchor) == (PDA, EP_CERT, EP_CERT)


def test_every_node_learns_how_many_parcels_the_sender_may_send():
    limit = RateLimit(10, timedelta(minutes=1))
    limited = certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION, rate_limit=limit)
    parcel = a_parcel(sender_certificate=limited)
    assert parcel.authorise_at_internet_gateway([IGW_CERT], NOW).rate_limit == limit
    assert parcel.authorise_at_private_gateway([PGW_CERT], NOW).rate_limit == limit
    assert parcel.authorise_at_endpoint([EP_CERT], NOW).authorization.rate_limit == limit
    assert a_parcel().authorise_at_endpoint([EP_CERT], NOW).rate_limit is None


def test_a_limit_that_cannot_be_read_is_no_leave_to_send_without_one():
    extensions = (constraints(der.integer(0)), extension(RATE_LIMIT, der.sequence()))
    subject = PEER.public_key
    pda = Certificate.parse(forge(key=EP, subject_key=subject, issuer=EP_CERT.subject, extensions=extensions))
    parcel = a_parcel(sender_certificate=pda)
    assert parcel.authorise([IGW_CERT], NOW)[0] == pda
    with pytest.raises(InvalidMessageError, match="rate limit"):
        parcel.authorise_at_internet_gateway([IGW_CERT], NOW)


@pytest.mark.rule("3.1", "3.2")
def test_each_node_insists_on_its_place_in_the_path():
    parcel = a_parcel()
    with pytest.raises(InvalidMessageError, match="certificates where 4"):
        parcel.authorise_at_internet_gateway([PGW_CERT], NOW)
    with pytest.raises(InvalidMessageError, match="certificates where 3"):
        parcel.authorise_at_private_gateway([IGW_CERT], NOW)
    with pytest.raises(InvalidMessageError, match="certificates where 2"):
        parcel.authorise_at_endpoint([PGW_CERT], NOW)


def chain_with(pda_role=Role.DELIVERY_AUTHORIZATION, endpoint_role=Role.ENDPOINT, gateway_role=Role.GATEWAY):
    gateway = certificate(PGW, IGW, IGW_CERT, gateway_role)
    endpoint = certificate(EP, PGW, gateway, endpoint_role)
    pda = certificate(PEER, EP, endpoint, pda_role)
    return {"sender_certificate": pda, "sender_chain": (endpoint, gateway)}


@pytest.mark.rule("3.1", "3.2")
@pytest.mark.parametrize(
    ("roles", "complaint"),
    [
        ({"pda_role": Role.ENDPOINT}, "delivery authorization"),
        ({"endpoint_role": Role.GATEWAY, "gateway_role": Role.SELF_ISSUED_GATEWAY}, "endpoint"),
        ({"gateway_role": Role.SELF_ISSUED_GATEWAY}, "gateway"),
    ],
)
def test_refuses_certificates_with_the_constraints_of_another_role(roles, complaint):
    with pytest.raises(InvalidMessageError, match=complaint):
        a_parcel(**chain_with(**roles)).authorise_at_internet_gateway([IGW_CERT], NOW)


def test_refuses_an_anchor_with_the_constraints_of_another_role():
    with pytest.raises(InvalidMessageError, match="may not stand above"):
        a_parcel().authorise_at_internet_gateway([certificate(IGW, IGW, None, Role.GATEWAY)], NOW)
    own = certificate(EP, PGW, PGW_SELF, Role.GATEWAY)
    pda = certificate(PEER, EP, own, Role.DELIVERY_AUTHORIZATION)
    with pytest.raises(InvalidMessageError, match="its role: endpoint"):
        a_parcel(sender_certificate=pda, sender_chain=()).authorise_at_endpoint([own], NOW)


def test_refuses_a_private_gateway_that_writes_to_itself():
    pda = certificate(PEER, PGW, PGW_CERT, Role.DELIVERY_AUTHORIZATION)
    parcel = a_parcel(recipient=Recipient(PGW.node_id), sender_certificate=pda, sender_chain=(PGW_CERT,))
    assert len(parcel.authorise([IGW_CERT], NOW)) == 3
    with pytest.raises(InvalidMessageError):
        parcel.authorise_at_internet_gateway([IGW_CERT], NOW)


@pytest.mark.parametrize("stack", STACKS)
def test_parcels_of_both_stacks_are_authorised_at_every_node(stack):
    parcel = Parcel.parse(vector(stack, "parcel"))
    own = {name: Certificate.parse(vector(stack, f"{name}.der")) for name in ("igwCert", "pgwCert", "epCert")}
    at_internet_gateway = parcel.authorise_at_internet_gateway([own["igwCert"]], AT)
    assert at_internet_gateway.private_gateway_id == own["pgwCert"].node_id
    assert parcel.authorise_at_private_gateway([own["pgwCert"]], AT).endpoint == own["epCert"]
    assert parcel.authorise_at_endpoint([own["epCert"]], AT).sender_id == parcel.sender_id


def test_a_chain_that_names_the_recipient_is_no_contradiction():
    a_parcel().check_chain()


@pytest.mark.rule("3.4")
@pytest.mark.parametrize(
    "changes",
    [
        {"sender_certificate": PEER_SELF, "sender_chain": ()},
        {"sender_certificate": certificate(PEER, PGW, PGW_CERT, Role.ENDPOINT), "sender_chain": (PGW_CERT,)},
        {"sender_chain": ()},
        {"sender_chain": (IGW_CERT,)},
    ],
    ids=["self-issued", "gateway-issued", "no chain", "issuer not embedded"],
)
def test_a_parcel_that_proves_no_contradiction_passes(changes):
    a_parcel(recipient=Recipient(STRANGER.node_id, "example.com"), **changes).check_chain()


@pytest.mark.rule("3.4")
def test_a_chain_that_names_another_recipient_is_refused():
    with pytest.raises(InvalidMessageError, match="another endpoint"):
        a_parcel(recipient=Recipient(STRANGER.node_id, "example.com")).check_chain()


def test_an_impostor_with_the_issuers_name_proves_nothing():
    impostor = certificate(PEER, PEER, None, Role.ENDPOINT)
    parcel = a_parcel(recipient=Recipient(PEER.node_id), sender_chain=(impostor, EP_CERT))
    with pytest.raises(InvalidMessageError):
        parcel.check_chain()


def test_an_authorisation_that_has_expired_is_refused():
    pda = certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION, end=NOW - DAY / 2)
    with pytest.raises(InvalidMessageError, match="expired"):
        a_parcel(sender_certificate=pda).authorise_at_internet_gateway([IGW_CERT], NOW)
