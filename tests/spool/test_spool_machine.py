# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from awala.base.errors import StorageFullError
from awala.spool import Carrier, Hop, MemorySpool, Priority, SqliteSpool
from helpers.spool_items import HOUR, LARGE, MINUTE, NOW, arrival, debt, identity

HOPS = [Hop("gateway", "0aa"), Hop("gateway", "0bb"), Hop("internet", "0aa")]
LANES = ["gateway", "internet"]
PEERS = ["0p", "0q"]
MESSAGE_IDS = ["m1", "m2", "m3", "m4"]

arrivals = st.builds(
    arrival,
    st.sampled_from(MESSAGE_IDS),
    st.sampled_from(["", "one", "two", "three" * 50, "large", "larger"]).map(
        lambda word: word.encode() + bytes(LARGE if word.startswith("large") else 0)
    ),
    created=st.sampled_from([-3 * HOUR, -2 * HOUR, -HOUR, HOUR, 2 * HOUR]),
    expiry=st.sampled_from([-MINUTE, 3 * HOUR, 5 * HOUR, 24 * HOUR]),
    hop=st.sampled_from(HOPS),
    carriers=st.sampled_from([Carrier.ONLINE, Carrier.CARGO, Carrier.ANY, Carrier.ANY]),
    priority=st.sampled_from(Priority),
    owed_to=st.sampled_from([None, *PEERS]),
)
debts = st.builds(
    debt,
    st.sampled_from(MESSAGE_IDS),
    peer=st.sampled_from(PEERS),
    expiry=st.sampled_from([HOUR, 24 * HOUR]),
)
hops = st.sampled_from(HOPS)


class SpoolMachine(RuleBasedStateMachine):
    """Drives the SQLite spool and the model with the same calls: all that can be seen must be equal."""

    items = Bundle("items")

    @initialize(
        quota=st.sampled_from([None, 8_000, 200_000]), mailbox_quota=st.sampled_from([None, 2_000, 100_000])
    )
    def start(self, quota, mailbox_quota):
        self.now = NOW
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.settings = {"quota": quota, "mailbox_quota": mailbox_quota}
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
                results.append(self.run(getattr(spool, operation)(*args, **kwargs)))
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

    @rule(message_id=st.sampled_from(MESSAGE_IDS), hop=hops)
    def acknowledge(self, message_id, hop):
        self.both("acknowledge", identity(message_id), hop=hop, now=self.now)

    @rule(owed=st.lists(debts, max_size=3))
    def owe(self, owed):
        self.both("owe", owed)

    @rule(paid=st.lists(debts, max_size=3))
    def pay(self, paid):
        self.both("pay", paid)

    @rule(minutes=st.sampled_from([1, 30, 60, 200, 1500]))
    def time_passes(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule()
    def sweep(self):
        self.both("sweep", now=self.now)

    @rule()
    def restart(self):
        self.run(self.spool.close())
        self.spool = self.run(SqliteSpool.open(self.directory, **self.settings))
        for stored in self.model._items.values():
            stored.leased_until = None  # leases end with the process

    @invariant()
    def all_that_can_be_seen_is_equal(self):
        if not hasattr(self, "spool"):
            return
        for lane in LANES:
            self.both("hops", lane, now=self.now)
            self.both("next_due", lane, now=self.now)
        for peer in PEERS:
            self.both("debts", peer, now=self.now, limit=3)
        for message_id in MESSAGE_IDS:
            self.both("seen", identity(message_id), now=self.now)
        self.both("totals")
        self.both("usage")


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
