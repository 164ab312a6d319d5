# SPDX-License-Identifier: MIT
"""The plaintext of a cargo: a set of messages (RS-000, Cargo)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from awala.asn1 import Octets, der, parse
from awala.messages.errors import InvalidMessageError, MalformedMessageError, reading
from awala.messages.limits import MAX_CARGO_ITEM_SIZE, MAX_CARGO_ITEMS, MAX_SDU

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
        if len(self.items) > MAX_CARGO_ITEMS:
            raise InvalidMessageError(f"The cargo would have more than {MAX_CARGO_ITEMS} items")
        if any(len(item) > MAX_CARGO_ITEM_SIZE for item in self.items):
            raise InvalidMessageError(f"An item is larger than {MAX_CARGO_ITEM_SIZE} octets")
        serialization = der.sequence(*map(der.octet_string, self.items))
        if len(serialization) > MAX_SDU:
            raise InvalidMessageError(f"The set is larger than {MAX_SDU} octets")
        return serialization
