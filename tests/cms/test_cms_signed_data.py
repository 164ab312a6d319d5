# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.cms import CmsError, CmsSignatureError, SignedData, clear_caches, sign
from awala.crypto import SIGNATURE_ALGORITHM_IDENTIFIERS, HashAlgorithm, InvalidSignatureError
from awala.pki import Certificate
from helpers.cast import certificate, chain, identity_key
from helpers.forgery import forge
from helpers.mutations import mutations
from helpers.vectors import STACKS, vector

KEY = identity_key("js", "peer")
SIGNER, *OTHERS = chain("js")
CONTENT = b"what is signed"
SHA1 = hashes.SHA1()  # noqa: S303 - to be refused
DATA = der.oid("1.2.840.113549.1.7.1")
SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
SHA256 = HashAlgorithm.SHA256.identifier_with_null
PSS = SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA256]
ISSUER_AND_SERIAL = der.sequence(SIGNER.issuer, der.tlv(der.INTEGER, SIGNER.serial))
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"


def attribute(dotted: str, *held: bytes) -> bytes:
    return der.sequence(der.oid(dotted), der.set_of(*held))


ATTRIBUTES = (
    attribute(CONTENT_TYPE, DATA),
    attribute(MESSAGE_DIGEST, der.octet_string(hashlib.sha256(CONTENT).digest())),
)


def indefinite(identifier: int, *parts: bytes) -> bytes:
    return bytes((identifier, 0x80)) + b"".join(parts) + b"\0\0"


def signer_info(
    *,
    version=b"\x02\x01\x01",
    identifier=ISSUER_AND_SERIAL,
    digest=SHA256,
    attributes=ATTRIBUTES,
    algorithm=PSS,
    signature=None,
    unsigned=b"",
    attributes_header=None,
) -> bytes:
    signed = CONTENT if attributes is None else der.tlv(der.SET, *attributes)
    signature = KEY.sign(signed) if signature is None else signature
    tagged = b"" if attributes is None else der.tlv(0xA0, *attributes)
    if attributes_header is not None:
        tagged = attributes_header(b"".join(attributes))
    return der.sequence(version, identifier, digest, tagged, algorithm, der.octet_string(signature), unsigned)


def encapsulated(content: bytes | None = der.octet_string(CONTENT), kind=DATA) -> bytes:
    return der.sequence(kind, b"" if content is None else der.explicit(0, content))


def signed_data(
    *infos: bytes,
    version=1,
    content=None,
    certificates=(SIGNER.encoding,),
    crls=b"",
    wrap=lambda inner: der.sequence(SIGNED_DATA, der.explicit(0, inner)),
) -> bytes:
    return wrap(
        der.sequence(
            der.integer(version),
            der.set_of(SHA256),
            encapsulated() if content is None else content,
            b"" if certificates is None else der.tlv(0xA0, *certificates),
            crls,
            der.tlv(der.SET, *(infos or (signer_info(),))),
        )
    )


def verified(data: bytes) -> SignedData:
    read = SignedData.parse(data)
    read.verify()
    return read


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    ("file", "signer", "others"),
    [
        ("parcel", "pda", ("epCert", "pgwCert")),
        ("parcelNoAddr", "pda", ("epCert", "pgwCert")),
        ("bigparcel", "pda", ("epCert", "pgwCert")),
        ("cargo", None, ()),
        ("cca", None, ()),
    ],
)
def test_verifies_the_messages_of_both_stacks(stack, file, signer, others):
    if (file == "bigparcel") != (stack == "jvm") and file not in {"parcel", "parcelNoAddr"}:
        pytest.skip("only one library made this")
    read = verified(vector(stack, file)[7:])
    if signer is not None:
        assert read.signer == certificate(stack, signer)
    assert set(read.certificates) == {certificate(stack, other) for other in others}
    assert read.content is not None
    assert read.content_view == read.content
    assert read.hash_algorithm is HashAlgorithm.SHA256
    extra = {SIGNING_TIME, "1.2.840.113549.1.9.52"} if stack == "jvm" else set()
    assert read.attribute_types == {CONTENT_TYPE, MESSAGE_DIGEST} | extra


