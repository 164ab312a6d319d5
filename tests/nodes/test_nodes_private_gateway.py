# SPDX-License-Identifier: MIT
"""The private gateway: its door for apps, what it takes from its Internet gateway, pairing, credentials."""

from __future__ import annotations

import asyncio

import pytest

from awala.asn1 import der
from awala.base.errors import StorageFullError
from awala.bindings.errors import (
    MalformedRequest,
    TemporarilyUnavailable,
    Unauthenticated,
    Unprocessable,
    UnreachableError,
)
from awala.bindings.poweb import StreamingMode
from awala.messages import (
    CertificateRotation,
    MessageError,
    NodeConnectionParams,
    Registration,
    RegistrationRequest,
)
from awala.nodes.config import StorageConfig
from awala.nodes.errors import NotInitialisedError, NotPairedError, PairingError
from awala.nodes.lanes import ENDPOINT as ENDPOINT_LANE
from awala.nodes.lanes import UPLINK
from awala.nodes.private_gateway.credentials import IDENTITY_LABEL, Credentials
from awala.nodes.private_gateway.node import open_private_gateway
from awala.nodes.private_gateway.root import create_private_gateway
from awala.pki import Certificate, CertificationPath, Role
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.forgery import constraints, forge
from helpers.nodes import (
    ADDRESS,
    DAY,
    EMPTY_HANDSHAKE,
    ENDPOINT,
    HOUR,
    IGW,
    NOW,
    OTHER_ENDPOINT,
    OTHER_IGW,
    OTHER_PGW,
    PEER,
    PGW,
    DirectPoWeb,
    authorised_parcel,
    certify,
    countersign,
    drive,
    endpoint_path,
    handshake,
    internet_side,
    parcel,
    private_side,
    running,
    to_internet,
    until,
)

NONCE = b"0123456789abcdef"
OUT = Hop(UPLINK, IGW.node_id)


@pytest.fixture
async def internet():
    return await internet_side()


@pytest.fixture
async def side(internet):
    return await private_side(internet)


async def deliver(side, octets, *, key=ENDPOINT, certificate=None):
    certificate = certificate or endpoint_path(side, key).leaf
    signature = await side.node.local.recognise(countersign(octets, key, certificate))
    await side.node.local.deliver(octets, signature)


