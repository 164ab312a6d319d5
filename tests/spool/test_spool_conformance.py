# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from awala.base.errors import StorageFullError
from awala.base.sqlite import StorageError
from awala.spool import (
    Carrier,
    ClockState,
    Hop,
    Kind,
    MemorySpool,
    Outcome,
    Priority,
    SqliteSpool,
    Totals,
    Usage,
)
from awala.spool.room import DEBT_COST, RECORD_COST, SEEN_COST
from helpers.spool_items import (
    HOP,
    HOUR,
    LARGE,
    MINUTE,
    NOW,
    OTHER_HOP,
    SECOND,
    Stopwatch,
    arrival,
    debt,
    identity,
)

STORED, REPLACED, DUPLICATE, FULL = Outcome.STORED, Outcome.REPLACED, Outcome.DUPLICATE, Outcome.FULL
ITEM_COST = RECORD_COST + SEEN_COST


@pytest.fixture
def stopwatch():
    return Stopwatch()


@pytest.fixture(params=["sqlite", "memory"])
async def make(request, tmp_path, stopwatch):
    opened = []

    async def make(**settings):
        settings["monotonic"] = stopwatch
        spool = (
            await SqliteSpool.open(tmp_path / f"spool{len(opened)}", **settings)
            if request.param == "sqlite"
            else MemorySpool(**settings)
        )
        opened.append(spool)
        return spool

    yield make
    for spool in opened:
        await spool.close()


@pytest.fixture
async def spool(make):
    return await make()


async def take(spool, *arrivals, debts=(), now=NOW):
    return await spool.accept(arrivals, now=now, debts=debts)


async def run_on(spool, stopwatch, *, start, hours, step=12):
    """Let the spool run, and be swept now and then; return how many items went."""
    gone = 0
    for hour in range(0, hours + 1, step):
        gone += await spool.sweep(now=start + hour * HOUR)
        stopwatch.run(step * HOUR)
    return gone


async def lease(spool, hop=HOP, *, now=NOW, duration=MINUTE, limit=10, carrier=Carrier.ONLINE):
    return await spool.lease(hop, now=now, duration=duration, limit=limit, carrier=carrier)


async def snapshot(spool, hop=HOP, *, now=NOW, budget=1_000_000, after=None):
    return await spool.snapshot(hop, now=now, budget=budget, after=after)


def ids(items):
    return [item.identity.message_id for item in items]


# --- accept: identity, version, digest, replacement, duplicates ---------------------------------------


@pytest.mark.rule("4.1")
@pytest.mark.parametrize("size", [0, 1, 64 * 1024, LARGE, 1_000_000])
async def test_keeps_a_message_with_all_that_is_known_of_it(spool, size):
    given = arrival("m1", bytes(size), carriers=Carrier.CARGO, priority=Priority.URGENT, kind=Kind.CARGO)

    assert await take(spool, given) == [STORED]

    (item,) = await snapshot(spool)
    assert (item.identity, item.hop, item.carriers) == (given.identity, given.hop, given.carriers)
    assert (item.priority, item.created, item.expiry) == (given.priority, given.created, given.expiry)
    assert (item.version, item.size, item.attempts) == (1, size, 0)
    assert await spool.body(item) == given.body


@pytest.mark.rule("4.1", "4.2")
@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        (arrival("m1", b"one"), DUPLICATE),
        (arrival("m1", b"one", created=-HOUR / 2), DUPLICATE),
        (arrival("m1", b"two"), DUPLICATE),
        (arrival("m1", b"two", created=-2 * HOUR), DUPLICATE),
        (arrival("m1", b"two", created=-HOUR + SECOND), REPLACED),
        (arrival("m1", bytes(LARGE), created=-HOUR + SECOND), REPLACED),
        (arrival("m2", b"one"), STORED),
        (arrival("m1", b"one", kind=Kind.CONTROL), STORED),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_a_queued_message_is_replaced_by_a_newer_one_alone(spool, second, outcome, together):
    first = arrival("m1", b"one")

    if together:
        assert await take(spool, first, second) == [STORED, outcome]
    else:
        assert await take(spool, first) == [STORED]
        assert await take(spool, second) == [outcome]

    items = [item for item in await lease(spool) if item.identity == second.identity]
    assert [item.version for item in items] == [2 if outcome is REPLACED else 1]
    assert await spool.body(items[0]) == (first if outcome is DUPLICATE else second).body


@pytest.mark.rule("4.2")
@pytest.mark.parametrize("size", [1, LARGE])
@pytest.mark.parametrize("together", [True, False])
async def test_the_same_octets_replace_nothing_whatever_their_date(spool, size, together):
    first = arrival(body=b"1" * size)
    second = arrival(body=b"1" * size, created=-HOUR + SECOND)

    if together:
        assert await take(spool, first, second) == [STORED, DUPLICATE]
    else:
        assert await take(spool, first) == [STORED]
        assert await take(spool, second) == [DUPLICATE]

    (item,) = await snapshot(spool)
    assert (item.version, await spool.body(item)) == (1, first.body)


