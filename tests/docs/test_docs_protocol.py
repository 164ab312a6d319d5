# SPDX-License-Identifier: MIT
"""Checks docs/protocol: its examples are what the code makes, its names and limits those of the code."""

from __future__ import annotations

import importlib
import re

import protocol_cast as cast
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from protocol_examples import DIRECTORY, EXAMPLES, keys, make_all
from protocol_makers import Shelf
from protocol_pages import PAGES, filled

from awala.cms import EnvelopedData, SignedData
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    DetachedSignature,
    DetachedSignatureType,
    HandshakeChallenge,
    HandshakeResponse,
    MessageType,
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
    recognise,
)
from awala.messages.prefix import PREFIX_SIZE
from awala.pki import Certificate, CertificationPath, Role

COMMAND = "./scripts/docs writes it anew"
ALL_PAGES = sorted(PAGES.rglob("*.md"))
MESSAGE_PAGES = [page for page in sorted(PAGES.glob("*.md")) if page.stem not in {"README", "deviations"}]
NODES = {name: cast.identity(name).node_id for name in cast.IDENTITIES}


def example(name: str) -> bytes:
    return (DIRECTORY / name).read_bytes()


def certificate(name: str) -> Certificate:
    return Certificate.parse(example(f"{name}.cert.der"))


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return make_all()


@pytest.mark.parametrize("name", [*(each.name for each in EXAMPLES), *keys()])
def test_an_example_is_what_the_code_makes_today(name, made):
    assert example(name) == made[name], f"docs/protocol/examples/{name} is out of date; {COMMAND}"


def test_there_are_no_other_examples():
    files = {str(file.relative_to(DIRECTORY)) for file in DIRECTORY.rglob("*") if file.is_file()}

    assert files == {each.name for each in EXAMPLES} | keys().keys() | {"README.md"}


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_a_page_shows_the_examples_as_they_are(page, made):
    assert page.read_text() == filled(page, made), f"{page.name} is out of date; {COMMAND}"


@pytest.mark.parametrize("each", [each for each in EXAMPLES if each.signed], ids=lambda each: each.name)
def test_a_signed_example_is_made_anew_when_anything_but_its_signature_changed(each):
    shelf = Shelf()
    shelf.octets = {other.name: example(other.name) for other in EXAMPLES}
    present = example(each.name)
    other_signature = present[:-1] + bytes((present[-1] ^ 1,))
    other_content = bytes((present[0] ^ 1,)) + present[1:]

    assert each.settled(shelf, other_signature) == other_signature
    assert each.settled(shelf, other_content)[:-256] == present[:-256]


@pytest.mark.parametrize("page", MESSAGE_PAGES, ids=lambda page: page.stem)
def test_a_page_of_a_message_has_what_every_page_has(page):
    text = page.read_text()

    assert f"]({page.name})" in (PAGES / "README.md").read_text(), "the index does not list the page"
    assert re.search(r"^\| Clause \|", text, re.MULTILINE)
    assert "\n## Fields\n" in text
    assert "\n## Example\n" in text


def test_the_index_gives_each_type_octet_to_its_message():
    rows = re.findall(r"^\| [^|]+ \| `([0-9a-f]{2})` \|", (PAGES / "README.md").read_text(), re.MULTILINE)

    assert [int(octet, 16) for octet in rows] == sorted(each.value for each in MessageType)