class TestLocalDoor:
    async def test_takes_over_a_parcel_of_an_endpoint(self, side):
        _, octets = to_internet()
        await deliver(side, octets)

        assert list(await side.spool.totals()) == [OUT]
        [event] = side.events.events
        assert (event.action.value, event.way.value) == ("stored", "poweb")

    async def test_takes_over_a_parcel_for_a_peer_that_authorised_its_sender(self, internet):
        side = await private_side(internet)
        other_side = await private_side(internet, key=OTHER_PGW)
        _, octets = authorised_parcel(other_side, sender=ENDPOINT, endpoint=OTHER_ENDPOINT)
        await deliver(side, octets)

        assert list(await side.spool.totals()) == [OUT]

    @pytest.mark.rule("3.3")
    async def test_refuses_a_parcel_of_another_sender_than_the_countersigner(self, side):
        with pytest.raises(Unprocessable, match="countersigned"):
            await deliver(side, to_internet(key=OTHER_ENDPOINT)[1])

    @pytest.mark.rule("1.12")
    @pytest.mark.parametrize(
        "changes",
        [
            {"recipient": "0abc"},
            {"created": -10 * HOUR, "ttl": 60},
            {"created": 3 * HOUR},
        ],
        ids=["no node id", "expired", "in the future"],
    )
    async def test_refuses_what_can_never_arrive(self, side, changes):
        with pytest.raises(Unprocessable):
            await deliver(side, to_internet(**changes)[1])
        assert not await side.spool.totals()

    @pytest.mark.rule("3.4")
    async def test_refuses_a_chain_that_contradicts_the_recipient(self, internet):
        side = await private_side(internet)
        other_side = await private_side(internet, key=OTHER_PGW)
        _, octets = authorised_parcel(other_side, sender=ENDPOINT, endpoint=OTHER_ENDPOINT)
        wrong, _ = authorised_parcel(other_side, sender=ENDPOINT, endpoint=OTHER_ENDPOINT)
        object.__setattr__(wrong.recipient, "id", PEER.node_id)
        with pytest.raises(Unprocessable):
            await deliver(side, wrong.serialize(ENDPOINT))
        await deliver(side, octets)

    async def test_refuses_what_cannot_be_read(self, side):
        with pytest.raises(MalformedRequest):
            await deliver(side, b"rubbish")

    async def test_refuses_a_countersignature_of_another_parcel(self, side):
        signature = await side.node.local.recognise(countersign(b"other", ENDPOINT, endpoint_path(side).leaf))
        with pytest.raises(Unauthenticated):
            await side.node.local.deliver(to_internet()[1], signature)

    @pytest.mark.parametrize("case", ["rubbish", "self-issued", "of another gateway"])
    async def test_recognises_only_endpoints_of_its_own(self, side, case):
        certificates = {
            "self-issued": certify(ENDPOINT, ENDPOINT, None, Role.ENDPOINT),
            "of another gateway": certify(
                ENDPOINT, OTHER_PGW, certify(OTHER_PGW, OTHER_PGW, None, Role.GATEWAY), Role.ENDPOINT
            ),
        }
        signature = b"rubbish" if case == "rubbish" else countersign(b"x", ENDPOINT, certificates[case])
        with pytest.raises(Unauthenticated):
            await side.node.local.recognise(signature)

    async def test_says_when_it_is_full(self, internet):
        side = await private_side(internet, spool=MemorySpool(quota=100))
        with pytest.raises(StorageFullError):
            await deliver(side, to_internet()[1])

    async def test_registers_an_endpoint_for_as_long_as_itself(self, side):
        door = side.node.local
        request = RegistrationRequest(ENDPOINT.public_key, await door.preregister(ENDPOINT.public_key.digest))

        registration = Registration.parse(await door.register(request.serialize(ENDPOINT)))

        assert Role.ENDPOINT.matches(registration.node_certificate)
        assert registration.node_certificate.not_after == side.own_certificate().not_after
        assert registration.gateway_certificate == side.own_certificate()
        assert (registration.internet_address, registration.session_key) == (ADDRESS, None)
        assert (await side.node.status()).endpoints == 1

    async def test_cannot_register_anybody_before_it_is_paired(self):
        side = await private_side()
        with pytest.raises(TemporarilyUnavailable, match="pair"):
            await side.node.local.preregister(ENDPOINT.public_key.digest)
        with pytest.raises(TemporarilyUnavailable):
            await side.node.local.register(b"")
        assert (await side.node.status()).internet_gateway is None

    async def test_publishes_no_parameters(self, side):
        assert side.node.local.connection_params() is None

    async def test_hands_out_the_mailboxes_of_all_that_signed(self, side):
        octets = [
            authorised_parcel(side, endpoint=ENDPOINT)[1],
            authorised_parcel(side, endpoint=OTHER_ENDPOINT)[1],
        ]
        for each in octets:
            await side.node.uplink._incoming.from_collection(each)
        signers = [(key, endpoint_path(side, key).leaf) for key in (ENDPOINT, OTHER_ENDPOINT)]
        response = handshake(NONCE, *signers, signers[0])

        mode = StreamingMode.CLOSE_UPON_COMPLETION
        async with side.node.local.collect(NONCE, response, mode) as box:
            found = [(await box.next()).parcel, (await box.next()).parcel]
            assert await box.next() is None
        assert sorted(found) == sorted(octets)

    @pytest.mark.rule("3.11")
    @pytest.mark.parametrize("case", ["rubbish", "nobody", "another nonce", "stranger"])
    async def test_hands_out_nothing_to_others(self, side, case):
        own = (ENDPOINT, endpoint_path(side).leaf)
        response = {
            "rubbish": b"rubbish",
            "nobody": EMPTY_HANDSHAKE,
            "another nonce": handshake(b"another nonce...", own),
            "stranger": handshake(NONCE, own, (PEER, certify(PEER, PEER, None, Role.ENDPOINT))),
        }[case]
        with pytest.raises(Unauthenticated):
            async with side.node.local.collect(NONCE, response, StreamingMode.KEEP_ALIVE):
                pass


