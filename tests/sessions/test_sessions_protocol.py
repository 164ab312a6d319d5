# SPDX-License-Identifier: MIT
"""The session protocol (RS-003, rules §7)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awala.base.errors import AwalaError, ConfigurationError
from awala.cms import EnvelopedData
from awala.cms.enveloped_data import MAX_KEY_ID_OCTETS
from awala.crypto import ContentCipher, Curve, SessionKey, SessionKeyPair, SessionPrivateKey, SessionPublicKey
from awala.sessions import (
    HANDED_OUT_GRACE,
    MINIMUM_RETENTION,
    SESSION_KEY_RETENTION,
    STATIC_KEY_ROTATION,
    MemorySessionKeyStore,
    NoSessionKeyError,
    PayloadError,
    SessionError,
    Sessions,
    UnknownSessionKeyError,
    required_key_id,
)
from awala.sessions.cache import LoadedKeys
from helpers.vectors import vector

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PLAINTEXT = b"it is raining in Caracas"


class Party:
    """One node with its sessions."""

    def __init__(self, name: str, store=None, **options) -> None:
        self.name = name
        self.store = store or MemorySessionKeyStore()
        self.sessions = Sessions(self.store, **options)

    async def seal(self, to: Party, *, plaintext=PLAINTEXT, now=NOW) -> bytes:
        return await self.sessions.seal(plaintext, own_id=self.name, peer_id=to.name, now=now)

    async def open(self, payload: bytes, sender: Party, *, date=NOW, now=NOW) -> bytes:
        return await self.sessions.open(
            payload, own_id=self.name, peer_id=sender.name, message_date=date, now=now
        )

    async def hand_out(self, to: Party | None, *, now=NOW, until=NOW + 90 * DAY) -> SessionKey:
        peer_id = to and to.name
        return await self.sessions.hand_out(own_id=self.name, peer_id=peer_id, now=now, until=until)

    async def adopt(self, key: SessionKey, giver: Party, *, as_of=NOW) -> None:
        await self.sessions.adopt(key, own_id=self.name, peer_id=giver.name, as_of=as_of)

    async def prune(self, now: datetime, **options) -> int:
        return await self.sessions.prune(now, **options)


@pytest.fixture
async def alice(store) -> Party:
    return Party("0alice", store)


@pytest.fixture
async def bob(alice) -> Party:
    """A peer who has a key of Alice's, bound to him."""
    bob = Party("0bob")
    await bob.adopt(await alice.hand_out(bob), alice)
    return bob


def originator_id(payload: bytes) -> bytes:
    return EnvelopedData.parse(payload).originator_key.key_id


async def test_opens_what_the_peer_sealed_and_answers_to_its_new_key(alice, bob):
    question = await bob.seal(alice)

    assert await alice.open(question, bob) == PLAINTEXT
    answer = await alice.seal(bob, plaintext=b"thanks")

    assert required_key_id(answer) == originator_id(question)
    assert await bob.open(answer, alice) == b"thanks"


@pytest.mark.rule("1.5")
@pytest.mark.parametrize("plaintext", [b"", b"x" * 100_000])
@pytest.mark.parametrize("cipher", [ContentCipher.AES_128_CBC, ContentCipher.AES_256_GCM])
async def test_seals_with_the_content_cipher_that_is_set(plaintext, cipher):
    alice, bob = Party("0alice"), Party("0bob", content_cipher=cipher)
    await bob.adopt(await alice.hand_out(bob), alice)

    payload = await bob.seal(alice, plaintext=plaintext)

    assert EnvelopedData.parse(payload).content_cipher is cipher
    assert await alice.open(payload, bob) == plaintext


async def test_seals_nothing_for_a_peer_without_a_known_key(alice, bob):
    with pytest.raises(NoSessionKeyError):
        await alice.seal(bob)
    assert await alice.store.newest_own_key(own_id=alice.name, peer_id="0new") is None