@pytest.mark.parametrize("stack", STACKS)
def test_verifies_the_detached_signatures_of_both_stacks(stack):
    read = SignedData.parse(vector(stack, "countersig.der"))
    assert read.content is None
    assert read.content_view is None
    assert read.signer == certificate(stack, "pgwCert")
    assert read.certificates == ()
    kind = der.implicit(0, der.oid_content("1.3.6.1.4.1.58708.0.3.0"))
    read.verify(der.sequence(kind, der.implicit(1, vector(stack, "parcel"))))
    with pytest.raises(CmsSignatureError):
        read.verify(vector(stack, "parcel"))


@pytest.mark.parametrize("stack", STACKS)
def test_verifies_the_nonce_signatures_of_both_stacks(stack):
    kind = der.implicit(0, der.oid_content("1.3.6.1.4.1.58708.0.3.1"))
    signed = der.sequence(kind, der.implicit(1, b"0123456789abcdef"))
    SignedData.parse(vector(stack, "nonceSig.der")).verify(signed)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 1000, 70_000])
def test_verifies_what_it_signed(length):
    content = bytes(length)
    read = verified(sign(content, key=KEY, signer=SIGNER, certificates=OTHERS))
    assert read.content == content
    assert read.signer == SIGNER
    assert read.certificates == tuple(OTHERS)
    assert read.attribute_types == {CONTENT_TYPE, MESSAGE_DIGEST}


@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
@pytest.mark.parametrize("detached", [False, True])
def test_verifies_every_hash_attached_and_detached(hash_algorithm, detached):
    data = sign(memoryview(CONTENT), key=KEY, signer=SIGNER, detached=detached, hash_algorithm=hash_algorithm)
    read = SignedData.parse(data + b"rest")
    read.verify(CONTENT if detached else None)
    assert read.hash_algorithm is hash_algorithm
    assert read.content == (None if detached else CONTENT)


@pytest.mark.parametrize("hash_algorithm", HashAlgorithm)
@pytest.mark.parametrize("detached", [False, True])
def test_emits_strict_der(hash_algorithm, detached):
    data = sign(CONTENT, key=KEY, signer=SIGNER, detached=detached, hash_algorithm=hash_algorithm)
    read = cms.ContentInfo.load(data, strict=True)
    assert read.dump(force=True) == data
    content = read["content"]
    assert content["version"].native == "v1"
    (info,) = content["signer_infos"]
    assert info["version"].native == "v1"
    assert [one["type"].native for one in info["signed_attrs"]] == ["content_type", "message_digest"]
    assert info["sid"].name == "issuer_and_serial_number"
    assert [one.chosen.dump() for one in content["certificates"]] == [SIGNER.encoding]


def test_embeds_the_signer_first_and_the_others_in_their_order():
    data = sign(CONTENT, key=KEY, signer=SIGNER, certificates=OTHERS)
    embedded = cms.ContentInfo.load(data, strict=True)["content"]["certificates"]
    assert [one.chosen.dump() for one in embedded] == [one.encoding for one in (SIGNER, *OTHERS)]


def test_embeds_each_certificate_once():
    data = sign(CONTENT, key=KEY, signer=SIGNER, certificates=[*OTHERS, SIGNER, *OTHERS])
    assert data.count(SIGNER.encoding) == data.count(OTHERS[0].encoding) == 1


def test_signing_does_not_depend_on_what_is_remembered_of_the_signer():
    data = sign(CONTENT, key=KEY, signer=SIGNER, certificates=OTHERS)
    clear_caches()
    other = sign(CONTENT, key=KEY, signer=SIGNER, certificates=OTHERS)
    assert other[:-256] == data[:-256]
    assert other[-256:] != data[-256:]
    verified(other)


def test_refuses_to_sign_with_another_key_than_the_certificates():
    with pytest.raises(CmsError, match="not the one"):
        sign(CONTENT, key=identity_key("js", "ep"), signer=SIGNER)


def test_content_is_due_in_exactly_one_place():
    attached = SignedData.parse(sign(CONTENT, key=KEY, signer=SIGNER))
    detached = SignedData.parse(sign(CONTENT, key=KEY, signer=SIGNER, detached=True))
    with pytest.raises(CmsError, match="one place"):
        attached.verify(CONTENT)
    with pytest.raises(CmsError, match="one place"):
        detached.verify()