class TestIncoming:
    @pytest.fixture
    def incoming(self, side):
        return side.node.uplink._incoming

    async def test_puts_a_parcel_into_its_endpoints_mailbox(self, side, incoming):
        await incoming.from_collection(authorised_parcel(side)[1])

        assert list(await side.spool.totals()) == [Hop(ENDPOINT_LANE, ENDPOINT.node_id)]
        assert not await side.spool.debts(IGW.node_id, now=NOW, limit=9)

    async def test_owes_for_what_came_in_cargo_even_for_a_repetition(self, side, incoming):
        message, octets = authorised_parcel(side)
        await incoming.from_cargo(octets, IGW.node_id)
        await side.spool.pay(await side.spool.debts(IGW.node_id, now=NOW, limit=9))
        await incoming.from_cargo(octets, IGW.node_id)

        [owed] = await side.spool.debts(IGW.node_id, now=NOW, limit=9)
        assert owed.message_id == message.message_id
        assert side.events.actions == ["stored", "duplicate"]

    @pytest.mark.parametrize("changes", [{"created": -9 * HOUR, "ttl": 60}, {"created": 3 * HOUR}])
    async def test_drops_what_it_can_never_accept_and_owes_for_it(self, side, incoming, changes):
        message, octets = authorised_parcel(side, **changes)
        await incoming.from_collection(octets)
        assert side.spool._debts == {}

        await incoming.from_cargo(octets, IGW.node_id)
        [owed] = side.spool._debts
        assert owed.message_id == message.message_id
        assert side.events.actions == ["dropped", "dropped"]
        assert not await side.spool.totals()

    @pytest.mark.rule("3.2")
    async def test_drops_a_parcel_that_nobody_here_authorised(self, side, incoming):
        certificate = certify(PEER, PEER, None, Role.ENDPOINT)
        await incoming.from_collection(parcel(certificate=certificate, chain=())[1])

        assert side.events.actions == ["dropped"]

    async def test_drops_what_cannot_be_read(self, side, incoming):
        await incoming.from_collection(b"rubbish")
        await incoming.from_cargo(b"rubbish", IGW.node_id)

        assert side.events.actions == ["dropped", "dropped"]
        assert side.spool._debts == {}

    async def test_want_of_room_is_passed_on(self, internet):
        side = await private_side(internet, spool=MemorySpool(quota=100))
        with pytest.raises(StorageFullError):
            await side.node.uplink._incoming.from_collection(authorised_parcel(side)[1])


def authority(path_length: int) -> bytes:
    return constraints(der.boolean(True), der.integer(path_length))


def rotation(leaf, *authorities) -> bytes:
    return CertificateRotation(CertificationPath(leaf, authorities)).serialize()