@pytest.mark.rule("7.2")
async def test_keeps_the_new_private_key_before_the_payload_can_leave(alice, bob):
    payload = await bob.seal(alice)

    assert await bob.store.own_key(own_id=bob.name, key_id=originator_id(payload)) is not None


@pytest.mark.rule("7.2")
async def test_lets_no_payload_leave_when_its_key_cannot_be_kept(bob, alice, monkeypatch):
    async def fail(**_):
        raise AwalaError("no room")

    monkeypatch.setattr(bob.store, "save_own_key", fail)

    with pytest.raises(AwalaError, match="no room"):
        await bob.seal(alice)


async def test_loses_no_message_when_the_new_state_cannot_be_kept(alice, bob, monkeypatch):
    async def fail(**_):
        raise AwalaError("no room")

    payload = await bob.seal(alice)
    with monkeypatch.context() as patch:
        patch.setattr(type(alice.store), "record_opened", lambda _, **arguments: fail(**arguments))
        with pytest.raises(AwalaError, match="no room"):
            await alice.open(payload, bob)

    assert await alice.open(payload, bob) == PLAINTEXT


@pytest.mark.rule("7.2")
async def test_reuses_its_key_until_the_peer_has_encrypted_to_it(alice, bob):
    first, second = await bob.seal(alice), await bob.seal(alice, now=NOW + DAY)
    await alice.open(first, bob)
    third = await bob.seal(alice, now=NOW + DAY)
    await bob.open(await alice.seal(bob), alice)
    fourth = await bob.seal(alice, now=NOW + DAY)

    assert originator_id(first) == originator_id(second) == originator_id(third)
    assert originator_id(fourth) != originator_id(first)


async def test_reuses_its_key_after_a_restart(alice, bob):
    await bob.open(await answer_to(await bob.seal(alice), alice, bob), alice)
    first = await bob.seal(alice)

    restarted = Party(bob.name, bob.store)

    assert originator_id(await restarted.seal(alice)) == originator_id(first)


async def answer_to(payload, recipient, sender):
    await recipient.open(payload, sender)
    return await recipient.seal(sender)


async def test_makes_one_key_for_many_payloads_sealed_at_once(alice, bob):
    await alice.open(await bob.seal(alice), bob)

    payloads = await asyncio.gather(*(alice.seal(bob) for _ in range(10)))

    assert len({originator_id(payload) for payload in payloads}) == 1


async def test_makes_a_new_key_after_one_was_handed_out_to_the_peer(alice, bob):
    await alice.open(await bob.seal(alice), bob)
    before = await alice.seal(bob)
    await alice.hand_out(Party("0carol"))
    unaffected = await alice.seal(bob)
    await alice.hand_out(bob)
    after = await alice.seal(bob)
    await alice.hand_out(None)
    last = await alice.seal(bob)

    assert originator_id(before) == originator_id(unaffected)
    assert len({originator_id(payload) for payload in (before, after, last)}) == 3


async def test_never_sends_a_handed_out_key_along(alice, bob):
    handed_out = await bob.hand_out(alice)

    assert originator_id(await bob.seal(alice)) != handed_out.key_id


@pytest.mark.parametrize("curve", [Curve.P384, Curve.P521])
async def test_follows_a_peer_to_another_curve(alice, bob, curve):
    await bob.seal(alice)
    pair = SessionKeyPair.generate(curve)
    await alice.store.save_own_key(
        own_id=alice.name,
        peer_id=bob.name,
        key_id=pair.key_id,
        private_key=pair.private_key.serialize(),
        created=NOW,
        first_sent=NOW,
        until=NOW + DAY,
    )
    await bob.adopt(pair.session_key, alice)

    first, second = await bob.seal(alice), await bob.seal(alice)

    assert EnvelopedData.parse(first).originator_key.public_key.curve is curve
    assert originator_id(first) == originator_id(second)
    assert await alice.open(first, bob) == PLAINTEXT


