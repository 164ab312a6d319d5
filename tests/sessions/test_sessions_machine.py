# SPDX-License-Identifier: MIT
"""Two peers over a bad link: whatever arrives is opened, and keys go only when the rules say (rules §7)."""

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
    HANDED_OUT_GRACE,
    SESSION_KEY_RETENTION,
    MemorySessionKeyStore,
    NoSessionKeyError,
    Sessions,
    UnknownSessionKeyError,
)
from awala.vault import SqliteVault

START = datetime(2026, 11, 21, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BACKDATING = timedelta(hours=3)
MAX_TTL = timedelta(days=180)
NAMES = ("0a", "0b")

names = st.sampled_from(NAMES)


@dataclass
class ModelKey:
    """What the rules say about one of a node's own keys."""

    sequence: int
    until: datetime | None = None
    proven: bool = False
    superseded_at: datetime | None = None
    bound: bool = True

    def is_over(self, now: datetime) -> bool:
        if self.until is not None:
            return self.until + HANDED_OUT_GRACE < now
        return self.superseded_at is not None and self.superseded_at + SESSION_KEY_RETENTION < now


@dataclass(frozen=True)
class Message:
    sender: str
    payload: bytes
    plaintext: bytes
    date: datetime
    sealed_at: datetime


@dataclass(frozen=True)
class Offer:
    giver: str
    key: SessionKey
    until: datetime


def other(name: str) -> str:
    return NAMES[1 - NAMES.index(name)]


class TwoPeers(RuleBasedStateMachine):
    """Loss, reordering, duplication and restarts between two nodes, against a model of their keys."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = START
        self.sequence = 0
        self.link: list[Message] = []
        self.offers: list[Offer] = []
        self.adopted: set[str] = set()
        self.erased_offers: set[bytes] = set()
        self.keys: dict[str, dict[bytes, ModelKey]] = {name: {} for name in NAMES}
        self.nodes: dict[str, Sessions] = {}
        self.set_up()
        for name in NAMES:
            self.nodes[name] = self.start(name)

    def set_up(self) -> None:
        self.stores = {name: MemorySessionKeyStore() for name in NAMES}

    def start(self, name: str) -> Sessions:
        return Sessions(self.stores[name])

    def stop(self, name: str) -> None:
        """The process ends; only the store remains."""

    def teardown(self) -> None:
        for name in NAMES:
            self.stop(name)
        self.runner.close()

    def make_key(self, owner: str, key_id: bytes, **facts) -> None:
        assert key_id not in self.keys[owner]
        self.sequence += 1
        self.keys[owner][key_id] = ModelKey(self.sequence, **facts)

    def originator(self, owner: str) -> bytes | None:
        """Return the key of the owner's that must go out with a message, None for a new one."""
        key_id, newest = max(self.keys[owner].items(), key=lambda item: item[1].sequence, default=(b"", None))
        return None if newest is None or newest.until or newest.proven else key_id

    @rule(step=st.sampled_from([SECOND, timedelta(hours=1), timedelta(days=7), timedelta(days=60)]))
    def pass_time(self, step: timedelta) -> None:
        self.now += step

    @rule(giver=names, bound=st.booleans(), days=st.sampled_from([1, 30, 180]))
    def hand_out(self, *, giver: str, bound: bool, days: int) -> None:
        self.now += SECOND
        until = self.now + timedelta(days=days)
        key = self.runner.run(
            self.nodes[giver].hand_out(
                own_id=giver, peer_id=other(giver) if bound else None, now=self.now, until=until
            )
        )
        self.make_key(giver, key.key_id, until=until, bound=bound)
        self.offers.append(Offer(giver, key, until))

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def adopt(self, data: st.DataObject) -> None:
        offer = self.offers.pop(data.draw(st.integers(0, len(self.offers) - 1)))
        if offer.until < self.now:
            return
        taker = other(offer.giver)
        adoption = self.nodes[taker].adopt(offer.key, own_id=taker, peer_id=offer.giver, as_of=self.now)
        self.runner.run(adoption)
        self.adopted.add(taker)

    @rule(sender=names, plaintext=st.binary(max_size=40))
    def seal(self, sender: str, plaintext: bytes) -> None:
        self.now += SECOND
        sealing = self.nodes[sender].seal(plaintext, own_id=sender, peer_id=other(sender), now=self.now)
        if sender not in self.adopted:
            with pytest.raises(NoSessionKeyError):
                self.runner.run(sealing)
            return
        expected = self.originator(sender)
        payload = self.runner.run(sealing)
        key_id = EnvelopedData.parse(payload).originator_key.key_id
        if expected is None:
            self.make_key(sender, key_id)
        else:
            assert key_id == expected
        self.stop(sender)  # as if the process died when the message had just left
        self.nodes[sender] = self.start(sender)
        self.link.append(Message(sender, payload, plaintext, self.now - BACKDATING, self.now))

    @precondition(lambda self: self.link)
    @rule(data=st.data(), stays=st.booleans())
    def deliver(self, *, data: st.DataObject, stays: bool) -> None:
        index = data.draw(st.integers(0, len(self.link) - 1))
        message = self.link[index] if stays else self.link.pop(index)
        if message.sealed_at + MAX_TTL < self.now:
            return
        recipient = other(message.sender)
        key_id = EnvelopedData.parse(message.payload).recipient_key_id
        opening = self.nodes[recipient].open(
            message.payload,
            own_id=recipient,
            peer_id=message.sender,
            message_date=message.date,
            now=self.now,
        )
        if key_id not in self.keys[recipient]:
            # Only what was handed out may have gone: its peer should have had a later key or authorisation.
            assert key_id in self.erased_offers
            with pytest.raises(UnknownSessionKeyError):
                self.runner.run(opening)
            return
        assert self.runner.run(opening) == message.plaintext
        self.adopted.add(recipient)
        self.prove(recipient, key_id)

    def prove(self, owner: str, key_id: bytes) -> None:
        proven = self.keys[owner][key_id]
        proven.proven = True
        for key in self.keys[owner].values():
            if key.sequence < proven.sequence and key.until is None and key.superseded_at is None:
                key.superseded_at = self.now

    @precondition(lambda self: self.link)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.link.pop(data.draw(st.integers(0, len(self.link) - 1)))

    @rule(name=names)
    def restart(self, name: str) -> None:
        self.stop(name)
        self.nodes[name] = self.start(name)

    @rule(name=names)
    def prune(self, name: str) -> None:
        over = {key_id: key for key_id, key in self.keys[name].items() if key.is_over(self.now)}
        assert self.runner.run(self.nodes[name].prune(self.now)) == len(over)
        for key_id, key in over.items():
            del self.keys[name][key_id]
            if key.until is not None:
                self.erased_offers.add(key_id)

    @invariant()
    def every_key_that_the_rules_keep_is_kept(self) -> None:
        for name in NAMES:
            for key_id, key in self.keys[name].items():
                kept = self.runner.run(self.stores[name].own_key(own_id=name, key_id=key_id))
                assert kept is not None
                assert kept.proven is key.proven
                assert (kept.peer_id is not None) is key.bound


def sqlite_machine(directory: Path) -> Callable[[], TwoPeers]:
    class TwoPeersWithVaults(TwoPeers):
        """The same, with vaults in files, opened anew after each restart."""

        def set_up(self) -> None:
            self.directory = tempfile.mkdtemp(dir=directory)
            self.stores, self.vaults = {}, {}

        def start(self, name: str) -> Sessions:
            self.vaults[name] = self.runner.run(SqliteVault.open(Path(self.directory, name)))
            self.stores[name] = self.vaults[name].session_keys
            return Sessions(self.stores[name])

        def stop(self, name: str) -> None:
            self.runner.run(self.vaults[name].close())

    return TwoPeersWithVaults


def test_every_message_that_arrives_is_opened():
    run_state_machine_as_test(
        TwoPeers, settings=settings(max_examples=60, stateful_step_count=60, deadline=None)
    )


def test_every_message_that_arrives_is_opened_with_vaults_in_files(tmp_path):
    run_state_machine_as_test(
        sqlite_machine(tmp_path),
        settings=settings(
            max_examples=8,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
