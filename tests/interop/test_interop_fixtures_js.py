# SPDX-License-Identifier: MIT
"""What the tools for tests from npm make, `@relaycorp/relaynet-testing`, as our nodes take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from interop_cast import ADDRESS, seal

from awala.cms import EnvelopedData
from awala.crypto import IdentityPrivateKey, SessionKey, SessionPrivateKey, SessionPublicKey
from awala.messages import Cargo, InvalidMessageError, Parcel, Recipient
from awala.pki import Certificate

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell("testing-fixtures", peer="js-testing"),
]

NODES = ("pdaGrantee", "privateEndpoint", "privateGateway", "internetGateway")


@dataclass(frozen=True)
class Fixtures:
    keys: dict[str, IdentityPrivateKey]
    parcel_path: tuple[Certificate, ...]
    """From the sender up to the Internet gateway."""

    cargo_path: tuple[Certificate, ...]
    """From the Internet gateway up to the private gateway."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(production_peer):
    return await production_peer.ask("makeFixtures")


@pytest.fixture(scope="module")
def fixtures(made):
    paths = {name: made[name] for name in ("parcelDelivery", "cargoDelivery")}
    return Fixtures(
        {name: IdentityPrivateKey.load(made["identityKeys"][name]["privateKey"]) for name in NODES},
        tuple(Certificate.parse(paths["parcelDelivery"][name]) for name in NODES),
        tuple(
            Certificate.parse(paths["cargoDelivery"][name]) for name in ("internetGateway", "privateGateway")
        ),
    )


async def test_identity_keys_are_those_of_the_nodes(made, fixtures):
    for name, certificate in zip(NODES, fixtures.parcel_path, strict=True):
        key = fixtures.keys[name]
        assert key.node_id == made["identityKeys"][name]["id"] == certificate.node_id
        assert key.public_key.spki == made["identityKeys"][name]["publicKey"]


async def test_session_keys_open_what_is_sealed_for_them(made):
    for key in made["sessionKeys"].values():
        payload, _ = seal(b"good morning", SessionKey(b"id", SessionPublicKey.load(key["publicKey"])))

        opened = EnvelopedData.parse(payload).decrypt(SessionPrivateKey.load(key["privateKey"]))

        assert opened == b"good morning"


def message(message_class, key, recipient, path):
    """Return a message from the first node of a path, as its recipient reads it."""
    sent = message_class(
        recipient=Recipient(recipient, ADDRESS),
        message_id="the-message",
        creation_date=datetime.now(UTC).replace(microsecond=0),
        ttl=60,
        payload=b"",
        sender_certificate=path[0],
        sender_chain=path[1:-1],
    )
    return message_class.parse(sent.serialize(key))


async def test_parcels_along_their_path_are_authorised_at_each_node(fixtures):
    path, now = fixtures.parcel_path, datetime.now(UTC)
    parcel = message(Parcel, fixtures.keys["pdaGrantee"], path[1].node_id, path)

    assert parcel.authorise_at_internet_gateway([path[3]], now).anchor == path[3]
    assert parcel.authorise_at_private_gateway([path[2]], now).anchor == path[2]
    assert parcel.authorise_at_endpoint([path[1]], now).anchor == path[1]
    with pytest.raises(InvalidMessageError):
        parcel.authorise_at_internet_gateway([fixtures.cargo_path[1]], now)


async def test_cargo_along_its_path_is_authorised_at_the_private_gateway(fixtures):
    path, now = fixtures.cargo_path, datetime.now(UTC)
    cargo = message(Cargo, fixtures.keys["internetGateway"], path[1].node_id, path)

    assert cargo.authorise([path[1]], now) == path
    with pytest.raises(InvalidMessageError):
        cargo.authorise([fixtures.parcel_path[3]], now)
