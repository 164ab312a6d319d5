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


def everywhere(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` damaged at every position.

    The octet is changed in each bit, to zeros and to ones; cut out; doubled; another is inserted
    before it; and all from it on is cut off.
    """
    for at, octet in enumerate(data):
        before, behind = data[:at], data[at + 1 :]
        for other in sorted({*(octet ^ 1 << bit for bit in range(8)), 0x00, 0xFF} - {octet}):
            yield b"".join((before, bytes((other,)), behind))
        yield before + behind
        yield b"".join((before, bytes((octet, octet)), behind))
        for inserted in (0x00, 0x30, 0xFF):
            yield b"".join((before, bytes((inserted, octet)), behind))
        yield before
