# SPDX-License-Identifier: MIT
"""Parcels, cargo and CCAs, ours read by the reference libraries and theirs by us, with all their values."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from interop_cast import (
    EXAMPLES,
    MESSAGE_ID,
    TTL,
    a_message,
    described_key,
    example,
    made_by_peer,
    opened,
    read_by_peer,
    seal,
)
from interop_certificates import INTERNET_ENDPOINT, encodings, from_anybody

from awala.cms import EnvelopedData, SignedData, sign
from awala.crypto import HashAlgorithm
from awala.messages import (
    CargoCollectionAuthorization,
    MalformedMessageError,
    MessageType,
    Parcel,
    ServiceMessage,
)
from awala.messages.limits import MAX_TTL
from helpers.json_peer import PeerError
from helpers.node_peer import NEWEST

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.cell("core-messages")]

TTLS = (0, 127, 128, 255, 256, MAX_TTL)
IDS = ("1", "0123456789abcdef" * 4)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_reference_library_reads_validates_and_decrypts_ours(peer, cast, name):
    given = example(name, cast)
    payload, originator = seal(given.plaintext.serialize(), cast.session.session_key)
    octets = a_message(given, cast, payload=payload).serialize(given.key)

    read = await read_by_peer(peer, given, octets, cast)

    read.pop("recipientCertificate", None)  # Kotlin's driver alone has it, for trap 24
    assert datetime.fromisoformat(read.pop("creationDate")) == cast.creation_date
    assert read == {
        "chain": encodings(given.chain),
        "messageId": MESSAGE_ID,
        "path": encodings(given.path),
        "payload": given.description,
        "payloadOctets": None,
        "recipient": {"id": given.recipient.id, "internetAddress": given.recipient.internet_address},
        "sender": given.sender.encoding,
        "senderSessionKey": originator,
        "ttl": TTL,
    }


@pytest.mark.parametrize("name", EXAMPLES)
async def test_we_read_authorise_and_decrypt_those_of_the_reference_library(peer, cast, name):
    given = example(name, cast)

    made = await made_by_peer(peer, given, cast)

    message = given.message_class.parse(made["octets"])
    envelope = EnvelopedData.parse(message.payload)
    assert message == a_message(given, cast, payload=message.payload)
    assert message.authorise([given.anchor], cast.now) == given.path
    assert type(given.plaintext).parse(opened(message, cast)) == given.plaintext
    assert envelope.recipient_key_id == cast.session.key_id
    assert envelope.originator_key.key_id == made["originatorKeyId"]


@pytest.mark.parametrize("name", EXAMPLES)
async def test_both_sides_sign_the_same_octets(peer, cast, name):
    given = example(name, cast)
    theirs = (await made_by_peer(peer, given, cast))["octets"]
    message = given.message_class.parse(theirs)

    ours = replace(message).serialize(given.key)

    prefix = len(given.message_class.TYPE.prefix)
    assert ours[:prefix] == theirs[:prefix]
    assert SignedData.parse(ours[prefix:]).content_view == SignedData.parse(theirs[prefix:]).content_view


async def test_a_cca_of_theirs_is_authorised_by_the_rules_of_an_internet_gateway(peer, cast):
    made = await made_by_peer(peer, example("cca", cast), cast)

    cca = CargoCollectionAuthorization.parse(made["octets"])

    assert cca.authorise_at_internet_gateway([cast.igw], cast.now) == (cast.pgw, cast.igw)


@pytest.mark.parametrize("ttl", TTLS)
async def test_both_sides_read_each_others_ttl(peer, cast, ttl):
    given = example("parcel", cast)
    ours = a_message(given, cast, ttl=ttl).serialize(given.key)

    read = await peer.ask("read", kind="parcel", octets=ours)
    made = await made_by_peer(peer, given, cast, ttl=ttl)
    theirs = Parcel.parse(made["octets"])

    assert read["ttl"] == theirs.ttl == ttl
    assert theirs.expiry_date == cast.creation_date + timedelta(seconds=ttl)


@pytest.mark.parametrize("message_id", IDS)
async def test_both_sides_read_each_others_message_ids(peer, cast, message_id):
    given = example("parcel", cast)
    ours = a_message(given, cast, message_id=message_id).serialize(given.key)

    read = await peer.ask("read", kind="parcel", octets=ours)
    made = await made_by_peer(peer, given, cast, messageId=message_id)

    assert read["messageId"] == Parcel.parse(made["octets"]).message_id == message_id


async def test_both_sides_read_parcels_of_anybody_to_an_internet_endpoint(peer, cast):
    given = from_anybody(cast.sender_key, cast)

    read = await peer.ask(
        "read", kind="parcel", octets=a_message(given, cast).serialize(given.key), trusted=None
    )
    theirs = Parcel.parse((await made_by_peer(peer, given, cast))["octets"])

    assert read["sender"] == given.sender.encoding
    assert read["recipient"] == {"id": given.recipient.id, "internetAddress": INTERNET_ENDPOINT}
    theirs.validate(cast.now)
    assert (theirs.recipient, theirs.sender_certificate) == (given.recipient, given.sender)


@pytest.mark.cell("core-sessions")
async def test_each_side_answers_with_the_session_key_that_came_with_a_message(peer, cast):
    given = example("parcel", cast)
    made = await made_by_peer(peer, given, cast)
    their_key = EnvelopedData.parse(Parcel.parse(made["octets"]).payload).originator_key
    payload, our_key = seal(ServiceMessage("text/plain", b"thanks").serialize(), their_key)

    read = await peer.ask(
        "read",
        kind="parcel",
        octets=a_message(given, cast, payload=payload).serialize(given.key),
        sessionPrivateKey=made["originatorPrivateKey"],
    )

    assert described_key(their_key)["keyId"] == made["originatorKeyId"]
    assert read["payload"] == {"type": "text/plain", "content": b"thanks"}
    assert read["senderSessionKey"] == our_key


async def test_the_reference_library_refuses_ours_with_an_octet_changed(peer, cast):
    given = example("parcel", cast)
    octets = bytearray(a_message(given, cast).serialize(given.key))
    octets[-1] ^= 1

    with pytest.raises(PeerError, match=r"^RAMF\w+: .*Invalid signature"):
        await peer.ask("read", kind="parcel", octets=bytes(octets))


async def test_we_refuse_theirs_with_an_octet_changed(peer, cast):
    octets = bytearray((await made_by_peer(peer, example("parcel", cast), cast))["octets"])
    octets[-1] ^= 1

    with pytest.raises(MalformedMessageError):
        Parcel.parse(bytes(octets))


@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA384, HashAlgorithm.SHA512])
async def test_deployed_libraries_verify_no_hash_function_but_the_one_that_we_emit(
    javascript, cast, algorithm
):
    given = example("parcel", cast)
    ours = a_message(given, cast).serialize(given.key)
    fields = SignedData.parse(ours[len(MessageType.PARCEL.prefix) :]).content_view
    octets = sign(
        fields, key=given.key, signer=cast.pda, hash_algorithm=algorithm, prefix=MessageType.PARCEL.prefix
    )

    assert Parcel.parse(octets).message_id == MESSAGE_ID
    if javascript.name == NEWEST:
        assert (await javascript.ask("read", kind="parcel", octets=octets))["messageId"] == MESSAGE_ID
    else:
        with pytest.raises(PeerError, match="Invalid signature"):
            await javascript.ask("read", kind="parcel", octets=octets)