@pytest.mark.rule("4.2")
@pytest.mark.parametrize(
    ("field", "value"), [("sender", "0x"), ("recipient", "0x"), ("message_id", "x"), ("kind", Kind.CCA)]
)
async def test_every_part_of_the_identity_counts(spool, field, value):
    first = arrival("m1", b"one")
    other = replace(first, identity=replace(first.identity, **{field: value}))

    assert await take(spool, first, other) == [STORED, STORED]
    assert len(await lease(spool)) == 2


async def test_fields_of_an_identity_do_not_run_together(spool):
    first = replace(arrival(), identity=identity("m", sender="0s", recipient="0r"))
    second = replace(arrival(), identity=identity("m", sender="0s0", recipient="r"))

    assert await take(spool, first, second) == [STORED, STORED]


@pytest.mark.rule("4.2")
async def test_a_message_that_is_gone_stays_a_duplicate_until_it_expires(spool):
    await take(spool, arrival("m1", b"one"))
    await spool.release(await lease(spool), now=NOW)

    assert await take(spool, arrival("m1", b"newer", created=-MINUTE)) == [DUPLICATE]
    assert await spool.seen(identity("m1"), now=NOW + 23 * HOUR)
    assert not await spool.seen(identity("m1"), now=NOW + 24 * HOUR)
    assert not await spool.seen(identity("m2"), now=NOW)
    later = arrival("m1", b"one", created=24 * HOUR, expiry=48 * HOUR)
    assert await take(spool, later, now=NOW + 24 * HOUR) == [STORED]


@pytest.mark.parametrize("size", [3, LARGE])
async def test_a_message_takes_the_place_of_one_that_expired_unsent(spool, size):
    await take(spool, arrival("m1", bytes(size)))
    (old,) = await lease(spool)
    now = NOW + 25 * HOUR

    assert await take(spool, arrival("m1", b"again", expiry=48 * HOUR), now=now) == [STORED]

    (item,) = await lease(spool, now=now)
    assert item.key != old.key
    assert await spool.body(old) is None
    assert await spool.usage() == Usage(1, 5, 1, 0)


async def test_a_replacement_can_change_where_the_message_goes(spool):
    await take(spool, arrival("m1", b"one"))
    await take(spool, arrival("m1", b"two", created=-MINUTE, hop=OTHER_HOP, carriers=Carrier.ONLINE))

    assert await lease(spool) == []
    assert ids(await lease(spool, OTHER_HOP)) == ["m1"]
    assert await spool.totals() == {OTHER_HOP: Totals(1, 3)}


@pytest.mark.parametrize(
    ("first", "second"),
    [(b"small", bytes(LARGE)), (bytes(LARGE), b"small"), (bytes(LARGE), bytes(LARGE + 1))],
)
async def test_a_replacement_has_its_own_body_whatever_the_sizes(spool, first, second):
    await take(spool, arrival("m1", first))
    (old,) = await snapshot(spool)
    await take(spool, arrival("m1", second, created=-MINUTE))
    (new,) = await snapshot(spool)

    assert (new.key, new.version) == (old.key, 2)
    assert await spool.body(old) is None
    assert await spool.body(new) == second


async def test_an_empty_batch_is_nothing(spool):
    assert await take(spool) == []
    assert await spool.totals() == {}


# --- lease, release, retry, refuse --------------------------------------------------------------------


@pytest.mark.rule("4.8")
async def test_order_is_control_then_urgent_then_small_then_oldest(spool):
    await take(
        spool,
        arrival("large-old", bytes(LARGE), created=-9 * HOUR),
        arrival("small-new", b"x" * (LARGE - 1), created=-HOUR),
        arrival("small-old", b"x", created=-2 * HOUR),
        arrival("urgent", b"x", priority=Priority.URGENT),
        arrival("urgent-large", bytes(LARGE), created=-3 * HOUR, priority=Priority.URGENT),
        arrival("control", b"x", priority=Priority.CONTROL),
        arrival("small-old-too", b"x", created=-2 * HOUR),
    )
    expected = ["control", "urgent", "urgent-large", "small-old", "small-old-too", "small-new", "large-old"]

    assert ids(await snapshot(spool)) == expected
    assert ids(await lease(spool)) == expected


async def test_a_lease_is_for_one_hop_and_one_carrier(spool):
    await take(
        spool,
        arrival("online", carriers=Carrier.ONLINE),
        arrival("cargo", carriers=Carrier.CARGO),
        arrival("any", created=-2 * HOUR),
        arrival("elsewhere", hop=OTHER_HOP),
    )

    for carrier, expected in [
        (Carrier.ONLINE, ["any", "online"]),
        (Carrier.CARGO, ["any", "cargo"]),
        (Carrier.ANY, ["any", "online", "cargo"]),
    ]:
        items = await lease(spool, carrier=carrier)
        assert ids(items) == expected
        await spool.return_lease(items)
    assert await lease(spool, Hop("gateway", "nobody")) == []
    assert await lease(spool, Hop("other", HOP.name)) == []


async def test_a_lease_keeps_others_away_until_it_ends(spool):
    await take(spool, *(arrival(f"m{n}", created=-HOUR + n * SECOND) for n in range(5)))

    assert ids(await lease(spool, limit=2)) == ["m0", "m1"]
    assert ids(await lease(spool, limit=2)) == ["m2", "m3"]
    assert ids(await lease(spool, limit=2)) == ["m4"]
    assert await lease(spool, limit=0) == []
    assert ids(await lease(spool, now=NOW + MINUTE)) == ["m0", "m1", "m2", "m3", "m4"]


