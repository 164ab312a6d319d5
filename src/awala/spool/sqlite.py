# SPDX-License-Identifier: MIT
"""The spool in a directory: SQLite for what is small, files for large bodies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from awala.base.errors import AwalaError
from awala.base.files import DirectoryLock, private_directory
from awala.base.sqlite import Database, StorageError
from awala.spool import listing
from awala.spool import statements as sql
from awala.spool.bodies import BodyFiles
from awala.spool.changes import Changes
from awala.spool.codec import debt_digest, from_micros, identity_digest, to_micros
from awala.spool.disk import free_room
from awala.spool.intake import Call, Intake, Taken, owe_within, usage
from awala.spool.leases import Leases
from awala.spool.model import (
    Arrival,
    Carrier,
    Debt,
    Hop,
    Identity,
    Item,
    Outcome,
    Totals,
    Usage,
)
from awala.spool.preparing import Preparation
from awala.spool.room import Limits
from awala.spool.schema import CHECKPOINT_PAGES, MIGRATIONS, PAGE_SIZE
from awala.spool.timekeeping import ClockState, Monotonic, Timekeeper

SWEEP_CHUNK = 500
"""How many rows one transaction of a sweep erases, so that others get their turn."""

_log = logging.getLogger(__name__)


class SqliteSpool:
    """The `Spool` of a node on one machine; the directory belongs to one process at a time."""

    def __init__(
        self,
        database: Database,
        files: BodyFiles,
        lock: DirectoryLock,
        directory: Path,
        *,
        limits: Limits,
        timekeeper: Timekeeper,
    ) -> None:
        self._database = database
        self._files = files
        self._lock = lock
        self._limits = limits
        self._timekeeper = timekeeper
        self._leases = Leases()
        self._changes = Changes()
        self._free_room = partial(free_room, directory)
        self._preparation = Preparation(database, files, limits=limits, free_room=self._free_room)

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        quota: int | None = None,
        mailbox_quota: int | None = None,
        pair_quota: int | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> SqliteSpool:
        """Open the spool in ``directory``, which is made (0700) if need be.

        ``quota`` bounds the whole spool, ``mailbox_quota`` each hop, and
        ``pair_quota`` what one sender has here for one recipient, in octets;
        they count bodies, rows and seen rows, the first one debts too
        (rules §4, §11). ``monotonic`` measures for how long the spool is in
        use. Files that no row names are removed.

        Raises:
            StorageBusyError: another process uses the directory.
            StorageError: the directory or the database cannot be used.

        """
        await asyncio.to_thread(private_directory, directory)
        async with contextlib.AsyncExitStack() as undo:
            lock = DirectoryLock(directory)
            undo.callback(lock.release)
            database = await Database.open(
                directory / "spool.sqlite", MIGRATIONS, page_size=PAGE_SIZE, checkpoint_pages=CHECKPOINT_PAGES
            )
            undo.push_async_callback(database.close)
            found = await database.read(listing.start)
            files = await asyncio.to_thread(BodyFiles, directory / "bodies", unsettled=found.folder)
            undo.callback(files.close)
            spool = cls(
                database,
                files,
                lock,
                directory,
                limits=Limits(quota, mailbox_quota, pair_quota),
                timekeeper=Timekeeper(found.clock, monotonic=monotonic),
            )
            orphans = await spool._remove_orphans()
            undo.pop_all()
        if orphans:
            _log.info("removed %d bodies of messages that were never taken over", orphans)
        return spool

    async def close(self) -> None:
        """Finish what is under way and close; waiters get an error. May be called again."""
        self._changes.close()
        try:
            with contextlib.suppress(AwalaError):  # closed before, or a disk that fails
                await self._save_clock()
            await self._database.close()
        finally:
            await asyncio.to_thread(self._files.close)
            self._lock.release()

    # --- taking over --------------------------------------------------------------------------------

    async def accept(
        self, batch: Sequence[Arrival], *, now: datetime, debts: Sequence[Debt] = ()
    ) -> list[Outcome]:
        """Take over a batch in one transaction, with its seen rows and debts (rules §4).

        Raises:
            StorageFullError: the disk is full, or the quota has no room left
                even for ``debts``; nothing of the batch was kept.
            StorageError: the store failed or is closed.

        """
        at = to_micros(now)
        prepared = await self._preparation.prepare(batch, at)
        taken = await self._database.write_together(
            self._take,
            Call(prepared, debts, at),
            after_commit=self._note_taken,
            after_failure=lambda: self._preparation.discard(prepared),
        )
        return taken.outcomes

    def _take(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Taken]:
        intake = Intake(connection, limits=self._limits, free=self._free_room())
        taken = [intake.take(call) for call in calls]
        folder = self._files.moved_on
        intake.finish(folder=folder)
        for each in taken:
            each.folder = folder
        return taken

    def _note_taken(self, taken: Taken) -> None:
        if taken.kept_files or taken.dropped_files:
            self._files.keep(taken.kept_files, unsettled=taken.folder)
            self._files.discard(taken.dropped_files)
        for key in taken.dropped_keys:
            self._leases.drop(key)
        self._changes.note(taken.hops)

    async def seen(self, identity: Identity, *, now: datetime) -> bool:
        """Say whether this message was ever accepted and has not yet expired."""
        key = (identity_digest(identity), to_micros(now))
        return (
            await self._database.read(lambda connection: connection.execute(sql.SEEN, key).fetchone())
            is not None
        )

    # --- handing over on-line -------------------------------------------------------------------------

    async def lease(
        self,
        hop: Hop,
        *,
        now: datetime,
        duration: timedelta,
        limit: int = 1,
        carrier: Carrier = Carrier.ONLINE,
    ) -> list[Item]:
        """Reserve the next due items of a hop, in order, for hand-over by ``carrier``."""
        while limit > 0:
            asked = limit + len(self._leases.held(hop, now))
            rows = await self._database.read(
                partial(listing.due, hop=hop, now=to_micros(now), carrier=carrier, limit=asked)
            )
            if rows is None:
                await self._end_waiting(hop, now)
                continue
            held = self._leases.held(hop, now)  # others may have been quicker
            items = [listing.to_item(row, hop) for row in rows if row[:2] not in held][:limit]
            if len(items) == limit or len(rows) < asked:
                for item in items:
                    self._leases.take(item, now + duration)
                return items
        return []

    async def _end_waiting(self, hop: Hop, now: datetime) -> None:
        """Put items whose time has come back into the order of hand-over."""
        at, changed = to_micros(now), SWEEP_CHUNK
        while changed == SWEEP_CHUNK:
            changed = await self._database.write(
                partial(listing.end_waiting, hop=hop, now=at, limit=SWEEP_CHUNK)
            )

    async def body(self, item: Item) -> bytes | None:
        """Return the octets of exactly this version, or None if it is gone or replaced.

        Raises:
            StorageError: the body cannot be read, or is not what was stored.

        """
        for _ in range(2):  # a body that vanished between row and file: look whether the row did
            row = await self._database.read(partial(listing.body, item=item))
            if row is None:
                return None
            file, size, octets = row
            if file is not None:
                octets = await self._files.read(file)
            if octets is not None:
                if len(octets) != size:
                    break
                return octets
        raise StorageError("the body of a stored message is lost")

    async def release(self, items: Sequence[Item], *, now: datetime) -> None:
        """Let go of exactly these versions: the next hop has them."""
        del now
        await self._remove(items)

    async def refuse(self, item: Item, *, now: datetime) -> None:
        """Drop exactly this version: it was refused for good."""
        del now
        await self._remove([item])

    async def _remove(self, items: Sequence[Item]) -> None:
        def work(connection: sqlite3.Connection) -> list[str]:
            listing.forget_files(connection, self._files.take_removed())
            files: list[str] = []
            for item in items:
                removed = connection.execute(sql.REMOVE, (item.key, item.version)).fetchall()
                files.extend(file for (file,) in removed if file is not None)
            return files

        def after_commit(files: list[str]) -> None:
            self._files.discard(files)
            for item in items:
                self._leases.drop_version(item)

        await self._database.write(work, after_commit=after_commit)

    async def retry_at(self, item: Item, when: datetime) -> None:
        """End the lease, count the attempt, and make the item due again at ``when``."""
        values = (to_micros(when), item.key, item.version)

        def after_commit(_: int) -> None:
            self._leases.drop_version(item)
            self._changes.note([item.hop])

        await self._database.write(
            lambda connection: connection.execute(sql.RETRY, values).rowcount, after_commit=after_commit
        )

    async def return_lease(self, items: Sequence[Item]) -> None:
        """End the lease as if it had never been taken: nothing was attempted."""
        self._changes.note([item.hop for item in items if self._leases.drop_version(item)])

    # --- cargo --------------------------------------------------------------------------------------------

    async def snapshot(
        self, hop: Hop, *, now: datetime, budget: int, after: Item | None = None
    ) -> list[Item]:
        """List items that may leave by cargo, in order, up to ``budget`` octets (at least one)."""
        rows = await self._database.read(
            partial(listing.snapshot, hop=hop, now=to_micros(now), budget=budget, after=after)
        )
        return [listing.to_item(row, hop) for row in rows]

    async def offered(self, items: Sequence[Item]) -> None:
        """Mark exactly these versions as having left in a cargo."""
        marks = [{"key": item.key, "version": item.version} for item in items]
        await self._database.write(lambda connection: connection.executemany(sql.OFFERED, marks).rowcount)

    async def acknowledge(self, identity: Identity, *, hop: Hop, now: datetime) -> bool:
        """Release what a collection acknowledgement from ``hop`` names; say if it did (rules §4)."""
        return (
            await self._database.write(
                partial(listing.acknowledge, identity=identity_digest(identity), hop=hop, now=to_micros(now)),
                after_commit=self._note_acknowledged,
            )
            is not None
        )

    def _note_acknowledged(self, released: tuple[int, str | None] | None) -> None:
        if released is not None:
            key, file = released
            self._leases.drop(key)
            self._files.discard([file] if file is not None else [])

    async def owe(self, debts: Sequence[Debt]) -> None:
        """Record acknowledgements owed; an equal one that was paid is owed anew.

        Raises:
            StorageFullError: not even the reserved room is left.

        """
        await self._database.write(partial(owe_within, debts=debts, limits=self._limits))

    async def debts(self, peer: str, *, now: datetime, limit: int) -> list[Debt]:
        """List the acknowledgements that are owed to ``peer``, oldest first."""
        values = (peer, to_micros(now), max(0, limit))
        rows = await self._database.read(lambda connection: connection.execute(sql.DEBTS, values).fetchall())
        return [Debt(a, b, c, d, from_micros(e)) for a, b, c, d, e in rows]

    async def pay(self, debts: Sequence[Debt]) -> None:
        """Forget debts: a courier has taken the cargo in which they left.

        One that was renewed meanwhile, with a later expiry, stays owed.
        """
        values = [(debt_digest(debt), to_micros(debt.expiry)) for debt in debts]
        await self._database.write(lambda connection: connection.executemany(sql.PAY, values).rowcount)

    # --- lanes --------------------------------------------------------------------------------------------

    async def hops(self, lane: str, *, now: datetime) -> list[Hop]:
        """List the hops of a lane that have an item due on-line, not leased, by name."""
        held = self._leases.held_in_lane(lane, now)
        names = await self._database.read(partial(listing.hops, lane=lane, now=to_micros(now), held=held))
        return [Hop(lane, name) for name in names]

    async def next_due(self, lane: str, *, now: datetime) -> datetime | None:
        """Return when the next item of a lane is due on-line, ``now`` if one is; None if none ever does."""
        held = self._leases.held_in_lane(lane, now)
        due = await self._database.read(partial(listing.next_due, lane=lane, now=to_micros(now), held=held))
        times = [None if due is None else from_micros(due), self._leases.next_end(lane, now)]
        return min((time for time in times if time is not None), default=None)

    async def oldest(self, lane: str) -> datetime | None:
        """Return the earliest date of creation among all items of a lane; None if there is none."""
        created = await self._database.read(partial(listing.oldest, lane=lane))
        return None if created is None else from_micros(created)

    def cursor(self, scope: Hop | str) -> int:
        """Return the present position of a hop, or of a whole lane given by its name."""
        del scope
        return self._changes.position

    async def changed(self, scope: Hop | str, cursor: int) -> int:
        """Wait until something was committed for ``scope`` after ``cursor``; return the new position.

        Raises:
            StorageError: the spool was closed meanwhile.

        """
        return await self._changes.wait(scope, cursor)

    async def totals(self) -> Mapping[Hop, Totals]:
        """Return what rests at each hop, expired or not: what has not been erased."""
        rows = await self._database.read(lambda connection: connection.execute(sql.TOTALS).fetchall())
        return {Hop(lane, name): Totals(items, octets) for lane, name, items, octets in rows}

    async def usage(self) -> Usage:
        """Return what the whole spool holds, from its counters."""
        return await self._database.read(usage)

    # --- erasure and the clock ----------------------------------------------------------------------------

    async def sweep(self, *, now: datetime) -> int:
        """Erase what expired so long ago that it may be erased; return how many items went (rules §2)."""
        self._leases.purge(now)
        erase_before = self._timekeeper.look(now).erase_before
        await self._save_clock()
        erased = 0
        if erase_before is not None:
            erased = await self._erase(to_micros(erase_before))
        await self._in_chunks(sql.SWEEP_HOPS)
        await self._in_chunks(sql.SWEEP_PAIRS)
        await self._remove_dropped()
        return erased

    async def _erase(self, before: int) -> int:
        erased, gone = 0, SWEEP_CHUNK
        while gone == SWEEP_CHUNK:
            gone, items = await self._database.write(
                partial(listing.erase_expired, now=before, limit=SWEEP_CHUNK), after_commit=self._note_erased
            )
            erased += len(items)
        await self._in_chunks(sql.SWEEP_DEBTS, before)
        return erased

    async def _in_chunks(self, statement: str, *values: int) -> None:
        """Repeat a statement that changes so many rows at most until it changes fewer."""
        changed = SWEEP_CHUNK
        while changed == SWEEP_CHUNK:
            changed = await self._database.write(
                lambda connection: connection.execute(statement, (*values, SWEEP_CHUNK)).rowcount
            )

    def _note_erased(self, erased: tuple[int, list[tuple[int, str | None]]]) -> None:
        for item in erased[1]:
            self._note_acknowledged(item)

    async def _remove_dropped(self) -> None:
        """Forget files that are gone, and remove those again that could not be removed."""
        removed = self._files.take_removed()
        await self._database.write(lambda connection: listing.forget_files(connection, removed))
        self._files.discard(await self._database.read(listing.dropped_files))

    async def _remove_orphans(self) -> int:
        """Remove the files that a process which ended in between has left."""
        names = self._files.found()
        orphans = await self._database.read(partial(listing.without_row, names=names)) if names else []
        self._files.discard(orphans)
        self._files.discard(await self._database.read(listing.dropped_files))
        return len(orphans)

    def clock_state(self, now: datetime) -> ClockState:
        """Say what the spool makes of the clock, which shows ``now`` (rules §2)."""
        return self._timekeeper.look(now)

    def may_erase(self, now: datetime) -> bool:
        """Say whether anything may be erased for its age, in other stores too (rules §2)."""
        return self._timekeeper.look(now).erase_before is not None

    async def confirm_time(self, now: datetime) -> None:
        """Trust the clock, which shows ``now``: an exchange with a peer has confirmed it (rules §2)."""
        if self._timekeeper.confirm(now):
            await self._save_clock()

    async def _save_clock(self) -> None:
        await self._database.write(partial(listing.save_clock, record=self._timekeeper.record))
