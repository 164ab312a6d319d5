# SPDX-License-Identifier: MIT
"""What both kinds of endpoint have: peers, authorisations, sealing, the inbox."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from awala.base.sqlite import StorageError
from awala.messages import (
    InvalidMessageError,
    NodeConnectionParams,
    Parcel,
    PrivateEndpointConnectionParams,
    ServiceMessage,
)
from awala.messages.limits import MAX_SERVICE_MESSAGE
from awala.messages.media_types import PDA_PATH
from awala.nodes.backoff import Backoff
from awala.nodes.endpoint.errors import (
    InvalidAuthorizationError,
    MessageTooLargeError,
    NotAuthorisedError,
    UnknownPeerError,
)
from awala.nodes.endpoint.identity import MAX_LIFE, EndpointIdentity
from awala.nodes.endpoint.inbox import MAX_ATTEMPTS, Inbox, UnwantedMessageError
from awala.nodes.endpoint.peers import Peer, PeerBook, PeerKind
from awala.nodes.endpoint.sealing import SELF_ISSUED_REUSE, OpenedMessage
from awala.nodes.errors import NodeError
from awala.nodes.events import EventHub, Way
from awala.nodes.lanes import APP
from awala.nodes.quarantine import QUARANTINE, Quarantine
from awala.pki import CertificationPath, Role
from awala.sessions import NoSessionKeyError, required_key_id
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    ENDPOINT,
    ENDPOINT_CERT,
    HOUR,
    NOW,
    OTHER_ENDPOINT,
    OTHER_IGW,
    OTHER_PGW,
    PEER,
    PGW,
    PGW_CERT,
    STRANGER,
    Recorder,
    certify,
    parcel,
    running,
    until,
)

OWN_PATH = CertificationPath(ENDPOINT_CERT, (PGW_CERT,))
OUT = Hop("out", "x")


class Node:
    """An endpoint's identity in memory."""

    def __init__(self, key, clock=None) -> None:
        self.clock = clock or FakeClock()
        self.vault, self.spool, hub = MemoryVault(), MemorySpool(), EventHub()
        self.events = Recorder(hub)
        self.identity = EndpointIdentity(
            key=key,
            vault=self.vault,
            spool=self.spool,
            clock=self.clock,
            events=hub,
            outgoing=lambda _: OUT,
            way=Way.POWEB,
        )

    async def outbox(self):
        items = await self.spool.lease(OUT, now=self.clock.now(), duration=HOUR, limit=99)
        sent = [Parcel.parse(await self.spool.body(item)) for item in items]
        await self.spool.release(items, now=self.clock.now())
        return sent


@pytest.fixture
def endpoint():
    return Node(ENDPOINT)


@pytest.fixture
def peer():
    return Node(PEER)


async def grant(endpoint, to=PEER, **changes):
    arguments = {"own_path": OWN_PATH, "gateway_address": ADDRESS, "now": NOW} | changes
    return await endpoint.identity.authorizations.grant(to.public_key, **arguments)


class TestPeerBook:
    async def test_keeps_what_it_was_told(self):
        book = PeerBook(MemoryVault(), ENDPOINT.node_id)
        peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None, NOW, "Pea")
        await book.save(peer)
        await book.save(Peer(STRANGER.node_id, PeerKind.INTERNET, STRANGER.public_key, "s.test"))

        assert await book.get(PEER.node_id) == peer
        assert {each.id for each in await book.all()} == {PEER.node_id, STRANGER.node_id}
        await book.note_grant(peer, until=NOW + DAY, at=NOW, under="here")
        granted = {"granted_until": NOW + DAY, "granted_at": NOW, "granted_under": "here"}
        assert await book.get(PEER.node_id) == replace(peer, **granted)
        await book.note_withdrawal(PEER.node_id)
        await book.note_withdrawal(OTHER_ENDPOINT.node_id)
        assert (await book.get(PEER.node_id)).granted_until is None
        await book.forget(PEER.node_id)
        assert await book.get(PEER.node_id) is None

    async def test_endpoints_do_not_share_their_peers(self):
        vault = MemoryVault()
        peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
        await PeerBook(vault, ENDPOINT.node_id).save(peer)

        assert await PeerBook(vault, OTHER_ENDPOINT.node_id).all() == []


