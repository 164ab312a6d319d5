# SPDX-License-Identifier: MIT
"""The certificates that others, or the node itself, issued to a node for one purpose (rules §2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from awala.pki import CLOCK_TOLERANCE, CertificationPath
from awala.vault import Vault

MAX_HELD = 12
"""Certificates from one issuer that are held: twice as many as live at once when one is made every 30 days.

Without a bound, an issuer that renews without end could fill the vault and slow every check down.
"""


Preference: TypeAlias = Callable[[CertificationPath], tuple[datetime, datetime]]
"""What is compared to find out which of several paths to show to others: the greater one."""


def lasts_longest(path: CertificationPath) -> tuple[datetime, datetime]:
    """Prefer what ends later."""
    return path.leaf.not_after, path.leaf.not_before


def began_last(path: CertificationPath) -> tuple[datetime, datetime]:
    """Prefer what was issued later, also if it ends earlier: its issuer has moved since."""
    return path.leaf.not_before, path.leaf.not_after


class HeldPaths:
    """Certification paths of one subject, in memory, and in the vault before they are used."""

    def __init__(
        self, vault: Vault, *, subject_id: str, purpose: str, preference: Preference = lasts_longest
    ) -> None:
        self._vault = vault
        self._subject_id = subject_id
        self._purpose = purpose
        self._preference = preference
        self._paths: list[CertificationPath] = []

    async def load(self, now: datetime) -> None:
        """Read from the vault what has not expired."""
        self._paths = await self._vault.paths(subject_id=self._subject_id, purpose=self._purpose, now=now)
        self._paths.sort(key=self._preference, reverse=True)

    def unexpired(self, now: datetime, issuer_id: str | None = None) -> list[CertificationPath]:
        """Return what has not expired, in the order of preference; all of it is trusted."""
        return [
            path
            for path in self._paths
            if path.leaf.not_after > now and issuer_id in (None, path.leaf.issuer_id)
        ]

    def in_use(self, now: datetime, issuer_id: str | None = None) -> CertificationPath | None:
        """Return the path to show to others: of those that have begun, the one that is preferred.

        One that begins within the tolerance of clocks is better than none.
        """
        unexpired = self.unexpired(now, issuer_id)
        for latest in (now, now + CLOCK_TOLERANCE):
            for path in unexpired:
                if path.leaf.not_before <= latest:
                    return path
        return None

    async def add(self, path: CertificationPath) -> None:
        """Keep a path beside the older ones; of too many from its issuer, the least preferred ones go."""
        await self._vault.save_path(path, purpose=self._purpose)
        others = [other for other in self._paths if other.chain != path.chain]
        self._paths = sorted([path, *others], key=self._preference, reverse=True)
        alike = [other for other in self._paths if other.leaf.issuer_id == path.leaf.issuer_id]
        for excess in alike[MAX_HELD:]:
            await self._vault.delete_path(excess, purpose=self._purpose)
            self._paths.remove(excess)
