# SPDX-License-Identifier: MIT
"""The kinds of artefacts, and how they are told apart: by prefix, else by shape and content."""

from __future__ import annotations

from enum import Enum
from typing import Final

from awala.asn1 import Asn1Error, Element, Octets, der, parse
from awala.messages.errors import AmbiguousKindError, MalformedMessageError, reading
from awala.messages.prefix import MAGIC, MessageType, recognise
from awala.pki import MAX_CERTIFICATE_OCTETS


class Kind(Enum):
    """What an artefact is; the value is its name for users."""

    PARCEL = "parcel"
    CARGO = "cargo"
    CCA = "cca"
    ENVELOPED_DATA = "enveloped-data"
    SIGNED_DATA = "signed-data"
    CERTIFICATE = "certificate"
    PCA = "pca"
    PDD = "pdd"
    CERTIFICATE_ROTATION = "certificate-rotation"
    GATEWAY_CERTIFICATE_REVOCATION = "gateway-certificate-revocation"
    CERTIFICATION_PATH = "certification-path"
    NODE_CONNECTION_PARAMS = "node-connection-params"
    PRIVATE_ENDPOINT_CONNECTION_PARAMS = "private-endpoint-connection-params"
    REGISTRATION_AUTHORIZATION = "registration-authorization"
    REGISTRATION_REQUEST = "registration-request"
    REGISTRATION = "registration"
    SERVICE_MESSAGE = "service-message"
    CARGO_MESSAGE_SET = "cargo-message-set"
    CARGO_COLLECTION_REQUEST = "cargo-collection-request"
    HANDSHAKE_CHALLENGE = "handshake-challenge"
    HANDSHAKE_RESPONSE = "handshake-response"
    PARCEL_DELIVERY = "parcel-delivery"
    PUBLIC_KEY = "public-key"
    PRIVATE_KEY = "private-key"


BY_PREFIX: Final = {
    MessageType.PARCEL: Kind.PARCEL,
    MessageType.CARGO: Kind.CARGO,
    MessageType.CCA: Kind.CCA,
    MessageType.PCA: Kind.PCA,
    MessageType.PDD: Kind.PDD,
    MessageType.CERTIFICATE_ROTATION: Kind.CERTIFICATE_ROTATION,
    MessageType.GATEWAY_REVOCATION: Kind.GATEWAY_CERTIFICATE_REVOCATION,
}

_CONTENT_TYPES: Final = {
    der.oid("1.2.840.113549.1.7.2"): Kind.SIGNED_DATA,
    der.oid("1.2.840.113549.1.7.3"): Kind.ENVELOPED_DATA,
}
_DATE_DIGITS: Final = 14


def kind_of(data: Octets) -> Kind:
    """Return the one kind that the artefact can be.

    Raises `AmbiguousKindError` if it can be several, `MalformedMessageError` if it is none.
    """
    message_type = recognise(data)
    if message_type is not None:
        return BY_PREFIX[message_type]
    if bytes(data[: len(MAGIC)]) == MAGIC:
        raise MalformedMessageError("The prefix names a message type or version that is not known")
    with reading("artefact"):
        root = parse(data).expect(der.SEQUENCE, "the artefact")
        candidates = _candidates(root.children())
    if not candidates:
        raise MalformedMessageError("The data has the shape of no Awala artefact")
    if len(candidates) > 1:
        raise AmbiguousKindError(tuple(kind.value for kind in candidates))
    return candidates[0]


def _candidates(fields: list[Element]) -> tuple[Kind, ...]:
    tags = [field.identifier for field in fields]
    if all(tag == der.OCTET_STRING for tag in tags):
        return (Kind.CARGO_MESSAGE_SET,)
    match tags[0]:
        case 0x80:
            return _starting_with_octets(tags, fields)
        case 0xA0:
            return _starting_with_structure(tags, fields)
        case der.OBJECT_IDENTIFIER:
            return _content_info(fields[0])
    return _foreign(tags)


def _starting_with_octets(tags: list[int], fields: list[Element]) -> tuple[Kind, ...]:
    """Tell apart what begins with ``[0]`` in primitive form, by what is in there."""
    if _is_certificate(fields[0]):
        return (_starting_with_certificate(tags, fields),)
    candidates: tuple[Kind, ...] = ()
    match tags[:3]:
        case [0x80]:
            candidates = (Kind.HANDSHAKE_CHALLENGE,)
        case [0x80, 0x81, 0x82] if _is_public_key(fields[0]):
            candidates = (Kind.REGISTRATION_REQUEST,)
        case [0x80, 0x81, 0x82] if _is_date(fields[0]):
            candidates = (Kind.REGISTRATION_AUTHORIZATION,)
        case [0x80, 0x81, 0xA2] if _is_public_key(fields[1]):
            candidates = (Kind.NODE_CONNECTION_PARAMS,)
        case [0x80, 0x81, *_] if recognise(fields[1].content) is MessageType.PARCEL:
            candidates = (Kind.PARCEL_DELIVERY,)
        case [0x80, 0x81, *_]:  # a text and octets: nothing inside tells which it is
            candidates = (Kind.SERVICE_MESSAGE, Kind.PARCEL_DELIVERY)
    return candidates


def _starting_with_certificate(tags: list[int], fields: list[Element]) -> Kind:
    match tags[1:2]:
        case [0xA1]:
            return Kind.CERTIFICATION_PATH
        case [0x81] if _is_certificate(fields[1]):
            return Kind.REGISTRATION
    return Kind.CARGO_COLLECTION_REQUEST


def _starting_with_structure(tags: list[int], fields: list[Element]) -> tuple[Kind, ...]:
    if tags[:4] == [0xA0, 0x81, 0xA2, 0xA3]:
        return (Kind.PRIVATE_ENDPOINT_CONNECTION_PARAMS,)
    if tags[:2] == [0xA0, 0xA1]:
        return (Kind.CERTIFICATION_PATH,)
    if all(child.identifier == der.OCTET_STRING for child in fields[0].children()):
        return (Kind.HANDSHAKE_RESPONSE,)
    return ()


def _content_info(content_type: Element) -> tuple[Kind, ...]:
    kind = _CONTENT_TYPES.get(bytes(content_type.encoding))
    return () if kind is None else (kind,)


def _foreign(tags: list[int]) -> tuple[Kind, ...]:
    """Tell apart what other standards define."""
    if tags == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
        return (Kind.CERTIFICATE,)
    if tags == [der.SEQUENCE, der.BIT_STRING]:
        return (Kind.PUBLIC_KEY,)
    if tags[:3] == [der.INTEGER, der.SEQUENCE, der.OCTET_STRING]:
        return (Kind.PRIVATE_KEY,)
    return ()


def _is_certificate(field: Element) -> bool:
    return _inner_tags(field) == [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]


def _is_public_key(field: Element) -> bool:
    return _inner_tags(field) == [der.SEQUENCE, der.BIT_STRING]


def _is_date(field: Element) -> bool:
    octets = bytes(field.content)
    return len(octets) == _DATE_DIGITS and octets.isdigit()


def _inner_tags(field: Element) -> list[int] | None:
    """Return the tags inside a SEQUENCE that is inside octets, or None if there is none.

    What is larger than any certificate is not looked into, since each element listed takes memory.
    """
    if len(field.content) > MAX_CERTIFICATE_OCTETS:
        return None
    try:
        return [child.identifier for child in parse(field.content).expect(der.SEQUENCE, "it").children()]
    except Asn1Error:
        return None