def test_the_plain_form_of_these_tests_is_accepted():
    assert verified(signed_data()).content == CONTENT


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_rules_1_accepts_content_in_segments(size):
    segments = [der.octet_string(CONTENT[at : at + size]) for at in range(0, len(CONTENT), size)]
    for content in (der.tlv(0x24, *segments), indefinite(0x24, *segments)):
        assert verified(signed_data(content=encapsulated(content))).content == CONTENT


def test_rules_1_accepts_indefinite_lengths_throughout():
    data = indefinite(
        der.SEQUENCE,
        SIGNED_DATA,
        indefinite(
            0xA0,
            indefinite(
                der.SEQUENCE,
                der.integer(1),
                indefinite(der.SET, SHA256),
                indefinite(
                    der.SEQUENCE,
                    DATA,
                    indefinite(0xA0, indefinite(0x24, indefinite(0x24, der.octet_string(CONTENT)))),
                ),
                indefinite(0xA0, SIGNER.encoding),
                indefinite(der.SET, signer_info()),
            ),
        ),
    )
    assert verified(data + b"rest").content == CONTENT


@pytest.mark.parametrize(
    "header",
    [
        lambda content: indefinite(0xA0, content),
        lambda content: b"\xa0\x84" + len(content).to_bytes(4) + content,
    ],
)
def test_rules_1_accepts_signed_attributes_behind_any_header(header):
    assert verified(signed_data(signer_info(attributes_header=header)))


def test_rules_1_accepts_unsorted_and_further_attributes():
    time = attribute(SIGNING_TIME, der.tlv(der.UTC_TIME, b"000101000000Z"))
    read = verified(signed_data(signer_info(attributes=(*reversed(ATTRIBUTES), time))))
    assert read.attribute_types == {CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_TIME}


def test_rules_1_accepts_a_signature_without_attributes():
    read = verified(signed_data(signer_info(attributes=None)))
    assert read.attribute_types == frozenset()


def test_a_signature_without_attributes_covers_the_content():
    data = signed_data(signer_info(attributes=None), content=encapsulated(der.octet_string(b"other")))
    with pytest.raises(CmsSignatureError):
        SignedData.parse(data).verify()


@pytest.mark.parametrize(
    "data",
    [
        signed_data(version=3),
        signed_data(signer_info(version=der.integer(3))),
        signed_data(signer_info(digest=HashAlgorithm.SHA256.identifier)),
        signed_data(signer_info(unsigned=der.explicit(1, attribute("1.2.3", der.null())))),
        signed_data(certificates=(SIGNER.encoding, SIGNER.encoding)),
        signed_data(certificates=(*(one.encoding for one in OTHERS), SIGNER.encoding)),
        signed_data(crls=der.explicit(1, der.sequence())),
    ],
)
def test_rules_1_accepts_these_variations(data):
    assert verified(data).signer == SIGNER


def test_a_serial_that_is_not_minimal_is_matched_by_its_octets():
    odd = Certificate.parse(forge(key=KEY, serial=b"\0\x01"))
    assert verified(sign(CONTENT, key=KEY, signer=odd)).signer == odd
    minimal = der.sequence(odd.issuer, der.integer(1))
    data = signed_data(signer_info(identifier=minimal), certificates=(odd.encoding,))
    with pytest.raises(CmsError, match="lacks the certificate"):
        SignedData.parse(data)


def test_the_real_certificate_with_such_a_serial_can_be_embedded():
    odd = certificate("js", "nonminimal")
    assert odd.serial[0] == 0
    assert odd.serial[1] < 0x80
    assert verified(sign(CONTENT, key=KEY, signer=SIGNER, certificates=[odd])).certificates == (odd,)


