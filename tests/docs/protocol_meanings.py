# SPDX-License-Identifier: MIT
"""What each element of the protocol's structures means, for the drawings in docs/protocol."""

from __future__ import annotations

from protocol_dump import Part, part, renamed

from awala.asn1 import der

_OID = der.OBJECT_IDENTIFIER
_INTEGER = der.INTEGER

CERTIFICATE = part("certificate", closed=True)
CERTIFICATE_CONTENTS = part("contents of a certificate, without its SEQUENCE header", closed=True)
_ISSUER = renamed(CERTIFICATE, "certificate of the issuer of the one above")


def certificate_octets(meaning: str) -> Part:
    """Return a certificate inside a string."""
    return part(meaning, inside=CERTIFICATE)


_RSA_KEY = part("SubjectPublicKeyInfo of an RSA key", closed=True)
_EC_ALGORITHM = part("algorithm", part("id-ecPublicKey", kind=_OID), part("curve P-256", kind=_OID))
_POINT = part("0 unused bits, then the uncompressed point 04 X Y")
SESSION_PUBLIC_KEY = part("SubjectPublicKeyInfo of a session key", _EC_ALGORITHM, _POINT)
_PSS = part("RSASSA-PSS: SHA-256, MGF1 with SHA-256, salt of 32 octets", closed=True)
_SHA256 = part("SHA-256", part("SHA-256", kind=_OID))

SESSION_KEY = part(
    "session key",
    part("key id"),
    part("public key", inside=SESSION_PUBLIC_KEY),
)
SESSION_KEY_IN_PLACE = part(
    "session key",
    part("key id"),
    part("public key: contents of a SubjectPublicKeyInfo", _EC_ALGORITHM, _POINT),
)


def _name(whose: str) -> Part:
    return part(
        whose,
        part("one RDN", part("attribute", part("commonName", kind=_OID), part("node id"))),
    )


CERTIFICATE_IN_FULL = part(
    "Certificate",
    part(
        "what is signed",
        part("version", part("v3 is written as")),
        part("serial number"),
        _PSS,
        _name("issuer"),
        part("validity", part("not before", kind=der.UTC_TIME), part("not after", kind=der.UTC_TIME)),
        _name("subject"),
        part(
            "SubjectPublicKeyInfo of an RSA key",
            part("algorithm", part("rsaEncryption", kind=_OID), part("no parameters")),
            part("0 unused bits, then modulus and exponent"),
        ),
        part(
            "extensions",
            part(
                "list",
                part(
                    "basic constraints",
                    part("name", kind=_OID),
                    part("critical", kind=der.BOOLEAN),
                    part("value", inside=part("cA is left out: false", part("pathLenConstraint"))),
                ),
                part(
                    "authority key identifier",
                    part("name", kind=_OID),
                    part("value", inside=part("identifier", part("SHA-256 of the issuer's key"))),
                ),
                part(
                    "subject key identifier",
                    part("name", kind=_OID),
                    part("value", inside=part("SHA-256 of the subject's key")),
                ),
            ),
        ),
    ),
    _PSS,
    part("0 unused bits, then the signature"),
)


def _signer() -> Part:
    return part(
        "signers",
        part(
            "the only signer",
            part("version"),
            part("identifier", part("name of the certificate's issuer", closed=True), part("serial number")),
            _SHA256,
            part(
                "signed attributes",
                part("content type", part("name", kind=_OID), part("values", part("id-data", kind=_OID))),
                part(
                    "message digest",
                    part("name", kind=_OID),
                    part("values", part("SHA-256 of the content")),
                ),
            ),
            _PSS,
            part("signature"),
        ),
    )


def signed_data(content: Part | None, certificates: int) -> Part:
    """Return a ContentInfo with signed data around ``content``, or none if that is detached."""
    kept = part("content type id-data", kind=_OID)
    encapsulated = (
        part("no content: detached", kept)
        if content is None
        else part("content", kept, part("explicit tag", part("octets", inside=content)))
    )
    return part(
        "ContentInfo",
        part("signed data", kind=_OID),
        part(
            "explicit tag",
            part(
                "SignedData",
                part("version"),
                part("digest algorithms", _SHA256),
                encapsulated,
                part(
                    "certificates",
                    renamed(CERTIFICATE, "certificate of the signer"),
                    *[_ISSUER] * (certificates - 1),
                ),
                _signer(),
            ),
        ),
    )


def _message_fields(payload: Part) -> Part:
    return part(
        "message fields",
        part("recipient", part("id"), part("Internet address")),
        part("message id"),
        part("creation date"),
        part("ttl in seconds", kind=_INTEGER),
        payload,
    )


def ramf(certificates: int) -> Part:
    """Return a RAMF message behind its prefix."""
    return signed_data(_message_fields(part("payload: enveloped data", closed=True)), certificates)


def revocation() -> Part:
    """Return a gateway certificate revocation behind its prefix."""
    return signed_data(_message_fields(part("payload")), certificates=1)