class TestRotation:
    @pytest.fixture
    def igw_cert(self, internet):
        return internet.node.credentials.current(NOW)

    @pytest.mark.rule("3.9")
    async def test_takes_a_later_certificate_from_the_known_key(self, side, igw_cert, internet):
        internet.clock.jump(NOW + 40 * DAY)
        await internet.node.credentials.renew_if_due()
        issuer = internet.node.credentials.current(internet.clock.now())
        later = certify(PGW, IGW, issuer, Role.GATEWAY, now=internet.clock.now(), life=179 * DAY)
        await side.node.uplink._incoming.rotation(rotation(later, issuer), IGW.node_id)

        assert side.own_certificate() == later
        again = await Credentials.load(side.vault, side.clock)
        assert again.own_certificates(side.clock.now())[0] == later
        del igw_cert

    @pytest.mark.rule("3.9")
    async def test_ignores_one_that_ends_no_later(self, side, igw_cert):
        before = side.own_certificate()
        earlier = certify(PGW, IGW, igw_cert, Role.GATEWAY, life=10 * DAY)
        await side.node.uplink._incoming.rotation(rotation(earlier, igw_cert), IGW.node_id)

        assert side.node.credentials.own_certificates(NOW) == [before]

    @pytest.mark.rule("3.9")
    @pytest.mark.parametrize(
        "case",
        [
            "another sender",
            "another issuer",
            "another key",
            "bad signature",
            "no issuer",
            "another role",
            "an issuer of another role",
            "an issuer that signed for nobody",
            "an issuer that is not self-issued",
            "not yet valid",
            "an expired issuer",
            "rubbish",
        ],
    )
    async def test_refuses_forgeries(self, side, igw_cert, case):
        other = certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY, life=400 * DAY)
        endpoint_of_itself = certify(IGW, IGW, None, Role.ENDPOINT, life=400 * DAY)
        dates = {"not_before": NOW - DAY, "not_after": NOW + 300 * DAY}
        forged = Certificate.parse(
            forge(key=OTHER_IGW, subject_key=IGW.public_key, extensions=(authority(2),), **dates)
        )
        cross = certify(IGW, OTHER_IGW, other, Role.GATEWAY, life=400 * DAY)
        ended = certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY, life=-3 * HOUR, since=-9 * DAY)
        mine = certify(PGW, OTHER_IGW, other, Role.GATEWAY, life=400 * DAY)
        good = certify(PGW, IGW, igw_cert, Role.GATEWAY, life=179 * DAY)
        octets, sender = {
            "another sender": (rotation(good, igw_cert), OTHER_IGW.node_id),
            "another issuer": (rotation(mine, other), IGW.node_id),
            "another key": (
                rotation(certify(OTHER_PGW, IGW, igw_cert, Role.GATEWAY), igw_cert),
                IGW.node_id,
            ),
            "bad signature": (rotation(mine, igw_cert, other), IGW.node_id),
            "no issuer": (rotation(good), IGW.node_id),
            "another role": (
                rotation(certify(PGW, IGW, igw_cert, Role.ENDPOINT, life=179 * DAY), igw_cert),
                IGW.node_id,
            ),
            "an issuer of another role": (
                rotation(
                    certify(PGW, IGW, endpoint_of_itself, Role.GATEWAY, life=200 * DAY), endpoint_of_itself
                ),
                IGW.node_id,
            ),
            "an issuer that signed for nobody": (
                rotation(certify(PGW, IGW, forged, Role.GATEWAY, life=300 * DAY), forged),
                IGW.node_id,
            ),
            "an issuer that is not self-issued": (
                rotation(certify(PGW, IGW, cross, Role.GATEWAY, life=300 * DAY), cross),
                IGW.node_id,
            ),
            "not yet valid": (
                rotation(
                    certify(PGW, IGW, igw_cert, Role.GATEWAY, life=179.9 * DAY, since=170 * DAY), igw_cert
                ),
                IGW.node_id,
            ),
            "an expired issuer": (
                rotation(
                    Certificate.parse(
                        forge(
                            key=IGW,
                            subject_key=PGW.public_key,
                            issuer=ended.subject,
                            extensions=(authority(1),),
                            **dates,
                        )
                    ),
                    ended,
                ),
                IGW.node_id,
            ),
            "rubbish": (b"Awala\x10\x00rubbish", IGW.node_id),
        }[case]
        before = side.node.credentials.own_certificates(NOW)

        with pytest.raises(MessageError):
            await side.node.uplink._incoming.rotation(octets, sender)
        assert side.node.credentials.own_certificates(NOW) == before
        assert side.node.credentials.peer.node_id == IGW.node_id


class _Answering(DirectPoWeb):
    """An Internet gateway whose registrations are changed on their way."""

    def __init__(self, service, change) -> None:
        super().__init__(service)
        self.change = change

    async def register(self, request):
        return self.change(await super().register(request))


def changed(**changes):
    def change(octets):
        registration = Registration.parse(octets)
        fields = {name: getattr(registration, name) for name in Registration.__slots__}
        return Registration(**(fields | changes)).serialize()

    return change


