# SPDX-License-Identifier: MIT
"""Peers over a bad link: what arrives in its time is opened, and keys go only when the rules say (rules §7).

Three nodes on two machines: ``a1`` and ``a2`` share a store and a clock, ``b`` has its own. Each clock is up
to two hours off, and may be set at any time. ``./scripts/soak sessions`` runs far more examples of the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from awala.cms import EnvelopedData
from awala.crypto import SessionKey
from awala.sessions import (
    MINIMUM_RETENTION,
    MemorySessionKeyStore,
    NoSessionKeyError,
    Sessions,
    UnknownSessionKeyError,
    required_key_id,
)
from awala.vault import SqliteVault
from helpers.session_model import RETENTION, ROTATION, StoreModel

START = datetime(2026, 11, 21, 12, 0, 0, 300_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BACKDATING = 3 * HOUR
MAX_LIFE = 180 * DAY
MAX_LOSSES = 2
HOSTS = {"A": ("a1", "a2"), "B": ("b",)}
HOST = {name: host for host, names in HOSTS.items() for name in names}
WAYS = (("a1", "b"), ("a2", "b"), ("b", "a1"), ("b", "a2"))

ways = st.sampled_from(WAYS)
hosts = st.sampled_from(sorted(HOSTS))
steps = st.sampled_from([SECOND, SECOND, 30 * SECOND, HOUR, HOUR, DAY, 7 * DAY, 60 * DAY, 175 * DAY])
offsets = st.sampled_from([hours * HOUR for hours in (-2, -1, 0, 1, 2)])
lives = st.sampled_from([MAX_LIFE, MAX_LIFE, 30 * DAY, DAY])


@dataclass(frozen=True)
class Message:
    sender: str
    recipient: str
    payload: bytes
    plaintext: bytes
    date: datetime
    expiry: datetime

    @property
    def key_id(self) -> bytes:
        return required_key_id(self.payload)


@dataclass(frozen=True)
class Offer:
    """A key that was handed out, and the end of the certificate that carries it."""

    giver: str
    taker: str
    key: SessionKey
    until: datetime


class Peers(RuleBasedStateMachine):
    """Loss, reordering, duplication, restarts, lost stores and wrong clocks, against a model of the keys."""

    retention: timedelta | None = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = START
        self.offsets = dict.fromkeys(HOSTS, timedelta(0))
        self.link: list[Message] = []
        self.unread: list[Message] = []
        self.quarantined: list[Message] = []
        self.offers: list[Offer] = []
        self.ends: dict[bytes, datetime] = {}
        self.losses = 0
        self.lost: set[bytes] = set()
        self.pruned: set[bytes] = set()
        self.models = {host: self.model() for host in HOSTS}
        self.stores, self.sessions = {}, {}
        self.set_up()
        for host in HOSTS:
            self.sessions[host] = self.start(host)
        for giver, taker in WAYS:
            self.take(self.give(giver, taker, 180))

    # What differs between the stores

    def set_up(self) -> None:
        for host in HOSTS:
            self.empty(host)

    def empty(self, host: str) -> None:
        self.stores[host] = MemorySessionKeyStore()

    def start(self, host: str) -> Sessions:
        return Sessions(self.stores[host], retention=self.retention)

    def stop(self, host: str) -> None:
        """The process ends; only the store remains."""

    def teardown(self) -> None:
        for host in HOSTS:
            self.stop(host)
        self.runner.close()

    # Time and processes

    def model(self) -> StoreModel:
        return StoreModel(self.retention or RETENTION)

    def reading(self, name: str) -> datetime:
        """Return what the clock of a node, or of a machine, shows."""
        return self.now + self.offsets[HOST.get(name, name)]

    @rule(step=steps)
    def pass_time(self, step: timedelta) -> None:
        self.now += step

    @rule(host=hosts, offset=offsets)
    def set_clock(self, host: str, offset: timedelta) -> None:
        self.offsets[host] = offset

    def restart(self, host: str) -> None:
        """Every node restarts after each message that it seals, and may have died before that left."""
        self.stop(host)
        self.sessions[host] = self.start(host)

    # Keys that are handed out

    @rule(way=ways, days=st.sampled_from([180, 30, 1]))
    def hand_out(self, way: tuple[str, str], days: int) -> None:
        self.give(*way, days)

    def give(self, giver: str, taker: str, days: int) -> Offer:
        now = self.reading(giver)
        until = now + timedelta(days=days)
        key = self.runner.run(
            self.sessions[HOST[giver]].hand_out(own_id=giver, peer_id=taker, now=now, until=until)
        )
        self.models[HOST[giver]].handed_out(giver, taker, key.key_id, now, until)
        return self.offer(giver, taker, key, until)

    @rule(way=ways)
    def publish(self, way: tuple[str, str]) -> None:
        giver, taker = way
        now, model = self.reading(giver), self.models[HOST[giver]]
        key = self.runner.run(self.sessions[HOST[giver]].published(own_id=giver, now=now))
        expected = model.published(giver, now)
        if expected is None:
            model.handed_out(giver, None, key.key_id, now, now + ROTATION)
        else:
            assert key.key_id == expected
        self.offer(giver, taker, key, model.keys[key.key_id].until)

    def offer(self, giver: str, taker: str, key: SessionKey, until: datetime) -> Offer:
        self.ends[key.key_id] = until
        self.offers.append(Offer(giver, taker, key, until))
        return self.offers[-1]

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        """Offers may come late, out of order and again."""
        self.take(data.draw(st.sampled_from(self.offers)))

    def take(self, offer: Offer) -> None:
        if self.reading(offer.taker) > offer.until:
            return
        as_of = self.reading(offer.taker) - BACKDATING
        self.runner.run(
            self.sessions[HOST[offer.taker]].adopt(
                offer.key, own_id=offer.taker, peer_id=offer.giver, as_of=as_of
            )
        )
        self.models[HOST[offer.taker]].adopted(offer.taker, offer.giver, offer.key.key_id, as_of)

    @precondition(lambda self: self.losses < MAX_LOSSES)
    @rule(host=hosts)
    def start_anew(self, host: str) -> None:
        """A machine loses its store; its nodes and their peers exchange keys again."""
        self.losses += 1
        self.now += SECOND
        self.stop(host)
        self.empty(host)
        self.sessions[host] = self.start(host)
        self.lost |= self.models[host].keys.keys()
        self.models[host] = self.model()
        self.offers = [offer for offer in self.offers if HOST[offer.giver] != host]
        self.unread = [message for message in self.unread if HOST[message.recipient] != host]
        self.quarantined = [message for message in self.quarantined if HOST[message.recipient] != host]
        for giver, taker in WAYS:
            offer = self.give(giver, taker, 180)
            self.take(offer)
            if HOST[giver] == host:
                assert self.models[HOST[taker]].peers[taker, giver].key_id == offer.key.key_id

    # Messages

    @rule(way=ways, plaintext=st.binary(max_size=40), life=lives, fate=st.sampled_from([1, 1, 1, 2, 0]))
    def send(self, way: tuple[str, str], plaintext: bytes, life: timedelta, fate: int) -> None:
        """Seal a message; it leaves, perhaps twice, or the process is killed before."""
        self.seal(way, plaintext, life, fate)

    def seal(self, way: tuple[str, str], plaintext: bytes, life: timedelta, fate: int) -> None:
        sender, recipient = way
        now, model = self.reading(sender), self.models[HOST[sender]]
        peer = model.peers.get((sender, recipient))
        if peer is not None and self.ends.get(peer.key_id, now) < now:
            return  # without a valid certificate nobody sends
        sealing = self.sessions[HOST[sender]].seal(plaintext, own_id=sender, peer_id=recipient, now=now)
        if peer is None:
            with pytest.raises(NoSessionKeyError):
                self.runner.run(sealing)
            return
        payload = self.runner.run(sealing)
        assert required_key_id(payload) == peer.key_id
        assert peer.key_id not in self.lost
        model.sent(sender, recipient, EnvelopedData.parse(payload).originator_key.key_id, now)
        self.restart(HOST[sender])
        date = (now - BACKDATING).replace(microsecond=0)
        expiry = min(now + life, date + MAX_LIFE)
        self.link += [Message(sender, recipient, payload, plaintext, date, expiry)] * fate

    @precondition(lambda self: self.link)
    @rule()
    def deliver_latest(self) -> None:
        """The message that was sent last arrives, before any others."""
        self.deliver(self.link.pop())

    @precondition(lambda self: self.link)
    @rule(data=st.data())
    def deliver_any(self, data: st.DataObject) -> None:
        """A message arrives, in any order."""
        self.deliver(self.link.pop(data.draw(st.integers(0, len(self.link) - 1))))

    @precondition(lambda self: self.link)
    @rule(data=st.data())
    def deliver_at_the_last_moment(self, data: st.DataObject) -> None:
        """A message arrives just before it expires, and just after keys were pruned."""
        message = self.link.pop(data.draw(st.integers(0, len(self.link) - 1)))
        host = HOST[message.recipient]
        self.now = max(self.now, message.expiry - self.offsets[host])
        self.prune(host)
        self.deliver(message)

    @rule(way=ways)
    def exchange(self, way: tuple[str, str]) -> None:
        """A message and its answer arrive at once."""
        for sender, recipient in (way, way[::-1]):
            before = len(self.link)
            self.seal((sender, recipient), b"", MAX_LIFE, 1)
            if len(self.link) > before:
                self.deliver(self.link.pop())

    def deliver(self, message: Message) -> None:
        """It is opened at once; one that never comes to be delivered in its time was lost."""
        if self.reading(message.recipient) <= message.expiry:
            self.open(message)

    @precondition(lambda self: self.link)
    @rule(data=st.data(), quarantine=st.booleans())
    def put_aside(self, *, data: st.DataObject, quarantine: bool) -> None:
        """A message arrives and rests unread, or goes into quarantine."""
        message = data.draw(st.sampled_from(self.link))
        self.link.remove(message)
        known = message.key_id in self.models[HOST[message.recipient]].keys
        if known and self.reading(message.recipient) <= message.expiry:
            (self.quarantined if quarantine else self.unread).append(message)

    @precondition(lambda self: self.unread or self.quarantined)
    @rule(data=st.data())
    def open_what_was_put_aside(self, data: st.DataObject) -> None:
        """It opens however long it lay there."""
        message = data.draw(st.sampled_from(self.unread + self.quarantined))
        (self.unread if message in self.unread else self.quarantined).remove(message)
        assert self.open(message)

    def open(self, message: Message) -> bool:
        recipient, now = message.recipient, self.reading(message.recipient)
        model = self.models[HOST[recipient]]
        opening = self.sessions[HOST[recipient]].open(
            message.payload,
            own_id=recipient,
            peer_id=message.sender,
            message_date=message.date,
            now=now,
        )
        if message.key_id not in model.keys:
            # Only with a lost store, or for who prefers secrecy to late mail.
            assert message.key_id in self.lost or (self.retention and message.key_id in self.pruned)
            with pytest.raises(UnknownSessionKeyError):
                self.runner.run(opening)
            return False
        assert self.runner.run(opening) == message.plaintext
        brought = EnvelopedData.parse(message.payload).originator_key.key_id
        model.opened(recipient, message.sender, message.key_id, brought, message.date, now)
        return True

    @rule(host=hosts)
    def keep_up(self, host: str) -> None:
        self.prune(host)

    def prune(self, host: str) -> None:
        now = self.reading(host)
        keep = {message.key_id for message in self.quarantined if HOST[message.recipient] == host}
        dates = [message.date for message in self.unread if HOST[message.recipient] == host]
        unread_since = min(dates, default=None)
        over = self.models[host].prune(now, unread_since, keep)
        pruning = self.sessions[host].prune(now, unread_since=unread_since, keep=keep)
        assert self.runner.run(pruning) == len(over)
        self.pruned |= over

    @invariant()
    def exactly_the_keys_that_the_rules_keep_are_kept(self) -> None:
        for host, model in self.models.items():
            for key_id, key in model.keys.items():
                kept = self.runner.run(self.stores[host].own_key(own_id=key.owner, key_id=key_id))
                assert kept is not None
                assert (kept.proven, kept.peer_id, kept.until) == (key.proven, key.peer, key.until)
                assert (kept.first_sent, kept.last_sent) == (key.first_sent, key.last_sent)


class PeersWithShortRetention(Peers):
    """Nodes that prefer secrecy to late mail: what has arrived is opened all the same."""

    retention = MINIMUM_RETENTION


def with_vaults_in(directory: Path) -> Callable[[], Peers]:
    class PeersWithVaults(Peers):
        """The same, with vaults in files, opened anew after each restart."""

        def set_up(self) -> None:
            self.vaults = {}
            self.directories = {}
            super().set_up()

        def empty(self, host: str) -> None:
            self.directories[host] = Path(tempfile.mkdtemp(dir=directory))

        def start(self, host: str) -> Sessions:
            self.vaults[host] = self.runner.run(SqliteVault.open(self.directories[host]))
            self.stores[host] = self.vaults[host].session_keys
            return super().start(host)

        def stop(self, host: str) -> None:
            self.runner.run(self.vaults[host].close())

    return PeersWithVaults


def run(machine: Callable[[], Peers], examples: int, steps: int) -> None:
    """Run a machine; the long check uses this too."""
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )


def test_every_message_that_arrives_in_its_time_is_opened():
    run(Peers, 40, 60)


def test_every_message_that_arrives_in_its_time_is_opened_with_vaults_in_files(tmp_path):
    run(with_vaults_in(tmp_path), 10, 30)


def test_what_has_arrived_is_opened_whatever_the_retention():
    run(PeersWithShortRetention, 15, 60)
