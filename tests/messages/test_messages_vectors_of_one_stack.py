# SPDX-License-Identifier: MIT
"""Messages that only one of the reference libraries made."""

from __future__ import annotations

from awala.cms import EnvelopedData
from awala.crypto import SessionPrivateKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    Parcel,
    ServiceMessage,
)
from awala.pki import Certificate
from helpers.vectors import AT, REAL_CDA_AT, vector


def certificate(name):
    return Certificate.parse(vector("js", f"{name}.der"))


def opened(stack, payload):
    return EnvelopedData.parse(payload).decrypt(SessionPrivateKey.load(vector(stack, "sk.pkcs8.der")))


def test_big_parcel():
    parcel = Parcel.parse(vector("jvm", "bigparcel"))
    assert (parcel.message_id, parcel.ttl) == ("abc", 128)
    assert parcel.payload == vector("jvm", "big.env.der")
    assert ServiceMessage.parse(opened("jvm", parcel.payload)) == ServiceMessage("a", bytes(200_000))


def test_cargo():
    gateway = certificate("igwCert")
    cargo = Cargo.parse(vector("js", "cargo"))
    assert cargo.recipient.id == gateway.node_id
    assert cargo.authorise([gateway], AT) == (certificate("pgwCert"), gateway)
    assert opened("js", cargo.payload) == vector("js", "cms.der")


def test_cca():
    gateway = certificate("igwCert")
    cca = CargoCollectionAuthorization.parse(vector("js", "cca"))
    assert cca.authorise_at_internet_gateway([gateway], AT) == (certificate("pgwCert"), gateway)
    request = CargoCollectionRequest.parse(opened("js", cca.payload))
    assert request.cargo_delivery_authorization == certificate("cda")
    request.check(sender=cca.sender_certificate, own_id=gateway.node_id, now=AT)


def test_a_cda_that_a_deployed_gateway_issued():
    cda = certificate("realcda")
    assert cda.valid_at(REAL_CDA_AT)
    octets = CargoCollectionRequest(cda).serialize()
    assert CargoCollectionRequest.parse(octets).cargo_delivery_authorization == cda
