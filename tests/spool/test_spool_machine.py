# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import inspect
import re
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from awala.base.errors import StorageFullError
from awala.spool import Carrier, Hop, Kind, MemorySpool, Priority, Spool, SqliteSpool
from helpers.spool_items import HOUR, LARGE, MINUTE, NOW, Stopwatch, arrival, debt, identity

HOPS = [Hop("gateway", "0aa"), Hop("gateway", "0bb"), Hop("internet", "0aa")]
LANES = ["gateway", "internet"]
PEERS = ["0p", "0q"]
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - not a disk that syncs at each step
MESSAGE_IDS = ["m1", "m2", "m3", "m4"]
KINDS = [Kind.PARCEL, Kind.PARCEL, Kind.PARCEL, Kind.CONTROL]

arrivals = st.builds(
    arrival,
    st.sampled_from(MESSAGE_IDS),
    st.sampled_from(["", "one", "two", "three" * 50, "large", "larger", "other"]).map(
        lambda word: (
            word.encode() + bytes(LARGE - len(word) if word in {"large", "other"} else 0)
            if word != "larger"
            else word.encode() + bytes(LARGE)
        )
    ),
    created=st.sampled_from([-3 * HOUR, -2 * HOUR, -HOUR, HOUR, 2 * HOUR]),
    expiry=st.sampled_from([-MINUTE, 3 * HOUR, 5 * HOUR, 24 * HOUR, 240 * HOUR]),
    hop=st.sampled_from(HOPS),
    carriers=st.sampled_from([Carrier.ONLINE, Carrier.CARGO, Carrier.ANY, Carrier.ANY]),
    priority=st.sampled_from(Priority),
    owed_to=st.sampled_from([None, *PEERS]),
    kind=st.sampled_from(KINDS),
)
debts = st.builds(
    debt,
    st.sampled_from(MESSAGE_IDS),
    peer=st.sampled_from(PEERS),
    expiry=st.sampled_from([HOUR, 24 * HOUR]),
)
hops = st.sampled_from(HOPS)


