# SPDX-License-Identifier: MIT
"""One reader per kind of artefact, and the entry point that chooses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from awala.asn1 import Octets
from awala.cms import SignedData
from awala.crypto import CryptoError, IdentityPublicKey, SessionPublicKey
from awala.messages.cargo import Cargo
from awala.messages.cargo_collection import CargoCollectionAuthorization, CargoCollectionRequest
from awala.messages.cargo_message_set import CargoMessageSet
from awala.messages.certificate_revocation import GatewayCertificateRevocation
from awala.messages.certificate_rotation import CertificateRotation
from awala.messages.collection import HandshakeChallenge, HandshakeResponse, ParcelDelivery
from awala.messages.connection_params import NodeConnectionParams, PrivateEndpointConnectionParams
from awala.messages.deauthorization import ParcelDeliveryDeauthorization
from awala.messages.detached import DetachedSignature
from awala.messages.errors import InvalidMessageError, MessageError, reading
from awala.messages.inspection import payload, pem, values
from awala.messages.inspection.kinds import Kind, kind_of
from awala.messages.inspection.payload import PrivateKey
from awala.messages.inspection.values import Report
from awala.messages.parcel import Parcel
from awala.messages.parcel_collection_ack import ParcelCollectionAck
from awala.messages.ramf import RamfMessage
from awala.messages.registration import (
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
)
from awala.messages.service_message import ServiceMessage
from awala.pki import Certificate, CertificationPath


def inspect(
    data: Octets,
    *,
    kind: Kind | str | None = None,
    keys: Sequence[bytes] = (),
    anchors: Sequence[Certificate] = (),
    at: datetime,
) -> dict[str, object]:
    """Explain an artefact; PEM armour is taken off first.

    Args:
        data: the octets of the artefact.
        kind: what it is to be read as; None to recognise it.
        keys: private keys in PKCS#8, DER or PEM. With any, the payload is opened.
        anchors: trusted certificates. With any, messages are checked for authorisation.
        at: the moment as of which authorisation is judged.

    Returns:
        ``kind`` and the members of that kind, ready for JSON.

    Raises:
        MalformedMessageError: the artefact is malformed, or a signature does not hold.
        AmbiguousKindError: several kinds have its shape; it lists them.
        WrongKeyError: there are keys, but none opens the payload.
        InvalidMessageError: ``kind`` is none that there is.

    """
    octets = pem.without_armour(bytes(data))
    chosen = kind_of(octets) if kind is None else _kind(kind)
    request = _Request(octets, payload.load_keys(keys), tuple(anchors), at)
    with reading(chosen.value):
        return {"kind": chosen.value, **_READERS[chosen](request)}


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be explained, and with what help."""

    data: bytes
    keys: tuple[PrivateKey, ...]
    anchors: tuple[Certificate, ...]
    at: datetime


_Reader: TypeAlias = Callable[[_Request], Report]


