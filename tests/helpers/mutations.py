# SPDX-License-Identifier: MIT
"""Damages octets in small ways, the same ways every time."""

from __future__ import annotations

import random
from collections.abc import Iterator


def mutations(data: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield ``count`` copies of ``data`` with an octet changed, cut out or inserted, or cut short."""
    source = random.Random(seed)
    for _ in range(count):
        at = source.randrange(len(data))
        octet = bytes((source.choice((0x00, 0x01, 0x7F, 0x80, 0xFF, source.randrange(256))),))
        yield source.choice(
            (
                data[:at] + octet + data[at + 1 :],
                data[:at] + bytes((data[at] ^ (1 << source.randrange(8)),)) + data[at + 1 :],
                data[:at] + data[at + 1 :],
                data[:at] + octet + data[at:],
                data[:at],
            )
        )
