# SPDX-License-Identifier: MIT
"""Clocks an hour fast or slow: what the core libraries make of our messages, and we of theirs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from interop_cast import EXAMPLES, a_message, example, made_by_peer, opened, read_by_peer, seal
from interop_clocks import CLOCKS
from interop_peers import peer_param

from awala.messages import InvalidMessageError, RegistrationAuthorization
from helpers.json_peer import PeerError
from helpers.kotlin_peer import KotlinPeer
from helpers.node_peer import NEWEST, PRODUCTION, NodePeer

APP_BACKDATING = timedelta(minutes=5)
"""By which deployed apps date their parcels back."""


CORES = (
    peer_param("js-core-production", partial(NodePeer, PRODUCTION), "node"),
    peer_param("js-core-newest", partial(NodePeer, NEWEST), "node"),
    peer_param("kotlin-awala", KotlinPeer, "java", "faketime"),
)


def of_each(test):
    """Run a test with each core library, with both clocks."""
    return pytest.mark.parametrize("start", CORES)(pytest.mark.parametrize("ahead", CLOCKS)(test))


@of_each
@pytest.mark.rule("2.4")
@pytest.mark.cell("clock-our-messages")
async def test_the_library_takes_our_fresh_messages(cast, start, ahead):
    async with start(ahead=ahead) as peer:
        for kind in EXAMPLES:
            given = example(kind, cast)
            payload, _ = seal(given.plaintext.serialize(), cast.session.session_key)
            octets = a_message(given, cast, payload=payload).serialize(given.key)

            assert (await read_by_peer(peer, given, octets, cast))["payload"] == given.description


@of_each
@pytest.mark.rule("2.1")
@pytest.mark.cell("clock-messages-of-apps")
async def test_we_take_what_apps_date_by_such_clocks_though_the_library_refuses_what_is_ahead(
    cast, start, ahead
):
    given, now = example("parcel", cast), datetime.now(UTC)
    created = (now + ahead - APP_BACKDATING).replace(microsecond=0)
    async with start() as peer:
        made = await made_by_peer(peer, given, cast, creationDate=created.isoformat())

        message = given.message_class.parse(made["octets"])
        message.authorise((given.anchor,), now)
        assert opened(message, cast) == given.plaintext.serialize()
        if ahead > timedelta(0):
            with pytest.raises(PeerError, match="in the future"):
                await read_by_peer(peer, given, made["octets"], cast)
        else:
            assert await read_by_peer(peer, given, made["octets"], cast)


@of_each
@pytest.mark.rule("3.10")
@pytest.mark.cell("clock-registration-authorisation")
async def test_an_authorisation_to_register_of_ten_seconds_is_judged_by_the_clock_of_its_reader(
    cast, start, ahead
):
    now = datetime.now(UTC)
    octets = RegistrationAuthorization(now + timedelta(seconds=10), b"data").serialize(cast.igw_key)
    async with start(ahead=ahead) as peer:
        reading = peer.ask(
            "read",
            kind="registrationAuthorization",
            octets=octets,
            publicKey=cast.igw_key.public_key.spki,
        )
        if ahead > timedelta(0):
            with pytest.raises(PeerError, match="expired"):
                await reading
        else:
            assert (await reading)["gatewayData"] == b"data"

        made = await peer.ask(
            "make",
            kind="registrationAuthorization",
            expiry=(now + ahead + timedelta(seconds=10)).isoformat(),
            gatewayData=b"data",
            privateKey=cast.igw_key.serialize(),
        )
    authorization = RegistrationAuthorization.parse(made["octets"])
    if ahead > timedelta(0):
        authorization.verify(cast.igw_key.public_key, now)
    else:
        with pytest.raises(InvalidMessageError):
            authorization.verify(cast.igw_key.public_key, now)
