# SPDX-License-Identifier: MIT
"""Rules §1, row by row, for whole messages and structures: what is emitted, accepted besides, and refused.

What concerns a single layer stands with that layer: signatures and payloads in ``tests/cms``, keys in
``tests/crypto``, names, serial numbers and paths in ``tests/pki``.
"""

from __future__ import annotations

import pytest
from messages_cast import (
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
    SESSION,
    a_parcel,
    certificate,
    envelope,
    received,
    sealed,
)

from awala.asn1 import der, parse
from awala.cms import CmsError, EnvelopedData, encrypt, sign
from awala.crypto import ContentCipher, HashAlgorithm, IdentityPrivateKey, SessionKeyPair
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignatureType,
    GatewayCertificateRevocation,
    HandshakeChallenge,
    HandshakeResponse,
    InvalidMessageError,
    MalformedMessageError,
    NodeConnectionParams,
    Parcel,
    ParcelCollectionAck,
    ParcelDelivery,
    ParcelDeliveryDeauthorization,
    PrivateEndpointConnectionParams,
    Recipient,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
    ServiceMessage,
    limits,
    sign_detached,
)
from awala.pki import CertificateError, CertificationPath, PathForm, Role
from helpers.vectors import STACKS, vector

KEY = SESSION.session_key
PATH = CertificationPath(PDA, (EP_CERT, PGW_CERT))
TO_GATEWAY = (Recipient(IGW.node_id, "example.com"), "id", NOW, 60)

RAMF = {
    Parcel: a_parcel(payload=sealed(b"x")).serialize(PEER),
    Cargo: Cargo(*TO_GATEWAY, sealed(b"x"), PGW_CERT).serialize(PGW),
    CargoCollectionAuthorization: CargoCollectionAuthorization(*TO_GATEWAY, sealed(b"x"), PGW_CERT).serialize(
        PGW
    ),
    GatewayCertificateRevocation: GatewayCertificateRevocation(*TO_GATEWAY, b"", PGW_CERT).serialize(PGW),
}
CONTROL = {
    ParcelCollectionAck: ParcelCollectionAck("0a", "0b", "id").serialize(),
    CertificateRotation: CertificateRotation(CertificationPath(PGW_CERT, (IGW_CERT,))).serialize(),
    ParcelDeliveryDeauthorization: ParcelDeliveryDeauthorization(
        EP.node_id, frozenset({b"\x01", b"\x7f\x02", b"\x03"}), NOW
    ).serialize(),
}
STRUCTURES = {
    CertificationPath: PATH.serialize(),
    NodeConnectionParams: NodeConnectionParams("example.com", IGW.public_key, KEY).serialize(),
    PrivateEndpointConnectionParams: PrivateEndpointConnectionParams(
        EP.public_key, "example.com", PATH, KEY
    ).serialize(),
    RegistrationAuthorization: RegistrationAuthorization(NOW, b"data").serialize(IGW),
    RegistrationRequest: RegistrationRequest(PGW.public_key, b"data").serialize(PGW),
    Registration: Registration(PGW_CERT, IGW_CERT, "example.com", KEY).serialize(),
    ServiceMessage: ServiceMessage("a/b", b"content").serialize(),
    CargoCollectionRequest: CargoCollectionRequest(PDA).serialize(),
    HandshakeChallenge: HandshakeChallenge(b"nonce").serialize(),
    HandshakeResponse: HandshakeResponse((b"signature",)).serialize(),
    ParcelDelivery: ParcelDelivery("id", b"parcel").serialize(),
}
SETS = {CargoMessageSet: CargoMessageSet((b"one", b"two")).serialize()}
EMITTED = {**RAMF, **CONTROL, **STRUCTURES, **SETS}


def body_of(octets: bytes) -> tuple[bytes, bytes]:
    """Return the prefix, if there is one, and what follows it."""
    return (octets[:7], octets[7:]) if octets.startswith(b"Awala") else (b"", octets)


def is_strict(encoding) -> bool:
    """Tell whether an element, down to the last one in it, has the only encoding that DER allows it."""
    element = parse(encoding)
    if der.header(element.identifier, len(element.content)) + element.content != element.encoding:
        return False
    if not element.identifier & 0x20:
        return True
    children = [bytes(child.encoding) for child in element.children()]
    in_order = element.identifier != der.SET or children == sorted(children)
    return element.identifier & 0x1F != der.OCTET_STRING and in_order and all(map(is_strict, children))


# RAMF prefix


@pytest.mark.rule("1.1")
@pytest.mark.parametrize("message_class", RAMF)
@pytest.mark.parametrize(
    "prefix", [b"Relaynet%c\0", b"Awala\0%c\0", b"Awala   %c\0", b"Awala%c\0\0\0\0", b""]
)
def test_prefix_has_seven_octets_and_not_8_or_10(message_class, prefix):
    octets = RAMF[message_class]
    message_class.parse(octets)
    with pytest.raises(MalformedMessageError):
        message_class.parse((prefix % message_class.TYPE.value if prefix else b"") + octets[7:])


# CMS encoding, and all other encodings