def pss(hash_algorithm, salt, mask=None) -> tuple[bytes, bytes]:
    """Return the identifier and a signature over the attributes."""
    mask = mask or hash_algorithm
    names = {type(SHA1): "1.3.14.3.2.26", hashes.SHA256: "2.16.840.1.101.3.4.2.1"}
    digest, mask_digest = (
        der.sequence(der.oid(names[type(one)]), der.null()) for one in (hash_algorithm, mask)
    )
    mgf = der.sequence(der.oid("1.2.840.113549.1.1.8"), mask_digest)
    identifier = der.sequence(
        der.oid("1.2.840.113549.1.1.10"),
        der.sequence(der.explicit(0, digest), der.explicit(1, mgf), der.explicit(2, der.integer(salt))),
    )
    scheme = padding.PSS(padding.MGF1(mask), salt)
    return identifier, KEY._key.sign(der.tlv(der.SET, *ATTRIBUTES), scheme, hash_algorithm)


@pytest.mark.parametrize(
    ("digest", "scheme"),
    [
        (SHA256, pss(hashes.SHA256(), 20)),
        (SHA256, pss(hashes.SHA256(), 64)),
        (SHA256, pss(hashes.SHA256(), 32, SHA1)),
        (der.sequence(der.oid("1.3.14.3.2.26"), der.null()), pss(SHA1, 20)),
        (HashAlgorithm.SHA384.identifier, (PSS, b"")),
        (SHA256, (SIGNATURE_ALGORITHM_IDENTIFIERS[HashAlgorithm.SHA384], b"")),
        (
            SHA256,
            (
                der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null()),
                KEY._key.sign(der.tlv(der.SET, *ATTRIBUTES), padding.PKCS1v15(), hashes.SHA256()),
            ),
        ),
    ],
)
def test_rules_1_refuses_other_algorithms(digest, scheme):
    algorithm, signature = scheme
    with pytest.raises(CmsError):
        SignedData.parse(signed_data(signer_info(digest=digest, algorithm=algorithm, signature=signature)))


def test_rules_1_refuses_a_salt_other_than_declared():
    signature = pss(hashes.SHA256(), 20)[1]
    with pytest.raises(CmsSignatureError):
        SignedData.parse(signed_data(signer_info(signature=signature))).verify()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (signed_data(signer_info(), signer_info()), "one element holds none, or several"),
        (signed_data(crls=der.tlv(der.SET)), "no set of signers, or several"),
        (signed_data(certificates=None), "lacks the certificate"),
        (signed_data(certificates=(OTHERS[0].encoding,)), "lacks the certificate"),
        (signed_data(certificates=(der.null(), SIGNER.encoding)), "malformed"),
        (signed_data(certificates=(SIGNER.encoding,) * 17), "more than 16"),
        (
            signed_data(signer_info(identifier=der.implicit(0, SIGNER.public_key.digest))),
            "identifier of a signer",
        ),
        (signed_data(signer_info(identifier=der.sequence(SIGNER.issuer))), "parts missing"),
        (signed_data(signer_info(identifier=der.sequence(SIGNER.issuer, der.null()))), "serial number"),
        (signed_data(der.sequence(der.integer(1))), "parts missing"),
        (signed_data(der.null()), "a signer has the tag"),
        (signed_data(content=encapsulated(kind=SIGNED_DATA)), "something else"),
        (signed_data(content=der.sequence()), "something else"),
        (signed_data(content=encapsulated(der.utf8_string("x"))), "no octet string"),
        (signed_data(content=der.sequence(DATA, der.null())), "signed content has the tag"),
        (
            signed_data(wrap=lambda inner: der.sequence(DATA, der.explicit(0, inner))),
            "of the type that is due",
        ),
        (signed_data(wrap=lambda _inner: der.sequence(SIGNED_DATA)), "of the type that is due"),
        (signed_data(wrap=lambda inner: der.sequence(SIGNED_DATA, inner)), "has the tag"),
        (signed_data(wrap=lambda _: der.sequence(SIGNED_DATA, der.explicit(0))), "one element"),
        (
            signed_data(wrap=lambda _: der.sequence(SIGNED_DATA, der.explicit(0, der.sequence()))),
            "parts missing",
        ),
        (der.sequence(), "of the type that is due"),
        (b"", "malformed"),
    ],
)
def test_refuses_what_is_malformed(data, message):
    with pytest.raises(CmsError, match=message):
        SignedData.parse(data)


def test_a_signer_with_attributes_but_no_signature_is_refused():
    info = der.sequence(der.integer(1), ISSUER_AND_SERIAL, SHA256, der.tlv(0xA0, *ATTRIBUTES), PSS)
    with pytest.raises(CmsError, match="parts missing"):
        SignedData.parse(signed_data(info))