ENVELOPED_DATA = part(
    "ContentInfo",
    part("enveloped data", kind=_OID),
    part(
        "explicit tag",
        part(
            "EnvelopedData",
            part("version"),
            part(
                "recipients",
                part(
                    "the only recipient: key agreement",
                    part("version"),
                    part(
                        "originator",
                        part(
                            "public key of the sender's session key",
                            _EC_ALGORITHM,
                            _POINT,
                        ),
                    ),
                    part("explicit tag", part("user keying material")),
                    part(
                        "key encryption algorithm",
                        part("stdDH with X9.63 and SHA-256", kind=_OID),
                        part("key wrap, without parameters", part("AES-128-KW", kind=_OID)),
                    ),
                    part(
                        "encrypted keys",
                        part(
                            "the only one",
                            part("key identifier", part("id of the recipient's session key")),
                            part("wrapped content key"),
                        ),
                    ),
                ),
            ),
            part(
                "encrypted content",
                part("content type id-data", kind=_OID),
                part("cipher", part("AES-128-CBC", kind=_OID), part("initialisation vector")),
                part("ciphertext"),
            ),
            part(
                "unprotected attributes",
                part(
                    "id of the originator's key",
                    part("name", kind=_OID),
                    part("values", part("id of the sender's session key")),
                ),
            ),
        ),
    ),
)

SERVICE_MESSAGE = part("ServiceMessage", part("type"), part("content"))

CARGO_MESSAGE_SET = part(
    "CargoMessageSet", part("acknowledgement (PCA)", closed=True), part("parcel", closed=True)
)

CARGO_COLLECTION_REQUEST = part(
    "CargoCollectionRequest", certificate_octets("cargo delivery authorisation (CDA)")
)

PCA = part("ParcelCollectionAcknowledgement", part("sender"), part("recipient"), part("message id"))

PDD = part(
    "ParcelDeliveryDeauthorization",
    part("endpoint that withdraws"),
    part("serial numbers", each=part("serial number of a PDA")),
    part("expiry date"),
)

PATH_OF_RS002 = part(
    "CertificationPath, each certificate in a string",
    certificate_octets("leaf"),
    part("authorities", each=part("authority", inside=CERTIFICATE)),
)

PATH_IN_PLACE = part(
    "CertificationPath, each certificate in place",
    renamed(CERTIFICATE_CONTENTS, "leaf: contents of a certificate, without its SEQUENCE header"),
    part("authorities", each=CERTIFICATE),
)

NODE_CONNECTION_PARAMS = part(
    "NodeConnectionParams",
    part("Internet address"),
    part("identity key", inside=_RSA_KEY),
    SESSION_KEY,
)

PRIVATE_ENDPOINT_CONNECTION_PARAMS = part(
    "PrivateEndpointConnectionParams",
    part("identity key: contents of a SubjectPublicKeyInfo", closed=True),
    part("Internet address of the Internet gateway"),
    part(
        "path of the PDA",
        renamed(CERTIFICATE_CONTENTS, "PDA: contents of a certificate"),
        part("authorities, issuer of the PDA first", each=CERTIFICATE),
    ),
    SESSION_KEY_IN_PLACE,
)

REGISTRATION_AUTHORIZATION = part(
    "PrivateNodeRegistrationAuthorisation",
    part("expiry date"),
    part("gateway data"),
    part("signature of the gateway"),
)

REGISTRATION_AUTHORIZATION_TEXT = part(
    "what the gateway signs",
    part("purpose", kind=_OID),
    part("expiry date"),
    part("gateway data"),
)

REGISTRATION_REQUEST = part(
    "PrivateNodeRegistrationRequest",
    part("key of the node", inside=_RSA_KEY),
    part("authorisation as received", inside=part("PrivateNodeRegistrationAuthorisation", closed=True)),
    part("signature of the node"),
)

REGISTRATION_REQUEST_TEXT = part(
    "what the node signs",
    part("purpose", kind=_OID),
    part("authorisation as received", inside=part("PrivateNodeRegistrationAuthorisation", closed=True)),
)

REGISTRATION = part(
    "PrivateNodeRegistration",
    certificate_octets("certificate of the node"),
    certificate_octets("certificate of the gateway"),
    part("Internet address of the Internet gateway"),
    SESSION_KEY,
)

HANDSHAKE_CHALLENGE = part("HandshakeChallenge", part("nonce"))

HANDSHAKE_RESPONSE = part(
    "HandshakeResponse", part("signatures", each=part("detached signature", closed=True))
)

PARCEL_DELIVERY = part("ParcelDelivery", part("delivery id"), part("parcel", closed=True))

DETACHED_TEXT = part("what is signed", part("purpose", kind=_OID), part("nonce"))

SHARED_INFO = part(
    "ECC-CMS-SharedInfo",
    part("key wrap, as in the envelope", part("AES-128-KW", kind=_OID)),
    part("explicit tag", part("user keying material")),
    part("explicit tag", part("length of the wrapping key in bits")),
)
