# SPDX-License-Identifier: MIT
"""The plaintext of a cargo: a set of messages; and how messages are packed into as few sets as possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from awala.asn1 import Octets, der, parse
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading
from awala.messages.limits import (
    CARGO_ITEM_OVERHEAD,
    CARGO_SET_OVERHEAD,
    CARGO_TARGET_INTERNET,
    EMITTED_CARGO_ITEMS,
    MAX_CARGO_ITEM_SIZE,
    MAX_CARGO_ITEMS,
    MAX_SDU,
)

_ITEM: Final = der.OCTET_STRING


@dataclass(frozen=True, slots=True)
class CargoMessageSet:
    """Serialised messages in a cargo, in order (RS-000, Cargo).

    An item may be anything: `awala.messages.recognise` tells what it claims to be.
    """

    items: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, data: Octets) -> CargoMessageSet:
        """Read a set; raise `MalformedMessageError` if it is damaged or has more items than allowed."""
        with reading("cargo message set"):
            elements = parse(data).expect(der.SEQUENCE, "the set").children()
            if len(elements) > MAX_CARGO_ITEMS:
                raise MalformedMessageError(f"A cargo has more than {MAX_CARGO_ITEMS} items")
            return cls(tuple(bytes(element.expect(_ITEM, "an item").content) for element in elements))

    def serialize(self) -> bytes:
        """Return the set in DER; raise `InvalidMessageError` if it would not fit a cargo."""
        if len(self.items) > EMITTED_CARGO_ITEMS:
            raise InvalidMessageError(f"The cargo would have more than {EMITTED_CARGO_ITEMS} items")
        if any(len(item) > MAX_CARGO_ITEM_SIZE for item in self.items):
            raise InvalidMessageError(f"An item is larger than {MAX_CARGO_ITEM_SIZE} octets")
        serialization = der.sequence(*map(der.octet_string, self.items))
        if len(serialization) > MAX_SDU:
            raise InvalidMessageError(f"The set is larger than {MAX_SDU} octets")
        return serialization


def pack(sizes: Iterable[int], target: int = CARGO_TARGET_INTERNET) -> list[list[int]]:
    """Distribute items over sets, greedily and in order; return for each set the indexes of its items.

    ``sizes`` are the items' octets, ``target`` the size that no set should exceed in octets; an item
    that is larger by itself travels alone. Each item is reckoned with five octets of overhead, and
    the set with five more, whatever they really take (rules §1).
    """
    budget = target - CARGO_SET_OVERHEAD
    batches: list[list[int]] = []
    room = 0
    for index, size in enumerate(sizes):
        cost = size + CARGO_ITEM_OVERHEAD
        if not batches or cost > room or len(batches[-1]) == EMITTED_CARGO_ITEMS:
            batches.append([])
            room = budget
        batches[-1].append(index)
        room -= cost
    return batches