@pytest.mark.parametrize(
    "attributes",
    [
        (),
        ATTRIBUTES[:1],
        ATTRIBUTES[1:],
        (*ATTRIBUTES, ATTRIBUTES[0]),
        (ATTRIBUTES[0], attribute(MESSAGE_DIGEST, der.octet_string(bytes(32)))),
        (ATTRIBUTES[0], attribute(MESSAGE_DIGEST)),
        (ATTRIBUTES[0], attribute(MESSAGE_DIGEST, der.null(), der.null())),
        (ATTRIBUTES[0], attribute(MESSAGE_DIGEST, der.null())),
        (attribute(CONTENT_TYPE, SIGNED_DATA), ATTRIBUTES[1]),
        (*ATTRIBUTES, der.sequence(der.null())),
        (*ATTRIBUTES, der.sequence(der.null(), der.set_of(der.null()))),
        (*ATTRIBUTES, der.sequence(der.oid("1.2.3"), der.sequence())),
        (*ATTRIBUTES, der.null()),
        (*ATTRIBUTES, *(attribute(f"1.2.{number}", der.null()) for number in range(31))),
    ],
)
def test_refuses_signed_attributes_that_do_not_tie_the_signature_to_the_content(attributes):
    read = SignedData.parse(signed_data(signer_info(attributes=attributes)))
    with pytest.raises(CmsError):
        read.verify()


def test_attribute_types_of_malformed_attributes_are_refused_too():
    read = SignedData.parse(signed_data(signer_info(attributes=(*ATTRIBUTES, der.null()))))
    with pytest.raises(CmsError, match="malformed"):
        _ = read.attribute_types
    odd = der.sequence(der.tlv(der.OBJECT_IDENTIFIER, b"\x80"), der.set_of(der.null()))
    read = SignedData.parse(signed_data(signer_info(attributes=(*ATTRIBUTES, odd))))
    with pytest.raises(CmsError, match="malformed"):
        _ = read.attribute_types


def test_refuses_content_that_was_changed():
    data = sign(CONTENT, key=KEY, signer=SIGNER)
    changed = data.replace(CONTENT, CONTENT[::-1])
    with pytest.raises(CmsSignatureError, match="not the one that was signed") as caught:
        SignedData.parse(changed).verify()
    assert isinstance(caught.value, InvalidSignatureError)


def test_refuses_a_signature_by_another_key():
    signature = identity_key("js", "ep").sign(der.tlv(der.SET, *ATTRIBUTES))
    with pytest.raises(CmsSignatureError):
        SignedData.parse(signed_data(signer_info(signature=signature))).verify()


def test_refuses_a_signer_whose_key_is_no_identity_key():
    odd = Certificate.parse(forge(key=KEY, spki=der.sequence()))
    identifier = der.sequence(odd.issuer, der.tlv(der.INTEGER, odd.serial))
    data = signed_data(signer_info(identifier=identifier), certificates=(odd.encoding,))
    with pytest.raises(CmsSignatureError):
        SignedData.parse(data).verify()


def test_the_content_is_a_view_where_that_is_possible():
    data = sign(CONTENT, key=KEY, signer=SIGNER)
    assert isinstance(SignedData.parse(data).content_view, memoryview)
    assert parse(data).content_end == len(data)


@pytest.mark.parametrize("stack", STACKS)
def test_damaged_messages_never_verify_with_other_content(stack):
    original = verified(vector(stack, "parcel")[7:]).content
    refused = 0
    for damaged in mutations(vector(stack, "parcel")[7:], 1200):
        try:
            read = verified(damaged)
            _ = read.attribute_types
        except AwalaError:
            refused += 1
        else:
            assert read.content == original
    assert refused > 400


def test_damaged_detached_signatures_are_refused_or_the_same():
    data = sign(CONTENT, key=KEY, signer=SIGNER, detached=True)
    refused = 0
    for damaged in mutations(data, 600):
        try:
            read = SignedData.parse(damaged)
            read.verify(CONTENT)
        except AwalaError:
            refused += 1
        else:
            assert read.signer.public_key == SIGNER.public_key
    assert refused > 300