class TestPairing:
    @pytest.fixture
    async def unpaired(self):
        return await private_side()

    @pytest.fixture
    def answer(self, unpaired, internet):
        def answer(change=lambda octets: octets):
            unpaired.client = _Answering(internet.node.gateway_door, change)

            async def connect(_address):
                return unpaired.client

            unpaired.node.pairing._connect = connect

        return answer

    async def test_remembers_the_gateway_and_its_certificate_over_a_restart(self, unpaired, answer, internet):
        answer()
        peer = await unpaired.node.pairing.pair("IGW.demo.test.")

        assert (peer.node_id, peer.address) == (IGW.node_id, ADDRESS)
        again = await Credentials.load(unpaired.vault, unpaired.clock)
        assert again.known_peer == peer
        assert again.paired.is_set()
        assert again.life_left(NOW) > 150 * DAY
        assert unpaired.client.closed == 1
        assert internet.node.credentials.node_id == again.uplink_path(NOW).leaf.issuer_id

    @pytest.mark.rule("10.5")
    async def test_parameters_pin_the_key(self, unpaired, answer, internet):
        answer()
        params = NodeConnectionParams.parse(internet.node.connection_params())
        other = NodeConnectionParams(ADDRESS, OTHER_IGW.public_key, params.session_key)

        with pytest.raises(PairingError, match="key"):
            await unpaired.node.pairing.pair(ADDRESS, other)
        assert unpaired.node.credentials.known_peer is None
        await unpaired.node.pairing.pair(ADDRESS, params)

    @pytest.mark.parametrize(
        "change",
        [
            changed(internet_address="other.demo.test"),
            changed(session_key=None),
            changed(
                node_certificate=certify(
                    OTHER_PGW, IGW, certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY), Role.GATEWAY
                )
            ),
            changed(gateway_certificate=certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY)),
            changed(
                node_certificate=certify(
                    PGW,
                    IGW,
                    certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY),
                    Role.GATEWAY,
                    life=-2.5 * HOUR,
                )
            ),
            lambda _: b"rubbish",
        ],
        ids=["address", "no session key", "another node", "another issuer", "expired", "rubbish"],
    )
    async def test_an_answer_that_does_not_hold_changes_nothing(self, unpaired, answer, change):
        answer(change)
        with pytest.raises(PairingError):
            await unpaired.node.pairing.pair(ADDRESS)

        assert unpaired.node.credentials.known_peer is None
        assert not unpaired.node.credentials.paired.is_set()
        with pytest.raises(NotPairedError):
            unpaired.node.credentials.uplink_path(NOW)
        with pytest.raises(NotPairedError):
            _ = unpaired.node.credentials.peer
        assert unpaired.client.closed == 1

    async def test_a_gateway_that_changed_its_identity_is_refused(self, side):
        impostor = await internet_side(key=OTHER_IGW)

        async def connect(_address):
            return DirectPoWeb(impostor.node.gateway_door)

        side.node.pairing._connect = connect
        with pytest.raises(PairingError, match="identity"):
            await side.node.pairing.pair(ADDRESS)
        with pytest.raises(PairingError, match="identity"):
            await side.node.pairing.renew(DirectPoWeb(impostor.node.gateway_door))
        assert side.node.credentials.peer.node_id == IGW.node_id

    async def test_another_gateway_at_another_address_takes_the_place_of_the_old_one(self, side):
        other = await internet_side(key=OTHER_IGW, address="igw-b.demo.test")

        async def connect(_address):
            return DirectPoWeb(other.node.gateway_door)

        side.node.pairing._connect = connect
        await side.node.pairing.pair("igw-b.demo.test")

        assert side.node.credentials.peer.node_id == OTHER_IGW.node_id
        assert side.node.credentials.uplink_path(NOW).leaf.issuer_id == OTHER_IGW.node_id
        issuers = [each.issuer_id for each in side.node.credentials.own_certificates(NOW)]
        assert issuers == [OTHER_IGW.node_id, IGW.node_id]

    async def test_renewal_keeps_the_older_certificates(self, side, internet):
        first = side.own_certificate()
        side.clock.jump(NOW + 100 * DAY)
        await internet.node.credentials.renew_if_due()
        assert side.node.credentials.renewal_is_due(side.clock.now())
        await side.node.pairing.renew(side.uplink)

        certificates = side.node.credentials.own_certificates(side.clock.now())
        assert len(certificates) == 2
        assert certificates[1] == first
        assert not side.node.credentials.renewal_is_due(side.clock.now())


