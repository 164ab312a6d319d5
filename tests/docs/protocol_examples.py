# SPDX-License-Identifier: MIT
"""The artefacts in docs/protocol/examples, each made from the cast and from those before it.

What a signature or a cipher makes random is taken from the artefact that is there already, as long as
everything else about it is what would be made today.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import protocol_cast as cast
import protocol_makers as makers
import protocol_meanings as meanings
from protocol_dump import Part
from protocol_makers import Shelf

from awala.base.errors import AwalaError
from awala.cms import EnvelopedData
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignatureType,
    HandshakeChallenge,
    HandshakeResponse,
    Parcel,
    ParcelDelivery,
    ServiceMessage,
)
from awala.messages.prefix import PREFIX_SIZE
from awala.pki import PathForm, Role

DIRECTORY = Path(__file__).parent.parent.parent / "docs" / "protocol" / "examples"
SIGNATURE_OCTETS = 256


@dataclass(frozen=True, slots=True)
class Example:
    """One artefact: what it is, how it is made, and how it is drawn."""

    name: str
    title: str
    make: Callable[[Shelf], bytes]
    meaning: Part | None = None
    """None where no page draws it."""
    signed: bool = False
    """Whether it ends in a signature."""
    opened_with: str | None = None
    """Whose session key opens it, where it is encrypted."""
    prefixed: bool = False

    @property
    def prefix(self) -> int:
        return PREFIX_SIZE if self.prefixed else 0

    def settled(self, shelf: Shelf, present: bytes | None) -> bytes:
        """Return the artefact that is there if it is still right, else a new one."""
        fresh = self.make(shelf)
        return present if present is not None and self._is_like(present, fresh) else fresh

    def _is_like(self, present: bytes, fresh: bytes) -> bool:
        if len(present) != len(fresh):
            return False
        if self.signed:
            return present[:-SIGNATURE_OCTETS] == fresh[:-SIGNATURE_OCTETS]
        if self.opened_with is not None:
            try:
                return _opened(present, self.opened_with) == _opened(fresh, self.opened_with)
            except AwalaError:
                return False
        return present == fresh


def _opened(octets: bytes, recipient: str) -> tuple[object, ...]:
    """Return all that is not random about enveloped data."""
    envelope = EnvelopedData.parse(octets)
    return (
        envelope.decrypt(cast.session(recipient).private_key),
        envelope.recipient_key_id,
        envelope.originator_key,
        envelope.content_cipher,
        envelope.key_wrap,
        envelope.kdf_hash,
    )


EXAMPLES = (
    Example(
        "internet-gateway.cert.der",
        "the Internet gateway's certificate, self-issued",
        makers.certificate("internet-gateway", "internet-gateway", None, Role.SELF_ISSUED_GATEWAY, 0x1001),
        signed=True,
    ),
    Example(
        "private-gateway.cert.der",
        "the private gateway's certificate, issued by the Internet gateway",
        makers.certificate("private-gateway", "internet-gateway", "internet-gateway", Role.GATEWAY, 0x1002),
        signed=True,
    ),
    Example(
        "endpoint-a.cert.der",
        "A's certificate, issued by its private gateway",
        makers.certificate("endpoint-a", "private-gateway", "private-gateway", Role.ENDPOINT, 0x1003),
        signed=True,
    ),
    Example(
        "pda.cert.der",
        "B's certificate, issued by A: leave (PDA) to write to A",
        makers.certificate("endpoint-b", "endpoint-a", "endpoint-a", Role.DELIVERY_AUTHORIZATION, 0x1004),
        meanings.CERTIFICATE_IN_FULL,
        signed=True,
    ),
    Example(
        "cda-issuer.cert.der",
        "the private gateway's self-issued certificate, under which it gives CDAs",
        makers.certificate("private-gateway", "private-gateway", None, Role.SELF_ISSUED_GATEWAY, 0x1005),
        signed=True,
    ),
    Example(
        "cda.cert.der",
        "the Internet gateway's certificate, issued by the private gateway: leave (CDA) to send it cargo",
        makers.certificate(
            "internet-gateway", "private-gateway", "cda-issuer", Role.DELIVERY_AUTHORIZATION, 0x1006
        ),
        signed=True,
    ),
    Example(
        "session-key.spki.der",
        "the public half of A's session key",
        lambda _: cast.session("endpoint-a").session_key.public_key.spki,
        meanings.SESSION_PUBLIC_KEY,
    ),
    Example(
        "service-message.der",
        "a service message",
        lambda _: ServiceMessage("application/vnd.example", b"hello world").serialize(),
        meanings.SERVICE_MESSAGE,
    ),
    Example(
        "service-message.enveloped.der",
        "that service message, encrypted by B to A's session key",
        makers.enveloped("service-message.der", "endpoint-b", "endpoint-a"),
        meanings.ENVELOPED_DATA,
        opened_with="endpoint-a",
    ),
    Example(
        "shared-info.der",
        "the SharedInfo of the key derivation in that envelope",
        makers.derivation_info,
        meanings.SHARED_INFO,
    ),
    Example(
        "parcel.bin",
        "a parcel from B to A around that envelope",
        makers.ramf(
            Parcel,
            "endpoint-b",
            "endpoint-a",
            "service-message.enveloped.der",
            cast.MESSAGE_ID,
            97_200,
            Shelf.path,
        ),
        meanings.ramf(certificates=3),
        signed=True,
        prefixed=True,
    ),
    Example("pca.bin", "an acknowledgement of it", makers.acknowledgement, meanings.PCA, prefixed=True),
    Example(
        "gateway-revocation.bin",
        "the private gateway's revocation of its certificate, for the Internet gateway",
        makers.revocation,
        meanings.revocation(),
        signed=True,
        prefixed=True,
    ),
    Example("pdd.bin", "A's withdrawal of that PDA", makers.withdrawal, meanings.PDD, prefixed=True),
    Example(
        "cargo-message-set.der",
        "the plaintext of a cargo: the acknowledgement and the parcel",
        lambda shelf: CargoMessageSet((shelf["pca.bin"], shelf["parcel.bin"])).serialize(),
        meanings.CARGO_MESSAGE_SET,
    ),
    Example(
        "cargo-message-set.enveloped.der",
        "that set, encrypted by the private gateway to the Internet gateway's session key",
        makers.enveloped("cargo-message-set.der", "private-gateway", "internet-gateway"),
        opened_with="internet-gateway",
    ),
    Example(
        "cargo.bin",
        "a cargo from the private gateway to the Internet gateway around that envelope",
        makers.ramf(
            Cargo,
            "private-gateway",
            "internet-gateway",
            "cargo-message-set.enveloped.der",
            cast.CARGO_ID,
            97_200,
            makers.uplink,
        ),
        meanings.ramf(certificates=1),
        signed=True,
        prefixed=True,
    ),
    Example(
        "cargo-collection-request.der",
        "the plaintext of a CCA: the CDA",
        lambda shelf: CargoCollectionRequest(shelf.certificate("cda")).serialize(),
        meanings.CARGO_COLLECTION_REQUEST,
    ),
    Example(
        "cargo-collection-request.enveloped.der",
        "that request, encrypted by the private gateway to the Internet gateway's session key",
        makers.enveloped("cargo-collection-request.der", "private-gateway", "internet-gateway"),
        opened_with="internet-gateway",
    ),
    Example(
        "cca.bin",
        "a cargo collection authorisation (CCA) around that envelope",
        makers.ramf(
            CargoCollectionAuthorization,
            "private-gateway",
            "internet-gateway",
            "cargo-collection-request.enveloped.der",
            cast.CCA_ID,
            7_786_800,
            makers.uplink,
        ),
        meanings.ramf(certificates=1),
        signed=True,
        prefixed=True,
    ),
    Example(
        "certification-path.der",
        "the path of the PDA, in the form of RS-002",
        lambda shelf: shelf.path().serialize(PathForm.RS002),
        meanings.PATH_OF_RS002,
    ),
    Example(
        "certification-path.in-place.der",
        "the same path in the Kotlin library's form",
        lambda shelf: shelf.path().serialize(PathForm.KOTLIN),
        meanings.PATH_IN_PLACE,
    ),
    Example(
        "certificate-rotation.bin",
        "a certificate rotation in the form of RS-002",
        lambda shelf: CertificateRotation(shelf.rotated()).serialize(),
        meanings.PATH_OF_RS002,
        prefixed=True,
    ),
    Example(
        "certificate-rotation.in-place.bin",
        "the same rotation in the Kotlin library's form",
        lambda shelf: CertificateRotation(shelf.rotated(), PathForm.KOTLIN).serialize(),
        meanings.PATH_IN_PLACE,
        prefixed=True,
    ),
    Example(
        "node-connection-params.der",
        "the Internet gateway's connection parameters",
        makers.node_params,
        meanings.NODE_CONNECTION_PARAMS,
    ),
    Example(
        "private-endpoint-connection-params.der",
        "what A gives B so that B can write to it",
        makers.private_params,
        meanings.PRIVATE_ENDPOINT_CONNECTION_PARAMS,
    ),
    Example(
        "registration-authorization.der",
        "a registration authorisation (PNRA) of the Internet gateway for the private gateway's key",
        makers.authorization,
        meanings.REGISTRATION_AUTHORIZATION,
        signed=True,
    ),
    Example(
        "registration-authorization.signed-text.der",
        "the octets that the signature in it covers",
        makers.authorization_text,
        meanings.REGISTRATION_AUTHORIZATION_TEXT,
    ),
    Example(
        "registration-request.der",
        "a registration request (PNRR) of the private gateway with that authorisation",
        makers.request,
        meanings.REGISTRATION_REQUEST,
        signed=True,
    ),
    Example(
        "registration-request.signed-text.der",
        "the octets that the signature in it covers",
        makers.request_text,
        meanings.REGISTRATION_REQUEST_TEXT,
    ),
    Example(
        "registration.der",
        "the registration (PNR) that the private gateway gets",
        makers.registration,
        meanings.REGISTRATION,
    ),
    Example(
        "handshake-challenge.der",
        "the challenge of a parcel collection",
        lambda _: HandshakeChallenge(cast.NONCE).serialize(),
        meanings.HANDSHAKE_CHALLENGE,
    ),
    Example(
        "nonce-signature.signed-text.der",
        "the octets that a signature of its nonce covers",
        lambda _: DetachedSignatureType.NONCE.signed_text(cast.NONCE),
        meanings.DETACHED_TEXT,
    ),
    Example(
        "nonce-signature.der",
        "the private gateway's detached signature of the nonce",
        makers.detached(DetachedSignatureType.NONCE, lambda _: cast.NONCE),
        meanings.signed_data(None, certificates=1),
        signed=True,
    ),
    Example(
        "handshake-response.der",
        "the response to the challenge",
        lambda shelf: HandshakeResponse((shelf["nonce-signature.der"],)).serialize(),
        meanings.HANDSHAKE_RESPONSE,
    ),
    Example(
        "countersignature.der",
        "the private gateway's countersignature of the parcel, for its delivery",
        makers.detached(DetachedSignatureType.PARCEL_DELIVERY, lambda shelf: shelf["parcel.bin"]),
        signed=True,
    ),
    Example(
        "parcel-delivery.der",
        "the parcel as a collection delivers it",
        lambda shelf: ParcelDelivery("0011223344556677-000000000001", shelf["parcel.bin"]).serialize(),
        meanings.PARCEL_DELIVERY,
    ),
)
"""In the order in which they are made."""


def keys() -> dict[str, bytes]:
    """Return the private keys of the cast by the names of their files."""
    identities = {f"keys/{name}.identity.pkcs8.der": cast.identity_pkcs8(name) for name in cast.IDENTITIES}
    sessions = {f"keys/{name}.session.pkcs8.der": cast.session_pkcs8(name) for name in cast.SESSIONS}
    return identities | sessions


def make_all() -> dict[str, bytes]:
    """Return every file of the examples; what is there and still right stays as it is."""
    shelf = Shelf()
    for example in EXAMPLES:
        file = DIRECTORY / example.name
        shelf.octets[example.name] = example.settled(shelf, file.read_bytes() if file.exists() else None)
    return shelf.octets | keys()