@pytest.mark.rule("7.1")
@pytest.mark.parametrize(("lag", "moves"), [(-SECOND, False), (timedelta(0), True), (SECOND, True)])
async def test_moves_to_the_key_of_a_message_unless_it_is_older(alice, bob, lag, moves):
    present, arriving = SessionKeyPair.generate(), Party("0bob")
    await arriving.adopt(await alice.hand_out(bob), alice)
    await alice.adopt(present.session_key, bob, as_of=NOW)
    payload = await arriving.seal(alice)

    assert await alice.open(payload, bob, date=NOW + lag) == PLAINTEXT

    expected = originator_id(payload) if moves else present.key_id
    assert required_key_id(await alice.seal(bob)) == expected


async def test_seals_with_a_key_that_was_handed_out_anew_at_once(alice, bob):
    await alice.open(await bob.seal(alice), bob, date=NOW + 5 * HOUR)
    first, second = SessionKeyPair.generate().session_key, SessionKeyPair.generate().session_key

    for offered in (first, second):
        await alice.adopt(offered, bob, as_of=NOW)
        assert required_key_id(await alice.seal(bob)) == offered.key_id


async def test_is_not_led_back_by_what_a_peer_sent_before_it_lost_its_state(alice, bob):
    await alice.adopt(SessionKeyPair.generate().session_key, bob)
    late = await bob.seal(alice)
    anew = SessionKeyPair.generate().session_key

    await alice.adopt(anew, bob, as_of=NOW)

    assert await alice.open(late, bob, date=NOW + 4 * HOUR - SECOND) == PLAINTEXT
    assert required_key_id(await alice.seal(bob)) == anew.key_id
    await alice.open(late, bob, date=NOW + 4 * HOUR)
    assert required_key_id(await alice.seal(bob)) == originator_id(late)


async def test_is_not_set_back_by_a_key_that_it_adopted_before(alice, bob):
    offered = SessionKeyPair.generate().session_key
    await alice.adopt(offered, bob)
    message = await bob.seal(alice)
    await alice.open(message, bob)

    await alice.adopt(offered, bob, as_of=NOW + DAY)

    assert required_key_id(await alice.seal(bob)) == originator_id(message)


async def test_takes_another_key_with_a_known_id_for_another_key(alice, bob):
    offered, other = SessionKeyPair.generate().session_key, SessionKeyPair.generate().session_key
    await alice.adopt(offered, bob)

    await alice.adopt(SessionKey(offered.key_id, other.public_key), bob)

    stored = await alice.store.peer_key(own_id=alice.name, peer_id=bob.name)
    assert (stored.key_id, stored.public_key) == (offered.key_id, other.public_key.spki)


async def test_opens_a_duplicate_and_late_messages_in_any_order(alice, bob):
    payloads = []
    for number in range(3):
        payloads.append((await bob.seal(alice), NOW + number * SECOND))
        await bob.open(await answer_to(*(payloads[-1][0], alice, bob)), alice)

    for payload, date in (payloads[2], payloads[0], payloads[1], payloads[2]):
        assert await alice.open(payload, bob, date=date) == PLAINTEXT

    assert required_key_id(await alice.seal(bob)) == originator_id(payloads[2][0])


@pytest.mark.rule("7.1")
async def test_refuses_a_key_that_is_bound_to_another_peer(alice, bob):
    mallory = Party("0mallory")
    await mallory.adopt(await alice.hand_out(bob), alice)
    payload = await mallory.seal(alice)

    with pytest.raises(UnknownSessionKeyError):
        await alice.open(payload, mallory)
    assert await alice.store.peer_key(own_id=alice.name, peer_id=mallory.name) is None


async def test_opens_with_a_static_key_for_any_peer_of_that_node_only(alice):
    static = await alice.hand_out(None)
    for peer in (Party("0carol"), Party("0dave")):
        await peer.adopt(static, alice)
        assert await alice.open(await peer.seal(alice), peer) == PLAINTEXT

    other_node = Party("0other", alice.store)
    with pytest.raises(UnknownSessionKeyError):
        await other_node.open(await peer.seal(alice), peer)