class TestAuthorizations:
    async def test_what_is_granted_can_be_taken_and_used(self, endpoint, peer):
        params = PrivateEndpointConnectionParams.parse((await grant(endpoint)).serialize())
        assert params.authorization.leaf.not_after == ENDPOINT_CERT.not_after
        assert Role.DELIVERY_AUTHORIZATION.matches(params.authorization.leaf)
        await peer.identity.take_authorization(params, sender_id=ENDPOINT.node_id)

        known = await peer.identity.peers.get(ENDPOINT.node_id)
        assert (known.kind, known.address) == (PeerKind.PRIVATE, ADDRESS)
        message_id = await peer.identity.send(ENDPOINT.node_id, ServiceMessage("text", b"hello"))
        [sent] = await peer.outbox()
        assert sent.message_id == message_id
        sent.authorise_at_endpoint([ENDPOINT_CERT], NOW)
        sent.authorise_at_private_gateway([PGW_CERT], NOW)
        opened = await endpoint.identity.open(sent)
        assert (opened.type, opened.content, opened.sender_id) == ("text", b"hello", PEER.node_id)

    async def test_a_grant_may_end_sooner_but_not_later_than_the_certificate(self, endpoint):
        assert (await grant(endpoint, until=NOW + DAY)).authorization.leaf.not_after == NOW + DAY
        late = await grant(endpoint, until=NOW + 999 * DAY)
        assert late.authorization.leaf.not_after == ENDPOINT_CERT.not_after

    @pytest.mark.rule("3.5")
    @pytest.mark.parametrize(
        "case",
        [
            "for another",
            "another sender",
            "identity of another",
            "issued by another",
            "no issuer",
            "expired",
            "an authority",
            "broken path",
            "expired path",
            "name of the issuer, key of another",
        ],
    )
    async def test_refuses_every_forgery_and_keeps_nothing(self, endpoint, peer, case):
        good = await grant(endpoint)
        path = good.authorization
        sender = ENDPOINT.node_id
        other_cert = certify(OTHER_ENDPOINT, PGW, PGW_CERT, Role.ENDPOINT)
        by_other = certify(PEER, OTHER_ENDPOINT, other_cert, Role.DELIVERY_AUTHORIZATION)
        strange_gateway = certify(OTHER_PGW, OTHER_PGW, None, Role.GATEWAY)
        past = certify(PEER, ENDPOINT, ENDPOINT_CERT, Role.DELIVERY_AUTHORIZATION, life=-HOUR)
        authority = certify(PEER, ENDPOINT, ENDPOINT_CERT, Role.ENDPOINT)
        old_gateway = certify(PGW, PGW, None, Role.GATEWAY, life=-2.9 * HOUR)
        match case:
            case "for another":
                params = await grant(endpoint, STRANGER)
            case "another sender":
                params, sender = good, STRANGER.node_id
            case "identity of another":
                params, sender = replace(good, identity_key=STRANGER.public_key), STRANGER.node_id
            case "issued by another":
                params = replace(good, authorization=CertificationPath(by_other, (other_cert, PGW_CERT)))
            case "no issuer":
                params = replace(good, authorization=CertificationPath(path.leaf, ()))
            case "expired":
                params = replace(good, authorization=CertificationPath(past, path.authorities))
            case "an authority":
                params = replace(good, authorization=CertificationPath(authority, path.authorities))
            case "broken path":
                params = replace(
                    good, authorization=CertificationPath(path.leaf, (ENDPOINT_CERT, strange_gateway))
                )
            case "expired path":
                params = replace(
                    good, authorization=CertificationPath(path.leaf, (ENDPOINT_CERT, old_gateway))
                )
            case _:
                params = replace(good, authorization=CertificationPath(by_other, (ENDPOINT_CERT, PGW_CERT)))

        with pytest.raises(InvalidAuthorizationError):
            await peer.identity.take_authorization(params, sender_id=sender)

        assert await peer.identity.authorizations.given_by(sender, NOW) is None
        assert await peer.identity.peers.all() == []

    @pytest.mark.rule("3.5")
    async def test_replaces_only_what_ends_earlier(self, endpoint, peer):
        take = peer.identity.authorizations.take
        arguments = {"expected_peer": ENDPOINT.node_id, "now": NOW, "as_of": NOW}
        long = await grant(endpoint)
        assert await take(await grant(endpoint, until=NOW + DAY), **arguments)
        assert await take(long, **arguments)
        assert not await take(await grant(endpoint, until=NOW + 2 * DAY), **arguments)
        assert not await take(long, **arguments)

        given = await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW)
        assert given.leaf == long.authorization.leaf

    @pytest.mark.rule("3.5")
    @pytest.mark.parametrize("newer_first", [True, False])
    async def test_of_two_that_end_together_the_one_that_began_later_counts(
        self, endpoint, peer, newer_first
    ):
        arguments = {"expected_peer": ENDPOINT.node_id, "now": NOW, "as_of": NOW}
        older, newer = await grant(endpoint), await grant(endpoint, now=NOW + HOUR)
        for params in (newer, older) if newer_first else (older, newer):
            await peer.identity.authorizations.take(params, **arguments)

        given = await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW)
        assert given.leaf == newer.authorization.leaf

    async def test_one_that_was_given_later_replaces_one_that_ends_with_it(self, endpoint, peer):
        """The peer may have lost its state, and its key with it (rules §7)."""
        take = peer.identity.authorizations.take
        arguments = {"expected_peer": ENDPOINT.node_id, "now": NOW, "as_of": NOW}
        first, second = [await grant(endpoint, now=NOW + each, until=NOW + DAY) for each in (-HOUR, HOUR)]

        assert [await take(each, **arguments) for each in (first, second, first, second)] == [
            True,
            True,
            False,
            False,
        ]

        payload = await peer.identity.sessions.seal(
            b"", own_id=PEER.node_id, peer_id=ENDPOINT.node_id, now=NOW
        )
        assert required_key_id(payload) == second.session_key.key_id

    @pytest.mark.rule("3.5")
    async def test_an_old_one_that_comes_late_puts_no_old_address_back(self, endpoint, peer):
        take = peer.identity.take_authorization
        old = await grant(endpoint, until=NOW + DAY)
        new = await grant(endpoint, gateway_address="igw-b.demo.test")
        await take(new, sender_id=ENDPOINT.node_id, name="E")
        again = await take(old, sender_id=ENDPOINT.node_id, name="F")

        assert (again.address, again.name) == ("igw-b.demo.test", "F")
        assert await peer.identity.peers.get(ENDPOINT.node_id) == again
        await peer.identity.peers.save(replace(again, address="igw.demo.test"))
        repeated = await take(new, sender_id=ENDPOINT.node_id)
        assert repeated == again, "taking it may have been interrupted before the address was noted"

    @pytest.mark.rule("3.5")
    @pytest.mark.parametrize("late", [True, False])
    async def test_from_another_gateway_the_one_that_began_later_counts(self, endpoint, peer, late):
        anchor = certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY, life=9 * DAY)
        gateway = certify(PGW, OTHER_IGW, anchor, Role.GATEWAY, life=9 * DAY)
        moved = CertificationPath(certify(ENDPOINT, PGW, gateway, Role.ENDPOINT, life=9 * DAY), (gateway,))
        old = await grant(endpoint)
        new = await grant(endpoint, own_path=moved, gateway_address="igw-b.demo.test", now=NOW + HOUR)
        for params in (new, old) if late else (old, new):
            taken = await peer.identity.take_authorization(params, sender_id=ENDPOINT.node_id)

        assert taken.address == "igw-b.demo.test"
        given = await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW)
        assert given.leaf == new.authorization.leaf

    @pytest.mark.rule("3.5")
    async def test_another_gateway_replaces_whatever_there_was(self, endpoint, peer):
        gateway = certify(OTHER_PGW, OTHER_PGW, None, Role.GATEWAY)
        moved = CertificationPath(
            certify(ENDPOINT, OTHER_PGW, gateway, Role.ENDPOINT, life=9 * DAY), (gateway,)
        )
        await peer.identity.take_authorization(await grant(endpoint), sender_id=ENDPOINT.node_id)
        new = await grant(endpoint, own_path=moved, gateway_address="igw-b.demo.test")
        taken = await peer.identity.take_authorization(new, sender_id=ENDPOINT.node_id, name="E")

        assert (taken.address, taken.name) == ("igw-b.demo.test", "E")
        given = await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW)
        assert given.authorities[1] == gateway

    async def test_ends_with_any_certificate_of_its_path(self, endpoint, peer):
        await peer.identity.take_authorization(
            await grant(endpoint, until=NOW + DAY), sender_id=ENDPOINT.node_id
        )
        assert await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW + DAY) is None