@pytest.mark.rule("4.3")
async def test_parallel_leases_never_share_an_item(spool):
    await take(spool, *(arrival(f"m{n}") for n in range(30)))

    leased = await asyncio.gather(*(lease(spool, limit=4) for _ in range(10)))

    together = [item.key for items in leased for item in items]
    assert len(together) == 30
    assert len(set(together)) == 30


async def test_an_item_released_is_gone_for_good(spool):
    await take(spool, arrival("m1"), arrival("m2", bytes(LARGE)))
    items = await lease(spool)

    await spool.release(items, now=NOW)
    await spool.release(items, now=NOW)

    assert await lease(spool, now=NOW + HOUR) == []
    assert [await spool.body(item) for item in items] == [None, None]
    assert await spool.totals() == {}


@pytest.mark.rule("4.3")
async def test_only_the_version_that_was_handed_over_is_let_go(spool):
    await take(spool, arrival("m1", b"one"))
    (old,) = await lease(spool)
    await take(spool, arrival("m1", b"two", created=-MINUTE))

    await spool.release([old], now=NOW)
    await spool.refuse(old, now=NOW)
    await spool.retry_at(old, NOW + HOUR)
    await spool.return_lease([old])

    (new,) = await lease(spool)
    assert (new.version, new.attempts) == (2, 0)
    assert await spool.body(new) == b"two"


@pytest.mark.rule("4.3")
async def test_a_lease_of_a_version_is_not_ended_through_an_older_one(spool):
    await take(spool, arrival("m1", b"one"))
    (old,) = await lease(spool)
    await take(spool, arrival("m1", b"two", created=-MINUTE))
    await lease(spool)

    await spool.return_lease([old])
    await spool.retry_at(old, NOW)
    await spool.release([old], now=NOW)

    assert await lease(spool) == []


@pytest.mark.rule("4.3")
async def test_an_item_refused_is_gone_but_was_seen(spool):
    await take(spool, arrival("m1"))
    (item,) = await lease(spool)

    await spool.refuse(item, now=NOW)

    assert await lease(spool, now=NOW + HOUR) == []
    assert await spool.seen(identity("m1"), now=NOW)


@pytest.mark.rule("4.3")
async def test_a_failed_attempt_counts_and_waits_its_time(spool):
    await take(spool, arrival("m1"), arrival("m2", created=-HOUR / 2))
    first, second = await lease(spool)

    await spool.retry_at(first, NOW + 5 * MINUTE)

    assert await lease(spool, now=NOW + MINUTE - SECOND) == []
    assert ids(await lease(spool, now=NOW + 4 * MINUTE, duration=HOUR)) == ["m2"]
    (again,) = await lease(spool, now=NOW + 5 * MINUTE)
    assert (again.identity.message_id, again.attempts) == ("m1", 1)
    await spool.retry_at(second, NOW + 6 * MINUTE)
    await spool.return_lease([again])
    assert ids(await lease(spool, now=NOW + 6 * MINUTE)) == ["m1", "m2"]


async def test_a_lease_returned_was_never_taken(spool):
    await take(spool, arrival("m1"))
    (item,) = await lease(spool)

    await spool.return_lease([item])
    await spool.return_lease([item])

    assert await lease(spool) == [item]


async def test_many_items_whose_time_comes_at_once_keep_their_order(spool):
    await take(spool, *(arrival(f"m{n:03}", created=-HOUR + n * SECOND) for n in range(600)))
    items = await lease(spool, limit=600)
    await asyncio.gather(*(spool.retry_at(item, NOW + MINUTE) for item in reversed(items)))

    assert ids(await lease(spool, now=NOW + HOUR, limit=600)) == [f"m{n:03}" for n in range(600)]


# --- times ---------------------------------------------------------------------------------------------


@pytest.mark.rule("2.3")
async def test_what_is_dated_ahead_waits_for_its_time(spool):
    await take(spool, arrival("ahead", created=HOUR), arrival("cargo", created=HOUR, carriers=Carrier.CARGO))

    assert await lease(spool, carrier=Carrier.ANY) == []
    assert await snapshot(spool) == []
    assert await spool.hops("gateway", now=NOW) == []
    assert await spool.next_due("gateway", now=NOW) == NOW + HOUR

    assert ids(await snapshot(spool, now=NOW + HOUR)) == ["ahead", "cargo"]
    assert ids(await lease(spool, now=NOW + HOUR, carrier=Carrier.CARGO)) == ["ahead", "cargo"]


async def test_an_early_retry_does_not_make_an_item_due_before_its_date(spool):
    await take(spool, arrival("m1"))
    (item,) = await lease(spool)
    await take(spool, arrival("m1", b"new", created=HOUR))
    (ahead,) = await snapshot(spool, now=NOW + HOUR)

    await spool.retry_at(item, NOW)
    await spool.retry_at(ahead, NOW)

    assert await lease(spool, now=NOW + HOUR - SECOND) == []


