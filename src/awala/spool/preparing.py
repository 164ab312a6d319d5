# SPDX-License-Identifier: MIT
"""What is done for arrivals before their transaction: large bodies become files, unless they are known."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

from awala.base.sqlite import Database
from awala.spool.bodies import BodyFiles
from awala.spool.codec import identity_digest
from awala.spool.intake import Found, Intake, Prepared
from awala.spool.model import Arrival, Outcome
from awala.spool.room import SMALL_ITEM, Limits


class Preparation:
    """Writes the files of large bodies, which the transaction of their batch then names."""

    def __init__(
        self, database: Database, files: BodyFiles, *, limits: Limits, free_room: Callable[[], int | None]
    ) -> None:
        self._database = database
        self._files = files
        self._limits = limits
        self._free_room = free_room

    async def prepare(self, batch: Sequence[Arrival], now: int) -> list[Prepared]:
        """Prepare a batch; `discard` it if its transaction fails. Raises StorageFullError, StorageError."""
        prepared: list[Prepared] = []
        try:
            for arrival in batch:
                each = Prepared(arrival, identity_digest(arrival.identity))
                if len(arrival.body) > SMALL_ITEM:
                    each = _same_as_before(each, prepared) or await self._prepare_large(each, now)
                prepared.append(each)
        except BaseException:
            self.discard(prepared)
            raise
        return prepared

    def discard(self, prepared: Sequence[Prepared]) -> None:
        """Have the files removed that were written for a batch."""
        self._files.discard([each.file for each in prepared if each.file is not None])

    async def _prepare_large(self, bare: Prepared, now: int) -> Prepared:
        body = bare.arrival.body

        def foresee(connection: sqlite3.Connection) -> tuple[Outcome, Found | None]:
            return Intake(connection, limits=self._limits, free=self._free_room()).foresee(bare, now)

        outcome, found = await self._database.read(foresee)
        if outcome is not Outcome.DUPLICATE and found is not None and await self._is_body(found, body):
            return replace(bare, same_as=found.file)
        if outcome in {Outcome.DUPLICATE, Outcome.FULL}:
            return bare  # should that change meanwhile, the body goes into the database
        return replace(bare, file=await self._files.write(body))

    async def _is_body(self, found: Found, octets: bytes) -> bool:
        """Say whether a large body is what is stored already."""
        if found.file is None or found.size != len(octets):
            return False
        return await self._files.read(found.file) == octets


def _same_as_before(bare: Prepared, earlier: Sequence[Prepared]) -> Prepared | None:
    """Return a large arrival marked as the same as one of its batch, whose file it needs no second time."""
    for each in reversed(earlier):
        if each.file and each.identity == bare.identity and each.arrival.body == bare.arrival.body:
            return replace(bare, same_as=each.file)
    return None
