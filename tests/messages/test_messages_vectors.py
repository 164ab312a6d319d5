# SPDX-License-Identifier: MIT
"""Every message and structure that the two reference libraries made, with the values that they were given."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.asn1 import parse
from awala.cms import EnvelopedData
from awala.crypto import IdentityPublicKey, SessionPrivateKey, SessionPublicKey
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
    MessageType,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    PrivateEndpointConnectionParams,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    recognise,
)
from awala.pki import Certificate, PathForm
from helpers.vectors import AT, STACKS, vector

pytestmark = pytest.mark.parametrize("stack", STACKS)

BOTH_ATTRIBUTES = {"1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"}
SIGNING_TIME = "1.2.840.113549.1.9.5"
ALGORITHM_PROTECTION = "1.2.840.113549.1.9.52"


def certificate(stack, name):
    return Certificate.parse(vector(stack, f"{name}.der"))


def public_key(stack, name):
    return IdentityPublicKey.load(vector(stack, f"{name}.spki.der"))


def opened(stack, payload):
    return EnvelopedData.parse(payload).decrypt(SessionPrivateKey.load(vector(stack, "sk.pkcs8.der")))


def test_parcel(stack):
    octets = vector(stack, "parcel")
    parcel = Parcel.parse(octets)
    assert parcel.recipient == Recipient(public_key(stack, "ep").node_id, "frankfurt.relaycorp.cloud")
    assert parcel.ttl == 3600
    assert parcel.expiry_date == parcel.creation_date + timedelta(hours=1)
    assert parcel.sender_id == public_key(stack, "peer").node_id
    assert parcel.sender_certificate == certificate(stack, "pda")
    assert parcel.sender_chain == (certificate(stack, "epCert"), certificate(stack, "pgwCert"))
    assert parcel.payload == vector(stack, "session.env.der")
    assert parcel.encoding == octets
    parcel.validate(AT)
    path = parcel.authorise([certificate(stack, "igwCert")], AT)
    assert [each.node_id for each in path] == [
        public_key(stack, name).node_id for name in ("peer", "ep", "pgw", "igw")
    ]
    message = ServiceMessage.parse(opened(stack, parcel.payload))
    assert message == ServiceMessage("application/vnd.example", b"hello world")


def test_parcel_betrays_its_stack_by_its_signed_attributes(stack):
    expected = BOTH_ATTRIBUTES | ({SIGNING_TIME, ALGORITHM_PROTECTION} if stack == "jvm" else set())
    assert Parcel.parse(vector(stack, "parcel")).signed_attribute_types == expected


def test_parcel_without_address(stack):
    parcel = Parcel.parse(vector(stack, "parcelNoAddr"))
    assert parcel.recipient == Recipient(public_key(stack, "ep").node_id, None)
    assert (parcel.message_id, parcel.ttl) == ("abc", 200)


def test_parcel_expires(stack):
    with pytest.raises(InvalidMessageError, match="expired"):
        Parcel.parse(vector(stack, "parcel")).authorise(
            [certificate(stack, "igwCert")], AT + timedelta(days=1)
        )


def test_service_message(stack):
    octets = vector(stack, "serviceMessage.der")
    message = ServiceMessage.parse(octets)
    assert message == ServiceMessage("application/vnd.example", b"hello world")
    assert message.serialize() == octets


def test_cargo_message_set(stack):
    octets = vector(stack, "cms.der")
    message_set = CargoMessageSet.parse(octets)
    assert message_set.items == (vector(stack, "parcel"), vector(stack, "pca"))
    assert [recognise(item) for item in message_set.items] == [MessageType.PARCEL, MessageType.PCA]
    assert message_set.serialize() == octets


def test_parcel_collection_ack(stack):
    octets = vector(stack, "pca")
    ack = ParcelCollectionAck.parse(octets)
    assert ack == ParcelCollectionAck("0sender", "0recipient", "the-id")
    assert ack.serialize() == octets


def test_cargo_collection_request(stack):
    octets = vector(stack, "ccr.der")
    request = CargoCollectionRequest.parse(octets)
    assert request.cargo_delivery_authorization == certificate(stack, "pda")
    assert request.serialize() == octets


def test_certificate_rotation(stack):
    octets = vector(stack, "rotation")
    rotation = CertificateRotation.parse(octets)
    assert rotation.path.leaf == certificate(stack, "pgwCert")
    assert rotation.path.authorities == (certificate(stack, "igwCert"),)
    assert rotation.form is {"js": PathForm.RS002, "jvm": PathForm.KOTLIN}[stack]
    assert rotation.serialize() == octets


def test_node_connection_params(stack):
    octets = vector(stack, "ncp.der")
    params = NodeConnectionParams.parse(octets)
    assert params.internet_address == "example.com"
    assert params.identity_key == public_key(stack, "igw")
    assert params.session_key.key_id == vector(stack, "sk.id")
    assert params.session_key.public_key == SessionPublicKey.load(vector(stack, "sk.spki.der"))
    assert params.serialize() == octets


def test_private_endpoint_connection_params(stack):
    octets = vector(stack, "pecp.der")
    params = PrivateEndpointConnectionParams.parse(octets)
    assert params.identity_key == public_key(stack, "ep")
    assert params.internet_address == "frankfurt.relaycorp.cloud"
    assert params.authorization.chain == tuple(
        certificate(stack, name) for name in ("pda", "epCert", "pgwCert")
    )
    assert params.session_key.key_id == vector(stack, "sk.id")
    assert params.session_key.public_key == SessionPublicKey.load(vector(stack, "sk.spki.der"))
    assert params.serialize() == octets


def test_registration_authorization(stack):
    authorization = RegistrationAuthorization.parse(vector(stack, "pnra.der"))
    assert authorization.gateway_data == b"gwdata"
    signers = [name for name in ("igw", "pgw") if _signed_by(authorization, public_key(stack, name))]
    assert len(signers) == 1
    with pytest.raises(InvalidMessageError):
        authorization.verify(public_key(stack, signers[0]), AT + timedelta(days=1))


def _signed_by(authorization, key):
    try:
        authorization.verify(key, AT)
    except MalformedMessageError:
        return False
    return True


def test_registration_request(stack):
    request = RegistrationRequest.parse(vector(stack, "pnrr.der"))
    assert request.node_key == public_key(stack, "pgw")
    assert request.authorization == vector(stack, "pnra.der")


def test_registration(stack):
    octets = vector(stack, "pnr.der")
    registration = Registration.parse(octets)
    assert registration.node_certificate == certificate(stack, "pgwCert")
    assert registration.gateway_certificate == certificate(stack, "igwCert")
    assert registration.session_key is not None
    assert registration.session_key.key_id == vector(stack, "sk.id")
    assert registration.serialize() == octets


def test_registration_without_session_key(stack):
    octets = vector(stack, "pnrNoSession.der")
    registration = Registration.parse(octets)
    assert registration.node_certificate == certificate(stack, "epCert")
    assert registration.gateway_certificate == certificate(stack, "pgwCert")
    assert registration.session_key is None
    assert registration.serialize() == octets


def test_handshake(stack):
    challenge = HandshakeChallenge.parse(vector(stack, "challenge.der"))
    assert challenge == HandshakeChallenge(b"0123456789abcdef")
    assert challenge.serialize() == vector(stack, "challenge.der")
    response = HandshakeResponse.parse(vector(stack, "response.der"))
    assert response.signatures == (vector(stack, "nonceSig.der"),)
    assert response.serialize() == vector(stack, "response.der")
    signature = DetachedSignature.parse(response.signatures[0])
    signer = signature.authenticate(
        DetachedSignatureType.NONCE, challenge.nonce, [certificate(stack, "igwCert")], AT
    )
    assert signer == certificate(stack, "pgwCert")


def test_countersignature(stack):
    signature = DetachedSignature.parse(vector(stack, "countersig.der"))
    assert signature.check_signer([certificate(stack, "igwCert")], AT) == certificate(stack, "pgwCert")
    signature.verify(DetachedSignatureType.PARCEL_DELIVERY, vector(stack, "parcel"))
    with pytest.raises(MalformedMessageError):
        signature.verify(DetachedSignatureType.NONCE, vector(stack, "parcel"))


def test_parcel_delivery(stack):
    octets = vector(stack, "parcelDelivery.der")
    delivery = ParcelDelivery.parse(octets)
    assert delivery == ParcelDelivery("the-delivery-id", b"PARCEL")
    assert delivery.serialize() == octets


def test_path_of_the_connection_params_is_not_read_as_octets(stack):
    fields = parse(vector(stack, "pecp.der")).children()
    assert [field.identifier for field in fields] == [0xA0, 0x81, 0xA2, 0xA3]