async def test_refuses_a_payload_for_a_key_it_does_not_have(alice, bob):
    stranger = Party("0stranger")
    await bob.adopt(await stranger.hand_out(bob), stranger)

    with pytest.raises(UnknownSessionKeyError):
        await alice.open(await bob.seal(stranger), bob)


@pytest.mark.parametrize("payload", [b"", b"\x30\x00", b"not a payload", vector("js", "parcel")])
async def test_refuses_what_is_no_encrypted_value(alice, bob, payload):
    with pytest.raises(PayloadError):
        await alice.open(payload, bob)
    with pytest.raises(PayloadError):
        required_key_id(payload)


@pytest.mark.parametrize("stack", ["js", "jvm"])
async def test_refuses_encryption_outside_a_session(alice, bob, stack):
    with pytest.raises(PayloadError, match="channel session"):
        await alice.open(vector(stack, "sessionless.env.der"), bob)


async def test_learns_nothing_from_a_payload_that_does_not_decrypt(alice, bob):
    payload = bytearray(await bob.seal(alice))
    before = await alice.store.newest_own_key(own_id=alice.name, peer_id=bob.name)
    payload[payload.index(EnvelopedData.parse(bytes(payload)).recipient_key_id) + 12] ^= 1

    with pytest.raises(PayloadError):
        await alice.open(bytes(payload), bob)

    assert await alice.store.peer_key(own_id=alice.name, peer_id=bob.name) is None
    assert await alice.store.newest_own_key(own_id=alice.name, peer_id=bob.name) == before


async def test_refuses_ids_of_keys_that_are_too_long(alice, bob):
    long = SessionKeyPair(bytes(MAX_KEY_ID_OCTETS + 1), SessionPrivateKey.generate())
    with pytest.raises(PayloadError):
        await alice.adopt(long.session_key, bob)

    longest = SessionKey(bytes(MAX_KEY_ID_OCTETS), long.private_key.public_key)
    await alice.adopt(longest, bob)

    assert required_key_id(await alice.seal(bob)) == longest.key_id


@given(st.integers(0), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_meets_every_mutation_with_an_error_of_its_own(position, change):
    async def run():
        alice, bob = Party("0alice"), Party("0bob")
        await alice.store.save_own_key(
            own_id=alice.name,
            peer_id=None,
            key_id=vector("js", "sk.id"),
            private_key=vector("js", "sk.pkcs8.der"),
            created=NOW,
            first_sent=NOW,
            until=NOW,
        )
        payload = bytearray(vector("js", "session.env.der"))
        payload[position % len(payload)] ^= change
        try:
            await alice.open(bytes(payload), bob)
        except SessionError:
            assert await alice.store.peer_key(own_id=alice.name, peer_id=bob.name) is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("stack", "envelope", "key"),
    [
        ("js", "session.env.der", "sk"),
        ("jvm", "session.env.der", "sk"),
        ("jvm", "session.256.512.env.der", "sk"),
        ("jvm", "session.p384.env.der", "sk384"),
    ],
)
async def test_opens_what_the_reference_libraries_sealed(alice, bob, stack, envelope, key):
    payload = vector(stack, envelope)
    await alice.store.save_own_key(
        own_id=alice.name,
        peer_id=bob.name,
        key_id=required_key_id(payload),
        private_key=vector(stack, f"{key}.pkcs8.der"),
        created=NOW,
        first_sent=NOW,
        until=NOW,
    )

    assert await alice.open(payload, bob) == vector(stack, "serviceMessage.der")
    assert required_key_id(await alice.seal(bob)) == originator_id(payload)


async def conversation(alice, bob):
    """Have Alice use two keys towards Bob, of which he proves the second by NOW; return their ids."""
    await alice.open(await bob.seal(alice), bob)
    first = await alice.seal(bob, now=NOW - MINUTE)
    await bob.open(first, alice)
    await alice.open(await bob.seal(alice), bob)
    second = await alice.seal(bob)
    await bob.open(second, alice)
    await alice.open(await bob.seal(alice), bob)
    return originator_id(first), originator_id(second)