def resolve(dotted: str) -> object:
    """Return what a dotted name of the package stands for."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(dotted)


def names() -> list[tuple[str, str, str]]:
    """Return page, dotted name, and the number behind it, of every name of code on the pages."""
    pattern = r"`(awala(?:\.\w+)+)`(?: \(([0-9]+)\))?"
    return [(page.stem, *found) for page in ALL_PAGES for found in re.findall(pattern, page.read_text())]


def test_there_are_names_and_limits_to_check():
    assert len(names()) > 200
    assert sum(1 for _, _, number in names() if number) > 40


@pytest.mark.parametrize(("page", "name", "number"), sorted(set(names())))
def test_names_and_limits_on_the_pages_are_those_of_the_code(page, name, number):
    try:
        found = resolve(name)
    except AttributeError:
        pytest.fail(f"{page}.md names {name}, which does not exist")
    if number:
        assert found == int(number), f"{page}.md says {name} is {number}"


@pytest.mark.parametrize(
    ("name", "issuer", "subject_key", "role"),
    [
        ("internet-gateway", "internet-gateway", "internet-gateway", Role.SELF_ISSUED_GATEWAY),
        ("private-gateway", "internet-gateway", "private-gateway", Role.GATEWAY),
        ("endpoint-a", "private-gateway", "endpoint-a", Role.ENDPOINT),
        ("pda", "endpoint-a", "endpoint-b", Role.DELIVERY_AUTHORIZATION),
        ("cda-issuer", "cda-issuer", "private-gateway", Role.SELF_ISSUED_GATEWAY),
        ("cda", "cda-issuer", "internet-gateway", Role.DELIVERY_AUTHORIZATION),
    ],
)
def test_the_certificates_are_those_of_the_cast(name, issuer, subject_key, role):
    found = certificate(name)

    found.verify_issued_by(certificate(issuer))
    assert role.matches(found)
    assert found.node_id == found.subject_id == NODES[subject_key]
    assert (found.not_before, found.not_after) == (cast.CREATED, cast.END)
    assert found.valid_at(cast.AT)


def test_the_parcel_is_authorised_on_its_way_and_opens():
    parcel = Parcel.parse(example("parcel.bin"))

    path = parcel.authorise_at_internet_gateway([certificate("internet-gateway")], cast.AT)
    parcel.authorise_at_private_gateway([certificate("private-gateway")], cast.AT)
    parcel.authorise_at_endpoint([certificate("endpoint-a")], cast.AT)
    parcel.check_chain()
    assert path.private_gateway_id == NODES["private-gateway"]
    assert parcel.sender_id == NODES["endpoint-b"]
    assert parcel.recipient == Recipient(NODES["endpoint-a"], cast.ADDRESS)
    assert (parcel.message_id, parcel.creation_date, parcel.ttl) == (cast.MESSAGE_ID, cast.CREATED, 97_200)
    assert parcel.payload == example("service-message.enveloped.der")
    envelope = EnvelopedData.parse(parcel.payload)
    assert envelope.recipient_key_id == cast.session("endpoint-a").key_id
    assert envelope.originator_key == cast.session("endpoint-b").session_key
    plaintext = envelope.decrypt(cast.session("endpoint-a").private_key)
    assert ServiceMessage.parse(plaintext) == ServiceMessage("application/vnd.example", b"hello world")


def test_the_cargo_is_authorised_and_holds_the_parcel_and_its_acknowledgement():
    cargo = Cargo.parse(example("cargo.bin"))

    cargo.authorise([certificate("internet-gateway")], cast.AT)
    assert cargo.recipient == Recipient(NODES["internet-gateway"], cast.ADDRESS)
    plaintext = EnvelopedData.parse(cargo.payload).decrypt(cast.session("internet-gateway").private_key)
    assert CargoMessageSet.parse(plaintext).items == (example("pca.bin"), example("parcel.bin"))


def test_the_authorisation_to_collect_is_authorised_and_so_is_what_it_holds():
    cca = CargoCollectionAuthorization.parse(example("cca.bin"))

    cca.authorise_at_internet_gateway([certificate("internet-gateway")], cast.AT)
    plaintext = EnvelopedData.parse(cca.payload).decrypt(cast.session("internet-gateway").private_key)
    request = CargoCollectionRequest.parse(plaintext)
    request.check(sender=cca.sender_certificate, own_id=NODES["internet-gateway"], now=cast.AT)
    assert request.cargo_delivery_authorization == certificate("cda")


def test_the_control_messages_hold_what_the_pages_say():
    ack = ParcelCollectionAck.parse(example("pca.bin"))
    withdrawal = ParcelDeliveryDeauthorization.parse(example("pdd.bin"))

    assert ack == ParcelCollectionAck(NODES["endpoint-b"], NODES["endpoint-a"], cast.MESSAGE_ID)
    assert (withdrawal.endpoint_id, withdrawal.expiry) == (NODES["endpoint-a"], cast.END)
    assert withdrawal.withdraws(certificate("pda").serial)
    assert not withdrawal.withdraws(certificate("cda").serial)


def test_the_revocation_is_signed_under_what_it_revokes_and_has_no_payload():
    revocation = example("gateway-revocation.bin")
    signed = SignedData.parse(revocation[PREFIX_SIZE:])

    signed.verify()
    assert recognise(revocation) is MessageType.GATEWAY_REVOCATION
    assert signed.signer == certificate("private-gateway")
    assert signed.content is not None
    assert signed.content.endswith(b"\x84\x00")


@pytest.mark.parametrize("form", ["", ".in-place"])
def test_both_forms_of_a_path_hold_the_same_certificates(form):
    path = CertificationPath.parse(example(f"certification-path{form}.der"))
    rotation = CertificateRotation.parse(example(f"certificate-rotation{form}.bin"))

    assert path.chain == tuple(map(certificate, ("pda", "endpoint-a", "private-gateway")))
    assert rotation.path.chain == tuple(map(certificate, ("private-gateway", "internet-gateway")))


def test_the_connection_params_hold_what_the_pages_say():
    node = NodeConnectionParams.parse(example("node-connection-params.der"))
    private = PrivateEndpointConnectionParams.parse(example("private-endpoint-connection-params.der"))

    assert node.internet_address == private.internet_address == cast.ADDRESS
    assert node.identity_key.node_id == NODES["internet-gateway"]
    assert node.session_key == cast.session("internet-gateway").session_key
    assert private.identity_key.node_id == NODES["endpoint-a"]
    assert private.session_key == cast.session("endpoint-a").session_key
    assert private.authorization.leaf == certificate("pda")


def test_the_registration_leads_from_its_authorisation_to_a_certificate():
    authorization = RegistrationAuthorization.parse(example("registration-authorization.der"))
    request = RegistrationRequest.parse(example("registration-request.der"))
    registration = Registration.parse(example("registration.der"))

    authorization.verify(cast.identity("internet-gateway").public_key, cast.AT)
    assert authorization.gateway_data[:16] == cast.NONCE
    assert authorization.gateway_data[16:] == request.node_key.digest
    assert request.authorization == example("registration-authorization.der")
    assert request.node_key.node_id == registration.node_certificate.node_id == NODES["private-gateway"]
    assert registration.gateway_certificate == certificate("internet-gateway")


@pytest.mark.parametrize(
    ("name", "signer"),
    [("registration-authorization", "internet-gateway"), ("registration-request", "private-gateway")],
)
def test_a_bare_signature_covers_the_text_shown_on_its_page(name, signer):
    key = serialization.load_der_private_key(cast.identity_pkcs8(signer), None).public_key()
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)

    key.verify(example(f"{name}.der")[-256:], example(f"{name}.signed-text.der"), pss, hashes.SHA256())


def test_the_handshake_signs_the_nonce_and_the_delivery_brings_the_parcel():
    nonce = HandshakeChallenge.parse(example("handshake-challenge.der")).nonce
    response = HandshakeResponse.parse(example("handshake-response.der"))
    anchors = [certificate("internet-gateway")]

    assert response.signatures == (example("nonce-signature.der"),)
    signature = DetachedSignature.parse(response.signatures[0])
    signer = signature.authenticate(DetachedSignatureType.NONCE, nonce, anchors, cast.AT)
    assert signer.node_id == NODES["private-gateway"]
    signature.signed_data.verify(example("nonce-signature.signed-text.der"))
    countersignature = DetachedSignature.parse(example("countersignature.der"))
    parcel = ParcelDelivery.parse(example("parcel-delivery.der")).parcel
    assert parcel == example("parcel.bin")
    countersignature.authenticate(DetachedSignatureType.PARCEL_DELIVERY, parcel, anchors, cast.AT)


def test_every_specification_has_its_deviations():
    text = (PAGES / "deviations.md").read_text()

    found = re.findall(r"^## (RS-[0-9]{3}),", text, re.MULTILINE)
    assert found == [f"RS-{number:03}" for number in (0, 1, 2, 3, 7, 8, 14, 16, 18)]


def test_every_deviation_says_what_is_done_of_which_kind_and_where():
    text = (PAGES / "deviations.md").read_text()
    kinds = re.findall(r"^\| (?!kind )([a-z ]+) \| [^|]+ \|$", text.split("## RS-000")[0], re.MULTILINE)
    rows = re.findall(r"^\| (?!clause|---)(.+) \|$", text.split("## RS-000")[1], re.MULTILINE)

    assert len(rows) > 100
    for row in rows:
        cells = row.split(" | ")
        assert len(cells) == 5, row
        assert re.match("|".join(kinds), cells[3]), row
        assert re.search(r"`awala\.|\]\(", cells[4]), row


def test_the_rules_that_the_pages_cite_are_sections_of_the_index():
    listed = set(re.findall(r"^\| rules (§[0-9]+) \|", (PAGES / "README.md").read_text(), re.MULTILINE))
    cited = {
        section
        for page in ALL_PAGES
        for passage in re.findall(r"rules (§[0-9]+(?:, §[0-9]+)*)", page.read_text())
        for section in passage.split(", ")
    }

    assert cited <= listed
    assert len(listed) == 11