class TestSending:
    @pytest.fixture
    async def internet_peer(self, endpoint, peer):
        session_key = await peer.identity.sessions.published(own_id=PEER.node_id, now=NOW)
        params = NodeConnectionParams("pong.demo.test", PEER.public_key, session_key)
        return await endpoint.identity.add_internet_peer(params)

    async def test_needs_a_known_peer(self, endpoint):
        with pytest.raises(UnknownPeerError):
            await endpoint.identity.send(PEER.node_id, ServiceMessage("text", b""))

    async def test_needs_the_authorisation_of_a_private_peer(self, endpoint):
        await endpoint.identity.peers.save(Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, ADDRESS))
        with pytest.raises(NotAuthorisedError):
            await endpoint.identity.send(PEER.node_id, ServiceMessage("text", b""))
        assert not await endpoint.spool.totals()

    async def test_needs_a_session_key(self, endpoint):
        await endpoint.identity.peers.save(Peer(PEER.node_id, PeerKind.INTERNET, PEER.public_key, "a.test"))
        with pytest.raises(NoSessionKeyError):
            await endpoint.identity.send(PEER.node_id, ServiceMessage("text", b""))

    @pytest.mark.rule("2.4")
    async def test_dates_what_it_sends_as_rules_2_say(self, endpoint, internet_peer):
        await endpoint.identity.send(internet_peer.id, ServiceMessage("text", b""), life=DAY)
        await endpoint.identity.send(internet_peer.id, ServiceMessage("text", b""), life=9 * MAX_LIFE)
        one, other = await endpoint.outbox()

        assert one.creation_date == NOW - 3 * HOUR
        assert one.expiry_date == NOW + DAY
        assert other.expiry_date <= one.creation_date + timedelta(days=180)

    @pytest.mark.rule("1.13")
    async def test_the_largest_message_fits_and_one_octet_more_does_not(self, endpoint, internet_peer):
        overhead = len(ServiceMessage("t", bytes(MAX_SERVICE_MESSAGE - 20)).serialize()) - (
            MAX_SERVICE_MESSAGE - 20
        )
        largest = bytes(MAX_SERVICE_MESSAGE - overhead)
        await endpoint.identity.send(internet_peer.id, ServiceMessage("t", largest))
        with pytest.raises(MessageTooLargeError):
            await endpoint.identity.send(internet_peer.id, ServiceMessage("t", largest + b"x"))

        assert (await endpoint.spool.totals())[OUT].items == 1

    async def test_a_type_that_cannot_be_written_is_no_matter_of_size(self, endpoint, internet_peer):
        with pytest.raises(InvalidMessageError):
            await endpoint.identity.send(internet_peer.id, ServiceMessage("tëxt", b""))

    async def test_a_self_issued_certificate_is_used_for_a_day(self, endpoint, internet_peer):
        async def certificate():
            await endpoint.identity.send(internet_peer.id, ServiceMessage("t", b""))
            [sent] = await endpoint.outbox()
            return sent.sender_certificate

        first = await certificate()
        assert await certificate() == first
        endpoint.clock.jump(NOW + SELF_ISSUED_REUSE)
        second = await certificate()
        assert second != first
        endpoint.clock.jump(NOW)
        assert (await certificate()) != second

    async def test_a_peer_that_moved_keeps_its_name(self, endpoint, peer, internet_peer):
        await endpoint.identity.peers.save(replace(internet_peer, name="Pong", granted_until=NOW + DAY))
        session_key = await peer.identity.sessions.published(own_id=PEER.node_id, now=NOW)
        moved = NodeConnectionParams("new.demo.test", PEER.public_key, session_key)

        found = await endpoint.identity.add_internet_peer(moved)

        assert (found.address, found.name, found.granted_until) == ("new.demo.test", "Pong", NOW + DAY)
        assert await endpoint.identity.peers.get(PEER.node_id) == found
        assert await endpoint.identity.add_internet_peer(moved) == found

    async def test_adding_a_peer_again_changes_nothing(self, endpoint, peer, internet_peer):
        await endpoint.identity.peers.note_grant(internet_peer, until=NOW + DAY, at=NOW, under="here")
        granted = await endpoint.identity.peers.get(internet_peer.id)
        session_key = await peer.identity.sessions.published(own_id=PEER.node_id, now=NOW)
        again = NodeConnectionParams("pong.demo.test", PEER.public_key, session_key)

        assert await endpoint.identity.add_internet_peer(again) == granted