class TestCredentials:
    async def test_there_is_none_before_it_was_created(self):
        with pytest.raises(NotInitialisedError):
            await Credentials.load(MemoryVault(), FakeClock())

    async def test_creating_again_keeps_the_key(self):
        vault = MemoryVault()
        await Credentials.create(vault)
        key = await vault.identity(IDENTITY_LABEL)
        await Credentials.create(vault)

        assert (await vault.identity(IDENTITY_LABEL)).node_id == key.node_id

    async def test_without_a_certificate_renewal_is_due(self):
        side = await private_side()
        assert side.node.credentials.renewal_is_due(NOW)
        assert not side.node.credentials.life_left(NOW)

    @pytest.mark.rule("2.9")
    async def test_the_issuer_of_cargo_authorisations_is_renewed_at_half_its_life(self, side):
        credentials = side.node.credentials
        first = await credentials.cda_issuer()
        side.clock.jump(NOW + 89 * DAY)
        assert await credentials.cda_issuer() == first
        side.clock.jump(NOW + 91 * DAY)
        second = await credentials.cda_issuer()

        assert second != first
        assert credentials.cda_issuers(side.clock.now()) == [second, first]
        again = await Credentials.load(side.vault, side.clock)
        assert again.cda_issuers(side.clock.now()) == [second, first]
        assert Role.SELF_ISSUED_GATEWAY.matches(second)