@pytest.mark.rule("2.11")
async def test_what_has_expired_is_never_handed_out(spool):
    await take(spool, arrival("m1", owed_to="0p"), arrival("m2", expiry=48 * HOUR))
    (item, _) = await lease(spool)
    await spool.offered([item])
    now = NOW + 24 * HOUR

    assert ids(await lease(spool, now=now)) == ["m2"]
    assert ids(await snapshot(spool, now=now)) == ["m2"]
    assert await spool.debts("0p", now=now, limit=9) == []
    assert not await spool.acknowledge(identity("m1"), hop=HOP, now=now)


async def test_a_message_that_came_too_late_is_taken_but_never_handed_out(spool):
    assert await take(spool, arrival("m1", expiry=-SECOND)) == [STORED]

    assert await lease(spool) == []
    assert await spool.next_due("gateway", now=NOW) is None


async def test_tells_the_date_of_the_oldest_item_of_a_lane(spool):
    assert await spool.oldest("gateway") is None
    await take(spool, arrival("m1"), arrival("m2", bytes(LARGE), created=-HOUR))
    assert await spool.oldest("gateway") == NOW - HOUR
    assert await spool.oldest("other") is None

    items = await lease(spool, limit=2)
    await spool.retry_at(items[1], NOW + HOUR)
    assert await spool.oldest("gateway") == NOW - HOUR
    await spool.release([items[0]], now=NOW)
    await take(spool, arrival("ahead", created=HOUR))

    assert await spool.oldest("gateway") == NOW - HOUR
    await spool.release([items[1]], now=NOW)
    assert await spool.oldest("gateway") == NOW + HOUR


@pytest.mark.rule("2.11")
async def test_a_sweep_erases_what_has_expired_and_nothing_else(spool, stopwatch):
    await take(
        spool,
        arrival("m1", owed_to="0p"),
        arrival("m2", bytes(LARGE)),
        arrival("m3", expiry=48 * HOUR, owed_to="0p"),
        arrival("gone"),
    )
    await spool.release([item for item in await lease(spool) if item.identity == identity("gone")], now=NOW)

    assert await run_on(spool, stopwatch, start=NOW, hours=60) == 0
    assert await lease(spool, now=NOW + 60 * HOUR) == []
    assert await spool.usage() == Usage(3, 8 + LARGE, 4, 2)
    assert await run_on(spool, stopwatch, start=NOW + 72 * HOUR, hours=12) == 2
    assert await spool.usage() == Usage(1, 4, 1, 1)
    assert await spool.totals() == {HOP: Totals(1, 4)}
    assert await run_on(spool, stopwatch, start=NOW + 96 * HOUR, hours=0) == 1
    assert await spool.usage() == Usage()
    assert await spool.totals() == {}
    assert await take(spool, arrival("m1", expiry=99 * HOUR), now=NOW + 96 * HOUR) == [STORED]


async def test_a_sweep_goes_on_until_all_is_erased(spool, stopwatch):
    await take(spool, *(arrival(f"m{n}", owed_to="0p") for n in range(1_001)))

    assert await run_on(spool, stopwatch, start=NOW, hours=72) == 1_001
    assert await spool.usage() == Usage()


# --- the clock ------------------------------------------------------------------------------------------


@pytest.mark.rule("2.11", "2.12")
@pytest.mark.parametrize("jump", [25 * HOUR, 365 * 24 * HOUR, -25 * HOUR])
async def test_after_a_jump_of_the_clock_nothing_is_erased_until_a_peer_has_confirmed_it(
    spool, stopwatch, jump
):
    await take(spool, arrival("m1", owed_to="0p", expiry=HOUR))
    await run_on(spool, stopwatch, start=NOW, hours=36)
    start = NOW + 48 * HOUR + jump

    assert await run_on(spool, stopwatch, start=start, hours=96) == 0
    now = start + 108 * HOUR
    assert not spool.may_erase(now)
    assert spool.clock_state(now).jump == jump
    assert await spool.usage() == Usage(1, 4, 1, 1)

    await spool.confirm_time(now)

    assert spool.may_erase(now)
    assert spool.clock_state(now).trusted
    gone = await run_on(spool, stopwatch, start=now, hours=48)
    assert gone == 1
    assert await spool.usage() == Usage()


@pytest.mark.rule("2.12")
async def test_a_clock_that_comes_back_by_itself_is_trusted_again(spool, stopwatch):
    await take(spool, arrival("m1", expiry=HOUR))
    await run_on(spool, stopwatch, start=NOW, hours=36)

    assert not spool.may_erase(NOW + 90 * HOUR)
    assert await run_on(spool, stopwatch, start=NOW + 48 * HOUR, hours=12) == 1


@pytest.mark.rule("2.11")
async def test_a_clock_that_is_wrong_for_less_than_two_days_erases_nothing(spool, stopwatch):
    await take(spool, arrival("m1", expiry=100 * HOUR))
    wrong = NOW + 1_000 * HOUR
    assert await run_on(spool, stopwatch, start=wrong, hours=36) == 0

    await spool.confirm_time(NOW + 48 * HOUR)

    assert await run_on(spool, stopwatch, start=NOW + 48 * HOUR, hours=96) == 0
    assert ids(await lease(spool, now=NOW + 99 * HOUR)) == ["m1"]


