# SPDX-License-Identifier: MIT
"""What every session key store must do: one suite for all adapters (rules §7)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from awala.sessions import SessionKeyStore

NOW = datetime(2026, 11, 21, 12, 0, 0, 123_457, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
NEVER = datetime(1971, 1, 1, tzinfo=UTC)
ALWAYS = datetime(2999, 1, 1, tzinfo=UTC)


async def save(store, key_id, *, own="me", peer="peer", until=None, created=NOW, sent=None):
    """Save a key; each is sent a second after the one before unless ``sent`` says otherwise."""
    if sent is None:
        sent = store.sent = getattr(store, "sent", NOW) + SECOND
    await store.save_own_key(
        own_id=own,
        peer_id=peer,
        key_id=key_id,
        private_key=b"private " + key_id,
        created=created,
        until=until,
        first_sent=sent,
    )


async def opened(store, own_key_id, *, own="me", peer="peer", key_id=b"theirs", as_of=NOW, now=NOW):
    await store.record_opened(
        own_id=own,
        peer_id=peer,
        own_key_id=own_key_id,
        key_id=key_id,
        public_key=b"public " + key_id,
        as_of=as_of,
        now=now,
    )


async def adopted(store, key_id, *, own="me", peer="peer", public_key=None, as_of=NOW, anew_as_of=NOW):
    return await store.adopt_peer_key(
        own_id=own,
        peer_id=peer,
        key_id=key_id,
        public_key=public_key or b"public " + key_id,
        as_of=as_of,
        anew_as_of=anew_as_of,
    )


async def prune(store, *, now=ALWAYS, superseded_before=NEVER, until_before=NEVER, keep=()):
    return await store.prune(
        now=now, superseded_before=superseded_before, until_before=until_before, keep=keep
    )


async def current(store, own="me", peer="peer"):
    key = await store.peer_key(own_id=own, peer_id=peer)
    return key.key_id, key.public_key, key.as_of


async def present(store, *key_ids, own="me"):
    return [key_id for key_id in key_ids if await store.own_key(own_id=own, key_id=key_id)]


@pytest.mark.parametrize("peer", ["peer", None])
@pytest.mark.parametrize("until", [None, NOW + timedelta(days=90)])
async def test_returns_an_own_key_as_it_was_saved(store: SessionKeyStore, peer, until):
    await save(store, b"\0\xff", peer=peer, until=until)

    key = await store.own_key(own_id="me", key_id=b"\0\xff")

    assert key is not None
    assert (key.key_id, key.peer_id, key.private_key) == (b"\0\xff", peer, b"private \0\xff")
    assert (key.created, key.until, key.proven) == (NOW, until, False)


async def test_knows_no_key_that_was_not_saved(store: SessionKeyStore):
    await save(store, b"k")

    assert await store.own_key(own_id="me", key_id=b"other") is None
    assert await store.own_key(own_id="other", key_id=b"k") is None
    assert await store.peer_key(own_id="me", peer_id="peer") is None
    assert await store.newest_own_key(own_id="me", peer_id="other") is None
    assert await store.newest_own_key(own_id="me", peer_id=None) is None


async def test_leaves_an_own_key_as_it_is_when_its_id_is_saved_again(store: SessionKeyStore):
    await save(store, b"k", peer="peer")
    await save(store, b"k", peer="other", until=NOW)

    key = await store.own_key(own_id="me", key_id=b"k")

    assert key is not None
    assert (key.peer_id, key.until) == ("peer", None)


async def test_keeps_the_same_key_id_apart_for_two_own_nodes(store: SessionKeyStore):
    await save(store, b"k", own="a", peer="x")
    await save(store, b"k", own="b", peer="y")

    assert (await store.own_key(own_id="a", key_id=b"k")).peer_id == "x"
    assert (await store.own_key(own_id="b", key_id=b"k")).peer_id == "y"


async def test_orders_own_keys_by_when_they_were_saved_and_not_by_the_clock(store: SessionKeyStore):
    await save(store, b"first", created=NOW)
    await save(store, b"second", created=NOW - timedelta(days=1))

    assert (await store.newest_own_key(own_id="me", peer_id="peer")).key_id == b"second"


async def test_counts_unbound_keys_among_the_newest_for_any_peer(store: SessionKeyStore):
    await save(store, b"bound")
    await save(store, b"static", peer=None, until=NOW)
    await save(store, b"elsewhere", peer="other")
    await save(store, b"foreign", own="other", peer=None, until=NOW)

    assert (await store.newest_own_key(own_id="me", peer_id="peer")).key_id == b"static"
    assert (await store.newest_own_key(own_id="me", peer_id="new")).key_id == b"static"
    assert (await store.newest_own_key(own_id="me", peer_id="other")).key_id == b"elsewhere"
    assert (await store.newest_own_key(own_id="me", peer_id=None)).key_id == b"static"


@pytest.mark.parametrize(
    ("date", "wins"), [(NOW - SECOND, False), (NOW, True), (NOW + timedelta(microseconds=1), True)]
)
@pytest.mark.parametrize("first", ["adopted", "opened"])
async def test_moves_the_key_of_a_peer_only_forwards_with_messages(store: SessionKeyStore, date, wins, first):
    if first == "adopted":
        assert await adopted(store, b"old")
    else:
        await opened(store, b"unknown", key_id=b"old")

    await opened(store, b"unknown", key_id=b"new", as_of=date)

    expected = (b"new", b"public new", date) if wins else (b"old", b"public old", NOW)
    assert await current(store) == expected


async def test_prefers_a_key_that_was_handed_out_whatever_the_date_of_the_present_one(store: SessionKeyStore):
    await opened(store, b"unknown", key_id=b"message", as_of=NOW)

    assert await adopted(store, b"first", as_of=NOW - HOUR, anew_as_of=NOW + HOUR)
    assert await current(store) == (b"first", b"public first", NOW)
    assert await adopted(store, b"second", as_of=NOW, anew_as_of=NOW + HOUR)
    assert await current(store) == (b"second", b"public second", NOW + HOUR)
    assert await adopted(store, b"third", as_of=NOW - HOUR, anew_as_of=NOW)
    assert await current(store) == (b"third", b"public third", NOW + HOUR)


async def test_adopts_each_key_that_was_handed_out_once(store: SessionKeyStore):
    await adopted(store, b"offer")
    await opened(store, b"unknown", key_id=b"message", as_of=NOW + SECOND)

    assert not await adopted(store, b"offer", as_of=NOW + HOUR, anew_as_of=NOW + HOUR)
    assert await current(store) == (b"message", b"public message", NOW + SECOND)
    assert await adopted(store, b"offer", public_key=b"another", anew_as_of=NOW + HOUR)
    assert await current(store) == (b"offer", b"another", NOW + HOUR)


async def test_notes_the_span_in_which_a_key_went_out(store: SessionKeyStore):
    await save(store, b"k", sent=NOW)
    for first, last in ((NOW, NOW + HOUR), (NOW - HOUR, NOW), (NOW, NOW)):
        await store.widen_sent(own_id="me", key_id=b"k", first=first, last=last)
    await store.widen_sent(own_id="me", key_id=b"unknown", first=NOW, last=NOW)

    key = await store.own_key(own_id="me", key_id=b"k")

    assert (key.first_sent, key.last_sent) == (NOW - HOUR, NOW + HOUR)


@pytest.mark.parametrize(("gap", "goes"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
async def test_supersedes_only_keys_that_went_out_before_the_proven_one(store: SessionKeyStore, gap, goes):
    await save(store, b"k1", sent=NOW - HOUR)
    await store.widen_sent(own_id="me", key_id=b"k1", first=NOW, last=NOW)
    await save(store, b"k2", sent=NOW + gap)

    await opened(store, b"k2")

    assert await prune(store, superseded_before=NOW + SECOND) == goes


async def test_counts_what_a_clock_that_was_ahead_superseded_as_superseded_now(store: SessionKeyStore):
    await save(store, b"k1")
    await save(store, b"k2")
    await opened(store, b"k2", now=NOW + 1000 * HOUR)

    assert await prune(store, now=NOW, superseded_before=NOW - HOUR) == 0
    assert await prune(store, now=NOW + HOUR, superseded_before=NOW) == 0
    assert await prune(store, now=NOW + 2 * HOUR, superseded_before=NOW + SECOND) == 1


async def test_keeps_the_keys_of_peers_per_own_node_and_peer(store: SessionKeyStore):
    for own, peer in (("a", "x"), ("a", "y"), ("b", "x")):
        await adopted(store, (own + peer).encode(), own=own, peer=peer)

    for own, peer in (("a", "x"), ("a", "y"), ("b", "x")):
        assert (await store.peer_key(own_id=own, peer_id=peer)).key_id == (own + peer).encode()


async def test_marks_a_key_as_proven_when_a_peer_has_encrypted_to_it(store: SessionKeyStore):
    await save(store, b"k")
    await save(store, b"other")

    await opened(store, b"k")

    assert (await store.own_key(own_id="me", key_id=b"k")).proven
    assert not (await store.own_key(own_id="me", key_id=b"other")).proven
    assert (await store.newest_own_key(own_id="me", peer_id="peer")).key_id == b"other"


async def test_prunes_keys_superseded_before_the_bound_and_no_others(store: SessionKeyStore):
    await save(store, b"k1")
    await save(store, b"k2")
    await save(store, b"k3")
    await opened(store, b"k2", now=NOW)

    assert await prune(store, superseded_before=NOW) == 0
    assert await prune(store, superseded_before=NOW + SECOND) == 1
    assert await present(store, b"k1", b"k2", b"k3") == [b"k2", b"k3"]


async def test_supersedes_a_key_once_and_not_again_when_later_keys_are_proven(store: SessionKeyStore):
    await save(store, b"k1")
    await save(store, b"k2")
    await save(store, b"k3")
    await opened(store, b"k2", now=NOW)
    await opened(store, b"k3", now=NOW + timedelta(days=10))

    assert await prune(store, superseded_before=NOW + SECOND) == 1
    assert await present(store, b"k1", b"k2", b"k3") == [b"k2", b"k3"]


async def test_supersedes_nothing_when_an_earlier_key_is_proven_late(store: SessionKeyStore):
    await save(store, b"k1")
    await save(store, b"k2")
    await opened(store, b"k1")

    assert await prune(store, superseded_before=NOW + SECOND) == 0


async def test_supersedes_only_keys_for_messages_of_the_same_pair(store: SessionKeyStore):
    await save(store, b"other peer", peer="other")
    await save(store, b"other node", own="other")
    await save(store, b"handed out", until=NOW)
    await save(store, b"static", peer=None, until=NOW)
    await save(store, b"k")
    await opened(store, b"k")

    assert await prune(store, superseded_before=NOW + SECOND) == 0


async def test_supersedes_keys_for_messages_when_a_later_static_key_is_proven(store: SessionKeyStore):
    await save(store, b"k")
    await save(store, b"bystander", peer="other")
    await save(store, b"static", peer=None, until=NOW)
    await opened(store, b"static")

    assert await prune(store, superseded_before=NOW + SECOND) == 1
    assert await present(store, b"k", b"bystander", b"static") == [b"bystander", b"static"]


async def test_prunes_handed_out_keys_whose_time_is_over(store: SessionKeyStore):
    await save(store, b"bound", until=NOW)
    await save(store, b"static", peer=None, until=NOW + SECOND)
    await save(store, b"ratchet")

    assert await prune(store, until_before=NOW) == 0
    assert await prune(store, until_before=NOW + SECOND) == 1
    assert await present(store, b"bound", b"static", b"ratchet") == [b"static", b"ratchet"]


async def test_prunes_no_key_that_is_still_needed(store: SessionKeyStore):
    await save(store, b"handed out", until=NOW)
    await save(store, b"k1")
    await save(store, b"k2")
    await opened(store, b"k2")
    bounds = {"superseded_before": NOW + SECOND, "until_before": NOW + SECOND}

    assert await prune(store, **bounds, keep={b"k1", b"handed out"}) == 0
    assert await prune(store, **bounds, keep={b"k1"}) == 1
    assert await prune(store, **bounds) == 1


async def test_saves_a_new_key_as_the_newest_after_the_newest_was_pruned(store: SessionKeyStore):
    await save(store, b"k1")
    await save(store, b"handed out", until=NOW)
    await prune(store, until_before=NOW + SECOND)
    await save(store, b"k2")

    assert (await store.newest_own_key(own_id="me", peer_id="peer")).key_id == b"k2"


async def test_forgets_one_peer_and_nothing_else(store: SessionKeyStore):
    await save(store, b"k")
    await save(store, b"handed out", until=NOW)
    await save(store, b"static", peer=None, until=NOW)
    await save(store, b"other", peer="other")
    await opened(store, b"k")
    await opened(store, b"other", peer="other")

    await store.forget(own_id="me", peer_id="peer")

    assert await present(store, b"k", b"handed out", b"static", b"other") == [b"static", b"other"]
    assert await store.peer_key(own_id="me", peer_id="peer") is None
    assert await store.peer_key(own_id="me", peer_id="other") is not None


async def test_takes_many_changes_at_once(store: SessionKeyStore):
    key_ids = [bytes([number]) for number in range(40)]

    await asyncio.gather(*(save(store, key_id) for key_id in key_ids))

    assert await present(store, *key_ids) == key_ids