class TestUplink:
    async def test_waits_until_it_is_paired(self):
        side = await private_side()
        async with running(side.node.run()) as [task]:
            await side.clock.advance(60)
            assert not task.done()
            assert (await side.node.status()).online is False

    async def test_exchanges_parcels_both_ways(self, side, internet):
        _, coming = authorised_parcel(side)
        _, going = to_internet()
        await deliver(side, going)
        await internet.node.internet_door.deliver(coming)
        async with running(side.node.run()):
            await until(lambda: side.uplink.delivered)
            await until(lambda: "handed-on" in internet.events.actions)
            status = await side.node.status()

        assert side.uplink.delivered == [going]
        assert (status.online, status.incoming.items, status.outgoing.items) == (True, 1, 0)

    async def test_reconnects_after_its_back_off_when_the_link_breaks(self, side):
        async with running(side.node.run()):
            await side.uplink.opened.wait()
            side.uplink.disconnect()
            await until(lambda: not side.node.uplink.online)
            assert side.node.uplink.last_error
            side.uplink.cut = False
            await drive(side.clock, lambda: side.node.uplink.online)
            assert side.node.uplink.last_error == ""

    async def test_does_not_hammer_a_gateway_that_is_away(self, side):
        attempts = []

        async def connect(_address):
            attempts.append(side.clock.now())
            raise UnreachableError("away")

        side.node.uplink._connect = connect
        async with running(side.node.run()):
            await side.clock.advance(24 * 3600)

        assert len(attempts) < 40

    async def test_a_kick_tries_at_once(self, side):
        side.uplink.cut = True
        await deliver(side, to_internet()[1])
        async with running(side.node.run()):
            await side.clock.advance(3600)
            side.uplink.cut = False
            side.node.uplink.kick()
            await until(lambda: side.node.uplink.online and side.uplink.delivered)

    @pytest.mark.rule("9.2")
    async def test_registers_again_when_its_certificate_is_no_longer_known(self, side, internet, monkeypatch):
        door = internet.node.gateway_door
        refuse = [1, 1]
        recognise = door.recognise

        async def forgetful(signature):
            if refuse:
                refuse.pop()
                raise Unauthenticated("who?")
            return await recognise(signature)

        monkeypatch.setattr(door, "recognise", forgetful)
        await deliver(side, to_internet()[1])
        registrations = side.uplink.registrations
        async with running(side.node.run()):
            await until(lambda: side.uplink.registrations > registrations)
            await drive(side.clock, lambda: side.uplink.delivered)

    async def test_renews_its_certificate_in_time(self, side, internet):
        side.clock.jump(NOW + 100 * DAY)
        await internet.node.credentials.renew_if_due()
        before = side.own_certificate()
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.online)

        assert side.own_certificate().not_after > before.not_after

    async def test_an_unacceptable_renewal_is_told_and_tried_again(self, side, internet, monkeypatch):
        async def broken(_request):
            return b"rubbish"

        monkeypatch.setattr(internet.node.gateway_door, "register", broken)
        side.clock.jump(NOW + 200 * DAY)
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.last_error)
            assert "read" in side.node.uplink.last_error
            monkeypatch.undo()
            await drive(side.clock, lambda: side.node.uplink.online)

    async def test_an_unacceptable_renewal_does_not_keep_a_good_certificate_from_being_used(
        self, side, internet, monkeypatch
    ):
        async def broken(_request):
            return b"rubbish"

        monkeypatch.setattr(internet.node.gateway_door, "register", broken)
        side.clock.jump(NOW + 100 * DAY)
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.online)
            assert side.node.credentials.renewal_is_due(side.clock.now())

    async def test_a_full_spool_leaves_parcels_with_the_internet_gateway(self, internet):
        side = await private_side(internet, spool=MemorySpool(quota=100))
        await internet.node.internet_door.deliver(authorised_parcel(side)[1])
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.last_error)

        assert (await internet.node.status()).to_private_gateways.items == 1

    async def test_a_client_is_not_closed_under_a_registration(self, side, internet, monkeypatch):
        door = internet.node.gateway_door
        preregister = door.preregister
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def slow(digest):
            reached.set()
            await go_on.wait()
            return await preregister(digest)

        monkeypatch.setattr(door, "preregister", slow)
        link = side.node.uplink._link(side.node.credentials.peer)
        renewal = asyncio.ensure_future(link._register_again())
        await reached.wait()
        forgetting = asyncio.ensure_future(link.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert side.uplink.closed == 1  # by the pairing, long ago
        go_on.set()
        await asyncio.gather(renewal, forgetting)

        assert side.uplink.closed == 2

    async def test_pairing_with_another_internet_gateway_begins_a_second_collection(self, side, internet):
        other = await internet_side(internet.clock, key=OTHER_IGW, address="other.demo.test")
        elsewhere = DirectPoWeb(other.node.gateway_door)
        clients = {ADDRESS: side.uplink, "other.demo.test": elsewhere}

        async def connect(address):
            return clients[address]

        side.node.uplink._connect = side.node.pairing._connect = connect
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.online)
            closed = side.uplink.closed
            side.node.uplink.kick()
            for _ in range(20):
                await asyncio.sleep(0)
            assert side.uplink.closed == closed, "a kick alone leaves a good collection"
            await side.node.pairing.pair("other.demo.test")
            side.node.uplink.kick()
            async with asyncio.timeout(5):
                await elsewhere.opened.wait()
            await until(lambda: side.node.uplink.online)
            assert side.uplink.closed == closed, "what waits at the former one is still to be collected"
            await deliver(side, to_internet()[1])
            await until(lambda: elsewhere.delivered)

        assert not side.uplink.delivered

    async def test_a_parcel_leaves_for_the_new_internet_gateway_without_a_kick(self, side, internet):
        other = await internet_side(internet.clock, key=OTHER_IGW, address="other.demo.test")
        clients = {ADDRESS: side.uplink, "other.demo.test": DirectPoWeb(other.node.gateway_door)}

        async def connect(address):
            return clients[address]

        side.node.uplink._connect = side.node.pairing._connect = connect
        async with running(side.node.run()):
            await until(lambda: side.node.uplink.online)
            await side.node.pairing.pair("other.demo.test")
            await deliver(side, to_internet()[1])
            await until(lambda: clients["other.demo.test"].delivered)

    async def test_a_drained_collection_is_opened_again(self, side, internet, monkeypatch):
        opened = []
        collect = internet.node.gateway_door.collect

        def counted(nonce, response, _mode):
            opened.append(1)
            return collect(nonce, response, StreamingMode.CLOSE_UPON_COMPLETION)

        monkeypatch.setattr(internet.node.gateway_door, "collect", counted)
        async with running(side.node.run()):
            await drive(side.clock, lambda: len(opened) >= 3)
            await side.clock.advance(60)

        assert len(opened) <= 200


async def test_opens_its_stores_and_closes_them(tmp_path):
    storage = StorageConfig(directory=tmp_path)

    def opened():
        return open_private_gateway(storage, clock=FakeClock(), connect=None, connect_courier=None)

    with pytest.raises(NotInitialisedError):
        async with opened():
            pass
    node_id = await create_private_gateway(storage)
    async with opened() as node:
        status = await node.status()
    assert (status.node_id, status.certificate_until) == (node_id, None)
