# SPDX-License-Identifier: MIT
"""Keeps freed memory for the next message instead of handing it back to the system."""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_OCTETS: Final = 64 * 1024 * 1024
"""How much freed memory at the end of the heap a process keeps."""

LARGEST_IN_HEAP: Final = 16 * 1024 * 1024
"""Buffers up to this size come from the heap; every message fits, and all that is made from it."""

# From glibc's malloc.h; no other C library has these.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> bool:
    """Tell the C library's allocator to keep what is freed; return whether it has such a setting.

    Messages are processed through buffers of their size, time and again. By default glibc gets large
    ones from the system and gives them back at once, and the pages then cost more than encrypting
    what goes into them: a process that handles messages calls this once when it starts.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [set_option(_M_MMAP_THRESHOLD, LARGEST_IN_HEAP), set_option(_M_TRIM_THRESHOLD, KEPT_OCTETS)]
    return done == [1, 1]