@pytest.mark.rule("1.2")
@pytest.mark.parametrize("what", EMITTED)
def test_encoding_is_strict_der(what):
    assert is_strict(body_of(EMITTED[what])[1])


@pytest.mark.rule("1.2")
@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
def test_encoding_of_signatures_and_payloads_is_strict_der(hash_algorithm):
    nonce = sign_detached(DetachedSignatureType.NONCE, b"nonce", PGW, PGW_CERT)
    assert is_strict(nonce)
    assert is_strict(sign(b"x" * 70_000, key=PGW, signer=PGW_CERT, hash_algorithm=hash_algorithm))
    for cipher in ContentCipher:
        assert is_strict(encrypt(b"x" * 3000, recipient=KEY, originator=SESSION, content_cipher=cipher))


@pytest.mark.rule("1.2")
@pytest.mark.parametrize("stack", STACKS)
def test_encoding_of_the_reference_stacks_is_ber_and_read(stack):
    octets = vector(stack, "parcel")
    assert not is_strict(octets[7:])
    assert Parcel.parse(octets).ttl == 3600


@pytest.mark.rule("1.2")
@pytest.mark.parametrize("what", {**CONTROL, **STRUCTURES, **SETS})
def test_encoding_of_structures_may_be_indefinite(what):
    prefix, body = body_of(EMITTED[what])
    indefinite = prefix + b"\x30\x80" + parse(body).content + b"\0\0"
    assert what.parse(indefinite) == what.parse(EMITTED[what])


# Signature


@pytest.mark.rule("1.3")
@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
def test_signature_may_use_longer_hashes(hash_algorithm):
    assert Parcel.parse(envelope(hash_algorithm=hash_algorithm)).sender_certificate == PEER_SELF


@pytest.mark.rule("1.3")
@pytest.mark.parametrize("bits", [3072, 4096])
def test_signature_may_be_by_a_longer_key(bits):
    key = IdentityPrivateKey.generate(bits)
    pda = certificate(key, EP, EP_CERT, Role.DELIVERY_AUTHORIZATION)
    parcel = received(a_parcel(sender_certificate=pda), key)
    assert parcel.authorise([IGW_CERT], NOW)[0] == pda
    assert parcel.sender_id == key.node_id


@pytest.mark.rule("1.3")
def test_signature_is_with_sha_256_whatever_the_length_of_the_key():
    assert b"\x04\x20" + HashAlgorithm.SHA256.digest(parse_content(RAMF[Parcel])) in RAMF[Parcel]


def parse_content(octets: bytes) -> bytes:
    signed_data = parse(octets[7:]).children()[1].children()[0].children()
    return bytes(signed_data[2].children()[1].children()[0].content)


# Payload


@pytest.mark.rule("1.4")
def test_payload_for_an_identity_key_is_refused():
    payload = vector("js", "sessionless.env.der")
    parcel = received(a_parcel(payload=payload))
    with pytest.raises(CmsError, match="not enveloped for a session key"):
        EnvelopedData.parse(parcel.payload).decrypt(SESSION.private_key)


@pytest.mark.rule("1.4", "1.5")
@pytest.mark.parametrize("cipher", ContentCipher)
def test_payload_may_use_any_cipher_by_one_setting(cipher):
    originator = SessionKeyPair.generate()
    payload = encrypt(b"plaintext", recipient=KEY, originator=originator, content_cipher=cipher)
    enveloped = EnvelopedData.parse(received(a_parcel(payload=payload)).payload)
    assert enveloped.content_cipher is cipher
    assert enveloped.decrypt(SESSION.private_key) == b"plaintext"


# Certificate names: what is issued; any string type is read in tests/pki


@pytest.mark.rule("1.6")
def test_certificate_names_copy_the_octets_of_the_issuer():
    assert PDA.issuer == EP_CERT.subject
    assert der.bmp_string(PEER.node_id) in PDA.subject


# CertificationPath


@pytest.mark.rule("1.8")
@pytest.mark.parametrize("form", PathForm)
def test_certification_path_is_read_in_both_forms(form):
    assert CertificationPath.parse(PATH.serialize(form)) == PATH


@pytest.mark.rule("1.8")
def test_certification_path_is_written_as_rs_002_has_it_except_in_place():
    octets = der.sequence(
        der.implicit(0, PDA.encoding),
        der.explicit(1, *(der.octet_string(authority.encoding) for authority in PATH.authorities)),
    )
    assert PATH.serialize() == octets


# Service message: the old binary layout is refused in test_messages_traps (3)


# Registration structures and connection parameters, and all others


@pytest.mark.rule("1.10")
@pytest.mark.parametrize("what", {**CONTROL, **STRUCTURES})
def test_structures_may_have_trailing_fields_and_octets(what):
    prefix, body = body_of(EMITTED[what])
    more = prefix + der.sequence(parse(body).content, der.implicit(9, b"more"))
    assert what.parse(more) == what.parse(more + b"trailing") == what.parse(EMITTED[what])