@pytest.mark.rule("7.3")
async def test_keeps_a_superseded_key_for_the_retention_and_then_erases_it(alice, bob):
    first, second = await conversation(alice, bob)

    assert await alice.prune(NOW + SESSION_KEY_RETENTION) == 0
    assert await alice.prune(NOW + SESSION_KEY_RETENTION + SECOND) == 1
    assert await alice.store.own_key(own_id=alice.name, key_id=first) is None
    assert await alice.store.own_key(own_id=alice.name, key_id=second) is not None


@pytest.mark.rule("7.3")
async def test_keeps_superseded_keys_for_as_long_as_it_is_told(store):
    alice, bob = Party("0alice", store, retention=DAY), Party("0bob")
    await bob.adopt(await alice.hand_out(bob), alice)
    await conversation(alice, bob)

    assert await alice.prune(NOW + DAY) == 0
    assert await alice.prune(NOW + DAY + SECOND) == 1


@pytest.mark.parametrize("clock_set_back", [timedelta(0), 2 * HOUR])
async def test_opens_what_a_peer_seals_after_a_late_message_led_it_back(alice, bob, clock_set_back):
    """Two keys went out in one second, or the clock was set right between them; the first arrives last."""
    late_date = NOW + clock_set_back
    await alice.open(await bob.seal(alice), bob)
    first, late = [await alice.seal(bob, now=late_date) for _ in range(2)]
    await bob.open(first, alice, date=NOW - SECOND)  # its date matters not: Bob is to prove its key
    await alice.open(await bob.seal(alice), bob)
    await bob.open(await alice.seal(bob), alice, date=NOW)
    await alice.open(await bob.seal(alice), bob)

    await bob.open(late, alice, date=late_date)
    sent = NOW + 170 * DAY
    payload = await bob.seal(alice, now=sent)
    await alice.prune(sent + 100 * DAY)

    assert required_key_id(payload) == originator_id(late)
    assert await alice.open(payload, bob, date=sent, now=sent + 100 * DAY) == PLAINTEXT


async def test_supersedes_no_key_of_the_same_second(alice, bob):
    """The peer may get their messages in any order, and go back to the first of them."""
    await alice.open(await bob.seal(alice), bob)
    for lag in (0.1, 0.2):
        await bob.open(await alice.seal(bob, now=NOW + lag * SECOND), alice)
        await alice.open(await bob.seal(alice), bob)

    assert await alice.prune(NOW + 1000 * DAY) == 1  # the one that was handed out


async def test_supersedes_no_key_that_a_clock_ahead_dated_later(alice, bob):
    await alice.open(await bob.seal(alice), bob)
    for lag in (2 * HOUR, timedelta(0), HOUR):
        await bob.open(await alice.seal(bob, now=NOW + lag), alice, date=NOW)
        await alice.open(await bob.seal(alice), bob)

    assert await alice.prune(NOW + 1000 * DAY) == 2  # the second, and the one that was handed out


async def test_notes_with_few_writes_when_a_key_goes_out(alice, bob, monkeypatch):
    writes = []
    widen = bob.store.widen_sent

    async def count(**arguments):
        writes.append(arguments["last"])
        await widen(**arguments)

    monkeypatch.setattr(bob.store, "widen_sent", count)
    for seconds in (0, 0.5, 1, 30, 61, 62, 1000):
        await bob.seal(alice, now=NOW + seconds * SECOND)

    assert writes == [NOW + (seconds + 60) * SECOND for seconds in (1, 62, 1000)]


async def test_keeps_keys_as_they_were_when_the_oldest_unread_message_was_sent(alice, bob):
    await conversation(alice, bob)
    end = NOW + SESSION_KEY_RETENTION + SECOND

    assert await alice.sessions.prune(end, unread_since=NOW) == 0
    assert await alice.sessions.prune(end, unread_since=end + DAY) == 1


def test_refuses_to_keep_keys_for_less_than_a_day():
    Sessions(MemorySessionKeyStore(), retention=MINIMUM_RETENTION)
    with pytest.raises(ConfigurationError):
        Sessions(MemorySessionKeyStore(), retention=MINIMUM_RETENTION - SECOND)