def opened(content=b"", message_type=PDA_PATH, sender=ENDPOINT):
    return OpenedMessage(sender.node_id, PEER.node_id, "m", NOW - 3 * HOUR, NOW + DAY, message_type, content)


class TestControlMessages:
    async def test_takes_an_authorisation_and_tells(self, endpoint, peer):
        params = await grant(endpoint)

        assert await peer.identity.take_control_message(opened(params.serialize()))
        assert await peer.identity.authorizations.given_by(ENDPOINT.node_id, NOW) is not None
        assert not await peer.identity.take_control_message(opened(message_type="text"))

    async def test_what_does_not_hold_is_unwanted_for_good(self, endpoint, peer):
        with pytest.raises(UnwantedMessageError):
            await peer.identity.take_control_message(opened(b"rubbish"))
        params = await grant(endpoint)
        with pytest.raises(UnwantedMessageError):
            await peer.identity.take_control_message(opened(params.serialize(), sender=STRANGER))
        assert await peer.identity.peers.all() == []


class App:
    """An app's handler that does what it is told, and remembers."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, int]] = []
        self.done: list[str] = []
        self.errors: dict[str, BaseException] = {}

    async def open(self, message):
        if isinstance(self.errors.get("open"), BaseException):
            raise self.errors["open"]
        return OpenedMessage(
            message.sender_id, message.recipient.id, message.message_id, NOW, NOW + DAY, "t", message.payload
        )

    async def handle(self, attempt):
        message_id = attempt.message.message_id
        self.attempts.append((message_id, attempt.number))
        if message_id in self.errors:
            raise self.errors[message_id]
        self.done.append(message_id)


class BusyError(NodeError):
    retryable = True


class TestInbox:
    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def spool(self):
        return MemorySpool()

    @pytest.fixture
    def vault(self):
        return MemoryVault()

    @pytest.fixture
    def events(self, hub):
        return Recorder(hub)

    @pytest.fixture
    def hub(self):
        return EventHub()

    @pytest.fixture
    def inbox(self, spool, vault, clock, hub):
        return Inbox(
            spool=spool,
            quarantine=Quarantine(vault, clock),
            clock=clock,
            events=hub,
            backoff=Backoff(timedelta(seconds=1), jitter=lambda: 1.0),
        )

    @pytest.fixture
    def app(self):
        return App()

    async def accept(self, inbox, *message_ids, **changes):
        for each in message_ids:
            await inbox.accept(*parcel(message_id=each, **changes), Way.POWEB)

    @pytest.mark.rule("5.2")
    async def test_gives_each_message_once(self, inbox, app, clock, spool):
        await self.accept(inbox, "a", "b")
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(1)
            await self.accept(inbox, "c")
            await self.accept(inbox, "c", created=-2 * HOUR)
            await clock.advance(100)

        assert sorted(app.attempts) == [("a", 1), ("b", 1), ("c", 1)]
        assert not await spool.totals()

    @pytest.mark.rule("5.2")
    async def test_a_handler_that_fails_gets_the_message_again_later(self, inbox, app, clock, events):
        app.errors["a"] = LookupError("bug")
        await self.accept(inbox, "a", "b")
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(0.5)
            assert sorted(app.attempts) == [("a", 1), ("b", 1)]
            await clock.advance(0.6)
            assert app.attempts.count(("a", 2)) == 1
            app.errors.clear()
            await clock.advance(60)

        assert app.attempts.count(("a", 3)) == 1
        assert app.done == ["b", "a"]
        assert events.actions.count("postponed") == 2

    async def test_a_handler_that_always_fails_sends_the_message_into_quarantine(
        self, inbox, app, clock, vault, spool
    ):
        app.errors["a"] = LookupError("bug")
        await self.accept(inbox, "a", ttl=90 * 86_400)
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(1_200)

        assert len(app.attempts) == MAX_ATTEMPTS
        [record] = (await vault.records(QUARANTINE)).values()
        document = json.loads(record)
        assert (document["reason"], document["sender"]) == ("LookupError: bug", PEER.node_id)
        assert Parcel.parse(bytes.fromhex(document["parcel"])).message_id == "a"
        assert not await spool.totals()

    async def test_what_the_handler_lacks_is_waited_for_to_the_end(self, inbox, app, clock, vault):
        app.errors["a"] = NotAuthorisedError("not yet")
        await self.accept(inbox, "a", ttl=90 * 86_400)
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(3 * 3600)
            assert len(app.attempts) > MAX_ATTEMPTS
            app.errors.clear()
            await clock.advance(3 * 3600)

        assert app.done == ["a"]
        assert await vault.records(QUARANTINE) == {}

    @pytest.mark.parametrize(
        ("key", "error"), [("a", UnwantedMessageError("no")), ("open", InvalidAuthorizationError("no"))]
    )
    async def test_what_can_never_be_taken_is_put_aside_at_once(
        self, inbox, app, clock, vault, events, key, error
    ):
        app.errors[key] = error
        await self.accept(inbox, "a")
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(1)

        assert len(await vault.records(QUARANTINE)) == 1
        assert events.actions[-1] == "dropped"

    async def test_a_fault_that_can_pass_keeps_the_message(self, inbox, app, clock, vault):
        app.errors["open"] = BusyError("busy")
        await self.accept(inbox, "a")
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(0.5)
            app.errors.clear()
            await clock.advance(2)

        assert app.done == ["a"]
        assert await vault.records(QUARANTINE) == {}

    async def test_equal_ids_of_two_senders_do_not_displace_each_other(self, inbox, app, clock, vault):
        app.errors["a"] = UnwantedMessageError("no")
        other = certify(STRANGER, ENDPOINT, ENDPOINT_CERT, Role.DELIVERY_AUTHORIZATION)
        await self.accept(inbox, "a")
        await self.accept(inbox, "a", key=STRANGER, certificate=other)
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(1)

        assert len(await vault.records(QUARANTINE)) == 2

    @pytest.mark.parametrize("where", ["open", "handle"])
    async def test_a_stop_in_the_middle_gives_the_message_to_the_next_run(self, inbox, app, where):
        started = asyncio.Event()

        async def stuck(_):
            started.set()
            await asyncio.Event().wait()

        await self.accept(inbox, "a")
        loop = inbox.run(stuck if where == "open" else app.open, stuck)
        async with running(loop):
            await started.wait()
        async with running(inbox.run(app.open, app.handle)):
            await until(lambda: app.done)
        assert app.attempts == [("a", 1)]

    async def test_a_body_that_is_gone_or_unreadable_stops_nothing(
        self, inbox, app, clock, spool, monkeypatch
    ):
        await self.accept(inbox, "a")
        read, answers = spool.body, [StorageError("lost"), None]

        async def body(item):
            if not answers:
                return await read(item)
            answer = answers.pop()
            if answer is not None:
                raise answer
            return None

        monkeypatch.setattr(spool, "body", body)
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(5)
        assert app.done == ["a"]

    async def test_an_idle_inbox_rests(self, inbox, app, clock, spool, monkeypatch):
        looks = []
        hops = spool.hops

        async def counted(lane, *, now):
            looks.append(lane)
            return await hops(lane, now=now)

        monkeypatch.setattr(spool, "hops", counted)
        async with running(inbox.run(app.open, app.handle)):
            await clock.advance(3600)
        assert len(looks) < 130
        assert set(looks) == {APP}