@pytest.mark.rule("2.11")
async def test_what_a_clock_a_little_ahead_hid_is_erased_48_hours_after_it_has_expired(spool, stopwatch):
    await take(spool, arrival("m1", expiry=10 * HOUR))
    await run_on(spool, stopwatch, start=NOW + 20 * HOUR, hours=0)

    assert await run_on(spool, stopwatch, start=NOW + 12 * HOUR, hours=36) == 0
    assert await run_on(spool, stopwatch, start=NOW + 60 * HOUR, hours=0) == 1


async def test_a_clock_that_is_trusted_needs_no_confirmation(spool, stopwatch):
    await spool.confirm_time(NOW)
    stopwatch.run(HOUR)

    assert spool.clock_state(NOW + HOUR) == ClockState(None, None, last_trusted=NOW + HOUR)
    stopwatch.run(48 * HOUR)
    assert spool.clock_state(NOW + 49 * HOUR) == ClockState(None, NOW + HOUR, last_trusted=NOW + 49 * HOUR)


# --- cargo ---------------------------------------------------------------------------------------------


@pytest.mark.rule("4.4")
async def test_a_snapshot_takes_what_fits_and_goes_on_behind_it(spool):
    await take(spool, *(arrival(f"m{n}", bytes(100), created=-HOUR + n * SECOND) for n in range(5)))
    await lease(spool)

    first = await snapshot(spool, budget=299)
    second = await snapshot(spool, budget=300, after=first[-1])

    assert ids(first) == ["m0", "m1"]
    assert ids(second) == ["m2", "m3", "m4"]
    assert await snapshot(spool, after=second[-1]) == []


async def test_a_snapshot_has_at_least_one_item_however_large(spool):
    await take(spool, arrival("m1", bytes(LARGE)), arrival("online", carriers=Carrier.ONLINE))

    assert ids(await snapshot(spool, budget=1)) == ["m1"]


@pytest.mark.rule("4.4", "4.8")
async def test_a_snapshot_puts_what_waits_and_what_never_goes_online_in_one_order(spool):
    await take(
        spool,
        arrival("c", created=-HOUR, carriers=Carrier.CARGO),
        arrival("a", created=-3 * HOUR),
        arrival("b", created=-2 * HOUR),
        arrival("d", created=-MINUTE),
    )
    (item,) = await lease(spool, limit=1)
    await spool.retry_at(item, NOW + HOUR)

    assert ids(await snapshot(spool)) == ["a", "b", "c", "d"]
    assert ids(await lease(spool, carrier=Carrier.CARGO)) == ["b", "c", "d"]


async def test_an_item_for_cargo_alone_never_comes_due_online_not_even_by_a_retry(spool):
    await take(spool, arrival("m1", carriers=Carrier.CARGO))
    (item,) = await lease(spool, carrier=Carrier.CARGO)
    await spool.retry_at(item, NOW + MINUTE)

    assert await lease(spool, now=NOW + HOUR) == []
    assert await spool.next_due("gateway", now=NOW + HOUR) is None
    assert await lease(spool, carrier=Carrier.CARGO, now=NOW) == []
    assert ids(await lease(spool, carrier=Carrier.CARGO, now=NOW + MINUTE)) == ["m1"]


@pytest.mark.rule("4.6")
async def test_an_acknowledgement_releases_what_has_left_in_a_cargo(spool):
    await take(spool, arrival("m1", bytes(LARGE)))
    (item,) = await snapshot(spool)

    assert not await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)
    await spool.offered([item])
    assert not await spool.acknowledge(identity("m1"), hop=OTHER_HOP, now=NOW)
    assert not await spool.acknowledge(identity("other"), hop=HOP, now=NOW)
    assert await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)

    assert not await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)
    assert await spool.totals() == {}
    assert await spool.body(item) is None


@pytest.mark.rule("4.6")
async def test_an_acknowledgement_of_a_replaced_version_uses_up_its_mark_alone(spool):
    await take(spool, arrival("m1", b"one"))
    (old,) = await snapshot(spool)
    await spool.offered([old])
    await take(spool, arrival("m1", b"two", created=-MINUTE))

    assert not await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)

    (new,) = await snapshot(spool)
    await spool.offered([new])
    assert await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)


@pytest.mark.rule("4.6")
async def test_a_mark_that_comes_after_the_replacement_does_not_count_for_it(spool):
    await take(spool, arrival("m1", b"one"))
    (old,) = await snapshot(spool)
    await take(spool, arrival("m1", b"two", created=-MINUTE))
    (new,) = await snapshot(spool)

    await spool.offered([old])
    assert not await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)

    await spool.offered([new])
    await spool.offered([old])
    assert await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)
    await spool.offered([new])


async def test_an_acknowledgement_ends_the_lease_too(spool):
    await take(spool, arrival("m1"))
    items = await lease(spool)
    await spool.offered(items)
    await spool.acknowledge(identity("m1"), hop=HOP, now=NOW)

    assert await spool.next_due("gateway", now=NOW) is None


# --- acknowledgements owed -------------------------------------------------------------------------------


@pytest.mark.rule("4.5")
async def test_an_acknowledgement_is_owed_for_what_came_in_cargo(spool):
    await take(spool, arrival("m1", owed_to="0p"), arrival("m2"), debts=[debt("refused")])

    assert await spool.debts("0p", now=NOW, limit=9) == [debt("m1"), debt("refused")]
    assert await spool.debts("0p", now=NOW, limit=1) == [debt("m1")]
    assert await spool.debts("0q", now=NOW, limit=9) == []