@pytest.mark.rule("7.4")
async def test_keeps_a_handed_out_key_for_the_grace_and_then_erases_it(alice):
    until = NOW + 90 * DAY
    bob = Party("0bob")
    await bob.adopt(await alice.hand_out(bob, until=until), alice)
    payload = await bob.seal(alice)
    await alice.open(payload, bob)

    assert await alice.prune(until + HANDED_OUT_GRACE) == 0
    assert await alice.open(payload, bob) == PLAINTEXT
    assert await alice.prune(until + HANDED_OUT_GRACE + SECOND) == 1
    with pytest.raises(UnknownSessionKeyError):
        await alice.open(payload, bob)


@pytest.mark.rule("7.5")
async def test_erases_no_key_that_an_unread_payload_needs(alice, bob):
    payload = await bob.seal(alice)
    late = NOW + 1000 * DAY

    assert await alice.prune(late, keep={required_key_id(payload)}) == 0
    assert await alice.open(payload, bob) == PLAINTEXT


@pytest.mark.rule("7.4")
async def test_publishes_one_static_key_for_thirty_days(alice):
    first = await alice.sessions.published(own_id=alice.name, now=NOW)
    await alice.hand_out(Party("0bob"))
    later = NOW + STATIC_KEY_ROTATION

    assert await alice.sessions.published(own_id=alice.name, now=later - SECOND) == first
    second = await alice.sessions.published(own_id=alice.name, now=later)
    assert second != first
    assert await Party(alice.name, alice.store).sessions.published(own_id=alice.name, now=later) == second


async def test_publishes_a_new_key_when_the_clock_was_far_ahead(alice):
    ahead = await alice.sessions.published(own_id=alice.name, now=NOW + 2 * HOUR)

    assert await alice.sessions.published(own_id=alice.name, now=NOW) == ahead
    assert await alice.sessions.published(own_id=alice.name, now=NOW - SECOND) != ahead


@pytest.mark.rule("7.4")
async def test_honours_a_published_key_for_the_grace_after_its_rotation(alice):
    bob = Party("0bob")
    await bob.adopt(await alice.sessions.published(own_id=alice.name, now=NOW), alice)
    end = NOW + STATIC_KEY_ROTATION + HANDED_OUT_GRACE

    assert await alice.prune(end) == 0
    assert await alice.open(await bob.seal(alice), bob) == PLAINTEXT
    assert await alice.prune(end + SECOND) == 1


async def test_forgets_a_peer(alice, bob):
    payload = await bob.seal(alice)
    await alice.open(payload, bob)
    await alice.seal(bob)

    await alice.sessions.forget(own_id=alice.name, peer_id=bob.name)

    with pytest.raises(NoSessionKeyError):
        await alice.seal(bob)
    with pytest.raises(UnknownSessionKeyError):
        await alice.open(payload, bob)


async def test_loads_each_key_once(alice, bob, monkeypatch):
    loads = {SessionPrivateKey: 0, SessionPublicKey: 0}

    def count(kind):
        load = kind.load

        def counting(encoding):
            loads[kind] += 1
            return load(encoding)

        monkeypatch.setattr(kind, "load", counting)

    count(SessionPrivateKey)
    count(SessionPublicKey)
    for _ in range(5):
        await bob.seal(alice)

    assert loads[SessionPrivateKey] <= 1
    assert loads[SessionPublicKey] == 1


def test_remembers_no_more_keys_than_its_bound_and_drops_the_least_used():
    keys: LoadedKeys[int, str] = LoadedKeys(2)
    loaded = []

    def get(name):
        return keys.get(name, lambda: loaded.append(name) or str(name))

    assert [get(name) for name in (1, 2, 1, 3, 1, 2)] == ["1", "2", "1", "3", "1", "2"]
    assert loaded == [1, 2, 3, 2]
    assert len(keys) == 2
    keys.clear()
    assert len(keys) == 0
