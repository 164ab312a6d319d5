# SPDX-License-Identifier: MIT
"""Whether the clock can be trusted with erasing what has expired (rules §2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

RUNNING_BEFORE_ERASURE = timedelta(hours=48)
"""For how long a node must have run since something expired before it may be erased (rules §2)."""

MAX_JUMP = timedelta(hours=24)
"""By how much the clock may differ from what is expected of it without being confirmed (rules §2)."""

NOTE_INTERVAL = timedelta(hours=1)
"""After how much running another note is made of what the clock shows."""

Monotonic: TypeAlias = Callable[[], float]
"""Seconds that have passed since some moment, whatever happens to the clock."""


@dataclass(frozen=True, slots=True)
class Note:
    """What the clock showed after so much running."""

    running: timedelta
    shown: datetime


@dataclass(frozen=True, slots=True)
class ClockRecord:
    """What a spool remembers of the clock from one run to the next.

    ``notes`` go back by `RUNNING_BEFORE_ERASURE`, the oldest first.
    """

    high_water: datetime | None = None
    """The latest time that was trusted."""
    running: timedelta = timedelta()
    """For how long the spool has been in use, all runs together."""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class ClockState:
    """What a spool makes of the clock, for people and for those who erase things too."""

    jump: timedelta | None
    """How far the clock is ahead of what was expected (behind if negative), while that keeps anything from
    being erased until `Spool.confirm_time`; None while the clock is trusted."""
    erase_before: datetime | None
    """What expired then or earlier may be erased; None if nothing may."""
    last_trusted: datetime | None
    """The latest time that was trusted, by this clock."""

    @property
    def trusted(self) -> bool:
        """Whether the clock is trusted."""
        return self.jump is None


class Timekeeper:
    """Compares the clock with the time that has passed, and with the latest time that was trusted.

    Between two runs any time may have passed, so the first look of a run
    compares with the high-water mark itself. What may be erased lies before
    what the clock showed 48 hours of running ago, however often the node was
    started meanwhile: a clock that is wrong for less than that, or that
    jumps by more than a day, erases nothing.
    """

    def __init__(self, record: ClockRecord | None = None, *, monotonic: Monotonic = time.monotonic) -> None:
        self._monotonic = monotonic
        self._record = record or ClockRecord()
        self._looked = monotonic()
        self._since_trusted: timedelta | None = None  # since the high-water mark; None before the first look

    def look(self, now: datetime) -> ClockState:
        """Take note of what the clock shows, and say what that means."""
        self._run()
        jump = self._jump(now)
        if jump is None:
            self._trust(now, max(now, self._record.high_water or now))
        before = self._erase_before(now) if jump is None else None
        return ClockState(jump, before, self._record.high_water)

    def confirm(self, now: datetime) -> bool:
        """Trust the clock: a peer agrees with it. Say whether it was not trusted before.

        While it is trusted this is a comparison, for it is asked with every message.
        """
        self._run()
        if self._jump(now) is None:
            return False
        self._trust(now, now)
        return True

    @property
    def record(self) -> ClockRecord:
        """What is to be remembered."""
        self._run()
        return self._record

    def restarted(self) -> Timekeeper:
        """Return what another run begins with."""
        return Timekeeper(self.record, monotonic=self._monotonic)

    def _run(self) -> None:
        """Count the time that has passed."""
        looked = self._monotonic()
        passed = timedelta(seconds=max(0.0, looked - self._looked))
        self._looked = looked
        self._record = replace(self._record, running=self._record.running + passed)
        if self._since_trusted is not None:
            self._since_trusted += passed

    def _jump(self, now: datetime) -> timedelta | None:
        if self._record.high_water is None:
            return None
        jump = now - self._record.high_water - (self._since_trusted or timedelta())
        return jump if abs(jump) > MAX_JUMP else None

    def _trust(self, now: datetime, high_water: datetime) -> None:
        if high_water != self._record.high_water or self._since_trusted is None:
            self._since_trusted = timedelta()
        self._record = replace(self._record, high_water=high_water, notes=self._noted(now))

    def _noted(self, now: datetime) -> tuple[Note, ...]:
        """Return the notes, with one more if it is time.

        None may show more than ``now`` allows: the clock may have been ahead, and gone back.
        """
        running = self._record.running
        notes = [
            Note(note.running, min(note.shown, now - (running - note.running))) for note in self._record.notes
        ]
        if not notes or running - notes[-1].running >= NOTE_INTERVAL:
            notes.append(Note(running, now))
        while len(notes) > 1 and running - notes[1].running >= RUNNING_BEFORE_ERASURE:
            del notes[0]
        return tuple(notes)

    def _erase_before(self, now: datetime) -> datetime | None:
        oldest = self._record.notes[0]
        if self._record.running - oldest.running < RUNNING_BEFORE_ERASURE:
            return None
        return min(oldest.shown, now)