@pytest.mark.rule("4.5")
async def test_a_repeated_parcel_renews_a_debt_that_was_paid(spool):
    await take(spool, arrival("m1", owed_to="0p"))
    await spool.pay(await spool.debts("0p", now=NOW, limit=9))
    assert await spool.debts("0p", now=NOW, limit=9) == []

    assert await take(spool, arrival("m1", owed_to="0p")) == [DUPLICATE]

    assert await spool.debts("0p", now=NOW, limit=9) == [debt("m1")]


@pytest.mark.rule("4.5")
async def test_a_debt_that_was_renewed_for_longer_outlives_its_payment(spool):
    await spool.owe([debt("m1")])
    listed = await spool.debts("0p", now=NOW, limit=9)
    await spool.owe([debt("m1", expiry=48 * HOUR), debt("m1", expiry=HOUR)])

    await spool.pay(listed)

    assert await spool.debts("0p", now=NOW, limit=9) == [debt("m1", expiry=48 * HOUR)]


async def test_debts_of_different_peers_and_parcels_are_different(spool):
    await spool.owe([debt("m1"), debt("m1", peer="0q"), debt("m2"), debt("m1")])
    await spool.pay([debt("m1")])
    await spool.pay([debt("m9")])

    assert await spool.debts("0p", now=NOW, limit=9) == [debt("m2")]
    assert await spool.debts("0q", now=NOW, limit=9) == [debt("m1", peer="0q")]


# --- lanes and wake-ups -----------------------------------------------------------------------------------


async def test_lists_the_hops_with_something_due_that_nobody_has_leased(spool):
    await take(
        spool,
        arrival("m1"),
        arrival("m2"),
        arrival("m3", hop=OTHER_HOP, carriers=Carrier.CARGO),
        arrival("m4", hop=Hop("gateway", "0cc")),
        arrival("m5", hop=Hop("internet", "0dd")),
    )

    assert await spool.hops("gateway", now=NOW) == [HOP, Hop("gateway", "0cc")]
    assert await spool.hops("internet", now=NOW) == [Hop("internet", "0dd")]
    assert await spool.hops("none", now=NOW) == []
    await lease(spool, limit=1)
    assert await spool.hops("gateway", now=NOW) == [HOP, Hop("gateway", "0cc")]
    await lease(spool, limit=1)
    assert await spool.hops("gateway", now=NOW) == [Hop("gateway", "0cc")]
    assert await spool.hops("gateway", now=NOW + MINUTE) == [HOP, Hop("gateway", "0cc")]


async def test_a_hop_is_listed_when_only_one_that_waited_is_due(spool):
    await take(spool, arrival("m1"), arrival("m2"))
    items = await lease(spool, duration=24 * HOUR)
    await spool.retry_at(items[0], NOW + MINUTE)

    assert await spool.hops("gateway", now=NOW) == []
    assert await spool.hops("gateway", now=NOW + MINUTE) == [HOP]


async def test_says_when_something_will_be_due(spool):
    assert await spool.next_due("gateway", now=NOW) is None
    await take(spool, arrival("m1"), arrival("m2"), arrival("m3", hop=OTHER_HOP))
    assert await spool.next_due("gateway", now=NOW) == NOW

    (other,) = await lease(spool, OTHER_HOP, duration=30 * MINUTE)
    items = await lease(spool, duration=20 * MINUTE)
    assert await spool.next_due("gateway", now=NOW) == NOW + 20 * MINUTE
    await spool.retry_at(items[0], NOW + 5 * MINUTE)
    assert await spool.next_due("gateway", now=NOW) == NOW + 5 * MINUTE
    await spool.release(items, now=NOW)
    assert await spool.next_due("gateway", now=NOW) == NOW + 30 * MINUTE
    await spool.release([other], now=NOW)
    assert await spool.next_due("gateway", now=NOW) is None


async def test_what_is_leased_is_due_when_its_lease_ends_though_the_clock_went_back(spool):
    await take(spool, arrival("m1"), arrival("m2"), arrival("m3", created=-2 * HOUR))
    first, second, third = await lease(spool, duration=20 * MINUTE)
    await spool.retry_at(second, NOW + 5 * MINUTE)
    await spool.return_lease([third])
    earlier = NOW - 24 * HOUR

    assert await spool.next_due("gateway", now=earlier) == third.created
    await spool.release([third, second], now=earlier)
    assert await spool.next_due("gateway", now=earlier) == NOW + 20 * MINUTE
    await spool.return_lease([first])
    assert await spool.next_due("gateway", now=earlier) == first.created


async def test_what_expires_before_it_is_due_never_is(spool):
    await take(spool, arrival("m1"), arrival("m2"))
    first, second = await lease(spool, duration=24 * HOUR)
    await spool.retry_at(first, NOW + 24 * HOUR)

    assert await spool.next_due("gateway", now=NOW) is None
    await spool.return_lease([second])
    assert await spool.next_due("gateway", now=NOW) == NOW