class SpoolMachine(RuleBasedStateMachine):
    """Drives the SQLite spool and that in memory with the same calls: all that can be seen must be equal."""

    items = Bundle("items")

    @initialize(
        quota=st.sampled_from([None, 8_000, 200_000]),
        mailbox_quota=st.sampled_from([None, 3_000, 100_000]),
        pair_quota=st.sampled_from([None, 4_000, 150_000]),
    )
    def start(self, quota, mailbox_quota, pair_quota):
        self.now = NOW
        self.stopwatch = Stopwatch()
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="spool-machine-", dir=MEMORY))
        self.settings = {
            "quota": quota,
            "mailbox_quota": mailbox_quota,
            "pair_quota": pair_quota,
            "monotonic": self.stopwatch,
        }
        self.model = MemorySpool(**self.settings)
        self.spool = self.run(SqliteSpool.open(self.directory, **self.settings))

    def teardown(self):
        if hasattr(self, "spool"):
            self.run(self.spool.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            shutil.rmtree(self.directory)

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def both(self, operation, *args, **kwargs):
        results = []
        for spool in (self.model, self.spool):
            try:
                result = getattr(spool, operation)(*args, **kwargs)
                results.append(self.run(result) if asyncio.iscoroutine(result) else result)
            except StorageFullError:
                results.append(StorageFullError)
        assert results[1] == results[0], operation
        return results[0]

    @rule(
        batch=st.lists(arrivals, min_size=1, max_size=4),
        debts=st.one_of(st.just([]), st.lists(debts, max_size=2)),
    )
    def accept(self, batch, debts):
        self.both("accept", batch, now=self.now, debts=debts)

    @rule(batches=st.lists(st.lists(arrivals, min_size=1, max_size=3), min_size=2, max_size=4))
    def accept_from_several_callers_at_once(self, batches):
        expected = [self.run(self.model.accept(batch, now=self.now)) for batch in batches]
        small = [[each for each in batch if len(each.body) < LARGE] for batch in batches]

        async def together():
            return await asyncio.gather(*(self.spool.accept(batch, now=self.now) for batch in batches))

        async def in_turn():
            return [await self.spool.accept(batch, now=self.now) for batch in batches]

        # A large body is written first, so a batch that has one may be overtaken.
        assert self.run(together() if small == batches else in_turn()) == expected

    @rule(
        target=items,
        hop=hops,
        limit=st.integers(0, 5),
        minutes=st.integers(1, 90),
        carrier=st.sampled_from([Carrier.ONLINE, Carrier.ONLINE, Carrier.CARGO, Carrier.ANY]),
    )
    def lease(self, hop, limit, minutes, carrier):
        duration = timedelta(minutes=minutes)
        leased = self.both("lease", hop, now=self.now, duration=duration, limit=limit, carrier=carrier)
        return multiple(*leased)

    @rule(target=items, hop=hops, budget=st.sampled_from([0, 100, 70_000, 1_000_000]))
    def snapshot(self, hop, budget):
        return multiple(*self.both("snapshot", hop, now=self.now, budget=budget))

    @rule(item=items, budget=st.sampled_from([0, 1_000_000]))
    def snapshot_behind(self, item, budget):
        self.both("snapshot", item.hop, now=self.now, budget=budget, after=item)

    @rule(item=items)
    def body(self, item):
        self.both("body", item)

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def release(self, chosen):
        self.both("release", chosen, now=self.now)

    @rule(item=items)
    def refuse(self, item):
        self.both("refuse", item, now=self.now)

    @rule(item=items, minutes=st.integers(-10, 200))
    def retry_at(self, item, minutes):
        self.both("retry_at", item, self.now + timedelta(minutes=minutes))

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def return_lease(self, chosen):
        self.both("return_lease", chosen)

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def offered(self, chosen):
        self.both("offered", chosen)

    @rule(message_id=st.sampled_from(MESSAGE_IDS), kind=st.sampled_from(KINDS), hop=hops)
    def acknowledge(self, message_id, kind, hop):
        self.both("acknowledge", identity(message_id, kind=kind), hop=hop, now=self.now)

    @rule(item=items)
    def hand_over_by_cargo(self, item):
        self.both("offered", [item])
        self.both("acknowledge", item.identity, hop=item.hop, now=self.now)

    @rule(owed=st.lists(debts, max_size=3))
    def owe(self, owed):
        self.both("owe", owed)

    @rule(paid=st.lists(debts, max_size=3))
    def pay(self, paid):
        self.both("pay", paid)

    @rule(minutes=st.sampled_from([1, 30, 60, 200, 1500, 3_000]))
    def time_passes(self, minutes):
        self.now += timedelta(minutes=minutes)
        self.stopwatch.run(timedelta(minutes=minutes))

    @rule(minutes=st.sampled_from([-3_000, -600, -120, -30, 600, 3_000, 30_000]))
    def the_clock_jumps(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule()
    def a_peer_confirms_the_time(self):
        self.both("confirm_time", self.now)

    @rule()
    def sweep(self):
        self.both("sweep", now=self.now)

    @rule(hours=st.sampled_from([12, 60]))
    def runs_and_is_swept(self, hours):
        for _ in range(0, hours, 12):
            self.now += 12 * HOUR
            self.stopwatch.run(12 * HOUR)
            self.both("sweep", now=self.now)

    @rule(scope=st.sampled_from([*HOPS, *LANES]), batch=st.lists(arrivals, min_size=1, max_size=2))
    def waits_for_a_change(self, scope, batch):
        woken = [self.run(self._is_woken(spool, scope, batch)) for spool in (self.model, self.spool)]
        assert woken[1] == woken[0]

    async def _is_woken(self, spool, scope, batch):
        waiter = asyncio.ensure_future(spool.changed(scope, spool.cursor(scope)))
        await asyncio.sleep(0)
        outcomes = await spool.accept(batch, now=self.now)
        await asyncio.sleep(0)
        woken = waiter.done()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        return outcomes, woken

    @rule()
    def restart(self):
        self.run(self.spool.close())
        self.spool = self.run(SqliteSpool.open(self.directory, **self.settings))
        self.model.restart()

    @invariant()
    def all_that_can_be_seen_is_equal(self):
        if not hasattr(self, "spool"):
            return
        for lane in LANES:
            self.both("hops", lane, now=self.now)
            self.both("next_due", lane, now=self.now)
            self.both("oldest", lane)
        for peer in PEERS:
            self.both("debts", peer, now=self.now, limit=3)
        for message_id in MESSAGE_IDS:
            self.both("seen", identity(message_id), now=self.now)
        self.both("clock_state", self.now)
        self.both("may_erase", self.now)
        self.both("totals")
        self.both("usage")


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_machine_uses_every_operation_of_the_port():
    used = set(re.findall(r"(?:self\.both\(\"|spool\.)(\w+)", inspect.getsource(SpoolMachine)))

    assert {name for name in vars(Spool) if name[0] != "_"} <= used
