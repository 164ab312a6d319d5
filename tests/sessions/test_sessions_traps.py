# SPDX-License-Identifier: MIT
"""The traps that deployed implementations lay for sessions, by the number that each has in our records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from awala.cms import EnvelopedData
from awala.sessions import MemorySessionKeyStore, Sessions

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LIFE = 180 * DAY
"""How long certificates live; a parcel that was sealed at the end of one may be as old again on its way."""

OURS, PEER = "0ours", "0peer"
PLAINTEXT = b"it is raining in Caracas"


async def seal(theirs, now):
    return await theirs.seal(PLAINTEXT, own_id=PEER, peer_id=OURS, now=now)


async def open_(ours, payload, sent, now):
    return await ours.open(payload, own_id=OURS, peer_id=PEER, message_date=sent, now=now)


@pytest.mark.parametrize("weeks", [0, 4, 25])
async def test_trap_31_a_peer_may_seal_for_weeks_with_the_key_that_it_was_once_given(weeks):
    ours, theirs = Sessions(MemorySessionKeyStore()), Sessions(MemorySessionKeyStore())
    given = await ours.hand_out(own_id=OURS, peer_id=PEER, now=NOW, until=NOW + LIFE)
    await theirs.adopt(given, own_id=PEER, peer_id=OURS, as_of=NOW)

    sent = NOW + weeks * timedelta(weeks=1)
    payload = await seal(theirs, sent)
    late = sent + LIFE
    assert EnvelopedData.parse(payload).recipient_key_id == given.key_id
    assert await ours.prune(late) == 0
    assert await open_(ours, payload, sent, late) == PLAINTEXT


async def test_trap_31_an_old_key_of_ours_still_opens_after_the_peer_has_proven_a_newer_one():
    ours, theirs = Sessions(MemorySessionKeyStore()), Sessions(MemorySessionKeyStore())
    given = await ours.hand_out(own_id=OURS, peer_id=PEER, now=NOW, until=NOW + LIFE)
    await theirs.adopt(given, own_id=PEER, peer_id=OURS, as_of=NOW)
    early = await seal(theirs, NOW)
    await open_(ours, await seal(theirs, NOW), NOW, NOW)
    answer = await ours.seal(PLAINTEXT, own_id=OURS, peer_id=PEER, now=NOW + DAY)
    await theirs.open(answer, own_id=PEER, peer_id=OURS, message_date=NOW + DAY, now=NOW + DAY)
    newer = await seal(theirs, NOW + 2 * DAY)
    await open_(ours, newer, NOW + 2 * DAY, NOW + 2 * DAY)

    late = NOW + LIFE
    await ours.prune(late)

    assert EnvelopedData.parse(newer).recipient_key_id != EnvelopedData.parse(early).recipient_key_id
    assert await open_(ours, early, NOW, late) == PLAINTEXT
