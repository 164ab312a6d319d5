# SPDX-License-Identifier: MIT
"""Whether this node's clock can be trusted: what confirms it, and what people are told (rules §2)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from awala.base.errors import AwalaError
from awala.pki.lifetimes import BACKDATING, CLOCK_TOLERANCE
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

ADVICE: Final = (
    "Check the date and time of this machine. Nothing that has expired is erased until they are right, "
    "or until a message that somebody else has just made confirms them."
)


def agrees(made: datetime, now: datetime) -> bool:
    """Say whether what a peer made just now could bear this date, if our clock is right (rules §2).

    Makers date up to `BACKDATING` back, and clocks may differ by `CLOCK_TOLERANCE`.
    """
    return -(BACKDATING + CLOCK_TOLERANCE) <= made - now <= CLOCK_TOLERANCE


def in_doubt(spool: Spool, now: datetime) -> bool:
    """Say whether it matters at all if something confirms the clock, which shows ``now``."""
    return not spool.clock_state(now).trusted


async def confirm_by(spool: Spool, made: datetime, now: datetime) -> None:
    """Trust our clock if it agrees with the date of what an authorised peer made by its own (decision 44).

    To be called after that was kept: a store that fails costs the confirmation alone.
    """
    if not agrees(made, now):
        return
    try:
        await spool.confirm_time(now)
    except AwalaError as error:
        logger.warning("that a peer confirmed the time could not be noted: %s", error)


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """What a person or a script wants to know about a node's clock."""

    trusted: bool
    last_trusted: datetime | None
    """The latest time that was trusted, by this clock: about now while it is trusted still."""
    ahead_seconds: int
    """How far the clock is ahead of what was expected, behind if negative; 0 while it is trusted."""
    erases_before: datetime | None
    """What expired then or earlier is erased; None if nothing is."""
    advice: str
    """What to do; empty while the clock is trusted."""


def clock_status(spool: Spool, now: datetime) -> ClockStatus:
    """Describe the clock, which shows ``now``."""
    state = spool.clock_state(now)
    return ClockStatus(
        trusted=state.trusted,
        last_trusted=state.last_trusted,
        ahead_seconds=0 if state.jump is None else round(state.jump.total_seconds()),
        erases_before=state.erase_before,
        advice="" if state.trusted else ADVICE,
    )
