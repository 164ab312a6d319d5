# SPDX-License-Identifier: MIT
"""Order and room: which item leaves first, and when the spool says *full* (rules §4, §11)."""

from __future__ import annotations

from dataclasses import dataclass

from awala.spool.model import Priority, Usage

SMALL_ITEM = 64 * 1024
"""Octets up to which an item goes ahead of larger ones of its class, and rests in the database."""

RECORD_COST = 512
"""Octets that a quota counts for an item besides its body: row and indexes."""

SEEN_COST = 256
"""Octets that a quota counts for a seen row."""

DEBT_COST = 512
"""Octets that a quota counts for an acknowledgement owed."""

RESERVED_SHARE = 8
"""One part in so many of a quota is kept for control items and debts."""

MAX_RESERVED = 32 * 1024 * 1024
"""The most that is reserved, in octets."""


def rank(priority: Priority, size: int) -> int:
    """Return the place of an item in the order: control, urgent, then bulk, small ones first in each."""
    return priority * 2 + (size > SMALL_ITEM)


RANKS = range(2 * len(Priority))
"""All places in the order."""


def priority_of(item_rank: int) -> Priority:
    """Return the class that a rank stands for."""
    return Priority(item_rank // 2)


def used_room(usage: Usage) -> int:
    """Return the octets that a quota counts for what the spool, a hop or a pair holds."""
    return usage.octets + usage.items * RECORD_COST + usage.seen * SEEN_COST + usage.debts * DEBT_COST


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of a spool, in octets; None is no limit."""

    quota: int | None = None
    mailbox_quota: int | None = None
    pair_quota: int | None = None

    @property
    def reserved(self) -> int:
        """What only control items and debts may use of the quota."""
        return 0 if self.quota is None else min(self.quota // RESERVED_SHARE, MAX_RESERVED)

    def admit_item(self, need: int, priority: Priority, *, used: int, owed: int) -> bool:
        """Say whether an item that needs ``need`` more octets, and its debt, still have room.

        ``used`` is what the spool holds, ``owed`` what the item's debt adds.
        """
        if self.quota is None:
            return True
        limit = self.quota if priority is Priority.CONTROL else self.quota - self.reserved
        return (need <= 0 or used + need <= limit) and self.admit_debt(owed, used=used + need)

    def admit_debt(self, owed: int, *, used: int) -> bool:
        """Say whether debts that take ``owed`` octets still have room."""
        return self.quota is None or owed <= 0 or used + owed <= self.quota

    def admit_at_hop(self, need: int, priority: Priority, *, used: int) -> bool:
        """Say whether a hop that holds ``used`` octets may get ``need`` more."""
        return _admit(self.mailbox_quota, need, priority, used)

    def admit_of_pair(self, need: int, priority: Priority, *, used: int) -> bool:
        """Say whether a sender who has ``used`` octets here for one recipient may have ``need`` more."""
        return _admit(self.pair_quota, need, priority, used)


def _admit(quota: int | None, need: int, priority: Priority, used: int) -> bool:
    return quota is None or priority is Priority.CONTROL or need <= 0 or used + need <= quota