async def test_after_the_clock_went_back_items_are_due_when_their_time_comes_again(spool):
    await take(spool, arrival("m1"))

    back = NOW - 2 * HOUR
    assert await lease(spool, now=back) == []
    assert await spool.next_due("gateway", now=back) == NOW - HOUR


async def waiting(coroutine):
    """Start a waiter and let it come to its wait."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_wakes_who_waits_for_a_hop_or_its_lane_and_nobody_else(spool):
    hop, lane, other, lane_of_other = [
        await waiting(spool.changed(scope, spool.cursor(scope)))
        for scope in (HOP, "gateway", OTHER_HOP, "internet")
    ]

    await take(spool, arrival("m1"))
    cursors = await asyncio.wait_for(asyncio.gather(hop, lane), 5)

    assert cursors == [spool.cursor(HOP), spool.cursor("gateway")]
    assert not other.done()
    assert not lane_of_other.done()
    other.cancel()
    lane_of_other.cancel()
    await asyncio.gather(other, lane_of_other, return_exceptions=True)
    assert spool._changes.waiting == 0


@pytest.mark.rule("4.7")
async def test_what_came_before_the_wait_ends_it_at_once(spool):
    cursor = spool.cursor(HOP)
    await take(spool, arrival("m1"))

    after = await asyncio.wait_for(spool.changed(HOP, cursor), 5)
    again = await waiting(spool.changed(HOP, after))

    assert not again.done()
    await take(spool, arrival("m1", b"new", created=-MINUTE))
    assert await asyncio.wait_for(again, 5) > after


async def test_a_retry_and_a_lease_returned_wake_waiters_but_a_duplicate_does_not(spool):
    await take(spool, arrival("m1"))
    (item,) = await lease(spool)
    cursor = spool.cursor(HOP)
    waiter = await waiting(spool.changed(HOP, cursor))
    await take(spool, arrival("m1"))
    assert not waiter.done()

    await spool.return_lease([item])
    cursor = await asyncio.wait_for(waiter, 5)
    await lease(spool)
    await spool.retry_at(item, NOW + MINUTE)

    assert await asyncio.wait_for(spool.changed("gateway", cursor), 5) > cursor


@pytest.mark.rule("4.7")
async def test_nothing_is_missed_while_a_backlog_is_sent(spool):
    count, sent = 60, []

    async def sender():
        while len(sent) < count:
            cursor = spool.cursor(HOP)
            items = await lease(spool, limit=3)
            for item in items:
                sent.append(item.identity.message_id)
                await spool.release([item], now=NOW)
            if not items:
                await spool.changed(HOP, cursor)

    async def feeder(start):
        for number in range(start, count, 3):
            await take(spool, arrival(f"m{number}"))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(sender())
        for start in range(3):
            group.create_task(feeder(start))

    assert sorted(sent) == sorted(f"m{number}" for number in range(count))


async def test_closing_ends_waits_with_an_error(make):
    spool = await make()
    waiter = await waiting(spool.changed(HOP, spool.cursor(HOP)))

    await spool.close()
    await spool.close()

    with pytest.raises(StorageError, match="closed"):
        await waiter
    with pytest.raises(StorageError, match="closed"):
        await spool.changed(HOP, 0)


# --- room ---------------------------------------------------------------------------------------------


@pytest.mark.rule("4.10")
async def test_says_full_at_the_quota_and_takes_on_when_there_is_room_again(make):
    spool = await make(quota=20_000)
    room = 20_000 - 20_000 // 8

    assert await take(spool, arrival("m1", bytes(room - ITEM_COST))) == [STORED]
    assert await take(spool, arrival("m2", b"")) == [FULL]
    assert not await spool.seen(identity("m2"), now=NOW)
    assert await take(spool, arrival("m1", bytes(room - ITEM_COST))) == [DUPLICATE]
    await spool.release(await lease(spool), now=NOW)
    assert await take(spool, arrival("m2", b"")) == [STORED]


@pytest.mark.rule("4.10")
async def test_control_items_and_debts_have_room_when_others_have_not(make):
    spool = await make(quota=20_000)
    await take(spool, arrival("m1", bytes(17_500 - ITEM_COST)))

    assert await take(spool, arrival("bulk"), arrival("control", priority=Priority.CONTROL)) == [FULL, STORED]
    assert await take(spool, arrival("m1", bytes(17_500 - ITEM_COST), owed_to="0p")) == [DUPLICATE]
    assert await take(spool, arrival("bulk", owed_to="0p")) == [FULL]
    assert await spool.debts("0p", now=NOW, limit=9) == [debt("m1")]
    await spool.owe([debt("m2")])
    assert await take(spool, debts=[debt("m3")]) == []
    assert (await spool.usage()).debts == 3


@pytest.mark.rule("4.1")
async def test_a_debt_that_finds_no_room_is_an_error_and_nothing_is_kept(make):
    spool = await make(quota=ITEM_COST + 4 + DEBT_COST)
    await spool.owe([debt("m1")])

    with pytest.raises(StorageFullError):
        await take(spool, arrival("c", priority=Priority.CONTROL), debts=[debt("m1"), debt("m2")])
    with pytest.raises(StorageFullError):
        await spool.owe([debt("m2"), debt("m3"), debt("m4")])

    assert await spool.usage() == Usage(debts=1)
    assert await take(spool, arrival("c", priority=Priority.CONTROL, owed_to="0q")) == [FULL]
    assert await take(spool, arrival("c", priority=Priority.CONTROL), debts=[debt("m1")]) == [STORED]


@pytest.mark.rule("4.9")
async def test_what_came_earlier_in_a_batch_counts_for_what_comes_later(make):
    spool = await make(quota=20_000)
    room = 20_000 - 20_000 // 8
    owing = [arrival("m1", b"", owed_to="0p"), arrival("m2", b"", owed_to="0p")]
    left = room - 3 * ITEM_COST - 2 * DEBT_COST

    assert await take(spool, *owing, arrival("m3", bytes(left + 1))) == [STORED, STORED, FULL]
    assert await take(spool, *owing, arrival("m3", bytes(left))) == [DUPLICATE, DUPLICATE, STORED]


@pytest.mark.rule("4.9")
async def test_a_batch_with_the_same_message_twice_counts_it_once(spool):
    expired = arrival("m1", b"one", expiry=-MINUTE)

    assert await take(spool, arrival("m2"), expired, arrival("m1", b"again"), arrival("m3")) == [STORED] * 4
    assert await spool.usage() == Usage(3, 13, 3, 0)
    assert await spool.totals() == {HOP: Totals(3, 13)}


async def test_a_replacement_needs_room_for_what_it_adds_alone(make):
    spool = await make(quota=16_000)
    await take(spool, arrival("m1", bytes(10_000)))

    assert await take(spool, arrival("m1", bytes(13_500), created=-MINUTE)) == [FULL]
    assert await take(spool, arrival("m1", bytes(13_000), created=-MINUTE)) == [REPLACED]
    assert await take(spool, arrival("m1", bytes(9), created=-SECOND)) == [REPLACED]


@pytest.mark.rule("11.5")
async def test_one_mailbox_cannot_take_the_room_of_another(make):
    spool = await make(mailbox_quota=3_000)

    assert await take(spool, arrival("m1", bytes(2_000)), arrival("m2", bytes(2_000))) == [STORED, FULL]
    assert await take(spool, arrival("m2", bytes(2_000), hop=OTHER_HOP)) == [STORED]
    assert await take(spool, arrival("m3", bytes(2_000), priority=Priority.CONTROL)) == [STORED]
    assert await take(spool, arrival("m1", bytes(2_000))) == [DUPLICATE]
    assert await take(spool, arrival("m1", bytes(1_000), created=-MINUTE)) == [REPLACED]
    assert await take(spool, arrival("m1", bytes(900), created=-SECOND, hop=OTHER_HOP)) == [FULL]


@pytest.mark.rule("11.5")
async def test_one_sender_cannot_take_another_senders_room_at_the_same_recipient(make):
    spool = await make(pair_quota=3_000)
    other = replace(arrival("m2", bytes(2_000)), identity=identity("m2", sender="0t"))

    assert await take(spool, arrival("m1", bytes(2_000)), arrival("m2", bytes(2_000), hop=OTHER_HOP)) == [
        STORED,
        FULL,
    ]
    assert await take(spool, other) == [STORED]
    assert await take(spool, arrival("m3", bytes(2_000), priority=Priority.CONTROL)) == [STORED]
    assert await take(spool, arrival("m1", bytes(2_000))) == [DUPLICATE]
    assert await take(spool, arrival("m1", bytes(100), created=-MINUTE)) == [REPLACED]


@pytest.mark.rule("11.5")
@pytest.mark.parametrize("settings", [{"mailbox_quota": 3_000}, {"pair_quota": 3_000}])
async def test_what_was_seen_counts_for_a_mailbox_and_a_sender_until_it_is_erased(make, stopwatch, settings):
    spool = await make(**settings)
    count = (3_000 - ITEM_COST) // SEEN_COST
    for number in range(count):
        assert await take(spool, arrival(f"m{number}", b"")) == [STORED]
        await spool.release(await lease(spool), now=NOW)

    assert await take(spool, arrival("more", bytes(ITEM_COST))) == [FULL]
    await run_on(spool, stopwatch, start=NOW, hours=72)
    assert await take(spool, arrival("more", bytes(ITEM_COST), expiry=99 * HOUR), now=NOW + 72 * HOUR) == [
        STORED
    ]


async def test_a_replacement_takes_its_place_in_the_mailbox_that_it_goes_to(make):
    spool = await make(mailbox_quota=3_000)
    await take(spool, arrival("m1", bytes(2_000)))
    await take(spool, arrival("m1", bytes(1_900), created=-MINUTE, hop=OTHER_HOP))

    assert await take(spool, arrival("m2", bytes(2_000))) == [STORED]
    assert await take(spool, arrival("m3", bytes(2_000), hop=OTHER_HOP)) == [FULL]


@pytest.mark.rule("4.9")
async def test_totals_and_usage_follow_every_change(spool):
    await take(spool, arrival("m1", bytes(10)), arrival("m2", bytes(LARGE), hop=OTHER_HOP), debts=[debt("d")])
    await take(spool, arrival("m1", bytes(30), created=-MINUTE))

    assert await spool.totals() == {HOP: Totals(1, 30), OTHER_HOP: Totals(1, LARGE)}
    assert await spool.usage() == Usage(2, 30 + LARGE, 2, 1)