def _kind(kind: Kind | str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        known = ", ".join(each.value for each in Kind)
        raise InvalidMessageError(f"No kind of artefact has that name; there are {known}") from None


def _ramf_reader(message_class: type[RamfMessage], explain: Callable[[bytes], Report]) -> _Reader:
    def read(request: _Request) -> Report:
        message = message_class.parse(request.data)
        enveloped = payload.read_payload(message.payload)
        report = _envelope(message, len(request.data))
        report["payload"] = payload.describe(enveloped, len(message.payload))
        if request.keys:
            report["plaintext"] = explain(payload.open_with(enveloped, request.keys))
        return report | _authorisation(message, request)

    return read


def _revocation(request: _Request) -> Report:
    revocation = GatewayCertificateRevocation.parse(request.data)
    return _envelope(revocation, len(request.data)) | _authorisation(revocation, request)


def _envelope(message: RamfMessage, size: int) -> Report:
    """Describe what all RAMF messages have besides their payload."""
    return {
        "id": message.message_id,
        "created_at": values.time(message.creation_date),
        "expires_at": values.time(message.expiry_date),
        "ttl": message.ttl,
        "size": size,
        "recipient": {
            "id": message.recipient.id,
            "internet_address": message.recipient.internet_address,
        },
        "sender": {
            "id": message.sender_id,
            "certificate": values.certificate(message.sender_certificate),
        },
        "chain": values.node_ids(message.sender_chain),
    }


def _authorisation(message: RamfMessage, request: _Request) -> Report:
    """Say whether the message is authorised, if there are anchors to judge by."""
    if not request.anchors:
        return {}
    try:
        path = message.authorise(request.anchors, request.at)
    except MessageError as error:
        return {"authorised": False, "path": [], "reason": str(error)}
    return {"authorised": True, "path": values.node_ids(path), "reason": None}


def _collection_request(data: bytes) -> Report:
    request = CargoCollectionRequest.parse(data)
    return {"cargo_delivery_authorization": values.certificate(request.cargo_delivery_authorization)}


def _enveloped_data(request: _Request) -> Report:
    enveloped = payload.read_payload(request.data)
    description = payload.describe(enveloped, len(request.data))
    report = description | {"payload": description}
    if request.keys:
        content = payload.open_with(enveloped, request.keys)
        report["plaintext"] = {"content_base64": values.base64(content)}
    return report


def _signed_data(request: _Request) -> Report:
    signed = SignedData.parse(request.data)
    detached = signed.content_view is None
    if not detached:
        signed.verify()
    return {
        "detached": detached,
        "signer_id": signed.signer.node_id,
        "certificates": [values.certificate(each) for each in (signed.signer, *signed.certificates)],
    }


def _certificate(request: _Request) -> Report:
    certificate = Certificate.parse(request.data)
    if certificate.is_self_issued:
        certificate.verify_issued_by(certificate)
    return values.certificate(certificate)


def _pca(request: _Request) -> Report:
    ack = ParcelCollectionAck.parse(request.data)
    return {"sender_id": ack.sender_id, "recipient_id": ack.recipient_id, "parcel_id": ack.parcel_id}


def _pdd(request: _Request) -> Report:
    withdrawal = ParcelDeliveryDeauthorization.parse(request.data)
    return {
        "endpoint_id": withdrawal.endpoint_id,
        "serials": sorted(serial.hex() for serial in withdrawal.serials),
        "expires_at": values.time(withdrawal.expiry),
    }


def _node_connection_params(request: _Request) -> Report:
    params = NodeConnectionParams.parse(request.data)
    return _connection(params)


def _private_endpoint_connection_params(request: _Request) -> Report:
    params = PrivateEndpointConnectionParams.parse(request.data)
    return _connection(params) | values.path(params.authorization)


def _connection(params: NodeConnectionParams | PrivateEndpointConnectionParams) -> Report:
    return {
        "internet_address": params.internet_address,
        "identity_id": params.identity_key.node_id,
    } | values.session_key(params.session_key)


def _registration_authorization(request: _Request) -> Report:
    return _authorization(request.data)


def _registration_request(request: _Request) -> Report:
    registration = RegistrationRequest.parse(request.data)
    return {
        "node_id": registration.node_key.node_id,
        "authorization": _authorization(registration.authorization),
    }


def _authorization(data: bytes) -> Report:
    authorization = RegistrationAuthorization.parse(data)
    return {
        "expires_at": values.time(authorization.expiry),
        "gateway_data": authorization.gateway_data.hex(),
    }


def _registration(request: _Request) -> Report:
    registration = Registration.parse(request.data)
    key = registration.session_key
    return {
        "node_certificate": values.certificate(registration.node_certificate),
        "gateway_certificate": values.certificate(registration.gateway_certificate),
        "internet_address": registration.internet_address,
        "session_key_id": key.key_id.hex() if key is not None else None,
    }


def _handshake_response(request: _Request) -> Report:
    response = HandshakeResponse.parse(request.data)
    signers = [DetachedSignature.parse(signature).signer for signature in response.signatures]
    return {"signatures": values.node_ids(signers)}


def _parcel_delivery(request: _Request) -> Report:
    delivery = ParcelDelivery.parse(request.data)
    return {"delivery_id": delivery.delivery_id, "size": len(delivery.parcel)}


def _public_key(request: _Request) -> Report:
    try:
        return values.public_key(SessionPublicKey.load(request.data))
    except CryptoError:
        return values.public_key(IdentityPublicKey.load(request.data))


def _service_message(data: bytes) -> Report:
    return values.service_message(ServiceMessage.parse(data))


def _cargo_items(data: bytes) -> Report:
    return values.cargo_items(CargoMessageSet.parse(data))


_READERS: Final[dict[Kind, _Reader]] = {
    Kind.PARCEL: _ramf_reader(Parcel, _service_message),
    Kind.CARGO: _ramf_reader(Cargo, _cargo_items),
    Kind.CCA: _ramf_reader(CargoCollectionAuthorization, _collection_request),
    Kind.ENVELOPED_DATA: _enveloped_data,
    Kind.SIGNED_DATA: _signed_data,
    Kind.CERTIFICATE: _certificate,
    Kind.PCA: _pca,
    Kind.PDD: _pdd,
    Kind.CERTIFICATE_ROTATION: lambda request: values.path(CertificateRotation.parse(request.data).path),
    Kind.GATEWAY_CERTIFICATE_REVOCATION: _revocation,
    Kind.CERTIFICATION_PATH: lambda request: values.path(CertificationPath.parse(request.data)),
    Kind.NODE_CONNECTION_PARAMS: _node_connection_params,
    Kind.PRIVATE_ENDPOINT_CONNECTION_PARAMS: _private_endpoint_connection_params,
    Kind.REGISTRATION_AUTHORIZATION: _registration_authorization,
    Kind.REGISTRATION_REQUEST: _registration_request,
    Kind.REGISTRATION: _registration,
    Kind.SERVICE_MESSAGE: lambda request: _service_message(request.data),
    Kind.CARGO_MESSAGE_SET: lambda request: _cargo_items(request.data),
    Kind.CARGO_COLLECTION_REQUEST: lambda request: _collection_request(request.data),
    Kind.HANDSHAKE_CHALLENGE: lambda request: {"nonce": HandshakeChallenge.parse(request.data).nonce.hex()},
    Kind.HANDSHAKE_RESPONSE: _handshake_response,
    Kind.PARCEL_DELIVERY: _parcel_delivery,
    Kind.PUBLIC_KEY: _public_key,
    Kind.PRIVATE_KEY: lambda request: values.public_key(payload.load_private_key(request.data).public_key),
}
