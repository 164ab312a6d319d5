# SPDX-License-Identifier: MIT
"""How much the disk may still take, so that the spool says *full* before the disk is (rules §4)."""

from __future__ import annotations

import shutil
from pathlib import Path

from awala.spool.schema import CHECKPOINT_PAGES, PAGE_SIZE

DISK_FLOOR = 64 * 1024 * 1024
"""Octets of the disk that are left free for what draining a full spool needs."""

DISK_FLOOR_SHARE = 20
"""On a small disk, one part in so many is left free instead, and `LOG_ROOM`."""

LOG_ROOM = CHECKPOINT_PAGES * PAGE_SIZE
"""Octets by which the database grows when the log goes into it."""


def free_room(directory: Path) -> int | None:
    """Return how many octets the disk of a directory may still take, or None if that is unknown."""
    try:
        disk = shutil.disk_usage(directory)
    except OSError:
        return None
    return max(0, disk.free - min(DISK_FLOOR, disk.total // DISK_FLOOR_SHARE + LOG_ROOM))