@pytest.mark.rule("1.10")
@pytest.mark.parametrize("what", {**CONTROL, **STRUCTURES})
def test_structures_with_a_field_nested_or_taken_out_of_its_tag_are_refused(what):
    prefix, body = body_of(EMITTED[what])
    fields = [bytes(field.encoding) for field in parse(body).children()]
    for number, field in enumerate(fields):
        for wrong in (der.explicit(number, field), der.octet_string(field), b"\x30" + field[1:]):
            damaged = prefix + der.sequence(*fields[:number], wrong, *fields[number + 1 :])
            with pytest.raises((MalformedMessageError, CertificateError)):
                what.parse(damaged)


# Sizes: at each limit, and one above


def raw_parcel_of(size: int) -> bytes:
    payload = size - len(envelope(changes={4: der.implicit(4, bytes(8_000_000))})) + 8_000_000
    return envelope(changes={4: der.implicit(4, bytes(payload))})


@pytest.mark.rule("1.13")
def test_sizes_of_parcels_that_are_read():
    octets = raw_parcel_of(limits.MAX_PARCEL_SIZE)
    assert len(octets) == 8_322_038
    assert len(Parcel.parse(octets).payload) > 8_300_000
    with pytest.raises(MalformedMessageError, match="8322038"):
        Parcel.parse(octets + b"x")


@pytest.mark.rule("1.13")
def test_sizes_of_messages_that_are_read():
    octets = RAMF[Cargo]
    at_limit = octets + bytes(limits.MAX_RAMF_SIZE - len(octets))
    assert len(at_limit) == 9_437_184
    assert Cargo.parse(at_limit).message_id == "id"
    with pytest.raises(MalformedMessageError, match="9437184"):
        Cargo.parse(at_limit + b"x")


@pytest.mark.rule("1.13")
def test_sizes_of_payloads_that_are_read():
    cargo = Cargo.TYPE.prefix
    at_limit = envelope(prefix=cargo, changes={4: der.implicit(4, bytes(8_388_608))})
    assert len(Cargo.parse(at_limit).payload) == limits.MAX_PAYLOAD_SIZE
    with pytest.raises(MalformedMessageError, match="8388608"):
        Cargo.parse(envelope(prefix=cargo, changes={4: der.implicit(4, bytes(8_388_609))}))


@pytest.mark.rule("1.13")
def test_sizes_of_payloads_that_are_written():
    at_limit = Cargo(*TO_GATEWAY, bytes(8_388_607), PGW_CERT)
    assert len(at_limit.serialize(PGW)) <= limits.EMITTED_RAMF_MAX == 8_396_800
    with pytest.raises(InvalidMessageError, match="8388607"):
        Cargo(*TO_GATEWAY, bytes(8_388_608), PGW_CERT).serialize(PGW)


@pytest.mark.rule("1.13")
def test_sizes_of_parcels_that_are_written():
    spare = limits.EMITTED_PARCEL_MAX - len(a_parcel(payload=bytes(8_300_000)).serialize(PEER))
    at_limit = a_parcel(payload=bytes(8_300_000 + spare)).serialize(PEER)
    assert len(at_limit) == 8_322_037
    with pytest.raises(InvalidMessageError, match="8322037"):
        a_parcel(payload=bytes(8_300_001 + spare)).serialize(PEER)


@pytest.mark.rule("1.13")
@pytest.mark.parametrize("ttl", [0, 15_552_000])
def test_sizes_of_times_to_live(ttl):
    assert received(a_parcel(ttl=ttl)).ttl == ttl
    beyond = ttl + 1 if ttl else -1
    with pytest.raises(InvalidMessageError, match="ttl"):
        a_parcel(ttl=beyond).serialize(PEER)
    with pytest.raises(MalformedMessageError, match="ttl"):
        Parcel.parse(envelope(changes={3: der.implicit(3, der.integer_content(beyond))}))


@pytest.mark.rule("1.13")
def test_sizes_of_message_ids():
    assert received(a_parcel(message_id="x" * 64)).message_id == "x" * 64
    with pytest.raises(InvalidMessageError, match="64"):
        a_parcel(message_id="x" * 65).serialize(PEER)
    with pytest.raises(MalformedMessageError, match="64"):
        Parcel.parse(envelope(changes={1: der.implicit(1, b"x" * 65)}))


@pytest.mark.rule("1.14")
def test_sizes_of_chains():
    chain = tuple(certificate(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY, serial=1 + n) for n in range(15))
    assert received(a_parcel(sender_chain=chain)).sender_chain == chain
    with pytest.raises(InvalidMessageError, match="16"):
        a_parcel(sender_chain=(*chain, PGW_SELF)).serialize(PEER)
    with pytest.raises(MalformedMessageError, match="16"):
        Parcel.parse(envelope(certificates=(*chain, PGW_SELF)))


@pytest.mark.rule("1.14")
def test_sizes_of_cargo_message_sets():
    assert len(CargoMessageSet.parse(der.sequence(b"\4\0" * 100_000)).items) == limits.MAX_CARGO_ITEMS
    with pytest.raises(MalformedMessageError, match="100000"):
        CargoMessageSet.parse(der.sequence(b"\4\0" * 100_001))
