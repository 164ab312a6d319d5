# SPDX-License-Identifier: MIT
"""The cast of these tests: keys from the vectors, certificates issued on them, and raw envelopes."""

from __future__ import annotations

from datetime import timedelta

from awala.asn1 import der, parse
from awala.cms import encrypt, sign
from awala.crypto import IdentityPrivateKey, SessionKey, SessionKeyPair, SessionPrivateKey
from awala.messages import MessageType, Parcel, Recipient
from awala.pki import Certificate, Role, issue
from helpers.vectors import AT, vector

NOW = AT
DAY = timedelta(days=1)

IGW, PGW, EP, PEER = (
    IdentityPrivateKey.load(vector("js", f"{name}.pkcs8.der"), own=True)
    for name in ("igw", "pgw", "ep", "peer")
)
STRANGER = IdentityPrivateKey.load(vector("jvm", "peer.pkcs8.der"), own=True)
SESSION = SessionKeyPair(b"\x01\x02", SessionPrivateKey.load(vector("js", "sk.pkcs8.der")))


def certificate(subject, issuer_key, issuer, role, *, start=NOW - DAY, end=NOW + 30 * DAY, **options):
    return issue(
        subject_key=subject.public_key,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        not_before=start,
        not_after=end,
        **options,
    )


IGW_CERT = certificate(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY)
PGW_CERT = certificate(PGW, IGW, IGW_CERT, Role.GATEWAY)
PGW_SELF = certificate(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY)
EP_CERT = certificate(EP, PGW, PGW_CERT, Role.ENDPOINT)
PDA = certificate(PEER, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION)
PEER_SELF = certificate(PEER, PEER, None, Role.ENDPOINT)


def a_parcel(**changes) -> Parcel:
    values = {
        "recipient": Recipient(EP.node_id, "example.com"),
        "message_id": "msg-1",
        "creation_date": NOW,
        "ttl": 300,
        "payload": b"PAYLOAD",
        "sender_certificate": PDA,
        "sender_chain": (EP_CERT, PGW_CERT),
    }
    return Parcel(**(values | changes))


def received(message, key=PEER):
    return type(message).parse(message.serialize(key))


RAW_FIELDS = (
    der.implicit(0, der.implicit(0, b"0abab"), constructed=True),
    der.implicit(1, b"msg-1"),
    der.implicit(2, b"20261121005500"),
    der.implicit(3, b"\x01\x2c"),
    der.implicit(4, b"PAYLOAD"),
)


def envelope(*fields, prefix=MessageType.PARCEL.prefix, changes=None, **options) -> bytes:
    """Return a signed parcel of raw fields; ``changes`` replaces some by their number."""
    chosen = list(fields or RAW_FIELDS)
    for number, field in (changes or {}).items():
        chosen[number] = field
    return prefix + sign(der.sequence(*chosen), key=PEER, signer=PEER_SELF, **options)


def with_serial(original: Certificate, serial: bytes, issuer_key: IdentityPrivateKey) -> Certificate:
    """Return the certificate signed anew with these contents octets as its serial number."""
    tbs, algorithm, _ = parse(original.encoding).children()
    version, _, *rest = (bytes(field.encoding) for field in tbs.children())
    new_tbs = der.sequence(version, der.tlv(der.INTEGER, serial), *rest)
    signature = der.bit_string(issuer_key.sign(new_tbs))
    return Certificate.parse(der.sequence(new_tbs, bytes(algorithm.encoding), signature))


def sealed(plaintext: bytes) -> bytes:
    recipient = SessionKey(SESSION.key_id, SESSION.private_key.public_key)
    return encrypt(plaintext, recipient=recipient, originator=SessionKeyPair.generate())
